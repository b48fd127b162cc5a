/** Objects of the repository by `git cat-file --batch`: many small ones in one go, or any one of any size. */

import { OdbError } from "../errors.js";
import { type Content, contentOf } from "../object/content.js";
import { hexLength, isObjectId, type ObjectId } from "../object/id.js";
import { isObjectType, type ObjectInfo, parseSize } from "../object/info.js";
import type { Repository } from "./git.js";
import { localOnly } from "./local-only.js";
import type { GitProcess } from "./process.js";

/** What one asks for: an id, or any name of an object (`HEAD:path`), which costs a git process more. */
export type ObjectName = ObjectId | string;

/** An object of the repository. */
export interface RepositoryObject {
  readonly info: ObjectInfo;
  /** Must be consumed or left early before the next question. Not verified: git has checked what it inflated. */
  readonly content: Content;
}

/** A `git cat-file --batch` that lives on. Questions are answered one after the other. */
export interface CatFile extends AsyncDisposable {
  /** Size and type. @returns undefined when the repository does not have it */
  info(name: ObjectName): Promise<ObjectInfo | undefined>;
  /** @returns undefined when the repository does not have it */
  get(name: ObjectName): Promise<RepositoryObject | undefined>;
  close(): Promise<void>;
}

/**
 * git maps packs into its memory, by default all of them for as long as it lives: an object of 5 GiB counts as 5 GiB. Pieces
 * of this size are given back. Only the reader of whole objects is told, which seldom goes back to what it has read.
 */
const smallMaps = ["-c", "core.packedGitWindowSize=16m", "-c", "core.packedGitLimit=128m"];

