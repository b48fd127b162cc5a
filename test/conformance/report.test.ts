/** A run of a contract, and its report in each format. */

import { describe, expect, test } from "vitest";
import type { ContractCase } from "../../src/conformance/contract.js";
import { formatReport, formatSummary, type Report } from "../../src/conformance/report.js";
import { runContract, SkipCase } from "../../src/conformance/run.js";

const cases: readonly ContractCase<string[]>[] = [
  { name: "good", run: async (log) => void log.push("good") },
  {
    name: "bad",
    why: "git loses the object",
    run: async () => {
      throw new Error("expected this\nand that came");
    },
  },
  { name: "other", needs: ["wings"], run: async (log) => void log.push("other") },
  {
    name: "unfit",
    run: async () => {
      throw new SkipCase("no such thing here");
    },
  },
];

async function run(isFatal = false): Promise<{ report: Report; log: string[]; seen: string[] }> {
  const log: string[] = [];
  const seen: string[] = [];
  const report = await runContract(cases, {
    subject: "my-helper",
    capabilities: new Set(["legs"]),
    make: () => log,
    release: async () => void log.push("released"),
    onCase: ({ name, outcome }) => seen.push(`${name} ${outcome}`),
    isFatal: () => isFatal,
  });
  const timeless = report.cases.map((one) => ({ ...one, milliseconds: 0 }));
  return { report: { ...report, cases: timeless }, log, seen };
}

describe("runContract", () => {
  test("tells pass, fail, and both ways not to apply, and releases each subject", async () => {
    const { report, log, seen } = await run();
    expect(seen).toEqual(["good pass", "bad fail", "other skip", "unfit skip"]);
    expect(log).toEqual(["good", "released", "released", "released"]);
    expect(report).toMatchObject({ passed: 1, failed: 1, skipped: 2 });
  });

  test("runs nothing after a fatal failure", async () => {
    const { report, log } = await run(true);
    expect(log).toEqual(["good", "released", "released"]);
    expect(report.cases.at(-1)?.message).toBe("not run: bad failed");
  });
});

describe("formatReport", () => {
  test("as text", async () => {
    expect(formatReport((await run()).report, "text")).toBe(`ok   good
FAIL bad
  expected this
  and that came
  why: git loses the object
skip other (needs wings)
skip unfit (no such thing here)
1 passed, 1 failed, 2 skipped: my-helper does not conform
`);
  });

  test("as TAP", async () => {
    expect(formatReport((await run()).report, "tap")).toBe(`TAP version 13
1..4
ok 1 - good
not ok 2 - bad
  ---
  message: "expected this\\nand that came"
  why: "git loses the object"
  ...
ok 3 - other # SKIP needs wings
ok 4 - unfit # SKIP no such thing here
`);
  });

  test("as JSON", async () => {
    const { report } = await run();
    expect(JSON.parse(formatReport(report, "json"))).toEqual(report);
    expect(formatSummary({ ...report, failed: 0 })).toMatch(/my-helper conforms$/);
  });
});
