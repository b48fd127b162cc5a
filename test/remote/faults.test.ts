/** Lazy fetches from a store that is down, slow, cut off or killed in between. */

import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { cliEnv } from "../support/cli.js";
import { type FaultyProxy, startFaultyProxy } from "../support/faulty-proxy.js";
import { binDir, git, spawnGit } from "../support/git.js";
import { type StaticServer, startStaticServer } from "../support/static-server.js";
import { asking, fsck, type LazyClone, lazyClone, leftovers, promisorObjects, talk } from "./lazy.js";

const paths = ["a.bin", "b.bin", "c.bin", "d.bin", "e.bin", "f.bin"];
const files = Object.fromEntries(paths.map((path) => [path, randomBytes(1_500_000)]));

let server: StaticServer | undefined;
let proxy: FaultyProxy | undefined;

afterEach(async () => {
  await proxy?.close();
  await server?.close();
});

/** A clone whose store is behind a proxy that obeys the test. */
async function behindProxy(): Promise<LazyClone & { proxy: FaultyProxy; url: string; oids: string[] }> {
  const clone = lazyClone({ files });
  server = await startStaticServer(clone.store);
  proxy = await startFaultyProxy(server.url);
  const { url } = proxy;
  for (const [key, value] of [
    ["odb.m.url", url],
    ["remote.odb-m.url", `odb::${url}`],
  ] as const) {
    git(["config", key, value], { cwd: clone.dir });
  }
  return { ...clone, proxy, url, oids: paths.map(clone.oid) };
}

/** Checks out by git and compares every file. */
async function checksOut({ dir, source }: LazyClone): Promise<void> {
  const { status, stderr } = await spawnGit(["checkout", "-q", "main"], { cwd: dir, env: cliEnv() });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  for (const path of paths)
    expect(readFileSync(join(dir, path)).equals(readFileSync(join(source, path)))).toBe(true);
  expect(fsck(dir)).toEqual({ status: 0, stderr: "" });
  expect(leftovers(dir)).toEqual([]);
}

describe("a connection that breaks", () => {
  it("once in each object is taken up where it broke", async () => {
    const clone = await behindProxy();
    for (const oid of clone.oids) {
      clone.proxy.add({ path: new RegExp(oid), fault: { kind: "reset", afterBytes: 700_000 } });
    }
    await checksOut(clone);
  });

  it("for good keeps what arrived whole, says so in one line, and a second run brings the rest", async () => {
    const clone = await behindProxy();
    const [first = "", ...rest] = clone.oids;
    clone.proxy.add({
      path: new RegExp(first),
      times: Number.POSITIVE_INFINITY,
      fault: { kind: "status", status: 503 },
    });
    const { status, stderr } = await talk(clone.dir, clone.url, asking(...rest, first));
    expect(status).toBe(128);
    expect(stderr.split("\n")).toHaveLength(2);
    expect(stderr).toContain(clone.url);
    const kept = promisorObjects(clone.dir);
    expect(rest.filter((oid) => kept.includes(oid)).length).toBeGreaterThan(0);
    expect(kept).not.toContain(first);
    clone.proxy.clear();
    await checksOut(clone);
  });

  it("with a body that is cut short, or changed, installs nothing wrong", async () => {
    const clone = await behindProxy();
    const [short = "", changed = ""] = clone.oids;
    const times = Number.POSITIVE_INFINITY;
    clone.proxy.add({ path: new RegExp(short), times, fault: { kind: "short", afterBytes: 100_000 } });
    clone.proxy.add({ path: new RegExp(changed), times, fault: { kind: "corrupt", at: 1_000_000 } });
    const { status, stderr } = await talk(clone.dir, clone.url, asking(...clone.oids));
    expect(status).toBe(1);
    expect(stderr.match(/not installed/g)).toHaveLength(2);
    expect(stderr).toContain(short);
    expect(stderr).toContain(changed);
    const kept = promisorObjects(clone.dir);
    expect(clone.oids.map((oid) => kept.includes(oid))).toEqual([false, false, true, true, true, true]);
    clone.proxy.clear();
    await checksOut(clone);
  });
});

