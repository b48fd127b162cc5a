/** `git odb put <name> <oid|path>…`: sends objects of the repository to an ODB. */

import type { Command } from "commander";
import { OdbError } from "../errors.js";
import { formatInfo, type ObjectInfo } from "../object/info.js";
import type { Odb } from "../odb/session.js";
import { openCatFile } from "../repo/cat-file.js";
import { openRepository } from "../repo/git.js";
import type { Context, OutputOptions } from "./context.js";
import { namesOf, objectToPut } from "./objects.js";
import { withOdb } from "./odb.js";
import { addOutputOptions } from "./verb.js";

interface Options extends OutputOptions {
  readonly stdin?: boolean;
  readonly queued?: boolean;
}

/** Objects on their way at the same time, if `odb.<name>.concurrency` does not say: each has a git of its own. */
const CONCURRENCY = 4;

export function define(command: Command, context: Context): void {
  command
    .argument("<name>", "the ODB")
    .argument("[object...]", "object ids, files, or revisions such as HEAD:picture.psd")
    .option("--stdin", "read the objects from standard input, one a line")
    .option("--queued", "send what waits because the store could not be reached");
  addOutputOptions(command).action((name: string, objects: string[], options: Options) =>
    options.queued ? sendQueued(name, objects, options, context) : put(name, objects, options, context),
  );
}

async function put(name: string, objects: string[], options: Options, context: Context): Promise<void> {
  const repo = await openRepository();
  await withOdb(repo, name, context, async (odb) => {
    const total = options.stdin ? undefined : objects.length;
    const progress = context.progress("Uploading", total, options);
    const names = namesOf(objects, options.stdin);
    let done = false;
    const worker = async () => {
      await using local = openCatFile(repo);
      for (let next = await names.next(); !next.done; next = await names.next()) {
        context.signal.throwIfAborted();
        const oid = await objectToPut(repo, next.value);
        const object = await local.get(oid);
        const info = object?.info ?? (await odb.stat(oid, { signal: context.signal }));
        if (info === undefined) {
          throw new OdbError(
            "invalid",
            `object ${oid} is not in ${repo.name}, nor in ODB ${name}: fetch it first`,
          );
        }
        if (object) await odb.put(info, progress.through(object.content), { signal: context.signal });
        progress.add(1);
        if (!options.quiet) await context.print(`${formatInfo(info)}\n`);
      }
    };
    try {
      await settleAll(Array.from({ length: odb.config.concurrency ?? CONCURRENCY }, worker));
      done = true;
    } finally {
      progress.finish(done);
      await names.return(undefined);
    }
  });
}

/** Waits for every worker, also after one has failed: what they hold must not be closed under them. */
async function settleAll(workers: Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(workers)).find((outcome) => outcome.status === "rejected");
  if (failed) throw failed.reason;
}

async function sendQueued(
  name: string,
  objects: string[],
  options: Options,
  context: Context,
): Promise<void> {
  if (objects.length > 0 || options.stdin) {
    throw new OdbError("invalid", "--queued sends all that waits: name no objects with it");
  }
  await withOdb(await openRepository(), name, context, async (odb: Odb) => {
    const { sent, left, lost, why } = await odb.sendQueued({ signal: context.signal });
    const lines = (infos: readonly ObjectInfo[]) => infos.map((info) => `${formatInfo(info)}\n`).join("");
    if (!options.quiet) await context.print(lines(sent));
    for (const { oid } of lost) {
      context.warn(
        `object ${oid} waits for ODB ${name}, but the repository no longer has it, nor has the store`,
      );
    }
    if (lost.length > 0) process.exitCode = 1;
    if (why)
      throw new OdbError(why.code, `${left.length} objects still wait for ODB ${name}: ${why.message}`);
  });
}
