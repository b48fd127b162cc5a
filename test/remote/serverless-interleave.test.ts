import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import type { Bucket } from "../../src/bucket/bucket.js";
import { fileBucket } from "../../src/bucket/file.js";
import { wrapBucket } from "../../src/bucket/wrap.js";
import { startProgress } from "../../src/progress.js";
import { push } from "../../src/remote/push.js";
import { readRefs } from "../../src/remote/refs-object.js";
import { collectStore } from "../../src/remote/store-gc.js";
import { openRepository } from "../../src/repo/git.js";
import { cliEnv } from "../support/cli.js";
import { git } from "../support/git.js";
import { explore, exploreByChance, exploreStops } from "../support/interleave.js";
import type { Scene, Step } from "../support/interleave-stage.js";
import { clonePerson, newPerson, type Person } from "../support/serverless.js";
import { tempDir } from "../support/temp.js";

/** Everything in a folder was written so many days ago. */
function age(folder: string, days: number): void {
  const then = new Date(Date.now() - days * 24 * 3600 * 1000);
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" }))
    utimesSync(join(folder, name), then, then);
}

/**
 * main and topic, each with a blob of its own; topic has been deleted and a collection has listed what it brought, long
 * ago: the next one removes that.
 */
async function listed() {
  const folder = tempDir("bucket");
  const url = `odb::${folder}`;
  const ann = newPerson(url);
  ann.commit({ ".gitattributes": "*.bin odb=magic\n", "a.txt": "1\n" });
  ann.git("push", "-q", "origin", "main");
  ann.git("checkout", "-q", "-b", "topic");
  ann.commit({ "y.bin": randomBytes(300), "t.txt": "topic\n" });
  ann.git("push", "-q", "origin", "topic");
  // Has the blob only as promised.
  const ben = clonePerson(url, "--no-checkout");
  const whole = readFileSync(join(folder, "git-odb/refs"));
  ann.git("push", "-q", "origin", ":topic");
  age(folder, 40);
  await collectStore(fileBucket(folder), { dryRun: false });
  age(join(folder, "git-odb/gc"), 20);
  return { folder, ann, ben, url, whole };
}

/** With times to the last digit, which cpSync does not keep. */
function copyExactly(from: string, to: string): void {
  execFileSync("cp", ["-a", `${from}/.`, to]);
}

/** Whether all that each ref reaches is in the bucket, by a repository that has everything. */
function wholeness(folder: string, full: Person) {
  const closures = new Map<string, string[]>();
  const closure = (oid: string) => {
    let oids = closures.get(oid);
    if (oids === undefined) {
      oids = full.git("rev-list", "--objects", "--no-object-names", oid).split("\n");
      closures.set(oid, oids);
    }
    return oids;
  };
  const indexes = new Map<string, string[]>();
  const packed = (name: string) => {
    let oids = indexes.get(name);
    if (oids === undefined) {
      const input = readFileSync(join(folder, "objects/pack", name));
      oids = [...git(["show-index"], { input }).matchAll(/ ([0-9a-f]{40}) /g)].map(([, oid]) => oid ?? "");
      indexes.set(name, oids);
    }
    return oids;
  };
  return () => {
    const files = readdirSync(join(folder, "objects/pack"));
    const isUsable = (name: string) => name.endsWith(".idx") && files.includes(name.replace(/idx$/, "pack"));
    const there = new Set(files.filter(isUsable).flatMap(packed));
    const refs = readFileSync(join(folder, "git-odb/refs"), "utf8");
    for (const [, oid = "", ref] of refs.matchAll(/^([0-9a-f]{40})\t(.*)$/gm)) {
      for (const each of closure(oid)) {
        if (there.has(each) || existsSync(join(folder, "objects", each.slice(0, 2), each))) continue;
        throw new Error(`${ref} has lost ${each}`);
      }
    }
  };
}

interface Setting {
  readonly folder: string;
  readonly full: Person;
  /** Folders that a run changes. */
  readonly changing: readonly string[];
  readonly processes: Scene["processes"];
  /** Failures that may be. */
  readonly allowed?: RegExp;
}

/**
 * With `ORDERS=all` every order, which takes hours; with `ORDERS=<n>` so many by chance, from `SEED` on; else all with
 * two interruptions before changes.
 */
