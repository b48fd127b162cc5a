/** Which git is on PATH. */

import { runGit } from "./process.js";

/** A version of git. */
export interface GitVersion {
  /** As git says it: `git version 2.39.5`. */
  readonly text: string;
  isSince(major: number, minor: number): boolean;
}

/** Asks git. @throws OdbError config, when there is none */
export async function gitVersion(): Promise<GitVersion> {
  const text = (await runGit(["version"])).stdout.toString().trim();
  const [, major = 0, minor = 0] = (/^git version (\d+)\.(\d+)/.exec(text) ?? []).map(Number);
  return { text, isSince: (first, second) => major > first || (major === first && minor >= second) };
}
