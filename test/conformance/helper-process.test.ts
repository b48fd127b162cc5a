/** The harness in process mode: green for a right helper, red in exactly one case of those tried for each wrong one. */

import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { runHelperConformance } from "../../src/conformance/helper.js";
import { helperCases } from "../../src/conformance/helper-cases.js";
import type { Report } from "../../src/conformance/report.js";
import { hashObject } from "../../src/object/content.js";
import { casesFor } from "../support/fault-cases.js";
import { tempDir } from "../support/temp.js";

const helper = resolve(import.meta.dirname, "../bad-helpers/process-helper.cjs");
const cheap = helperCases("process").flatMap((one) => (one.big ? [] : [one.name]));

/** Long enough for a loaded machine; only a fault that hangs waits as long. */
const timeoutMs = 5_000;

/** Each fault, the case that it fails (its own name unless said otherwise), and the get it is about. */
const faults: readonly { fault: string; fails?: string; get?: "git" | "raw" | "direct" }[] = [
  { fault: "starts" },
  { fault: "one-get" },
  { fault: "have-offered" },
  { fault: "direct-needs-have", get: "direct" },
  { fault: "get-absent" },
  { fault: "get-absent", get: "raw" },
  { fault: "get-next-session" },
  { fault: "direct-installs", get: "direct" },
  { fault: "put-corrupt" },
  { fault: "put-wrong-size" },
  { fault: "put-refused-is-read" },
  { fault: "put-twice" },
  { fault: "put-slowly" },
  { fault: "two-at-once" },
  { fault: "have-well-formed" },
  { fault: "have-after-put" },
  { fault: "have-next-session" },
  { fault: "have-true-size" },
  { fault: "have-is-true" },
  { fault: "started-anywhere" },
  { fault: "git-without-odb" },
  { fault: "sha256" },
  { fault: "blob-empty" },
  { fault: "blob-1-byte" },
  { fault: "blob-65516-bytes" },
  { fault: "blob-65517-bytes" },
  { fault: "packet-too-long", get: "raw", fails: "blob-65517-bytes" },
  { fault: "blob-binary" },
  { fault: "welcome" },
  { fault: "version-choice" },
  { fault: "unknown-capability" },
  { fault: "capability-not-offered" },
  { fault: "init-answered" },
  { fault: "lines-without-lf" },
  { fault: "known-status" },
  { fault: "get-never-aborts" },
  { fault: "have-never-aborts" },
  { fault: "put-small-packets" },
  { fault: "raw-header", get: "raw" },
  { fault: "no-empty-packet", get: "raw" },
  { fault: "flushes-every-answer" },
  { fault: "stays-for-the-session" },
  { fault: "survives-a-miss" },
  { fault: "nothing-but-packets" },
  { fault: "eof-ends" },
  { fault: "eof-lingers", fails: "eof-ends" },
  { fault: "eof-in-put" },
  { fault: "put-git-object" },
  { fault: "put-direct" },
  { fault: "read-object-hook" },
  { fault: "blob-8MiB-minus-1" },
  { fault: "blob-8MiB" },
  { fault: "blob-8MiB-plus-1" },
  { fault: "blob-20MiB" },
  { fault: "10000-commands" },
  { fault: "have-many" },
];

function run(fault: string, get: string, only?: readonly string[]): Promise<Report> {
  const store = join(tempDir("helper"), "store");
  const command = `node ${helper} ${fault} ${store} ${get}`;
  return runHelperConformance(command, { mode: "process", timeoutMs, ...(only && { only }) });
}

function failedIn(report: Report): string[] {
  return report.cases.flatMap((one) => (one.outcome === "fail" ? [`${one.name}: ${one.message}`] : []));
}

describe("a right helper", { timeout: 180_000 }, () => {
  test.concurrent.each(["git", "raw", "direct"])("conforms with get %s", async (get) => {
    const report = await run("ok", get, get === "git" ? undefined : cheap);
    expect(failedIn(report)).toEqual([]);
    expect(report.passed).toBeGreaterThan(30);
  });

  test("may have 100,000 objects", async () => {
    const report = await run("huge-have", "git", ["have-well-formed", "have-after-put", "have-is-true"]);
    expect(failedIn(report)).toEqual([]);
    expect(report.passed).toBe(4);
  });

  test("may leave out the LF at the end of a packet of have", async () => {
    const cases = ["have-well-formed", "have-after-put", "have-next-session", "have-is-true"];
    expect(failedIn(await run("no-last-lf", "git", cases))).toEqual([]);
  });

  test("may say what it likes on stderr", async () => {
    expect(failedIn(await run("noise", "git", ["welcome", "blob-1-byte"]))).toEqual([]);
  });
});

describe("a helper without put", () => {
  const content = "stored by other means\n";
  const oid = hashObject("blob", Buffer.from(content));

  function runReadOnly(fault: string): Promise<Report> {
    const store = tempDir("store");
    writeFileSync(join(store, oid), content);
    return runHelperConformance(`node ${helper} ${fault} ${store}`, { mode: "process", timeoutMs, oid });
  }

  test("is tested by --oid, and by nothing that puts", async () => {
    const report = await runReadOnly("no-put");
    expect(failedIn(report)).toEqual([]);
    const outcome = new Map(report.cases.map((one) => [one.name, one.outcome]));
    expect(outcome.get("get-oid")).toBe("pass");
    expect(outcome.get("have-is-true")).toBe("pass");
    expect(outcome.get("put-twice")).toBe("skip");
  });

  test("fails when the object's bytes are not it", async () => {
    const failed = failedIn(await runReadOnly("get-oid"));
    expect(failed).toEqual([
      expect.stringContaining("have-is-true"),
      expect.stringMatching(/^get-oid: .*the bytes hash to [0-9a-f]{40}$/),
    ]);
  });
});

describe("a wrong helper fails its case and no other", { timeout: 180_000 }, () => {
  test("there is one for every case", () => {
    const covered = new Set(faults.map(({ fault, fails = fault }) => fails));
    const cases = helperCases("process").map((one) => one.name);
    expect(cases.filter((name) => name !== "get-oid" && !covered.has(name))).toEqual([]);
  });

  test.concurrent.each(faults.map((each, at) => ({ ...each, at })))(
    "$fault $get",
    async ({ at, fault, fails = fault, get = "git" }) => {
      const report = await run(fault, get, casesFor(at, fails, cheap));
      expect(
        report.cases.filter((one) => one.outcome === "fail").map((one) => one.name),
        report.cases.map((one) => one.message).join("\n"),
      ).toEqual([fails]);
    },
  );
});
