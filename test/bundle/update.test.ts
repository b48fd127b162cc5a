import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, it } from "vitest";
import { planMerge } from "../../src/bundle/chain.js";
import { bundled } from "../support/bundle.js";
import {
  allObjects,
  bundleUp,
  commit,
  readListOf,
  readTableOf,
  sourceRepo,
  unbundleAll,
} from "../support/bundles.js";
import { cliEnv, gitOdb, startOdb } from "../support/cli.js";
import { git, spawnGit } from "../support/git.js";
import { startS3 } from "../support/s3/index.js";
import { startStaticServer } from "../support/static-server.js";
import { tempDir } from "../support/temp.js";

const baseUrl = "http://bundles.example/repo";
const files = (folder: string, filter?: "blob:none") =>
  readTableOf(folder, filter).map(({ uri }) => basename(uri));

describe("a chain of bundles", () => {
  it("holds all that the repository has, each update only what is new, until nothing is", async () => {
    const repo = sourceRepo();
    const folder = tempDir("chain");
    const first = await bundleUp(repo, folder, { start: "new", baseUrl });
    expect(first.made).toHaveLength(1);
    git(["tag", "-a", "-m", "v1", "v1"], { cwd: repo });
    git(["branch", "side/topic"], { cwd: repo });
    const head = commit(repo, "two");
    const second = await bundleUp(repo, folder);
    const [base, next] = second.entries;
    expect(next?.requires).toBe(base?.uri);
    expect(next?.uri.startsWith(`${baseUrl}/bundle-`)).toBe(true);
    expect(next?.size).toBeLessThan((base?.size ?? 0) + 3000);
    expect(readListOf(folder)).toEqual(second.entries.map(({ uri }) => uri));
    expect(unbundleAll(folder, files(folder))).toEqual(allObjects(repo));
    const heads = git(["bundle", "list-heads", join(folder, files(folder)[1] ?? "")]);
    expect(
      heads
        .split("\n")
        .map((line) => line.slice(41))
        .sort(),
    ).toEqual(["HEAD", "refs/heads/main", "refs/heads/side/topic", "refs/tags/v1"]);
    expect(heads).toContain(`${head} refs/heads/main`);
    const before = readdirSync(folder);
    expect((await bundleUp(repo, folder)).made).toEqual([]);
    expect(readdirSync(folder)).toEqual(before);
  });

  it("carries a tag alone, and names the commit that it stands on", async () => {
    const repo = sourceRepo();
    const folder = tempDir("tag");
    await bundleUp(repo, folder, { start: "new", baseUrl });
    const old = git(["rev-parse", "HEAD"], { cwd: repo });
    git(["tag", "-a", "-m", "v1", "v1"], { cwd: repo });
    await bundleUp(repo, folder);
    const text = readFileSync(join(folder, files(folder)[1] ?? ""), "latin1");
    expect(text).toContain(`\n-${old} \n`);
    expect(unbundleAll(folder, files(folder))).toEqual(allObjects(repo));
  });

  it("stays short: old bundles are merged, and a reader who had them needs none of it again", async () => {
    const repo = sourceRepo();
    const folder = tempDir("merge");
    await bundleUp(repo, folder, { start: "new", baseUrl });
    const longest = [];
    for (let n = 0; n < 16; n++) {
      commit(repo, `more-${n}`, 200);
      if (n % 5 === 0) git(["branch", `b${n}`], { cwd: repo });
      if (n === 9) git(["reset", "-q", "--hard", "HEAD~2"], { cwd: repo });
      const { entries } = await bundleUp(repo, folder);
      longest.push(entries.length);
      const stamps = entries.map(({ timestamp }) => timestamp ?? 0);
      expect(stamps).toEqual([...new Set(stamps)].sort((a, b) => a - b));
    }
    expect(Math.max(...longest)).toBeLessThanOrEqual(12);
    expect(longest.at(-1)).toBeLessThan(12);
    const gathered = unbundleAll(folder, files(folder));
    expect(allObjects(repo).filter((oid) => !gathered.includes(oid))).toEqual([]);
  }, 120_000);

  it("begins anew when the repository has lost what would be merged", async () => {
    const repo = sourceRepo();
    const folder = tempDir("lost");
    await bundleUp(repo, folder, { start: "new", baseUrl });
    for (let n = 0; n < 11; n++) {
      commit(repo, `more-${n}`, 100);
      await bundleUp(repo, folder);
    }
    git(["checkout", "-q", "--orphan", "other"], { cwd: repo });
    git(["commit", "-q", "--allow-empty", "-m", "other"], { cwd: repo });
    git(["branch", "-D", "main"], { cwd: repo });
    git(["reflog", "expire", "--expire=now", "--all"], { cwd: repo });
    git(["gc", "-q", "--prune=now"], { cwd: repo });
    const { entries } = await bundleUp(repo, folder);
    expect(entries).toHaveLength(1);
    expect(unbundleAll(folder, files(folder))).toEqual(allObjects(repo));
  }, 120_000);

  it("without blobs is kept apart, and says so in bundle and table", async () => {
    const repo = sourceRepo();
    const folder = tempDir("filter");
    await bundleUp(repo, folder, { start: "new", baseUrl });
    await bundleUp(repo, folder, { start: "new", baseUrl, filter: "blob:none" });
    commit(repo, "two");
    await bundleUp(repo, folder, { filter: "blob:none" });
    const entries = readTableOf(folder, "blob:none");
    expect(entries).toHaveLength(2);
    for (const { uri, filter } of entries) {
      expect([filter, uri.startsWith(`${baseUrl}/filter-blob-none/bundle-`)]).toEqual(["blob:none", true]);
      const head = readFileSync(join(folder, "filter-blob-none", basename(uri)), "latin1").slice(0, 100);
      expect(head).toMatch(/^# v3 git bundle\n@object-format=sha1\n@filter=blob:none\n/);
    }
    expect(readListOf(folder, "blob:none")).toHaveLength(2);
    expect(readTableOf(folder)).toHaveLength(1);
  });

  it("of a SHA-256 repository is read by git", async () => {
    const repo = sourceRepo("--object-format=sha256");
    const folder = tempDir("sha256");
    await bundleUp(repo, folder, { start: "new", baseUrl });
    commit(repo, "two");
    await bundleUp(repo, folder);
    expect(unbundleAll(folder, files(folder), "--object-format=sha256")).toEqual(allObjects(repo));
    await expect(bundleUp(sourceRepo(), folder)).rejects.toThrow(/bundles of a sha256 repository/);
  });

  it("keeps a bundle that no table names for the grace period, and then removes it", async () => {
    const repo = sourceRepo();
    const folder = tempDir("grace");
    await bundleUp(repo, folder, { start: "new", baseUrl });
    const [old = ""] = files(folder);
    await bundleUp(repo, folder, { start: "replace", baseUrl });
    expect(readdirSync(folder)).toContain(old);
    const mark = join(folder, "expired", old);
    writeFileSync(mark, `${Math.floor(Date.now() / 1000) - 86_000}\n`);
    expect((await bundleUp(repo, folder)).removed).toBe(0);
    writeFileSync(mark, `${Math.floor(Date.now() / 1000) - 87_000}\n`);
    expect((await bundleUp(repo, folder)).removed).toBe(1);
    expect(readdirSync(folder)).not.toContain(old);
    expect(existsSync(mark)).toBe(false);
    expect(files(folder)).toHaveLength(1);
  });

  it("takes both of two updates at once", async () => {
    const repo = sourceRepo();
    const folder = tempDir("race");
    await bundleUp(repo, folder, { start: "new", baseUrl });
    commit(repo, "two");
    await Promise.all([1, 2, 3].map(() => bundleUp(repo, folder)));
    expect(readListOf(folder)).toEqual(readTableOf(folder).map(({ uri }) => uri));
    expect(unbundleAll(folder, files(folder))).toEqual(allObjects(repo));
  });
});

describe("a merge", () => {
  it("is planned when there are more than 12, of all but the newest, and of the first when they have grown", () => {
    const small = Array.from({ length: 12 }, () => 1);
    expect(planMerge([100, ...small.slice(1)])).toBeUndefined();
    expect(planMerge([100, ...small])).toEqual({ from: 1, to: 7 });
    expect(planMerge([12, ...small])).toEqual({ from: 0, to: 7 });
  });
});

describe("merges of 200 updates", () => {
  /** Numbers that jump about and are the same each time. */
  const jumping = (n: number) => ((n * 2_654_435_761) % 1000) + 1;
  it.each<[string, number, (n: number) => number]>([
    ["alike", 1_000_000, () => 1000],
    ["of all sizes", 1_000_000, (n) => jumping(n) * 10],
    ["that are small but for a few", 1_000_000, (n) => (n % 50 === 0 ? 500_000 : 100)],
    ["that get larger", 10_000, (n) => n * n],
    ["that get smaller", 10_000, (n) => 1_000_000 / (n + 1)],
    ["larger than the first", 10, () => 1000],
  ])("%s keep the chain short, and write each byte again but a few times", (_name, first, sizeOf) => {
    let chain = [{ size: first, newest: 0 }];
    let written = first;
    let added = first;
    for (let n = 1; n <= 200; n++) {
      chain.push({ size: sizeOf(n), newest: n });
      written += sizeOf(n);
      added += sizeOf(n);
      const merge = planMerge(chain.map(({ size }) => size));
      if (merge !== undefined) {
        const merged = chain.slice(merge.from, merge.to);
        expect(merged.length).toBeGreaterThan(1);
        const size = merged.reduce((sum, each) => sum + each.size, 0);
        written += size;
        const newest = merged.at(-1)?.newest ?? 0;
        chain = [...chain.slice(0, merge.from), { size, newest }, ...chain.slice(merge.to)];
      }
      expect(chain.length).toBeLessThanOrEqual(12);
      // Who came yesterday, or five updates ago, needs just what is new.
      const news = chain.filter(({ newest }) => newest > n - 5);
      expect(news.map(({ newest }) => newest)).toEqual(
        [n - 4, n - 3, n - 2, n - 1, n].filter((newest) => newest >= 0),
      );
    }
    expect(chain.reduce((sum, { size }) => sum + size, 0)).toBeCloseTo(added);
    expect(written / added).toBeLessThan(6);
  });
});

describe("an update that is killed", () => {
  it("before or after any write leaves tables that git clones by, and the next one finishes", async () => {
    const repo = sourceRepo();
    const folder = tempDir("kill");
    await using server = await startStaticServer(folder);
    await bundleUp(repo, folder, { start: "new", baseUrl: server.url });
    for (let n = 0; n < 11; n++) {
      commit(repo, `more-${n}`, 100);
      await bundleUp(repo, folder);
    }
    const had = unbundleAll(folder, files(folder));
    commit(repo, "last");
    const child = bundled("bundle-child.ts");
    const start = tempDir("start");
    cpSync(folder, start, { recursive: true });
    const killed = [];
    const proved = new Map<string, string[]>();
    for (let nth = 1; nth < 40; nth++) {
      // The marks of merged bundles: each is as the one before.
      if (nth > 6 && nth < 11) continue;
      for (const when of ["before", "after"]) {
        const { signal, status, stderr } = spawnSync(
          process.execPath,
          [child, repo, folder, `${nth}`, when],
          {
            encoding: "utf8",
          },
        );
        expect(`${stderr}${status ?? signal}`).toMatch(/^(SIGKILL|0)$/);
        const listed = readListOf(folder).map((uri) => basename(uri));
        for (const names of new Set([listed.join(" "), files(folder).join(" ")])) {
          const objects = proved.get(names) ?? unbundleAll(folder, names.split(" "));
          proved.set(names, objects);
          expect(had.filter((oid) => !objects.includes(oid))).toEqual([]);
        }
        if (signal && when === "after" && nth < 5) {
          const args = [
            "clone",
            "-q",
            "--bare",
            `--bundle-uri=${server.url}/bundle-list`,
            repo,
            tempDir("clone"),
          ];
          expect(await spawnGit(args)).toEqual({ status: 0, stdout: "", stderr: "" });
        }
        if (signal) killed.push(`${nth} ${when}`);
        await bundleUp(repo, folder, { graceMs: 0 });
        expect(listOfFiles(folder)).toEqual(files(folder));
        restore(start, folder);
      }
      if (!killed.includes(`${nth} before`)) break;
    }
    // The new bundle, the merged one, both tables, marks, and two removals.
    expect(killed.length).toBeGreaterThanOrEqual(14);
  }, 180_000);
});

describe("an update in S3 that is killed", () => {
  it("at any write leaves a list that git clones by", async () => {
    const s3 = await startS3();
    const repo = sourceRepo();
    const url = s3.url("killed");
    const env = cliEnv(s3.env);
    const update = (...args: string[]) => {
      const done = gitOdb(["bundle", ...args], { env: s3.env });
      expect([done.status, done.status === 0 ? "" : done.stderr]).toEqual([0, ""]);
    };
    update("create", "-q", repo, url, "--base-url", baseUrl);
    const server = startOdb(["bundle", "serve", url, "--port", "0", "-q"], { env: s3.env });
    try {
      const [text] = (await once(server.stdout, "data")) as [Buffer];
      const list = text.toString().split("\n")[1] ?? "";
      update("update", "-q", repo, url, "--base-url", list.replace("/bundle-list", ""));
      const child = bundled("bundle-child.ts");
      const clone = async () => {
        const args = ["clone", "-q", "--bare", `--bundle-uri=${list}`, repo, tempDir("clone")];
        expect(await spawnGit(args)).toEqual({ status: 0, stdout: "", stderr: "" });
      };
      const steps = ["1 before"];
      for (let nth = 1; nth <= 40; nth++) steps.push(`${nth} after`);
      let killed = 0;
      for (const step of steps) {
        commit(repo, step.replace(" ", "-"), 100);
        const dying = spawn(process.execPath, [child, repo, url, ...step.split(" ")], { env });
        const [status, signal] = (await once(dying, "close")) as [number | null, string | null];
        expect(`${status ?? signal}`).toMatch(/^(SIGKILL|0)$/);
        await clone();
        if (signal === null) break;
        killed++;
      }
      // A bundle, the table, git's list, marks of bundles that no table names, and removals.
      expect(killed).toBeGreaterThanOrEqual(5);
      update("update", "-q", "--grace", "0", repo, url);
      await clone();
    } finally {
      server.kill();
      await s3.close();
    }
  }, 120_000);
});

function listOfFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".bundle"))
    .sort((a, b) => Number(a.split("-")[1]) - Number(b.split("-")[1]));
}

/** Puts a folder back as it was. */
function restore(from: string, to: string): void {
  for (const name of readdirSync(to)) {
    if (!name.startsWith(".")) spawnSync("rm", ["-rf", join(to, name)]);
  }
  cpSync(from, to, { recursive: true });
}
