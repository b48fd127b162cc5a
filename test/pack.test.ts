/** What `npm pack` makes, installed globally as a user does: commands, man pages, library and types. */

import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, delimiter, join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { git, tempRepo } from "./support/git.js";
import { tempDir } from "./support/temp.js";
import { lacks } from "./support/tools.js";

const root = join(import.meta.dirname, "..");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** npm keeps nothing of the user's, and asks no registry for what is in its cache. */
function npm(args: readonly string[], cwd = root): string {
  return execFileSync("npm", [...args, "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
}

let prefix: string;
let files: string[];

beforeAll(() => {
  const folder = tempDir("pack");
  const [packed] = JSON.parse(npm(["pack", "--json", "--ignore-scripts", "--pack-destination", folder]));
  files = packed.files.map(({ path }: { path: string }) => path);
  prefix = tempDir("prefix");
  npm(["install", "--global", "--prefix", prefix, join(folder, packed.filename)]);
}, 120_000);

function run(command: string, args: readonly string[], cwd?: string) {
  const env = { ...process.env, PATH: `${join(prefix, "bin")}${delimiter}${process.env.PATH}` };
  const done = spawnSync(command, args, { cwd, env, encoding: "utf8", input: "" });
  return { status: done.status, stdout: done.stdout, stderr: done.stderr };
}

describe("the installed package", () => {
  it("has no tests, sources of tests or stray files in it", () => {
    const tops = new Set(files.map((path) => path.split("/")[0]));
    for (const top of tops) {
      expect([...manifest.files, "package.json", "README.md", "LICENSE", "CHANGELOG.md"]).toContain(top);
    }
    expect(files.filter((path) => /\.test\.|\.map$.*test|node_modules/.test(path))).toEqual([]);
  });

  it("has every command of package.json on PATH, and git finds git odb", () => {
    expect(run("git", ["odb", "--version"]).stdout).toBe(`git-odb version ${manifest.version}\n`);
    for (const command of Object.keys(manifest.bin).filter((name) => name !== "git-odb")) {
      const { status, stderr } = run(command, ["--name", "big", "no_such_instruction"], tempRepo());
      expect([command, status]).not.toEqual([command, null]);
      expect([command, stderr]).not.toEqual([command, ""]);
      expect(stderr).not.toMatch(/Error: |at .*\.cjs:/);
    }
  });

  it("does its work from there", () => {
    const repo = tempRepo();
    const done = run("git", ["odb", "init", "big", tempDir("store")], repo);
    expect([done.status, done.stderr]).toEqual([0, expect.not.stringContaining("warning")]);
    expect(run("git", ["odb", "track", "-q", "big", "*.bin"], repo).status).toBe(0);
    writeFileSync(join(repo, "a.bin"), "content");
    git(["add", "-A"], { cwd: repo });
    expect(run("git", ["odb", "put", "big", "a.bin"], repo).stdout).toMatch(/^[0-9a-f]{40} 7 blob\n$/);
    expect(run("git", ["odb", "completion", "bash"], repo).stdout).toContain("_git_odb ()");
  });

  it("has its man pages where man looks", () => {
    for (const page of manifest.man) {
      const section = page.slice(-1);
      const installed = join(prefix, `share/man/man${section}`, basename(page));
      expect(readFileSync(installed, "utf8")).toBe(readFileSync(join(root, page), "utf8"));
    }
  });

  it.skipIf(lacks("man"))("shows them by man, redirections included, and by git odb --help", () => {
    for (const page of manifest.man) {
      const name = basename(page).replace(/\.[0-9]$/, "");
      const env = { ...process.env, MANPATH: join(prefix, "share/man"), MANPAGER: "cat" };
      const { stdout } = spawnSync("man", [name], { env, encoding: "utf8" });
      expect([name, stdout]).toEqual([name, expect.stringMatching(/NAME/i)]);
    }
    expect(run("git", ["odb", "--help"]).stdout).toContain("keep big files under git");
  });

  it("is a library with types: every export of package.json", () => {
    const app = tempDir("app");
    mkdirSync(join(app, "node_modules"));
    symlinkSync(join(prefix, "lib/node_modules/git-odb"), join(app, "node_modules/git-odb"));
    const names = Object.keys(manifest.exports).filter((name) => name !== "./package.json");
    const lines = names.map((name, at) => `import * as part${at} from "git-odb${name.slice(1)}";`);
    writeFileSync(join(app, "package.json"), '{"type":"module"}');
    writeFileSync(
      join(app, "app.ts"),
      `${lines.join("\n")}
import { hashObject, openStore, type ObjectInfo, sourceOf } from "git-odb";
const bytes = new TextEncoder().encode("hello");
const info: ObjectInfo = { oid: hashObject("blob", bytes), size: bytes.length, type: "blob" };
const store = await openStore(process.argv[2] ?? "");
await store.put({ ...sourceOf(bytes), info });
console.log(JSON.stringify(await store.stat(info.oid)), ${names.map((_, at) => `Object.keys(part${at}).length > 0`).join(", ")});
`,
    );
    const options = ["--module", "nodenext", "--target", "es2023", "--strict", "--types", "node"];
    const tsc = spawnSync(
      process.execPath,
      [
        join(root, "node_modules/typescript/bin/tsc"),
        ...options,
        "--typeRoots",
        join(root, "node_modules/@types"),
        "app.ts",
      ],
      { cwd: app, encoding: "utf8" },
    );
    expect(tsc.stdout).toBe("");
    const ran = spawnSync(process.execPath, ["app.js", tempDir("store")], { cwd: app, encoding: "utf8" });
    expect(ran.stdout).toBe(
      `{"oid":"b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0","size":5,"type":"blob"}${" true".repeat(names.length)}\n`,
    );
  });
});