describe("a store that is down", () => {
  it("is named in one line, with exit code 128", async () => {
    const clone = await behindProxy();
    await clone.proxy.close();
    const { status, stderr } = await talk(clone.dir, clone.url, asking(...clone.oids));
    expect(status).toBe(128);
    expect(stderr).toMatch(/^git-remote-odb: [^\n]+\n$/);
    expect(stderr).toContain(clone.url);
    expect(leftovers(clone.dir)).toEqual([]);
  });

  it.each([
    ["odb.m.timeout", ["config", "odb.m.timeout", "1"], {}],
    ["GIT_ODB_TIMEOUT", ["config", "odb.m.timeout", "900"], { GIT_ODB_TIMEOUT: "1" }],
  ])("that hangs is given up and asked again as %s says", async (_, config, env) => {
    const clone = await behindProxy();
    const all = { cwd: clone.dir, env: cliEnv(env) };
    git(config, all);
    expect((await spawnGit(["odb", "init", "-q", "m", clone.url], all)).stderr).toBe("");
    expect(git(["config", "remote.odb-m.url"], all)).toBe("odb::odb:m");
    const [first = "", second = ""] = clone.oids;
    // One of git's, one of ours.
    clone.proxy.add({ path: new RegExp(first), fault: { kind: "hang" } });
    expect(await spawnGit(["cat-file", "-s", first], all)).toMatchObject({ status: 0, stderr: "" });
    clone.proxy.add({ path: new RegExp(second), fault: { kind: "hang" } });
    expect(await spawnGit(["odb", "fetch", "-q"], all)).toMatchObject({ status: 0, stderr: "" });
    expect(clone.proxy.seen.filter(({ fault }) => fault === "hang")).toHaveLength(2);
  });

  it("that denies is named in one line too", async () => {
    const clone = await behindProxy();
    clone.proxy.add({ times: Number.POSITIVE_INFINITY, fault: { kind: "status", status: 403 } });
    const { status, stderr } = await talk(clone.dir, clone.url, asking(...clone.oids));
    expect(status).toBe(128);
    expect(stderr).toMatch(/^git-remote-odb: [^\n]+\n$/);
    expect(stderr).toContain(clone.url);
  });
});

describe("a helper that is stopped in the middle of a batch", () => {
  it.each(["SIGKILL", "SIGTERM"] as const)(
    "by %s leaves nothing half, and git asks again",
    async (signal) => {
      const clone = await behindProxy();
      const last = clone.oids.at(-1) ?? "";
      clone.proxy.add({ path: new RegExp(last), times: Number.POSITIVE_INFINITY, fault: { kind: "hang" } });
      const before = promisorObjects(clone.dir);
      const helper = startHelper(clone);
      helper.stdin?.write(asking(...clone.oids));
      await until(() => leftovers(clone.dir).length > 0);
      const ended = once(helper, "close");
      helper.kill(signal);
      expect(await ended).toEqual(signal === "SIGKILL" ? [null, signal] : [143, null]);
      // What had arrived may be kept by a helper that was asked to stop, but whole.
      if (signal === "SIGKILL") expect(promisorObjects(clone.dir)).toEqual(before);
      else expect(leftovers(clone.dir)).toEqual([]);
      expect(fsck(clone.dir)).toEqual({ status: 0, stderr: "" });
      // git's own broom takes what is left, once it is old enough.
      const objects = join(clone.dir, ".git/objects");
      for (const folder of [objects, join(objects, "pack")]) {
        for (const name of readdirSync(folder))
          if (name.startsWith("tmp")) utimesSync(join(folder, name), 1, 1);
      }
      git(["prune"], { cwd: clone.dir, env: cliEnv() });
      expect(leftovers(clone.dir)).toEqual([]);
      clone.proxy.clear();
      await checksOut(clone);
    },
  );
});

describe("two at the same time", () => {
  it("bring the same blobs and do each other no harm", async () => {
    const clone = await behindProxy();
    const asked = [0, 1, 2].map(() => talk(clone.dir, clone.url, asking(...clone.oids)));
    for (const { status, stderr } of await Promise.all(asked))
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    await checksOut(clone);
  });
});

function startHelper(clone: { dir: string; url: string }): ChildProcess {
  const command = join(binDir, "git-remote-odb.cjs");
  const env = { ...process.env, GIT_DIR: ".git" };
  const helper = spawn(command, ["odb-m", clone.url], {
    cwd: clone.dir,
    env,
    stdio: ["pipe", "ignore", "ignore"],
  });
  helper.stdin?.on("error", () => {});
  return helper;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}