/** Starts on the first question. Objects that only a promisor remote or an ODB has are absent. */
export function openCatFile(repo: Repository): CatFile {
  const start = (args: readonly string[]) => () => repo.start(args, { env: localOnly(repo) });
  const check = new Conversation(start(["cat-file", "--batch-check"]));
  const batch = new Conversation(start([...smallMaps, "cat-file", "--batch"]));
  const close = async () => {
    await Promise.all([check.close(), batch.close()]);
  };
  return {
    async info(name) {
      const oid = await resolveName(repo, name);
      return oid && parseHeader(await check.ask(oid), name);
    },
    async get(name) {
      const oid = await resolveName(repo, name);
      const info = oid && parseHeader(await batch.ask(oid), name);
      return info && { info, content: batch.content(info.size) };
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/**
 * Size and type of many objects by one process, in the order of the names.
 *
 * @throws OdbError as git does
 */
export async function* infosOf(
  repo: Repository,
  names: Iterable<ObjectName> | AsyncIterable<ObjectName>,
): AsyncGenerator<ObjectInfo | undefined> {
  const args = ["cat-file", "--batch-check", "--buffer"];
  for await (const line of repo.runLines(args, { input: questions(repo, names), env: localOnly(repo) }))
    yield parseHeader(line, line);
}

/**
 * Content of many small objects by one process, in the order of the names: `undefined` for one that is absent or
 * larger than `limit` bytes (those are skipped in bounded memory).
 */
export async function* smallObjects(
  repo: Repository,
  names: Iterable<ObjectName>,
  limit: number,
): AsyncGenerator<{ info: ObjectInfo; content: Buffer } | undefined> {
  const args = [...smallMaps, "cat-file", "--batch", "--buffer"];
  const input = questions(repo, names);
  const reader = new AnswerReader(repo.stream(args, { input, env: localOnly(repo) }));
  try {
    for (let line = await reader.line(); line !== undefined; line = await reader.line()) {
      const info = parseHeader(line, line);
      if (info === undefined || info.size > limit) {
        if (info !== undefined) reader.body(info.size);
        yield undefined;
      } else {
        const chunks: Uint8Array[] = [];
        for await (const chunk of reader.body(info.size)) chunks.push(chunk);
        yield { info, content: Buffer.concat(chunks) };
      }
    }
  } finally {
    await reader.close();
  }
}

async function* questions(
  repo: Repository,
  names: Iterable<ObjectName> | AsyncIterable<ObjectName>,
): AsyncGenerator<string> {
  // The id that there cannot be stands for a name that names nothing.
  const none = "0".repeat(hexLength[repo.hash]);
  for await (const name of names) yield `${(await resolveName(repo, name)) ?? none}\n`;
}

/** What a name means is in the refs and trees, which the git that answers does not see or may not fetch. */
async function resolveName(repo: Repository, name: ObjectName): Promise<ObjectId | undefined> {
  if (isObjectId(name)) return name;
  checkName(name);
  if (name.startsWith("-")) return undefined;
  const args = ["rev-parse", "--quiet", "--verify", name];
  const env = { GIT_NO_LAZY_FETCH: "1" };
  const found = await repo.text(args, { okStatus: [0, 1, 128], env });
  return isObjectId(found) ? found : undefined;
}

/** Questions and answers with one git, in order; started when first asked. */
class Conversation {
  readonly #start: () => GitProcess;
  #running: { git: GitProcess; reader: AnswerReader } | undefined;

  constructor(start: () => GitProcess) {
    this.#start = start;
  }

  async ask(name: ObjectName): Promise<string> {
    if (this.#running === undefined) {
      const git = this.#start();
      this.#running = { git, reader: new AnswerReader(git.stdout) };
    }
    const { git, reader } = this.#running;
    git.stdin.write(`${name}\n`);
    const line = await reader.line();
    if (line !== undefined) return line;
    await git.done();
    throw new OdbError("bug", "git cat-file ended without an answer");
  }

  content(size: number): Content {
    return this.#running?.reader.body(size) ?? contentOf();
  }

  async close(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    if (running === undefined) return;
    running.git.stdin.end();
    // What nobody read would keep git from its end.
    await running.reader.drain();
    await running.git.done();
  }
}

/** Lines, each maybe followed by a body and an LF, out of a stream. A body that is not read is skipped. */
class AnswerReader {
  readonly #input: AsyncIterator<Uint8Array>;
  #held: Buffer = Buffer.alloc(0);
  /** Of the open body, its LF included. */
  #left = 0;
  /** The number of the open body: an earlier one can be read no more. */
  #bodies = 0;

  constructor(input: AsyncIterable<Uint8Array>) {
    this.#input = input[Symbol.asyncIterator]();
  }

  /** The next line without its LF. @returns undefined at the end */
  async line(): Promise<string | undefined> {
    this.#bodies += 1;
    while (this.#left > 0) this.#left -= (await this.#take(this.#left)).length;
    for (let from = 0; ; ) {
      const end = this.#held.indexOf(10, from);
      if (end >= 0) {
        const line = this.#held.toString("utf8", 0, end);
        this.#held = this.#held.subarray(end + 1);
        return line;
      }
      from = this.#held.length;
      if (from > LINE_LIMIT) throw new OdbError("bug", "git cat-file: an answer without a line end");
      const next = await this.#input.next();
      if (next.done) return undefined;
      this.#held = Buffer.concat([this.#held, next.value]);
    }
  }

  /** The `size` bytes behind the last line; ends when the next line is asked for. */
  body(size: number): Content {
    this.#left = size + 1;
    this.#bodies += 1;
    return this.#read(this.#bodies);
  }

  async drain(): Promise<void> {
    for (let next = await this.#input.next(); !next.done; next = await this.#input.next());
  }

  async close(): Promise<void> {
    await this.#input.return?.();
  }

  async *#read(body: number): AsyncGenerator<Uint8Array, void, void> {
    while (this.#left > 1 || body !== this.#bodies) {
      if (body !== this.#bodies)
        throw new OdbError("bug", "git cat-file: content read after the next question");
      const chunk = await this.#take(this.#left - 1);
      this.#left -= chunk.length;
      yield chunk;
    }
  }

  async #take(most: number): Promise<Buffer> {
    if (this.#held.length === 0) {
      const next = await this.#input.next();
      if (next.done) throw new OdbError("integrity", "git cat-file ended inside an object: run git fsck");
      this.#held = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
    }
    const chunk = this.#held.subarray(0, most);
    this.#held = this.#held.subarray(chunk.length);
    return chunk;
  }
}

/** A header is short; the answer to a wrong name repeats the name. */
const LINE_LIMIT = 64 * 1024;

function checkName(name: string): void {
  if (!/[\n\0]/.test(name)) return;
  throw new OdbError("invalid", `${JSON.stringify(name.slice(0, 80))} cannot be the name of an object`);
}

/** `<oid> <type> <size>`, or `<name> missing` and the like. */
function parseHeader(line: string, name: string): ObjectInfo | undefined {
  const [oid = "", type = "", size = "", ...more] = line.split(" ");
  if (isObjectId(oid) && isObjectType(type) && more.length === 0) return { oid, type, size: parseSize(size) };
  if (/ (?:missing|ambiguous|submodule)$/.test(line)) return undefined;
  throw new OdbError("bug", `git cat-file: an answer we do not know for ${JSON.stringify(name)}: ${line}`);
}