async function exploreAll({ folder, full, changing, processes, allowed = /^$/ }: Setting): Promise<number> {
  const saved = changing.map((each) => {
    const copy = tempDir("saved");
    copyExactly(each, copy);
    return copy;
  });
  const check = wholeness(folder, full);
  const start = async (): Promise<Scene> => {
    for (const [at, each] of changing.entries()) {
      rmSync(each, { recursive: true });
      mkdirSync(each);
      copyExactly(saved[at] ?? "", each);
    }
    return {
      bucket: fileBucket(folder),
      processes,
      check: async () => check(),
      async end(outcomes) {
        for (const outcome of outcomes)
          if (outcome.status === "rejected") expect(String(outcome.reason)).toMatch(allowed);
      },
    };
  };
  if (process.env.ORDERS === "all") {
    const orders = await explore(start, isAside);
    console.info(`${orders} orders`);
    return orders;
  }
  if (process.env.ORDERS !== undefined) {
    const by = { seed: Number(process.env.SEED ?? Date.now() % 1e9), orders: Number(process.env.ORDERS) };
    console.info(`${by.orders} orders from seed ${by.seed}`);
    return await exploreByChance(start, isAside, by);
  }
  const isStop = ({ kind, key }: Step) =>
    (kind === "write" && /^git-odb\/refs$|\.idx$/.test(key)) ||
    (/^objects\/../.test(key) && kind === "remove" && !key.includes("pack"));
  return await exploreStops(start, isAside, isStop);
}

/**
 * What cannot decide about an object: what is derived, which nobody reads here; a pack before its index; and what was
 * found, which only renews a grace period.
 */
function isAside({ kind, key }: Omit<Step, "who">): boolean {
  if (kind === "head" && key === "git-odb/refs") return true;
  if (key.startsWith("git-odb/gc/")) return !key.endsWith(".removing");
  return /^(?:info\/|HEAD|objects\/info\/|git-odb\.json)|\.(?:pack|promisor)$/.test(key);
}

/** A push as git-remote-odb makes it, up to the moment when its refs have moved. */
function pushing(who: Person, ...refs: string[]) {
  return async (stopped: Bucket, free: Bucket) => {
    let through = false;
    const bucket = wrapBucket(stopped, {
      head: (...args) => (through ? free : stopped).head(...args),
      read: (...args) => (through ? free : stopped).read(...args),
      list: (...args) => (through ? free : stopped).list(...args),
      async write(...args) {
        const outcome = await (through ? free : stopped).write(...args);
        through ||= args[0] === "git-odb/refs" && outcome.written;
        return outcome;
      },
    });
    const target = {
      repo: await openRepository(who.dir),
      bucket,
      remote: "origin",
      url: "",
      warn: () => {},
      countBlobs: () => startProgress("", 0, { output: { write() {} }, shown: false }),
    };
    const commands = refs.map((text) => {
      const [source, ref = ""] = text.split(":");
      return { source: source === "" ? undefined : source, ref: `refs/heads/${ref}`, force: false };
    });
    const options = { atomic: false, dryRun: false, leases: new Map(), progress: false };
    const results = await push(target, await readRefs(bucket), commands, options);
    expect(results).toEqual(commands.map(({ ref }) => ({ ref })));
  };
}

const collecting = (bucket: Bucket) => collectStore(bucket, { dryRun: false });

/** A run of all orders is long. */
const TIMEOUT_MS = process.env.ORDERS !== undefined ? 3_600_000 : 300_000;

beforeAll(() => {
  // For what git fetches while it pushes.
  process.env.PATH = cliEnv().PATH;
});

test("a push of what a collection removes at the same moment", { timeout: TIMEOUT_MS }, async () => {
  const { folder, ann } = await listed();
  const processes = [pushing(ann, "topic:topic"), collecting];
  expect(await exploreAll({ folder, full: ann, changing: [folder], processes })).toBeGreaterThan(8);
});

test("a push by one who has a blob only as promised", { timeout: TIMEOUT_MS }, async () => {
  const { folder, ann, ben } = await listed();
  const processes = [pushing(ben, "refs/remotes/origin/topic:other"), collecting];
  // It comes too late.
  const allowed = /is neither here nor in .*nothing was pushed/;
  const orders = await exploreAll({ folder, full: ann, changing: [folder, ben.dir], processes, allowed });
  expect(orders).toBeGreaterThan(8);
});

test("a push on top of a branch that goes meanwhile", { timeout: TIMEOUT_MS }, async () => {
  const { folder, ann, whole } = await listed();
  // Somebody has pushed it again, and had looked for lists before there was one.
  writeFileSync(join(folder, "git-odb/refs"), whole);
  ann.commit({ "more.txt": "more\n" });
  const drop = pushing(ann, ":topic");
  const dropAndCollect: Scene["processes"][number] = async (bucket, free) => {
    await drop(bucket, free);
    await collecting(bucket);
  };
  const processes = [pushing(ann, "topic:further"), dropAndCollect];
  expect(await exploreAll({ folder, full: ann, changing: [folder], processes })).toBeGreaterThan(8);
});

// With real processes in serverless-gc-crash.test.ts.
test.skipIf(process.env.ORDERS === undefined)("two collections", { timeout: TIMEOUT_MS }, async () => {
  const { folder, ann } = await listed();
  const processes = [collecting, collecting];
  const allowed = /was removed while it was read: try again/;
  expect(await exploreAll({ folder, full: ann, changing: [folder], processes, allowed })).toBeGreaterThan(8);
});
