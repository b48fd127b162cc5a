/** One folder for everything temporary of a run, of the tests and of what they start; gone with the run. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

let folder: string | undefined;

/** Before the first test: the workers inherit the environment. */
export function setup(): void {
  folder = mkdtempSync(join(tmpdir(), "git-odb-run-"));
  process.env.TMPDIR = folder;
}

/** After the last one. */
export function teardown(): void {
  if (folder === undefined) return;
  // Some tests lock folders: their owner can open them again.
  spawnSync("chmod", ["-R", "u+rwx", folder]);
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}
