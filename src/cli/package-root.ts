/** Where this package is installed: its man pages and completion scripts lie there as files. */

import { existsSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { OdbError } from "../errors.js";

/**
 * The folder of our package.json, above the command that runs (which may be a link in some bin folder).
 *
 * @throws OdbError config, when the command was copied out of its package
 */
export function packageRoot(command: string = process.argv[1] ?? ""): string {
  for (let folder = dirname(realpathSync(command)); ; folder = dirname(folder)) {
    const manifest = join(folder, "package.json");
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).name === "git-odb") return folder;
    if (folder === dirname(folder)) {
      throw new OdbError("config", `${command} lies outside of its package: install git-odb with npm`);
    }
  }
}
