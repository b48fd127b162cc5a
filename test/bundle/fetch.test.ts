import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, it } from "vitest";
import { cloneByBundles } from "../../src/bundle/clone.js";
import { fetchBundles } from "../../src/bundle/fetch.js";
import { readTable } from "../../src/bundle/read-table.js";
import { openRepository } from "../../src/repo/git.js";
import { allObjects, bundleUp, commit, gitVersion, readTableOf, sourceRepo } from "../support/bundles.js";
import { startOdb } from "../support/cli.js";
import { startFaultyProxy } from "../support/faulty-proxy.js";
import { git, spawnGit, tryGit } from "../support/git.js";
import { type StaticServer, startStaticServer } from "../support/static-server.js";
import { tempDir } from "../support/temp.js";

interface Scene extends AsyncDisposable {
  readonly repo: string;
  readonly folder: string;
  readonly server: StaticServer;
}

/** A repository, and its bundles behind a plain web server: a first one and two more. */
async function scene(baseUrl?: string, size = 3000): Promise<Scene> {
  const repo = sourceRepo();
  commit(repo, "big", size);
  const folder = tempDir("bundles");
  const server = await startStaticServer(folder);
  await bundleUp(repo, folder, { start: "new", baseUrl: baseUrl ?? server.url });
  for (const name of ["two", "three"]) {
    commit(repo, name);
    await bundleUp(repo, folder);
  }
  commit(repo, "unbundled");
  return { repo, folder, server, [Symbol.asyncDispose]: () => server.close() };
}

async function clone(at: Scene, table = `${at.server.url}/bundles.json`, filter?: "blob:none") {
  const warnings: string[] = [];
  const warn = (line: string) => void warnings.push(line);
  const directory = join(tempDir("clone"), "c");
  const url = filter ? `file://${at.repo}` : at.repo;
  const result = await cloneByBundles({ url, tableUrl: table, directory, warn, isLoud: false, filter });
  return { ...result, warnings };
}

async function fetchAgain(directory: string, url: string) {
  const warnings: string[] = [];
  const warn = (line: string) => void warnings.push(line);
  const repo = await openRepository(directory);
  const result = await fetchBundles(repo, url, await readTable(url), { warn });
  return { ...result, warnings };
}

const config = (repo: string, key: string) => tryGit(["config", key], { cwd: repo }).stdout.trim();
const bundlesSeen = ({ seen }: StaticServer) => seen.filter((line) => line.endsWith(".bundle")).length;

