/** What `git odb doctor` finds, and what its checks look at. */

import type { OdbConfig } from "../odb/config.js";
import type { ConfigEntry } from "../repo/config.js";
import type { Repository } from "../repo/git.js";

/** `bad`: something does not work, or will lose time or data. `advice`: it works, but could be better. */
export type FindingState = "ok" | "advice" | "bad";

/** One line of the report. */
export interface Finding {
  /** The check, one word for machines: `git`, `promisor`, `clock` … */
  readonly check: string;
  readonly state: FindingState;
  readonly message: string;
  /** The command that mends it. */
  readonly fix?: string;
}

/** The repository under examination. */
export interface Patient {
  readonly repo: Repository;
  readonly entries: readonly ConfigEntry[];
  readonly odbs: ReadonlyMap<string, OdbConfig>;
  /** Told of warnings by what a check uses. */
  readonly signal: AbortSignal;
}

/** A check of a repository. It throws only when it cannot look. */
export type Check = (patient: Patient) => AsyncIterable<Finding>;

/** The last value of a key, by git's lower-case spelling; "true" for one that stands alone. */
export function configValue({ entries }: Patient, key: string): string | undefined {
  const entry = entries.findLast((each) => each.key === key);
  return entry && (entry.value ?? "true");
}

/** The command that a message of ours tells the user to run: `run "git …"`. */
export function commandIn(message: string): string | undefined {
  return /"(git [^"]+)"/.exec(message)?.[1];
}

/** For a shell. */
export function quoted(text: string): string {
  return /^[\w:/.@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
