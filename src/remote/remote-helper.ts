/** The line protocol between git and a remote helper: gitremote-helpers(7), transport-helper.c. */

import { OdbError } from "../errors.js";
import { isObjectId, parseObjectId } from "../object/id.js";
import type { FetchOutcome, PushCommand, Remote, RemoteOptions, RemoteRefs, Want } from "./remote.js";

/** The two ends of git's pipes. */
export interface HelperPipes {
  /** The next line without its LF. @returns undefined when git has closed the pipe */
  readLine(): Promise<string | undefined>;
  write(text: string): Promise<void>;
}

/** How a conversation ended. */
export interface HelperEnd {
  /** False: git was not given all it asked for, and is to learn that by the exit code alone. */
  readonly complete: boolean;
}

/**
 * Answers git until it hangs up. What a remote throws ends the conversation: git reports nothing of its own then.
 *
 * @param open called when the remote is needed
 * @throws OdbError protocol, for a line that we do not know; unsupported, for a shallow fetch; what the remote throws
 */
export async function runRemoteHelper(pipes: HelperPipes, open: () => Promise<Remote>): Promise<HelperEnd> {
  const options = defaultOptions();
  for (let line = await pipes.readLine(); line !== undefined; line = await pipes.readLine()) {
    const [command = "", ...rest] = line.split(" ");
    switch (command) {
      case "":
        return { complete: true };
      case "capabilities":
        await pipes.write("fetch\noption\nobject-format\npush\ncheck-connectivity\n\n");
        break;
      case "option":
        await pipes.write(`${setOption(options, rest)}\n`);
        break;
      case "list":
        await pipes.write(formatRefs(await (await open()).list(options, rest[0] === "for-push")));
        break;
      case "fetch": {
        const wants = (await readBatch(pipes, line)).map(parseFetch);
        const outcome = await (await open()).fetch(wants, options);
        if (!outcome.complete) return { complete: false };
        await pipes.write(formatFetched(outcome));
        break;
      }
      case "push": {
        const commands = (await readBatch(pipes, line)).map(parsePush);
        const results = await (await open()).push(commands, options);
        await pipes.write(`${results.map(formatPushed).join("")}\n`);
        break;
      }
      default:
        throw new OdbError(
          "protocol",
          `git asks for ${JSON.stringify(line.slice(0, 80))}, which was not offered`,
        );
    }
  }
  return { complete: true };
}

function defaultOptions(): RemoteOptions {
  return {
    progress: false,
    verbosity: 1,
    cloning: false,
    fromPromisor: false,
    checkConnectivity: false,
    followTags: false,
    dryRun: false,
    atomic: false,
    force: false,
    leases: new Map(),
  };
}

type Setter = (options: RemoteOptions, value: string) => void;

const flag =
  (
    key:
      | "progress"
      | "cloning"
      | "fromPromisor"
      | "checkConnectivity"
      | "followTags"
      | "dryRun"
      | "atomic"
      | "force",
  ) =>
  (options: RemoteOptions, value: string) => {
    options[key] = value === "true" || value === "1";
  };

/** Any of these makes a fetch shallow; git takes `unsupported` for leave to fetch everything, so it is refused here. */
const shallow: Setter = () => {
  throw new OdbError(
    "unsupported",
    "odb:: remotes make no shallow clones: leave --depth, --shallow-since and --shallow-exclude out",
  );
};

const setters: Readonly<Record<string, Setter>> = {
  progress: flag("progress"),
  cloning: flag("cloning"),
  "from-promisor": flag("fromPromisor"),
  "check-connectivity": flag("checkConnectivity"),
  followtags: flag("followTags"),
  "dry-run": flag("dryRun"),
  atomic: flag("atomic"),
  force: flag("force"),
  verbosity(options, value) {
    const level = Number.parseInt(value, 10);
    options.verbosity = Number.isNaN(level) ? 1 : level;
  },
  filter(options, value) {
    options.filter = unquote(value);
  },
  // git before 2.43 sends no value. Anything but "ok" makes it end without a word.
  "object-format": () => {},
  cas(options, value) {
    const [, ref = "", oid = ""] = /^(.*):([0-9a-f]*)$/.exec(unquote(value)) ?? [];
    options.leases.set(ref, isObjectId(oid) && !/^0+$/.test(oid) ? oid : undefined);
  },
  depth: shallow,
  "deepen-since": shallow,
  "deepen-not": shallow,
  "deepen-relative": shallow,
};

function setOption(options: RemoteOptions, [name = "", ...words]: readonly string[]): "ok" | "unsupported" {
  const set = setters[name];
  if (set === undefined) return "unsupported";
  set(options, words.join(" "));
  return "ok";
}

/** git quotes some values as C strings (quote.c). */
function unquote(value: string): string {
  if (!/^".*"$/s.test(value)) return value;
  const bytes: number[] = [];
  const escapes: Record<string, number> = { a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13 };
  for (const [whole, octal, letter] of value.slice(1, -1).matchAll(/\\([0-7]{3})|\\(.)|[^\\]+/gs)) {
    if (octal !== undefined) bytes.push(Number.parseInt(octal, 8));
    else if (letter !== undefined) bytes.push(...(escapes[letter] ? [escapes[letter]] : Buffer.from(letter)));
    else bytes.push(...Buffer.from(whole));
  }
  return Buffer.from(bytes).toString();
}

/** A batch is one kind of line, ended by an empty one. */
async function readBatch(pipes: HelperPipes, first: string): Promise<string[]> {
  const kind = first.slice(0, first.indexOf(" ") + 1);
  const lines = [first];
  for (let line = await pipes.readLine(); line !== ""; line = await pipes.readLine()) {
    if (line === undefined) throw new OdbError("aborted", "git ended in the middle of a batch");
    if (!line.startsWith(kind)) {
      throw new OdbError(
        "protocol",
        `git mixes ${JSON.stringify(line.slice(0, 80))} into a batch of ${kind.trim()}`,
      );
    }
    lines.push(line);
  }
  return lines;
}

function parseFetch(line: string): Want {
  const [, oid = "", ...ref] = line.split(" ");
  return { oid: parseObjectId(oid), ref: ref.join(" ") };
}

function parsePush(line: string): PushCommand {
  const [, force, source = "", ref = ""] = /^push (\+?)([^:]*):(.*)$/.exec(line) ?? [];
  if (ref === "") throw new OdbError("protocol", `git pushes ${JSON.stringify(line.slice(0, 80))}`);
  return { source: source === "" ? undefined : source, ref, force: force === "+" };
}

function formatRefs({ hash, refs, head }: RemoteRefs): string {
  const lines = refs.map(({ name, oid }) => `${oid} ${name}\n`);
  // First, as servers have it and git ls-remote shows it.
  if (head !== undefined) lines.unshift(`@${head} HEAD\n`);
  // git takes SHA-1 for granted.
  if (hash !== "sha1") lines.unshift(`:object-format ${hash}\n`);
  return `${lines.join("")}\n`;
}

function formatFetched({ locks = [], connectivityOk }: FetchOutcome): string {
  const lines = locks.map((path) => `lock ${path}\n`);
  if (connectivityOk) lines.push("connectivity-ok\n");
  return `${lines.join("")}\n`;
}

function formatPushed({ ref, error }: { ref: string; error?: string }): string {
  return error === undefined ? `ok ${ref}\n` : `error ${ref} ${error.replace(/\s+/g, " ")}\n`;
}
