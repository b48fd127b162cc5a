/** Script mode, driven as that git does: a process an instruction, the outcome in its exit code. */

import type { Writable } from "node:stream";
import { fail } from "./expect.js";
import { inflated, visitLines } from "./helper-answer.js";
import { CONTENT_LIMIT, type Got, getOf, type Offer, type Peer } from "./helper-peer.js";
import { type Exit, formatExit, HelperProcess, type ProcessOptions } from "./helper-process.js";
import { writeSlowly, written } from "./slowly.js";

/** How an instruction is run. */
export interface ScriptOptions extends ProcessOptions {
  /** One byte a write on stdin. */
  readonly slow?: boolean;
  /** Reads an object out of the repository: what get_direct has put there. */
  readonly installed: (oid: string) => Promise<Buffer | undefined>;
}

/** What one instruction did. */
export interface Ran {
  readonly exit: Exit;
  readonly stdout: Buffer;
  /** For messages: how it ended and what it said. */
  readonly note: string;
}

/** A script helper. */
export class Scripts implements Peer {
  offers: readonly string[] = [];
  /** What `init` printed. */
  init: Ran | undefined;
  readonly #command: string;
  readonly #options: ScriptOptions;
  readonly #running = new Set<HelperProcess>();
  #said = "";

  private constructor(command: string, options: ScriptOptions) {
    this.#command = command;
    this.#options = options;
  }

  /** Runs `init`. @throws AssertionError when it fails */
  static async open(command: string, options: ScriptOptions): Promise<Scripts> {
    const scripts = new Scripts(command, options);
    const init = await scripts.run(["init"]);
    if (init.exit.code !== 0) fail(`init failed: ${init.note}`);
    scripts.init = init;
    scripts.offers = init.stdout
      .toString("latin1")
      .split("\n")
      .filter((line) => line.startsWith("capability="))
      .map((line) => line.slice("capability=".length));
    return scripts;
  }

  /** Runs one instruction to its end, `content` on its stdin. @throws AssertionError when it hangs */
  async run(
    words: readonly string[],
    content?: readonly Uint8Array[],
    stdoutOf: (helper: HelperProcess) => Promise<Buffer> = readAll,
  ): Promise<Ran> {
    const stdin = content === undefined ? "ignore" : "pipe";
    const helper = new HelperProcess(`${this.#command} ${words.join(" ")}`, { ...this.#options, stdin });
    this.#running.add(helper);
    try {
      const reading = stdoutOf(helper);
      reading.catch(() => {});
      if (content !== undefined) await this.#feed(helper, content);
      const stdout = await helper.within(reading, `the end of stdout of ${words[0]}`);
      const exit = await helper.exit(`${words[0]} to exit`);
      this.#said = helper.stderrNote();
      return { exit, stdout, note: `${formatExit(exit)}${helper.stderrNote()}` };
    } finally {
      helper.kill();
      this.#running.delete(helper);
    }
  }

  async put(offer: Offer): Promise<string> {
    return statusOf((await this.run(putWords(offer), offer.packets)).exit);
  }

  /** As put, with the reading end of its stdout closed from the start. */
  async putUnread(offer: Offer): Promise<Ran> {
    return this.run(putWords(offer), offer.packets, closeStdout);
  }

  async get(oid: string): Promise<Got> {
    const kind = getOf(this.offers) ?? fail("the helper offers no get");
    const { exit, stdout: wire } = await this.run([kind, oid]);
    const status = statusOf(exit);
    if (status !== "success") return { status, wire };
    if (kind === "get_raw_obj") return { status, wire, content: wire };
    if (kind === "get_git_obj") {
      return wire.length === 0 ? { status, wire } : { status, wire, content: await inflated(wire) };
    }
    const content = await this.#options.installed(oid);
    return content === undefined ? { status, wire } : { status, wire, content };
  }

  async have(visit: (line: string) => void): Promise<string> {
    const { exit, stdout } = await this.run(["have"]);
    visitLines(stdout, visit);
    return statusOf(exit);
  }

  async said(): Promise<string> {
    return this.#said;
  }

  async close(): Promise<void> {}

  kill(): void {
    for (const helper of this.#running) helper.kill();
  }

  async #feed(helper: HelperProcess, content: readonly Uint8Array[]): Promise<void> {
    const feeding = this.#options.slow ? writeSlowly(helper.stdin, content) : write(helper.stdin, content);
    try {
      await helper.within(feeding, "the helper to take the content of a put");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EPIPE") throw error;
      fail("the helper closed its stdin before the end of a put: git dies of SIGPIPE there");
    }
  }
}

function statusOf(exit: Exit): string {
  return exit.code === 0 ? "success" : "error";
}

function putWords({ oid, size }: Offer): string[] {
  return ["put_raw_obj", oid, String(size), "blob"];
}

async function readAll(helper: HelperProcess): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of helper.stdout) {
    size += (chunk as Buffer).length;
    if (size > CONTENT_LIMIT) fail(`more than ${CONTENT_LIMIT} bytes on stdout and no end`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks, size);
}

async function closeStdout(helper: HelperProcess): Promise<Buffer> {
  helper.stdout.destroy();
  return Buffer.alloc(0);
}

async function write(stdin: Writable, content: readonly Uint8Array[]): Promise<void> {
  for (const chunk of content) await written(stdin, chunk);
  stdin.end();
}
