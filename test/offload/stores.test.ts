/** Stores of every kind that are down, slow, denied, lying or cut off: nothing is dropped or half there, one line says why. */

import { once } from "node:events";
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Bucket } from "../../src/bucket/bucket.js";
import { openBucket } from "../../src/bucket/open.js";
import { collect, hashObject, sourceOf } from "../../src/object/content.js";
import { cliEnv, startOdb } from "../support/cli.js";
import { type Fault, type FaultRule, type FaultyProxy, startFaultyProxy } from "../support/faulty-proxy.js";
import { git, gitBytes, spawnGit } from "../support/git.js";
import { type EmbeddedS3, startS3 } from "../support/s3/index.js";
import { putUnrecorded } from "../support/s3/unrecorded.js";
import { type ServeProcess, startServeProcess } from "../support/serve-process.js";
import { tempDir } from "../support/temp.js";
import { bigBlobs, expectOk, fsck, missing, pushedFixture, useCommands } from "./fixture.js";

/** A repository, and its store behind a proxy of its own. */
interface Place extends AsyncDisposable {
  readonly repo: string;
  readonly origin: string;
  readonly proxy: FaultyProxy;
  /** The store itself, past the proxy. */
  readonly bucket: Bucket;
  readonly oids: readonly string[];
}

/** A server of one kind, with room for many stores. */
interface Kind {
  start(): Promise<void>;
  stop(): Promise<void>;
  readonly server: () => string;
  /** The URL of a store, `base` in the server's place. */
  readonly url: (store: string, base: string) => string;
  /** Puts an object there by no upload of ours: no checksum is recorded, so that a proof is read. */
  put(store: string, key: string, bytes: Buffer): Promise<unknown>;
}

let s3: EmbeddedS3;
let http: ServeProcess;
let root = "";

const kinds: Readonly<Record<string, Kind>> = {
  http: {
    async start() {
      root = tempDir("stores");
      http = await startServeProcess(root);
    },
    stop: () => http.close(),
    server: () => http.url,
    url: (store, base) => `${base}/${store}`,
    async put(store, key, bytes) {
      const path = join(root, store, key);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, bytes);
    },
  },
  S3: {
    async start() {
      s3 = await startS3();
      Object.assign(process.env, s3.env);
    },
    stop: () => s3.close(),
    server: () => s3.endpoint,
    url: (store, base) => s3.url(store, { endpoint: base }),
    put: (store, key, bytes) => putUnrecorded(s3, `${store}/${key}`, bytes),
  },
};

let template: ReturnType<typeof pushedFixture>;

beforeAll(() => {
  useCommands();
  template = pushedFixture({ size: 40_000 });
  git(["config", "maintenance.auto", "false"], { cwd: template.repo });
});

