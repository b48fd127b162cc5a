/** Commands on a terminal of their own, by script(1): what git and we show to somebody who looks. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { cliEnv } from "./cli.js";

/** A command that runs on a terminal. */
export interface OnTerminal {
  /** All that stood on the terminal so far; lines end with CR LF there. */
  shown(): string;
  /** As if on the keyboard: `"\x03"` is Ctrl-C. */
  type(keys: string): void;
  readonly ended: Promise<{ readonly status: number | null; readonly shown: string }>;
}

/** Starts `command`, our own commands on PATH. */
export function startOnTerminal(
  command: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): OnTerminal {
  const line = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  const child = spawn("script", ["--quiet", "--return", "--command", line, "/dev/null"], {
    cwd: options.cwd,
    env: cliEnv({ SHELL: "/bin/sh", ...options.env }),
  });
  let shown = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
  });
  child.stdin.on("error", () => {});
  const ended = once(child, "close").then(([status]) => ({ status: status as number | null, shown }));
  return { shown: () => shown, type: (keys) => void child.stdin.write(keys), ended };
}
