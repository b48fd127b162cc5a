/** Temporary folders for tests, removed when the run is over (`run-folder.ts`). */

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A new empty folder. */
export function tempDir(label = "t"): string {
  return mkdtempSync(join(tmpdir(), `git-odb-${label}-`));
}
