/** A repository beside a plain remote, its big files in an ODB, pushed: what offload is for. */

import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { commandFolder, gitOdb } from "../support/cli.js";
import { git, tempRepo, tryGit } from "../support/git.js";
import { tempDir } from "../support/temp.js";

/** Where everything lies. */
export interface Fixture {
  readonly repo: string;
  readonly origin: string;
  readonly store: string;
}

/** Our commands on PATH, for the git that fetches lazily. */
export function useCommands(): void {
  process.env.PATH = `${commandFolder()}:${process.env.PATH}`;
}

/** An empty repository with a bare remote `origin` and the ODB `big`, as `git odb init` sets it up. */
export function emptyFixture(options: { hash?: string; url?: string } = {}): Fixture {
  const format = `--object-format=${options.hash ?? "sha1"}`;
  const origin = tempRepo("--bare", format);
  const repo = tempRepo(format);
  const store = join(tempDir("store"), "store");
  git(["remote", "add", "origin", origin], { cwd: repo });
  expectOk(gitOdb(["init", "-q", "big", options.url ?? store], { cwd: repo }));
  writeFileSync(join(repo, ".gitattributes"), "*.bin odb=big\n");
  commit(repo, "attributes");
  return { repo, origin, store };
}

/** Three versions of two big files and small ones beside them, sent to the store, pushed and packed. */
export function pushedFixture(options: { hash?: string; url?: string; size?: number } = {}): Fixture {
  const fixture = emptyFixture(options);
  const { repo } = fixture;
  for (const version of [1, 2, 3]) {
    writeBig(repo, "a.bin", options.size);
    writeBig(repo, "dir.bin", options.size);
    writeFileSync(join(repo, "small.txt"), `small ${version}\n`);
    commit(repo, `version ${version}`);
  }
  expectOk(gitOdb(["push", "-q"], { cwd: repo }));
  git(["push", "-q", "origin", "main"], { cwd: repo });
  return fixture;
}

/** Random bytes: nothing that a delta could make small. */
export function writeBig(repo: string, name: string, size = 20_000): void {
  writeFileSync(join(repo, name), randomBytes(size));
}

/** Commits all there is. */
export function commit(repo: string, message: string): void {
  git(["add", "-A"], { cwd: repo });
  git(["commit", "-q", "-m", message], { cwd: repo });
}

/** The ids of all blobs named `*.bin` in the commits that revisions reach, here or not. */
export function bigBlobs(repo: string, ...revs: string[]): string[] {
  const found = new Set<string>();
  for (const commit of git(["rev-list", ...(revs.length > 0 ? revs : ["HEAD"])], { cwd: repo }).split("\n")) {
    const tree = git(["ls-tree", "-r", commit], { cwd: repo });
    for (const [, oid = ""] of tree.matchAll(/^100644 blob ([0-9a-f]+)\t.*\.bin$/gm)) found.add(oid);
  }
  return [...found].sort();
}

/** Which objects of a revision are not here. Asks nobody. */
export function missing(repo: string, ...revs: string[]): string[] {
  const args = ["rev-list", "--objects", "--missing=print", ...(revs.length > 0 ? revs : ["HEAD"])];
  const text = git(args, { cwd: repo, env: { GIT_NO_LAZY_FETCH: "1" } });
  return [...text.matchAll(/^\?([0-9a-f]+)$/gm)].map(([, oid]) => oid ?? "").sort();
}

/** What is wrong by git's own word: "" when nothing is. Superseded promise trees may dangle. */
export function fsck(repo: string): string {
  const { status, stdout, stderr } = tryGit(["fsck", "--full", "--no-progress"], {
    cwd: repo,
    env: { GIT_NO_LAZY_FETCH: "1" },
  });
  const text = `${stdout}${stderr}`.replaceAll(/^dangling (?:tree|commit|blob) [0-9a-f]+\n/gm, "");
  return status === 0 ? text : `${status}: ${text}`;
}

/** The packs that are kept, but for that of the promise, which always is. */
export function keptPacks(repo: string): string[] {
  const folder = join(repo, ".git/objects/pack");
  return readdirSync(folder).filter((file) => {
    if (!file.endsWith(".keep")) return false;
    return !/^git-odb: promise tree [0-9a-f]+ of big\n$/.test(readFileSync(join(folder, file), "utf8"));
  });
}

/** Fails with what the command said. */
export function expectOk(done: { status: number; stdout: string; stderr: string }): string {
  if (done.status !== 0) throw new Error(`exit ${done.status}: ${done.stdout}${done.stderr}`);
  return done.stdout;
}
