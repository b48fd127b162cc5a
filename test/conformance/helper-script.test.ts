/** The harness in script mode: green for a right helper, red in exactly one case of those tried for each wrong one. */

import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { runHelperConformance } from "../../src/conformance/helper.js";
import { helperCases } from "../../src/conformance/helper-cases.js";
import type { Report } from "../../src/conformance/report.js";
import { casesFor } from "../support/fault-cases.js";
import { tempDir } from "../support/temp.js";

const helper = resolve(import.meta.dirname, "../bad-helpers/script-helper.sh");
const cases = helperCases("script");
const cheap = cases.flatMap((one) => (one.big ? [] : [one.name]));
const faults = cases.flatMap((one) => (one.name === "get-oid" ? [] : [one.name]));

/** The faults that are about a get_direct helper. */
const direct: readonly string[] = ["direct-needs-have", "direct-installs"];

function run(fault: string, get: string, only?: readonly string[]): Promise<Report> {
  const command = `${helper} ${fault} ${join(tempDir("helper"), "store")} ${get}`;
  return runHelperConformance(command, { mode: "script", ...(only && { only }) });
}

function failedIn(report: Report): string[] {
  return report.cases.flatMap((one) => (one.outcome === "fail" ? [`${one.name}: ${one.message}`] : []));
}

describe("a right helper", { timeout: 180_000 }, () => {
  test.concurrent.each(["raw", "direct"])("conforms with get %s", async (get) => {
    const report = await run("ok", get);
    expect(failedIn(report)).toEqual([]);
    expect(report.passed).toBeGreaterThan(25);
  });
});

describe("a wrong helper fails its case and no other", { timeout: 180_000 }, () => {
  test.concurrent.each([...faults.entries()])("%i %s", async (at, fault) => {
    const report = await run(fault, direct.includes(fault) ? "direct" : "raw", casesFor(at, fault, cheap));
    expect(
      failedIn(report).map((line) => line.split(":")[0]),
      failedIn(report).join("\n"),
    ).toEqual([fault]);
  });
});
