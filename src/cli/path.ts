/** Finds commands on PATH, as a shell would. */

import { accessSync, constants, statSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";

/** The file that runs as `command`. @returns undefined when PATH has none */
export function findOnPath(command: string, path: string = process.env.PATH ?? ""): string | undefined {
  return path
    .split(delimiter)
    .map((folder) => join(folder || ".", command))
    .find((file) => isExecutable(isAbsolute(file) ? file : `./${file}`));
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false; // Absent, not executable or unreadable: a shell goes on to the next folder.
  }
}
