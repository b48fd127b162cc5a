/** TypeScript programs of the tests, as files that node runs. */

import { join } from "node:path";
import { buildSync } from "esbuild";
import { tempDir } from "./temp.js";

/** Bundles `entry` (relative to test/support) into one file. @returns its path */
export function bundled(entry: string): string {
  const outfile = join(tempDir("bundle"), entry.replace(/\.ts$/, ".cjs"));
  buildSync({
    entryPoints: [join(import.meta.dirname, entry)],
    outfile,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "cjs",
    logLevel: "error",
  });
  return outfile;
}