describe("a clone by bundles", () => {
  it.each(["bundles.json", "bundle-list"])("takes all of %s, and the rest from the remote", async (table) => {
    await using at = await scene();
    // A branch gives way to a folder of branches within what is taken together.
    git(["branch", "topic"], { cwd: at.repo });
    await bundleUp(at.repo, at.folder);
    git(["branch", "-m", "topic", "topic/one"], { cwd: at.repo });
    commit(at.repo, "late");
    await bundleUp(at.repo, at.folder);
    commit(at.repo, "unbundled too");
    const { directory, taken, warnings } = await clone(at, `${at.server.url}/${table}`);
    expect([taken, warnings]).toEqual([5, []]);
    expect(git(["for-each-ref", "--format=%(refname)", "refs/bundles"], { cwd: directory })).toBe(
      "refs/bundles/heads/main\nrefs/bundles/heads/topic/one",
    );
    expect(allObjects(directory)).toEqual(allObjects(at.repo));
    expect(git(["fsck", "--strict"], { cwd: directory })).toBe("");
    expect(git(["status", "-sb", "--porcelain"], { cwd: directory })).toBe("## main...origin/main");
    expect(git(["rev-parse", "origin/HEAD"], { cwd: directory })).toBe(
      git(["rev-parse", "HEAD"], { cwd: at.repo }),
    );
    const newest = readTableOf(at.folder).at(-1)?.timestamp;
    const mark = table === "bundles.json" ? "bundle.latestTimestamp" : "fetch.bundleCreationToken";
    expect(config(directory, mark)).toBe(`${newest}`);
    expect(readdirSync(join(directory, ".git/odb-bundles"))).toEqual([]);
    expect(tryGit(["config", "--get-regexp", "^odbclone"], { cwd: directory }).status).toBe(1);
  });

  it("has nothing to do with the repository that it is started in, or by", async () => {
    await using at = await scene();
    const other = sourceRepo();
    const before = allObjects(other);
    const directory = join(tempDir("clone"), "c");
    const table = `${at.server.url}/bundles.json`;
    const env = { GIT_DIR: join(other, ".git"), GIT_WORK_TREE: other, GIT_INDEX_FILE: join(other, ".git/i") };
    const child = startOdb(["bundle", "clone", "-q", at.repo, directory, "--bundles", table], { env });
    expect(await finish(child)).toEqual({ status: 0, stderr: "" });
    expect(allObjects(directory)).toEqual(allObjects(at.repo));
    expect(git(["status", "--porcelain"], { cwd: directory })).toBe("");
    expect(allObjects(other)).toEqual(before);
    expect(config(other, "remote.origin.url")).toBe("");
  });

  it("asks the remote but for its refs when the bundles have brought all that it has", async () => {
    await using at = await scene();
    git(["tag", "-a", "-m", "v1", "v1"], { cwd: at.repo });
    await bundleUp(at.repo, at.folder);
    const asked = async () => {
      const to = join(tempDir("clone"), "c");
      const log = join(tempDir("trace"), "log");
      const args = ["bundle", "clone", "-q", at.repo, to, "--bundles", `${at.server.url}/bundles.json`];
      expect(await finish(startOdb(args, { env: { GIT_TRACE: log } }))).toEqual({ status: 0, stderr: "" });
      expect(allObjects(to)).toEqual(allObjects(at.repo));
      expect(git(["status", "-sb", "--porcelain"], { cwd: to })).toBe("## main...origin/main");
      expect(git(["show-ref", "--tags", "-d"], { cwd: to })).toBe(
        git(["show-ref", "--tags", "-d"], { cwd: at.repo }),
      );
      return readFileSync(log, "utf8").match(/run_command: .*git-upload-pack/g)?.length;
    };
    expect(await asked()).toBe(1);
    commit(at.repo, "more");
    expect(await asked()).toBe(2);
  });

  it.each(["bundled", "not all bundled"])("leaves what git clone leaves (%s)", async (how) => {
    await using at = await scene();
    git(["branch", "side/topic"], { cwd: at.repo });
    git(["tag", "-a", "-m", "v1", "v1"], { cwd: at.repo });
    await bundleUp(at.repo, at.folder);
    if (how !== "bundled") commit(at.repo, "late");
    const settings = join(tempDir("config"), "config");
    git(["config", "--file", settings, "branch.autoSetupRebase", "always"]);
    const env = { GIT_CONFIG_GLOBAL: settings };
    const [ours, gits] = [join(tempDir("ours"), "c"), join(tempDir("gits"), "c")];
    const args = ["bundle", "clone", "-q", at.repo, ours, "--bundles", `${at.server.url}/bundles.json`];
    expect(await finish(startOdb(args, { env }))).toEqual({ status: 0, stderr: "" });
    git(["clone", "-q", at.repo, gits], { env });
    const of = (cwd: string) => {
      const run = (...command: string[]) => git(command, { cwd });
      const lines = run("config", "--local", "--list").split("\n");
      return {
        config: lines.filter((line) => !line.startsWith("bundle.")).sort(),
        refs: run(
          "for-each-ref",
          "--format=%(refname) %(objectname) %(symref)",
          "refs/heads",
          "refs/remotes",
          "refs/tags",
        ),
        head: [run("symbolic-ref", "HEAD"), run("status", "-sb", "--porcelain")],
      };
    };
    expect(of(ours)).toEqual(of(gits));
    expect(git(["reflog", "show", "--format=%gs", "main"], { cwd: ours })).not.toBe("");
  });

  it("takes bundles one by one where a file has become again what it was", async () => {
    await using at = await scene();
    const lines = Array.from({ length: 300 }, (_, n) => `line ${n}\n`).join("");
    for (const last of ["a", "b", "unrelated", "a", "a, and more"]) {
      writeFileSync(join(at.repo, last === "unrelated" ? "other" : "text"), `${lines}${last}\n`);
      git(["add", "."], { cwd: at.repo });
      git(["commit", "-qm", last], { cwd: at.repo });
      await bundleUp(at.repo, at.folder);
    }
    const { directory, taken, warnings } = await clone(at);
    expect([taken, warnings]).toEqual([8, []]);
    expect(allObjects(directory)).toEqual(allObjects(at.repo));
    expect(readdirSync(join(directory, ".git/objects/pack")).length).toBeGreaterThan(8);
    expect(bundlesSeen(at.server)).toBe(8);
  });

  it("later takes only the new bundles, also when the table was rewritten", async () => {
    await using at = await scene();
    const { directory } = await clone(at);
    at.server.seen.length = 0;
    commit(at.repo, "four");
    await bundleUp(at.repo, at.folder);
    const table = `${at.server.url}/bundles.json`;
    expect((await fetchAgain(directory, table)).taken).toBe(1);
    expect(bundlesSeen(at.server)).toBe(1);
    expect((await fetchAgain(directory, table)).taken).toBe(0);
    // Anew, and the repository must believe that it has what the new first bundle brought.
    await bundleUp(at.repo, at.folder, { start: "replace", baseUrl: at.server.url });
    commit(at.repo, "five");
    await bundleUp(at.repo, at.folder);
    const newest = Number(readTableOf(at.folder)[0]?.timestamp);
    const bare = tempDir("behind");
    git(["init", "-q", bare]);
    git(["config", "bundle.tableOfContents", table], { cwd: bare });
    git(["config", "bundle.latestTimestamp", `${newest}`], { cwd: bare });
    const walked = await fetchAgain(bare, table);
    expect(walked).toMatchObject({ taken: 2, failed: 0, warnings: [] });
  });

  it("of a chain without blobs is a partial clone; a full clone refuses such bundles", async () => {
    await using at = await scene();
    git(["config", "uploadpack.allowFilter", "true"], { cwd: at.repo });
    git(["config", "uploadpack.allowAnySHA1InWant", "true"], { cwd: at.repo });
    await bundleUp(at.repo, at.folder, { start: "new", baseUrl: at.server.url, filter: "blob:none" });
    const table = `${at.server.url}/filter-blob-none/bundles.json`;
    const partial = await clone(at, table, "blob:none");
    expect(partial).toMatchObject({ taken: 1, failed: 0, warnings: [] });
    expect(git(["fsck"], { cwd: partial.directory })).toBe("");
    expect(config(partial.directory, "extensions.partialClone")).toBe("origin");
    const full = await clone(at, table);
    expect(full.warnings[0]).toMatch(/made with --filter=blob:none.*going on without this bundle/);
    expect(git(["fsck", "--strict"], { cwd: full.directory })).toBe("");
    expect(config(full.directory, "bundle.latestTimestamp")).toBe("");
  });

  it("goes on with a download that broke off, with the rest alone", async () => {
    await using at = await scene("http://127.0.0.1:1", 400_000);
    await using proxy = await startFaultyProxy(at.server.url);
    await bundleUp(at.repo, at.folder, { baseUrl: proxy.url });
    const [first = ""] = readTableOf(at.folder).map(({ uri }) => basename(uri));
    proxy.add({ path: new RegExp(first), fault: { kind: "truncate", afterBytes: 300_000 } });
    const { taken, warnings, directory } = await clone(at, `${proxy.url}/bundles.json`);
    expect([taken, warnings]).toEqual([4, []]);
    const ranges = proxy.seen.flatMap(({ headers }) => headers.range ?? []);
    expect(ranges).toEqual([expect.stringMatching(/^bytes=[1-9][0-9]*-$/)]);
    expect(allObjects(directory)).toEqual(allObjects(at.repo));
  });

  it("killed while it downloads goes on when it is run again", async () => {
    await using at = await scene("http://127.0.0.1:1", 3_000_000);
    await using proxy = await startFaultyProxy(at.server.url);
    await bundleUp(at.repo, at.folder, { baseUrl: proxy.url });
    const [first = ""] = readTableOf(at.folder).map(({ uri }) => basename(uri));
    // Its first megabyte arrives, then nothing: there it is killed.
    proxy.add({ path: new RegExp(first), fault: { kind: "truncate", afterBytes: 1_000_000 } });
    proxy.add({ path: new RegExp(first), times: 1, fault: { kind: "hang" } });
    const directory = join(tempDir("killed"), "c");
    const args = ["bundle", "clone", "-q", at.repo, directory, "--bundles", `${proxy.url}/bundles.json`];
    const child = startOdb(args);
    await until(() => proxy.seen.filter(({ path }) => path.includes(first)).length === 2);
    child.kill("SIGKILL");
    const downloads = join(directory, ".git/odb-bundles");
    const part = readdirSync(downloads, { recursive: true, encoding: "utf8" }).filter((name) =>
      name.endsWith("/bundle"),
    );
    const held = Math.max(...part.map((name) => statSync(join(downloads, name)).size));
    expect(held).toBeGreaterThan(100_000);
    proxy.clear();
    proxy.seen.length = 0;
    const again = await finish(startOdb(args));
    expect(again).toEqual({ status: 0, stderr: "" });
    const asked = proxy.seen.filter(({ path }) => path.includes(first)).map(({ headers }) => headers.range);
    expect(asked).toEqual([`bytes=${held}-`]);
    expect(allObjects(directory)).toEqual(allObjects(at.repo));
    expect(git(["status", "--porcelain"], { cwd: directory })).toBe("");
  });
});

