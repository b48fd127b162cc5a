/** The code cache: made once, used, and never trusted when it is damaged or not private. */

import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";
import { beforeAll, expect, test } from "vitest";
import { tempDir } from "./support/temp.js";

let main: string;
let loaded: string;

beforeAll(() => {
  const dir = tempDir("code-cache");
  loaded = join(dir, "loaded.cjs");
  main = join(dir, "main.cjs");
  writeFileSync(
    loaded,
    `${"function f() { return 1; }\n".repeat(500)}module.exports = { answer: f() + 41, __filename };`,
  );
  const source = `const { requireCached } = require(${JSON.stringify(join(import.meta.dirname, "../src/code-cache.ts"))});
    console.log(JSON.stringify(requireCached(${JSON.stringify(loaded)})));`;
  const stdin = { contents: source, resolveDir: dir };
  buildSync({ stdin, outfile: main, bundle: true, platform: "node", format: "cjs" });
});

/** Runs it with this cache home; it must give the right answer whatever lies there. */
function run(home: string): void {
  const env = { PATH: process.env.PATH, XDG_CACHE_HOME: home, HOME: "/nonexistent" };
  const done = spawnSync(process.execPath, [main], { env, encoding: "utf8", timeout: 30_000 });
  expect(done).toMatchObject({ status: 0, stderr: "" });
  expect(JSON.parse(done.stdout)).toEqual({ answer: 42, __filename: loaded });
}

function cacheIn(home: string): { file: string; inode: number } {
  const [name = "", ...more] = readdirSync(join(home, "git-odb"));
  expect(more).toEqual([]);
  const file = join(home, "git-odb", name);
  return { file, inode: statSync(file).ino };
}

test("made by the first run, private, and used by the second as it is", () => {
  const home = tempDir("cache");
  run(home);
  const made = cacheIn(home);
  expect(made.file).toContain(process.version);
  expect(statSync(made.file).mode & 0o777).toBe(0o600);
  expect(statSync(join(home, "git-odb")).mode & 0o777).toBe(0o700);
  run(home);
  expect(cacheIn(home)).toEqual(made);
});

test.each([
  ["cut", (bytes: Buffer) => bytes.subarray(0, bytes.length >> 1)],
  ["empty", () => Buffer.alloc(0)],
  ["changed", (bytes: Buffer) => bytes.fill(0x41, bytes.length >> 1, (bytes.length >> 1) + 8)],
])("a %s file is not used, and made anew", (_, damage) => {
  const home = tempDir("cache");
  run(home);
  const made = cacheIn(home);
  const whole = readFileSync(made.file);
  writeFileSync(made.file, damage(Buffer.from(whole)));
  run(home);
  expect(cacheIn(home).inode).not.toBe(made.inode);
});

test("a folder that others may enter is neither read nor written", () => {
  const home = tempDir("cache");
  mkdirSync(join(home, "git-odb"));
  chmodSync(join(home, "git-odb"), 0o777);
  run(home);
  expect(readdirSync(join(home, "git-odb"))).toEqual([]);
});

test("without a place for it, it works without", () => {
  for (const home of ["/proc/nowhere", "/dev/null", "relative"]) run(home);
  expect(existsSync("relative")).toBe(false);
});
