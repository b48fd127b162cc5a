/** `git odb conformance helper`: drives any helper as that git would, and reports case by case. No such git is needed. */

import type { ObjectId } from "../object/id.js";
import { type HelperCase, helperCases } from "./helper-cases.js";
import { HelperLab, type HelperMode } from "./helper-lab.js";
import { FIRST_CASE } from "./helper-offer-cases.js";
import type { CaseResult, Report } from "./report.js";
import { runContract, SkipCase } from "./run.js";

/** How to test a helper. */
export interface HelperConformanceOptions {
  /** Which way to talk to it: one process for a session, or one an instruction. */
  readonly mode: HelperMode;
  /** A blob that the helper already has: for one that cannot put, so that its gets are tested too. */
  readonly oid?: ObjectId;
  /**
   * A repository to run the helper in, for one that reads its configuration there. Default: a scratch repository,
   * so that paths in the command must be absolute.
   */
  readonly cwd?: string;
  /** How long one answer may take, in milliseconds. Default 30,000. */
  readonly timeoutMs?: number;
  /** Runs these cases only, by name; the first case (`starts`) always runs. */
  readonly only?: readonly string[];
  /** Called as each case ends. */
  readonly onCase?: (result: CaseResult) => void;
}

/**
 * Tests a helper command, as it stands in `odb.<name>.subprocessCommand` or `odb.<name>.scriptCommand`. It puts
 * objects into the helper's store (a few dozen, some of 8 to 20 MiB, none ever deleted) unless it offers no put.
 *
 * Never throws for what a helper does: that is in the report.
 *
 * @throws Error when there is no git on PATH, or `cwd` is no repository
 */
export async function runHelperConformance(
  command: string,
  options: HelperConformanceOptions,
): Promise<Report> {
  const { mode, oid, cwd, timeoutMs = 30_000, only, onCase } = options;
  const lab = new HelperLab({ command, mode, timeoutMs, ...(oid && { oid }), ...(cwd && { cwd }) });
  const cases = helperCases(mode).filter(
    (one) => !only || one.name === FIRST_CASE || only.includes(one.name),
  );
  try {
    return await runContract(cases.map(judgedAlone), {
      subject: command,
      capabilities: lab.capabilities,
      make: () => lab,
      release: async () => lab.release(),
      isFatal: (result) => result.name === FIRST_CASE,
      ...(onCase && { onCase }),
    });
  } finally {
    lab.close();
  }
}

/** What fails in a session that other cases have used is judged again in a new one: each case answers for itself. */
function judgedAlone(one: HelperCase): HelperCase {
  const run = async (lab: HelperLab) => {
    const used = lab.sharedIsUsed;
    try {
      await one.run(lab);
    } catch (error) {
      lab.reset();
      if (error instanceof SkipCase || !used) throw error;
      await one.run(lab);
    }
  };
  return { ...one, run };
}
