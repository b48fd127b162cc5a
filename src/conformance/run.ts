/** Runs a contract on a subject, case after case, and gathers what came of it. */

import type { ContractCase } from "./contract.js";
import { type CaseResult, makeReport, type Outcome, type Report } from "./report.js";

/** How to run a contract. */
export interface RunOptions<Subject> {
  /** What is tested, as the report calls it. */
  readonly subject: string;
  /** What the subject can do: a case that needs more is skipped. */
  readonly capabilities?: ReadonlySet<string>;
  /** The subject of one case; what it holds is given back by `release`, also when the case failed. */
  make(contractCase: ContractCase<Subject>): Promise<Subject> | Subject;
  release?(subject: Subject): Promise<void>;
  /** Called as each case ends. */
  onCase?(result: CaseResult): void;
  /** After such a failure nothing else is worth running: the remaining cases are skipped. */
  isFatal?(result: CaseResult): boolean;
}

/** Thrown by a case that finds that it does not apply to its subject. */
export class SkipCase extends Error {
  static {
    SkipCase.prototype.name = "SkipCase";
  }
}

/** Runs the cases in order, each on a subject of its own. Never throws for what a case does. */
export async function runContract<Subject>(
  cases: readonly ContractCase<Subject>[],
  options: RunOptions<Subject>,
): Promise<Report> {
  const results: CaseResult[] = [];
  let fatal: CaseResult | undefined;
  for (const one of cases) {
    const result = fatal ? skipped(one, `not run: ${fatal.name} failed`) : await runCase(one, options);
    if (result.outcome === "fail" && options.isFatal?.(result)) fatal = result;
    results.push(result);
    options.onCase?.(result);
  }
  return makeReport(options.subject, results);
}

async function runCase<Subject>(
  one: ContractCase<Subject>,
  options: RunOptions<Subject>,
): Promise<CaseResult> {
  const missing = one.needs?.find((need) => options.capabilities?.has(need) === false);
  if (missing !== undefined) return skipped(one, `needs ${missing}`);
  const start = performance.now();
  const done = (outcome: Outcome, message?: string): CaseResult => ({
    name: one.name,
    outcome,
    milliseconds: Math.round(performance.now() - start),
    ...(message !== undefined && { message }),
    ...(one.why !== undefined && { why: one.why }),
  });
  try {
    const subject = await options.make(one);
    try {
      await one.run(subject);
    } finally {
      await options.release?.(subject);
    }
    return done("pass");
  } catch (error) {
    if (error instanceof SkipCase) return done("skip", error.message);
    return done("fail", error instanceof Error ? error.message : String(error));
  }
}

function skipped(one: ContractCase<never>, message: string): CaseResult {
  return {
    name: one.name,
    outcome: "skip",
    milliseconds: 0,
    message,
    ...(one.why !== undefined && { why: one.why }),
  };
}
