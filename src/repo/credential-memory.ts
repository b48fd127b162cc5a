/** A password that the user typed is kept while one command runs several gits, in memory alone (git-credential-cache(1)). */

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** If we are killed, git's daemon forgets by itself after this long. In seconds. */
const TIMEOUT = 3600;

const quiet = { stdio: "ignore" } as const;

/**
 * From now on every git that this process starts finds what an earlier one was told, after the user's own credential
 * helpers, which are asked and told as ever. At the end of the process all is forgotten.
 *
 * Only for the commands whose gits are all for one purpose of the user's; where git has no such daemon (Windows), nothing
 * changes.
 */
export function rememberCredentials(env: NodeJS.ProcessEnv = process.env): void {
  if (process.platform === "win32") return;
  // Of this user alone (mode 0700), as git's daemon demands.
  const folder = mkdtempSync(join(tmpdir(), "git-odb-ask-"));
  const socket = join(folder, "socket");
  const count = Number(env.GIT_CONFIG_COUNT ?? 0);
  env[`GIT_CONFIG_KEY_${count}`] = "credential.helper";
  env[`GIT_CONFIG_VALUE_${count}`] =
    `cache --timeout=${TIMEOUT} --socket='${socket.replaceAll("'", "'\\''")}'`;
  env.GIT_CONFIG_COUNT = String(count + 1);
  process.once("exit", () => {
    if (existsSync(socket)) spawnSync("git", ["credential-cache", `--socket=${socket}`, "exit"], quiet);
    rmSync(folder, { recursive: true, force: true });
  });
}
