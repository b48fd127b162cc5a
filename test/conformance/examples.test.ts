/** The examples, run through the whole harness for real. */

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { build } from "esbuild";
import { describe, expect, test } from "vitest";
import { runHelperConformance } from "../../src/conformance/helper.js";
import { helperCases } from "../../src/conformance/helper-cases.js";
import type { HelperMode } from "../../src/conformance/helper-lab.js";
import { tempDir } from "../support/temp.js";

const examples = resolve(import.meta.dirname, "../../examples");
const hasPython = spawnSync("python3", ["--version"]).status === 0;

/** On a developer's machine Python may be missing; where CI=1 says that everything is there, it must be. */
const pythonTest = test.skipIf(!hasPython && process.env.CI === undefined);

/** The TypeScript example as JavaScript; split, so that the S3 SDK, which it does not need, is not looked for. */
async function built(): Promise<string> {
  const outdir = tempDir("example");
  await build({
    entryPoints: [join(examples, "store-helper.ts")],
    outdir,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    splitting: true,
    platform: "node",
    target: "node20",
    format: "esm",
    packages: "external",
    logLevel: "warning",
  });
  return join(outdir, "store-helper.mjs");
}

/** The cases that move little. */
function smallCases(mode: HelperMode): readonly string[] {
  return helperCases(mode).flatMap((one) => (one.big ? [] : [one.name]));
}

async function conforms(command: string, mode: HelperMode, only?: readonly string[]): Promise<void> {
  const store = tempDir("store");
  const report = await runHelperConformance(`${command} ${store}`, { mode, ...(only && { only }) });
  const failed = report.cases.filter((one) => one.outcome === "fail");
  expect(failed.map((one) => `${one.name}: ${one.message}`)).toEqual([]);
  expect(report.passed).toBeGreaterThan(25);
}

function linesOf(file: string): number {
  return readFileSync(join(examples, file), "utf8").trimEnd().split("\n").length;
}

describe.concurrent("the example in", { timeout: 180_000 }, () => {
  test("shell conforms in script mode, in under 40 lines", async () => {
    await conforms(join(examples, "shell-helper.sh"), "script");
    expect(linesOf("shell-helper.sh")).toBeLessThan(40);
  });

  test("TypeScript conforms in process mode", async () => {
    await conforms(`node ${await built()}`, "process", smallCases("process"));
  });

  test("TypeScript conforms in script mode", async () => {
    await conforms(`node ${await built()}`, "script", smallCases("script"));
  });

  pythonTest("Python conforms in process mode, in under 40 lines", async () => {
    await conforms(`python3 ${join(examples, "python-helper.py")}`, "process");
    expect(linesOf("python-helper.py")).toBeLessThan(40);
  });
});
