/** Tools that a developer's machine may lack: their tests are left out there, but never where CI=1 says that all is there. */

import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Whether the tests that need this command are to be left out. */
export function lacks(command: string): boolean {
  if (process.env.CI !== undefined) return false;
  return !(process.env.PATH ?? "").split(delimiter).some((folder) => isExecutable(join(folder, command)));
}

/** Whether the tests that need this file are to be left out. */
export function lacksFile(path: string): boolean {
  return process.env.CI === undefined && !isReadable(path);
}

function isExecutable(path: string): boolean {
  return isAccessible(path, constants.X_OK);
}

function isReadable(path: string): boolean {
  return isAccessible(path, constants.R_OK);
}

function isAccessible(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
