/** Attributes of paths, resolved by git itself: `git check-attr` (gitattributes(5)). */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OdbError } from "../errors.js";
import type { Repository } from "./git.js";
import type { GitOptions } from "./process.js";

/**
 * What an attribute is for a path: a string value, set (`odb`), unset (`-odb`), or not mentioned, which is
 * `undefined`.
 */
export type AttributeValue = string | true | false | undefined;

/** Which `.gitattributes` count. */
export interface AttributeOptions {
  /** Those of this tree-ish. Default: those of the work tree, then of the index, as `git add` reads them. */
  readonly source?: string;
}

/**
 * The attribute of each path, in the order of the paths. Paths are relative to the top of the work tree, with
 * `/`; a Buffer where a path is not UTF-8. The paths need not exist.
 *
 * @throws OdbError config, when `source` is no tree-ish
 */
export async function* checkAttribute(
  repo: Repository,
  attribute: string,
  paths: Iterable<string | Buffer> | AsyncIterable<string | Buffer>,
  options: AttributeOptions = {},
): AsyncGenerator<AttributeValue> {
  if (options.source === undefined && !repo.bare) {
    yield* ask(repo, attribute, paths, []);
    return;
  }
  // A bare repository has no work tree to read .gitattributes from: its HEAD stands in, as in git from 2.43 on.
  const tree = await treeOf(repo, options.source);
  if (tree === undefined) {
    yield* ask(repo, attribute, paths, []);
  } else if (await knowsSource(repo, tree)) {
    yield* ask(repo, attribute, paths, [`--source=${tree}`], REAL);
  } else {
    yield* askWithIndex(repo, attribute, paths, tree);
  }
}

/** As {@link checkAttribute}, for paths that are known whole. */
export async function attributesOf(
  repo: Repository,
  attribute: string,
  paths: readonly (string | Buffer)[],
  options: AttributeOptions = {},
): Promise<AttributeValue[]> {
  const values: AttributeValue[] = [];
  for await (const value of checkAttribute(repo, attribute, paths, options)) values.push(value);
  return values;
}

type Paths = Parameters<typeof checkAttribute>[2];

async function* ask(
  repo: Repository,
  attribute: string,
  paths: Paths,
  flags: readonly string[],
  env: GitOptions["env"] = {},
): AsyncGenerator<AttributeValue> {
  async function* input() {
    for await (const path of paths) yield Buffer.concat([Buffer.from(path as string), NUL]);
  }
  const args = ["check-attr", ...flags, "-z", "--stdin", attribute];
  let field = 0;
  // path NUL attribute NUL value NUL
  for await (const text of repo.runRecords(args, { separator: "\0", input: input(), env })) {
    if (field === 2) yield parseValue(text.toString());
    field = (field + 1) % 3;
  }
}

/** By an index of our own that holds the tree, for a git before 2.40. */
async function* askWithIndex(
  repo: Repository,
  attribute: string,
  paths: Paths,
  tree: string,
): AsyncGenerator<AttributeValue> {
  const dir = await mkdtemp(join(tmpdir(), "git-odb-index-"));
  try {
    const env = { GIT_INDEX_FILE: join(dir, "index") };
    // A split index would leave a shared one in the repository.
    const plain = [
      "-c",
      "core.splitIndex=false",
      "-c",
      "core.fsmonitor=false",
      "-c",
      "core.sparseCheckout=false",
    ];
    await repo.run([...plain, "read-tree", tree], { env: { ...env, ...REAL } });
    yield* ask(repo, attribute, paths, ["--cached"], { ...env, ...REAL });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** @returns undefined in a repository whose HEAD has no commit yet, when no source was named */
async function treeOf(repo: Repository, source: string | undefined): Promise<string | undefined> {
  const args = ["rev-parse", "--verify", "--quiet", `${source ?? "HEAD"}^{tree}`];
  const { status, stdout } = await repo.run(args, { okStatus: [0, 1, 128], env: REAL });
  if (status === 0) return stdout.toString().trim();
  if (source === undefined) return undefined;
  throw new OdbError("config", `${JSON.stringify(source)} names no commit or tree in ${repo.name}`);
}

/** The tree that was named, not what a replace ref shows in its place. */
const REAL = { GIT_NO_REPLACE_OBJECTS: "1" };

const sourceKnown = new WeakMap<Repository, boolean>();

/** Whether this git has `check-attr --source` (2.40): found out by using it, once a repository. */
async function knowsSource(repo: Repository, tree: string): Promise<boolean> {
  const known = sourceKnown.get(repo);
  if (known !== undefined) return known;
  const args = ["check-attr", `--source=${tree}`, "odb", "--", "x"];
  const { status } = await repo.run(args, { okStatus: [0, 129] });
  sourceKnown.set(repo, status === 0);
  return status === 0;
}

const NUL = Buffer.of(0);

function parseValue(text: string): AttributeValue {
  if (text === "unspecified") return undefined;
  if (text === "set") return true;
  if (text === "unset") return false;
  return text;
}
