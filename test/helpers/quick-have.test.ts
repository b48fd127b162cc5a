import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { appendFileSync, copyFileSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { connectProcess } from "../../protocol/client.js";
import { contentOf, hashObject } from "../../src/object/content.js";
import { shortSha256 } from "../../src/object/short-sha256.js";
import { bin, binDir, git, tempRepo } from "../support/git.js";
import { tempDir } from "../support/temp.js";

const helper = bin("git-odb-helper-file");
const refs = "refs/odbs/magic";

/** The helper without its main file: it answers what needs no more than the small one, and fails at the rest. */
let small: string;

beforeAll(() => {
  small = join(tempDir("bin"), "git-odb-helper-file.cjs");
  copyFileSync(helper, small);
  copyFileSync(join(binDir, "git-odb-have.cjs"), join(small, "../git-odb-have.cjs"));
});

function have(command: string, cwd: string, env: NodeJS.ProcessEnv = {}, word = "have") {
  const args = [command, "--name", "magic", word];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd,
    env: { ...process.env, ...env },
    encoding: "utf8",
  });
  return { status, lines: stdout.split("\n").filter(Boolean).sort(), text: stdout, stderr };
}

/** A repository whose ODB has two objects, and the lines of its `have`. */
async function filled() {
  const repo = tempRepo();
  const store = tempDir("odb");
  git(["config", "odb.magic.url", store], { cwd: repo });
  git(["config", "odb.magic.subprocessCommand", "git-odb-helper-file --name magic"], { cwd: repo });
  const client = await connectProcess(`'${process.execPath}' '${helper}' --name magic`, { cwd: repo });
  const lines: string[] = [];
  for (const bytes of [randomBytes(10), randomBytes(20)]) {
    const oid = hashObject("blob", bytes);
    await client.putRawObject({ oid, size: bytes.length, type: "blob" }, contentOf(bytes));
    lines.push(`${oid} ${bytes.length} blob`);
  }
  await client.close();
  return { repo, store, lines: lines.sort(), state: join(repo, ".git/odb/magic") };
}

describe("have of script mode", () => {
  it("is answered by the small file alone, as the whole helper answers it", async () => {
    const { repo, lines } = await filled();
    const folder = join(repo, "folder");
    mkdirSync(folder);
    // A trace is the whole helper's.
    for (const cwd of [repo, folder]) {
      expect(have(small, cwd)).toMatchObject({ status: 0, lines, stderr: "" });
      expect(have(helper, cwd, { GIT_ODB_TRACE: join(repo, "trace") })).toMatchObject({ status: 0, lines });
      expect(have(small, cwd).text).toBe(have(helper, cwd, { GIT_ODB_TRACE: join(repo, "trace") }).text);
    }
    git(["pack-refs", "--all"], { cwd: repo });
    expect(have(small, repo)).toMatchObject({ status: 0, lines });
    expect(have(small, repo, {}, "init").status).not.toBe(0);
  });

  it.each<[string, (odb: Awaited<ReturnType<typeof filled>>) => unknown, NodeJS.ProcessEnv?]>([
    ["a journal waits for its refs", ({ state }) => writeFileSync(join(state, "journal/a.b.1.c"), "")],
    [
      "an object waits for the store",
      ({ state, lines: [line = ""] }) => {
        mkdirSync(join(state, "queue"));
        writeFileSync(join(state, "queue", line.slice(0, 40)), `${line}\n`);
      },
    ],
    [
      "a ref is not confirmed",
      ({ repo }) => git(["update-ref", `${refs}/${"a".repeat(40)}`, blob(repo)], { cwd: repo }),
    ],
    ["something is taken back", ({ state, lines }) => appendFileSync(confirmed(state), `\n-${lines[0]}\n`)],
    ["a line is torn", ({ state }) => appendFileSync(confirmed(state), "\n0123456")],
    ["the URL has changed", ({ repo }) => git(["config", "odb.magic.url", tempDir("odb")], { cwd: repo })],
    [
      "the URL is another helper's",
      ({ repo }) => git(["config", "odb.magic.url", "s3://a/b"], { cwd: repo }),
    ],
    ["git receives a push", () => {}, { GIT_QUARANTINE_PATH: "/nowhere" }],
    ["the config is broken", ({ repo }) => appendFileSync(join(repo, ".git/config"), "[odb\n")],
  ])("is left to the whole helper when %s", async (_, change, env) => {
    const odb = await filled();
    change(odb);
    const { status, lines, stderr } = have(small, odb.repo, env);
    expect(stderr).toMatch(/git-odb-helper-file\.main\.cjs/);
    expect({ status, lines }).toEqual({ status: 1, lines: [] });
  });
});

it("hashes short texts as SHA-256 does", () => {
  for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 120, 200, 1000]) {
    const text = randomBytes(length).toString("latin1");
    expect(shortSha256(text)).toBe(createHash("sha256").update(text).digest("hex"));
  }
});

function blob(repo: string): string {
  return git(["hash-object", "-w", "--stdin"], { cwd: repo, input: "x" });
}

function confirmed(state: string): string {
  return join(state, readdirSync(state).find((name) => name.startsWith("confirmed-")) as string);
}
