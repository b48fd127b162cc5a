/** What a run of a contract found, case by case, and the three ways to print it: text, TAP and JSON. */

/** How a case ended. `skip`: the subject does not claim what the case is about. */
export type Outcome = "pass" | "fail" | "skip";

/** One case of a run. */
export interface CaseResult {
  readonly name: string;
  readonly outcome: Outcome;
  readonly milliseconds: number;
  /** What was expected and what came (fail), or why it does not apply (skip). */
  readonly message?: string;
  /** What goes wrong in git when a subject fails the case. */
  readonly why?: string;
}

/** A whole run. */
export interface Report {
  /** What was tested, as the user named it: a command or a URL. */
  readonly subject: string;
  /** In the order in which they ran. */
  readonly cases: readonly CaseResult[];
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** The ways to print a report. */
export type ReportFormat = "text" | "tap" | "json";

/** Counts the outcomes. */
export function makeReport(subject: string, cases: readonly CaseResult[]): Report {
  const count = (outcome: Outcome) => cases.filter((one) => one.outcome === outcome).length;
  return { subject, cases, passed: count("pass"), failed: count("fail"), skipped: count("skip") };
}

/** The whole report in one of the formats, with its last LF. */
export function formatReport(report: Report, format: ReportFormat): string {
  if (format === "json") return `${JSON.stringify(report, undefined, 2)}\n`;
  return format === "tap" ? formatTap(report) : formatText(report);
}

/** One case as the text report shows it, without its last LF: for progress while a run goes on. */
export function formatCase(result: CaseResult): string {
  const head = `${marks[result.outcome]} ${result.name}`;
  if (result.outcome === "pass") return head;
  if (result.outcome === "skip") return `${head} (${result.message ?? "does not apply"})`;
  return [head, ...indent("  ", result.message), ...indent("  why: ", result.why)].join("\n");
}

/** The last line of the text report, without its LF. */
export function formatSummary(report: Report): string {
  const verdict = report.failed === 0 ? "conforms" : "does not conform";
  return `${report.passed} passed, ${report.failed} failed, ${report.skipped} skipped: ${report.subject} ${verdict}`;
}

const marks: Readonly<Record<Outcome, string>> = { pass: "ok  ", fail: "FAIL", skip: "skip" };

function formatText(report: Report): string {
  return `${[...report.cases.map(formatCase), formatSummary(report)].join("\n")}\n`;
}

/** TAP version 13, https://testanything.org/tap-version-13-specification.html */
function formatTap(report: Report): string {
  const lines = report.cases.flatMap((result, index) => {
    const line = `${result.outcome === "fail" ? "not ok" : "ok"} ${index + 1} - ${result.name}`;
    if (result.outcome === "skip") return [`${line} # SKIP ${oneLine(result.message ?? "does not apply")}`];
    if (result.outcome === "pass") return [line];
    return [
      line,
      "  ---",
      `  message: ${JSON.stringify(result.message ?? "")}`,
      `  why: ${JSON.stringify(result.why ?? "")}`,
      "  ...",
    ];
  });
  return `${["TAP version 13", `1..${report.cases.length}`, ...lines].join("\n")}\n`;
}

function indent(prefix: string, text: string | undefined): string[] {
  if (text === undefined) return [];
  return text.split("\n").map((line, index) => (index === 0 ? prefix : " ".repeat(prefix.length)) + line);
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, "; ");
}
