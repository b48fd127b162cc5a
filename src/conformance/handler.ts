/** The handler cases run in the process, on a handler that somebody wrote with this library. */

import { handlerCases } from "./handler-cases.js";
import { type HandlerSubject, handlerAbilities } from "./handler-subject.js";
import type { CaseResult, Report } from "./report.js";
import { runContract } from "./run.js";

/** How to test a handler. */
export interface HandlerConformanceOptions {
  /** What the report calls it. Default `handler`. */
  readonly subject?: string;
  /** Runs these cases only, by name. */
  readonly only?: readonly string[];
  /** Called as each case ends. */
  readonly onCase?: (result: CaseResult) => void;
}

/**
 * Tests a handler in this process, without a helper around it: faster than `runHelperConformance`, and a debugger sees
 * both sides. What only shows on the wire (packets, exit codes, EOF) is for that one.
 *
 * Never throws for what a handler does: that is in the report.
 *
 * @throws whatever `open` throws the first time
 */
export async function runHandlerConformance(
  subject: HandlerSubject,
  options: HandlerConformanceOptions = {},
): Promise<Report> {
  const { only, onCase } = options;
  const first = await subject.open();
  const capabilities = handlerAbilities(first, subject);
  await first.close?.();
  return runContract(
    handlerCases.filter(({ name }) => only === undefined || only.includes(name)),
    {
      subject: options.subject ?? "handler",
      capabilities,
      make: () => subject,
      ...(onCase && { onCase }),
    },
  );
}
