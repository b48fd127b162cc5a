/** `git odb get <name> <oid|path>…`: brings objects of an ODB into the repository, or the bytes of one to stdout. */

import type { Command } from "commander";
import { OdbError } from "../errors.js";
import type { ObjectId } from "../object/id.js";
import type { Odb } from "../odb/session.js";
import { openCatFile } from "../repo/cat-file.js";
import { openRepository, type Repository } from "../repo/git.js";
import { asRaw } from "../store/encoding.js";
import type { Context, OutputOptions } from "./context.js";
import { namesOf, objectToGet } from "./objects.js";
import { withOdb } from "./odb.js";
import { addOutputOptions } from "./verb.js";

interface Options extends OutputOptions {
  readonly stdin?: boolean;
  readonly all?: boolean;
  readonly stdout?: boolean;
}

export function define(command: Command, context: Context): void {
  command
    .argument("<name>", "the ODB")
    .argument("[object...]", "object ids, paths in the index, or revisions such as HEAD:picture.psd")
    .option("--stdin", "read the objects from standard input, one a line")
    .option("--all", "every object that the ODB is known to have")
    .option("--stdout", "write the content of one object to standard output instead");
  addOutputOptions(command).action((name: string, objects: string[], options: Options) =>
    get(name, objects, options, context),
  );
}

async function get(name: string, objects: string[], options: Options, context: Context): Promise<void> {
  if (options.all && (objects.length > 0 || options.stdin || options.stdout)) {
    throw new OdbError("invalid", "--all gets every object: name none with it");
  }
  const repo = await openRepository();
  await withOdb(repo, name, context, async (odb) => {
    if (options.stdout) return await writeContent(odb, await onlyObject(repo, objects, options), context);
    const wanted = options.all ? known(odb, context) : named(repo, objects, options);
    await install(odb, wanted, options, context);
  });
}

async function* known(odb: Odb, context: Context): AsyncGenerator<ObjectId> {
  for await (const { oid } of odb.have({ signal: context.signal })) yield oid;
}

async function* named(repo: Repository, objects: string[], options: Options): AsyncGenerator<ObjectId> {
  for await (const name of namesOf(objects, options.stdin)) yield await objectToGet(repo, name);
}

async function install(
  odb: Odb,
  wanted: AsyncIterable<ObjectId>,
  options: Options,
  context: Context,
): Promise<void> {
  await using local = openCatFile(odb.repo);
  const progress = context.progress("Downloading", undefined, options);
  const { signal } = context;
  let missing = 0;
  for await (const oid of wanted) {
    signal.throwIfAborted();
    const present = await local.info(oid);
    if (!present && !(await odb.install(oid, { signal, onBytes: (bytes) => progress.add(0, bytes) }))) {
      missing += 1;
      context.warn(`object ${oid} is not in ODB ${odb.name}`);
    }
    progress.add(1);
  }
  progress.finish();
  if (missing > 0) process.exitCode = 1;
}

async function onlyObject(repo: Repository, objects: string[], options: Options): Promise<ObjectId> {
  const [name, ...more] = objects;
  if (name === undefined || more.length > 0 || options.stdin) {
    throw new OdbError("invalid", "--stdout takes exactly one object");
  }
  return await objectToGet(repo, name);
}

async function writeContent(odb: Odb, oid: ObjectId, context: Context): Promise<void> {
  const stored = await odb.get(oid, { signal: context.signal });
  if (stored === undefined) {
    context.warn(`object ${oid} is not in ODB ${odb.name}`);
    process.exitCode = 1;
    return;
  }
  for await (const chunk of asRaw(stored)) await context.print(chunk);
}