describe("a list of which any bundle will do", () => {
  it("is taken by one of them, by us as by git", async () => {
    await using at = await scene();
    const names = ["first", "second"].map((name) => {
      git(["bundle", "create", "-q", join(at.folder, `${name}.bundle`), "main"], { cwd: at.repo });
      return `[bundle "${name}"]\n\turi = ${at.server.url}/${name}.bundle\n`;
    });
    writeFileSync(join(at.folder, "any"), `[bundle]\n\tversion = 1\n\tmode = any\n${names.join("")}`);
    const list = `${at.server.url}/any`;
    const { directory, taken, failed, warnings } = await clone(at, list);
    expect([taken, failed, warnings, bundlesSeen(at.server)]).toEqual([1, 0, [], 1]);
    const gits = join(tempDir("gits"), "c");
    expect((await spawnGit(["clone", "-q", `--bundle-uri=${list}`, at.repo, gits])).status).toBe(0);
    expect(bundlesSeen(at.server)).toBe(2);
    for (const dir of [directory, gits]) expect(allObjects(dir)).toEqual(allObjects(at.repo));
  });
});

describe("a bad bundle", () => {
  it.each([
    ["corrupt", (bytes: Buffer) => bytes.fill(7, bytes.length - 200), /SHA-256/],
    ["short", (bytes: Buffer) => bytes.subarray(0, -100), /bytes instead of/],
    ["gone", () => undefined, /answered 404/],
  ] as const)(
    "(%s) is told and never passed by the mark; the remote sends the rest",
    async (_name, spoil, message) => {
      await using at = await scene();
      const entries = readTableOf(at.folder);
      const second = join(at.folder, basename(entries[1]?.uri ?? ""));
      const bytes = readFileSync(second);
      const spoilt = spoil(Buffer.from(bytes));
      if (spoilt) writeFileSync(second, spoilt);
      else
        writeFileSync(
          join(at.folder, "bundles.json"),
          readFileSync(join(at.folder, "bundles.json"), "utf8").replaceAll(
            basename(second),
            "bundle-1-0000000000000000.bundle",
          ),
        );
      const { directory, taken, failed, warnings } = await clone(at);
      expect([taken, failed, warnings.length]).toEqual([1, 2, 2]);
      expect(warnings[0]).toMatch(message);
      expect(warnings[1]).toMatch(/builds on commits that are not here/);
      expect(config(directory, "bundle.latestTimestamp")).toBe(`${entries[0]?.timestamp}`);
      expect(allObjects(directory)).toEqual(allObjects(at.repo));
      git(["fsck", "--strict"], { cwd: directory });
      if (!spoilt) return;
      writeFileSync(second, bytes);
      const again = await fetchAgain(directory, `${at.server.url}/bundles.json`);
      expect(again).toMatchObject({ taken: 2, failed: 0, warnings: [] });
      expect(config(directory, "bundle.latestTimestamp")).toBe(`${entries[2]?.timestamp}`);
    },
  );

  it("with objects missing is refused before a ref names it", async () => {
    await using at = await scene();
    const bad = join(at.folder, "bad.bundle");
    const blob = git(["rev-parse", "HEAD:two"], { cwd: at.repo });
    const objects = git(["rev-list", "--objects", "--no-object-names", "HEAD"], { cwd: at.repo });
    const pack = join(tempDir("pack"), "p");
    const input = objects.replace(`${blob}\n`, "");
    const name = git(["pack-objects", "-q", pack], { cwd: at.repo, input });
    const head = git(["rev-parse", "HEAD"], { cwd: at.repo });
    const header = Buffer.from(`# v2 git bundle\n${head} refs/heads/main\n\n`);
    writeFileSync(bad, Buffer.concat([header, readFileSync(`${pack}-${name}.pack`)]));
    const table = [{ uri: `${at.server.url}/bad.bundle`, timestamp: 5 }];
    writeFileSync(join(at.folder, "bad.json"), JSON.stringify(table));
    const empty = tempDir("empty");
    git(["init", "-q", empty]);
    const { taken, warnings } = await fetchAgain(empty, `${at.server.url}/bad.json`);
    expect([taken, warnings.length]).toEqual([0, 1]);
    expect(git(["for-each-ref"], { cwd: empty })).toBe("");
  });
});

