/** The pages for users are true: a shell runs their commands as they stand, and git finds nothing wrong with the result. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { cliEnv, startOdb } from "./support/cli.js";
import { git, tempRepo, tryGit } from "./support/git.js";
import { startS3 } from "./support/s3/index.js";
import { startStaticServer } from "./support/static-server.js";
import { tempDir } from "./support/temp.js";

/** The `sh` blocks of a page. */
function blocksOf(page: string): string[] {
  const markdown = readFileSync(resolve(import.meta.dirname, "../docs", page), "utf8");
  const blocks = [...markdown.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = ""]) => block);
  expect(blocks.length).toBeGreaterThan(3);
  return blocks;
}

/** The same, as one script. */
function commandsOf(page: string): string {
  return blocksOf(page).join("\n");
}

interface Run {
  readonly home: string;
  readonly output: string;
}

/** Runs a script as a user with an empty home; the first command that fails ends it, and the test. */
async function follow(script: string, env: NodeJS.ProcessEnv = {}, home = tempDir("home")): Promise<Run> {
  mkdirSync(join(home, "share"), { recursive: true });
  const child = spawn("bash", ["-euxo", "pipefail", "-c", script], {
    cwd: home,
    env: cliEnv({ HOME: home, ...env }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const [status] = await once(child, "close");
  expect([status, status === 0 ? "" : output]).toEqual([0, ""]);
  return { home, output };
}

/** Blobs that are not on this disk. */
function missing(repo: string): number {
  const env = { GIT_NO_LAZY_FETCH: "1" };
  const lines = git(["rev-list", "--objects", "--missing=print", "--all"], { cwd: repo, env }).split("\n");
  return lines.filter((line) => line.startsWith("?")).length;
}

function expectClean(...repos: string[]): void {
  for (const cwd of repos) {
    const { status, stdout } = tryGit(["fsck"], { cwd, env: cliEnv() });
    // A promise tree whose place another has taken is in no ref.
    expect([status, stdout.replaceAll(/^dangling tree [0-9a-f]+\n/gm, "")]).toEqual([0, ""]);
  }
}

describe("Big files without a server", () => {
  const page = "big-files-without-a-server.md";

  it("works in a folder", async () => {
    const { home, output } = await follow(commandsOf(page));
    const mine = join(home, "film");
    const anns = join(home, "film-of-ann");
    expectClean(mine, anns);
    expect(git(["log", "--format=%s"], { cwd: mine })).toBe("Take 2\nFirst shot");
    expect(missing(mine)).toBe(0);
    // Both takes, and no small file.
    expect(missing(anns)).toBe(2);
    expect(output).toMatch(/dropped 2 blobs/);
    expect(output).not.toMatch(/^Next:/m);
    // The bucket is the origin and the store: the doctor looks at it once.
    expect(output.match(/can be reached$/gm)).toHaveLength(1);
    expect(output).not.toMatch(/^BAD|^warning:/m);
    const objects = join(home, "share/film/objects");
    const big = readdirSync(objects, { recursive: true, encoding: "utf8" }).filter(
      (name) => /^..\/[0-9a-f]{40}$/.test(name) && statSync(join(objects, name)).size === 3_000_000,
    );
    expect(big.length).toBe(2);
  });

  it("works in S3", async () => {
    const s3 = await startS3();
    const script = commandsOf(page).replace(/^place=.*$/m, `place='${s3.url("film")}'`);
    expect(script).toContain(s3.url("film"));
    const { home, output } = await follow(script, { ...s3.env });
    expectClean(join(home, "film"));
    expect(git(["log", "--format=%s"], { cwd: join(home, "film") })).toBe("Take 2\nFirst shot");
    expect(output).not.toMatch(/^BAD|^warning:/m);
    const requests = await s3.takeRequests();
    expect(requests.length).toBeGreaterThan(10);
    await s3.close();
  });
});

describe("Big files beside your git host", () => {
  it("works with a host that is an ordinary git server, and has big files in its history", async () => {
    const home = tempDir("home");
    const host = join(home, "host/game.git");
    const before = tempRepo();
    for (const n of [1, 2]) {
      writeFileSync(join(before, "poster.psd"), Buffer.alloc(200_000, `take ${n} `));
      git(["add", "-A"], { cwd: before });
      git(["commit", "-qm", `${n}`], { cwd: before });
    }
    git(["clone", "-q", "--bare", before, host]);
    git(["config", "uploadpack.allowFilter", "true"], { cwd: host });
    const { output } = await follow(commandsOf("big-files-beside-your-git-host.md"), {}, home);
    const clone = join(home, "game-of-bob");
    expectClean(join(home, "game"), clone, host);
    expect(missing(host)).toBe(0);
    expect(output).toMatch(/ODB media: 1 blob sent/);
    // What was committed before it was marked.
    expect(output).toMatch(/ODB media: 2 blobs sent/);
    expect(output).toMatch(/dropped 3 blobs/);
    expect(output).not.toMatch(/^BAD|^advice/m);
    expect(missing(clone)).toBe(3);
    expect(existsSync(join(clone, ".git/hooks/pre-push"))).toBe(true);
  });
});

describe("A server without big blobs", () => {
  it("works with a repository of one's own", async () => {
    const home = tempDir("home");
    const work = tempRepo();
    const server = join(home, "game.git");
    const store = join(home, "store");
    writeFileSync(join(work, ".gitattributes"), "*.psd odb=media\n");
    for (const n of [1, 2, 3]) {
      writeFileSync(join(work, "poster.psd"), Buffer.alloc(200_000, `take ${n} `));
      writeFileSync(join(work, `notes${n}.txt`), `${n}\n`);
      git(["add", "-A"], { cwd: work });
      git(["commit", "-qm", `${n}`], { cwd: work });
    }
    git(["clone", "-q", "--bare", work, server]);
    git(["remote", "add", "origin", server], { cwd: work });
    const env = cliEnv();
    expect(tryGit(["odb", "init", "-q", "media", store], { cwd: work, env }).status).toBe(0);
    const names = { server, store, work, clone: join(home, "clone") };
    const { output } = await follow(commandsOf("server.md"), names, home);
    expect(output).toMatch(/dropped 3 blobs/);
    expect(output).not.toMatch(/^BAD|^advice/m);
    // The new one never came to the server: it was promised before the push.
    expect(missing(server)).toBe(4);
    expect(git(["log", "-1", "--format=%s"], { cwd: server })).toBe("A new poster");
    // The checkout needed one of them, and nothing else was left out.
    expect(missing(names.clone)).toBe(2);
    expectClean(server, work, names.clone, `${names.clone}.2`);
    git(["gc", "-q", "--prune=now"], { cwd: server });
    expect(missing(server)).toBe(4);
    const promise = tryGit(["push", "origin", "+HEAD:refs/odbs-promise/media"], { cwd: names.clone, env });
    expect(promise.status).not.toBe(0);
    expect(promise.stderr).toMatch(/is written by this server alone/);
  });
});

describe("Bundles", () => {
  it("are made, served and cloned by, each command as it stands", async () => {
    const home = tempDir("home");
    const project = join(home, "project");
    git(["init", "-q", "-b", "main", project]);
    const commit = (name: string) => {
      writeFileSync(join(project, name), `${name}\n`.repeat(1000));
      git(["add", "."], { cwd: project });
      git(["commit", "-qm", name], { cwd: project });
    };
    commit("one");
    git(["config", "uploadpack.allowFilter", "true"], { cwd: project });
    git(["config", "uploadpack.allowAnySHA1InWant", "true"], { cwd: project });
    git(["init", "-q", "--bare", join(home, "host")]);
    git(["remote", "add", "origin", join(home, "host")], { cwd: project });
    const folder = join(home, "www");
    mkdirSync(folder);
    await using server = await startStaticServer(folder);
    const here = (block: string) =>
      block
        .replaceAll("/srv/www/bundles/project", folder)
        .replaceAll("https://cdn.example.com/bundles/project", server.url)
        .replaceAll("https://git.example.com/project.git", `file://${project}`);
    const clones: string[] = [];
    let served = 0;
    for (const block of blocksOf("bundles.md").map(here)) {
      expect(block).not.toMatch(/example\.com|\/srv\//);
      if (/^git (?:odb bundle )?clone /.test(block)) {
        const where = join(home, `clone-${clones.length}`);
        mkdirSync(where);
        const { output } = await follow(block, {}, where);
        expect(output).not.toMatch(/^warning:/m);
        clones.push(join(where, "project"));
      } else {
        const serve = /^git odb bundle serve .*\n/m;
        await follow(`cd project\n${block.replace(serve, "")}`, {}, home);
        const command = serve.exec(block)?.[0].replace("8080", "0");
        if (command !== undefined) served += await tablesServedBy(command, home);
        // So that the next update has something to carry.
        commit(`file-${served}-${readdirSync(project).length}`);
      }
    }
    expect([clones.length, served]).toEqual([3, 2]);
    expectClean(...clones);
    for (const clone of clones) {
      expect(git(["log", "--format=%s"], { cwd: clone })).toMatch(/^file-.*one$/s);
      expect(git(["for-each-ref", "refs/bundles"], { cwd: clone })).toContain("refs/bundles/");
    }
    expect(git(["cat-file", "blob", "refs/odbs/media/bundle"], { cwd: join(home, "host") })).toContain(
      `bundle url: ${server.url}/bundle-`,
    );
  });
});

/** How many of the URLs that a server prints it serves. */
async function tablesServedBy(command: string, cwd: string): Promise<number> {
  const child = startOdb(command.trim().split(" ").slice(2), { cwd });
  const [text] = (await once(child.stdout, "data")) as [Buffer];
  const answers = await Promise.all(
    text
      .toString()
      .trim()
      .split("\n")
      .map((url) => fetch(url)),
  );
  child.kill();
  await once(child, "close");
  return answers.filter(({ ok }) => ok).length;
}
