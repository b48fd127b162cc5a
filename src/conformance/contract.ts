/** A contract as a list of cases, free of any test runner: ours, vitest's and `git odb conformance` run the same. */

/** One thing that a subject must do. `run` throws (an AssertionError as a rule) when it does not. */
export interface ContractCase<Subject> {
  /** Short and stable: what a report and a bad example are named by. `denied-is-not-absent` */
  readonly name: string;
  /** What the subject must be able to do for the case to apply; a case that does not apply is reported as skipped. */
  readonly needs?: readonly string[];
  /** Why it matters: what goes wrong in git when a subject fails it. */
  readonly why?: string;
  run(subject: Subject): Promise<void>;
}