describe("stock git", () => {
  it("clones by the list, and where it knows creation tokens fetches only new bundles", async () => {
    await using at = await scene();
    const dir = join(tempDir("stock"), "c");
    const list = `${at.server.url}/bundle-list`;
    const cloned = await spawnGit(["clone", "-q", `--bundle-uri=${list}`, `file://${at.repo}`, dir]);
    expect(cloned).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(bundlesSeen(at.server)).toBe(3);
    expect(git(["for-each-ref", "refs/bundles"], { cwd: dir })).toContain("main");
    expect(allObjects(dir)).toEqual(allObjects(at.repo));
    git(["fsck"], { cwd: dir });
    // git-config(1): fetch.bundleURI and fetch.bundleCreationToken came with git 2.40.
    if (gitVersion < 240) return;
    expect(config(dir, "fetch.bundleURI")).toBe(list);
    at.server.seen.length = 0;
    commit(at.repo, "four");
    await bundleUp(at.repo, at.folder);
    expect((await spawnGit(["fetch", "-q"], { cwd: dir })).status).toBe(0);
    expect(bundlesSeen(at.server)).toBe(1);
    // And it goes on where our own clone by the list has stopped.
    const ours = await clone(at, list);
    at.server.seen.length = 0;
    expect((await spawnGit(["fetch", "-q"], { cwd: ours.directory })).status).toBe(0);
    expect(bundlesSeen(at.server)).toBe(0);
  });
});

async function finish(
  child: ReturnType<typeof startOdb>,
): Promise<{ status: number | null; stderr: string }> {
  let stderr = "";
  child.stderr.on("data", (text) => {
    stderr += text;
  });
  const status = await new Promise<number | null>((done) => child.on("close", done));
  return { status, stderr };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((done) => setTimeout(done, 20));
}
