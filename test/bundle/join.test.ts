import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readBundleHeader } from "../../src/bundle/header.js";
import { joinPacks, type PackSource } from "../../src/bundle/join.js";
import { groupsOf } from "../../src/bundle/plan.js";
import { allObjects, commit, sourceRepo } from "../support/bundles.js";
import { git, tempRepo } from "../support/git.js";
import { tempDir } from "../support/temp.js";

/** A bundle for each of the last commits, made by git; all but the first are thin. */
function bundlesOf(repo: string, count: number): Buffer[] {
  return Array.from({ length: count }, (_, n) => {
    const file = join(tempDir("bundle"), "b");
    const tip = `main~${count - 1 - n}`;
    git(["branch", "-f", "tip", tip], { cwd: repo });
    const range = n === 0 ? ["tip"] : ["tip", "--not", `${tip}~1`];
    git(["bundle", "create", "-q", file, ...range], { cwd: repo });
    return readFileSync(file);
  });
}

/** In pieces of a few bytes, as no reader of ours would: the edges of everything fall anywhere. */
async function packOf(bundle: Buffer, piece = 7): Promise<PackSource> {
  const { packStart } = await readBundleHeader([bundle] as never, "test");
  return {
    what: "test",
    async *bytes(start) {
      for (let at = packStart + start; at < bundle.length; at += piece) yield bundle.subarray(at, at + piece);
    },
  };
}

async function joined(bundles: readonly Buffer[], hash: "sha1" | "sha256" = "sha1"): Promise<Buffer> {
  const sources = await Promise.all(bundles.map((bundle) => packOf(bundle)));
  const chunks: Buffer[] = [];
  for await (const chunk of joinPacks(sources, hash)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe("packs of several bundles", () => {
  it.each(["sha1", "sha256"] as const)("are one, which git proves whole (%s)", async (hash) => {
    const repo = sourceRepo(`--object-format=${hash}`);
    // Texts that change a little: the later packs have deltas whose bases are in the earlier ones.
    for (const n of [1, 2, 3]) {
      const lines = Array.from({ length: 400 }, (_, line) => `line ${line}${line === n ? " changed" : ""}\n`);
      writeFileSync(join(repo, "text"), lines.join(""));
      git(["add", "."], { cwd: repo });
      git(["commit", "-qm", `${n}`], { cwd: repo });
    }
    const bundles = bundlesOf(repo, 4);
    const to = tempRepo(`--object-format=${hash}`);
    const command = ["index-pack", "--stdin", "--strict", "--check-self-contained-and-connected"];
    execFileSync("git", command, { cwd: to, input: await joined(bundles, hash), stdio: "pipe" });
    git(["update-ref", "refs/heads/main", git(["rev-parse", "main"], { cwd: repo })], { cwd: to });
    expect(allObjects(to)).toEqual(allObjects(repo));
    expect(git(["fsck", "--strict"], { cwd: to })).toBe("");
    if (hash === "sha256") return;
    // One alone stays as it is, bit for bit.
    const [first = Buffer.alloc(0)] = bundles;
    expect(first.subarray(-1000).equals((await joined([first])).subarray(-1000))).toBe(true);
  });

  it("have no end when one of them is cut, changed or none at all", async () => {
    const repo = sourceRepo();
    commit(repo, "two");
    const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = bundlesOf(repo, 2);
    const changed = Buffer.from(second);
    changed[changed.length - 30] = (changed[changed.length - 30] ?? 0) ^ 1;
    const empty = second.subarray(0, second.indexOf("\n\n") + 2);
    for (const bad of [second.subarray(0, -1), changed]) {
      await expect(joined([first, bad])).rejects.toMatchObject({ code: "integrity", message: /checksum/ });
    }
    await expect(joined([empty, first])).rejects.toMatchObject({ code: "integrity", message: /no pack/ });
  });
});

describe("runs of bundles", () => {
  const entry = (uri: string, size?: number) => ({ uri, ...(size !== undefined && { size }) });
  const sizes = (...of: (number | undefined)[]) => of.map((size, n) => entry(`${n}`, size));
  const names = (groups: readonly { uri: string }[][]) =>
    groups.map((group) => group.map(({ uri }) => uri).join("")).join(" ");
  const mib = 1 << 20;

  it("are as long as is soon done again", () => {
    expect(names(groupsOf(sizes(3 * mib, 100, 200), false))).toBe("012");
    expect(names(groupsOf(sizes(9 * mib, 100, 200), false))).toBe("0 12");
    expect(names(groupsOf(sizes(5 * mib, 100, 5 * mib, 1), false))).toBe("01 23");
    expect(names(groupsOf(sizes(undefined, undefined, 1), false))).toBe("0 1 2");
    expect(names(groupsOf(sizes(1, 2), true))).toBe("0 1");
    expect(groupsOf([], false)).toEqual([]);
  });
});