describe.each(Object.entries(kinds))("a store behind %s", (_, kind) => {
  let stores = 0;

  beforeAll(() => kind.start());
  afterAll(() => kind.stop());

  /** @param filled the store has what was pushed */
  async function makePlace({ filled = true } = {}): Promise<Place> {
    const dir = tempDir("place");
    const [repo, origin] = [join(dir, "repo"), join(dir, "origin")];
    cpSync(template.repo, repo, { recursive: true });
    cpSync(template.origin, origin, { recursive: true });
    const proxy = await startFaultyProxy(kind.server());
    const name = `store${++stores}`;
    const bucket = await openBucket(kind.url(name, kind.server()));
    const oids = bigBlobs(repo);
    if (filled) for (const oid of oids) await kind.put(name, keyOf(oid), blobOf(repo, oid));
    const url = kind.url(name, proxy.url);
    for (const [key, value] of [
      ["remote.origin.url", origin],
      ["odb.big.url", url],
      ["remote.odb-big.url", `odb::${url}`],
    ] as const)
      git(["config", "--replace-all", key, value], { cwd: repo });
    const end = async () => {
      await bucket.close();
      await proxy.close();
    };
    return { repo, origin, proxy, bucket, oids, [Symbol.asyncDispose]: end };
  }

  it("offload drops nothing, fetch and git keep what came whole, and all is done once the store is well", async () => {
    await each([...asked, ...read], makePlace, async (name, { repo, proxy, oids }, message, rules) => {
      const failed = await odb(repo, "offload");
      expect([name, failed.status, failed.stderr]).toEqual([name, 128, oneLine]);
      expect(failed.stderr).toMatch(message);
      expect([name, missing(repo), fsck(repo)]).toEqual([name, [], ""]);
      proxy.clear();
      expectOk(await odb(repo, "offload", "-q"));
      expect([name, missing(repo), fsck(repo)]).toEqual([name, oids, ""]);
      proxy.add(...rules);
      const lacking = await odb(repo, "fetch", "-q");
      expect([name, lacking.status > 0, lacking.stderr]).toEqual([name, true, oneLine]);
      expect(lacking.stderr).toMatch(message);
      expect([name, fsck(repo)]).toEqual([name, ""]);
      const some = missing(repo).length < oids.length;
      expect([name, some]).toEqual([name, read.some(([each]) => each === name)]);
      const lazy = await spawnGit(["cat-file", "blob", oids[2] ?? ""], { cwd: repo, env: cliEnv() });
      expect([name, lazy.status, lazy.stderr]).toEqual([
        name,
        128,
        expect.stringMatching(/^git-remote-odb: [^\n]+\n(?:fatal|error): [^\n]+\n$/),
      ]);
      // Slow, it does as well.
      proxy.clear();
      proxy.latencyMs = 50;
      expectOk(await odb(repo, "fetch", "-q"));
      expect([name, missing(repo), fsck(repo)]).toEqual([name, [], ""]);
    });
  }, 300_000);

  it("push tells of nothing that is not there, and sends the rest once the store is well", async () => {
    const empty = () => makePlace({ filled: false });
    await each(written, empty, async (name, { repo, origin, proxy, bucket, oids }, message) => {
      forget(repo, origin);
      const failed = await odb(repo, "push", "-q");
      expect([name, failed.status, failed.stderr]).toEqual([name, 128, oneLine]);
      expect(failed.stderr).toMatch(message);
      for (const oid of named(origin)) expect([name, await isWhole(bucket, oid)]).toEqual([name, true]);
      proxy.clear();
      expectOk(await odb(repo, "push", "-q"));
      expect([name, named(origin)]).toEqual([name, oids]);
      for (const oid of oids) expect([name, await isWhole(bucket, oid)]).toEqual([name, true]);
    });
  }, 300_000);

  it("a blob of another size is found before anything is dropped, and sent again as the message says", async () => {
    await using place = await makePlace();
    const { repo, bucket, oids } = place;
    const [bad = ""] = oids;
    await bucket.write(keyOf(bad), sourceOf(blobOf(repo, bad).subarray(0, 1000)));
    const { status, stderr } = await odb(repo, "offload");
    // Metadata that says otherwise is warned of, too.
    const told = `^(?:warning: .*\n)?fatal: object ${bad}: .* \\(in ODB big\\): nothing was dropped; "git odb put big ${bad}" sends it again\n$`;
    expect([status, stderr]).toEqual([128, expect.stringMatching(new RegExp(told))]);
    expect([missing(repo), fsck(repo)]).toEqual([[], ""]);
    expectOk(await odb(repo, "put", "-q", "big", bad));
    expect(await isWhole(bucket, bad)).toBe(true);
    expectOk(await odb(repo, "offload", "-q"));
    expect([missing(repo), fsck(repo)]).toEqual([oids, ""]);
  });

  it("a server that never answers holds up no interrupted offload", async () => {
    await using place = await makePlace();
    const { repo, proxy } = place;
    proxy.add(always({ kind: "hang" }));
    const child = startOdb(["offload", "-q"], { cwd: repo });
    while (proxy.seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill("SIGINT");
    expect((await once(child, "exit"))[0]).toBe(130);
    expect([missing(repo), fsck(repo)]).toEqual([[], ""]);
  });
});

const oneLine = expect.stringMatching(/^(?:fatal|warning): [^\n]+\n$/);

/** What goes wrong at whatever is asked. */
const asked: readonly FaultCase[] = [
  ["answers 503", () => [always({ kind: "status", status: 503 })], /503.*: try again later/],
  ["denies", () => [always({ kind: "status", status: 403 })], /403.*: check /],
];

/** What goes wrong while a blob comes. */
const read: readonly FaultCase[] = [
  // The connection, each time that it is taken up where it broke.
  [
    "is cut off in a blob",
    (oid) => [onBlob(oid, "GET", { kind: "reset", afterBytes: 100 })],
    /try again later/i,
  ],
  [
    "gives wrong bytes",
    (oid) => [onBlob(oid, "GET", { kind: "corrupt", at: 20_000 })],
    /object [0-9a-f]{40}: .*in ODB big.*git odb put big/,
  ],
];

/** What goes wrong while a blob is sent, or altogether. */
const written: readonly FaultCase[] = [
  ["resets connections", () => [always({ kind: "reset" })], /: .*try again later/i],
  [
    "is cut off in a blob",
    (oid) => [onBlob(oid, "PUT", { kind: "reset-upload", afterBytes: 20_000 })],
    /try again later/i,
  ],
  [
    "gets wrong bytes",
    (oid) => [onBlob(oid, "PUT", { kind: "corrupt-upload", at: 20_000 })],
    /try again later/i,
  ],
  ["loses its answers", (oid) => [onBlob(oid, "PUT", { kind: "lose-answer" })], /try again later/i],
];

/** Its name, how the proxy does it to one blob, what the message says. */
type FaultCase = readonly [string, (oid: string) => FaultRule[], RegExp];

function always(fault: Fault): FaultRule {
  return { times: Number.POSITIVE_INFINITY, fault };
}

function onBlob(oid: string, method: string, fault: Fault): FaultRule {
  return { ...always(fault), method, path: new RegExp(oid) };
}

type Check = (name: string, place: Place, message: RegExp, rules: readonly FaultRule[]) => Promise<void>;

/** All at the same time: most of it is waiting between tries. */
async function each(faults: readonly FaultCase[], make: () => Promise<Place>, check: Check): Promise<void> {
  await Promise.all(
    faults.map(async ([name, rulesOf, message]) => {
      await using place = await make();
      const rules = rulesOf(place.oids[2] ?? "");
      place.proxy.add(...rules);
      await check(name, place, message, rules);
    }),
  );
}

function odb(repo: string, ...args: string[]) {
  return spawnGit(["odb", ...args], { cwd: repo, env: cliEnv() });
}

function blobOf(repo: string, oid: string): Buffer {
  return gitBytes(["cat-file", "blob", oid], { cwd: repo });
}

function keyOf(oid: string): string {
  return `objects/${oid.slice(0, 2)}/${oid}`;
}

/** As before the first push. */
function forget(repo: string, origin: string): void {
  git(["update-ref", "-d", "refs/remotes/origin/main"], { cwd: repo });
  for (const dir of [repo, origin])
    for (const oid of named(dir)) git(["update-ref", "-d", `refs/odbs/big/${oid}`], { cwd: dir });
  rmSync(join(repo, ".git/odb"), { recursive: true });
}

async function isWhole(bucket: Bucket, oid: string): Promise<boolean> {
  const body = await bucket.read(keyOf(oid));
  return body !== undefined && hashObject("blob", await collect(body.content, 1_000_000), "sha1") === oid;
}

/** The objects whose metadata refs a repository has. */
function named(repo: string): string[] {
  const refs = git(["for-each-ref", "--format=%(refname:lstrip=3)", "refs/odbs/big"], { cwd: repo });
  return refs.split("\n").filter(Boolean).sort();
}
