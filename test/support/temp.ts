/** Temporary folders for tests, removed when the test file is done. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

/** A new empty folder, gone after the last test of the calling file. */
export function tempDir(label = "t"): string {
  const dir = mkdtempSync(join(tmpdir(), `git-odb-${label}-`));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}
