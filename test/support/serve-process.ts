/** Serves a bucket from a node process of its own: nothing is shared with the client but the connection. */

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildSync } from "esbuild";
import type { RequestLog, ServeOptions } from "../../src/serve/server.js";
import type { Order, Report } from "./serve-main.js";

/** A server in another process. */
export interface ServeProcess extends AsyncDisposable {
  /** Without a final `/`. */
  readonly url: string;
  readonly pid: number;
  /** The requests that were over since the last call. */
  takeLog(): Promise<RequestLog[]>;
  /** Kills it, by SIGKILL: no good-bye to anybody. */
  close(): Promise<void>;
}

/**
 * Serves `where` (a folder, or `memory:`) until it is closed or this process ends.
 *
 * @param options as of `serveBucket`, as far as they can be written as JSON
 */
export async function startServeProcess(
  where: string,
  options: Omit<ServeOptions, "log"> = {},
): Promise<ServeProcess> {
  const child = fork(serverBundle(), { execArgv: [], serialization: "advanced" });
  const { url } = await ask<{ url: string }>(child, { serve: where, options });
  const close = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  };
  return {
    url,
    pid: child.pid ?? 0,
    takeLog: async () => (await ask<{ log: RequestLog[] }>(child, "log")).log,
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function ask<T extends Report>(child: ChildProcess, order: Order): Promise<T> {
  const answered = once(child, "message", { signal: endOf(child) });
  child.send(order);
  return (await answered)[0] as T;
}

/** Aborted when the child ends, so that nobody waits for its answer. */
function endOf(child: ChildProcess): AbortSignal {
  const ended = new AbortController();
  child.once("exit", () => ended.abort(new Error("the server process ended")));
  return ended.signal;
}

let bundle: string | undefined;

/** The server as one JavaScript file, built once a process. */
function serverBundle(): string {
  if (bundle !== undefined) return bundle;
  const directory = mkdtempSync(join(tmpdir(), "git-odb-serve-"));
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
  bundle = join(directory, "serve-main.cjs");
  buildSync({
    entryPoints: [join(import.meta.dirname, "serve-main.ts")],
    outfile: bundle,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "cjs",
    logLevel: "warning",
  });
  return bundle;
}
