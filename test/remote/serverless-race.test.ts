import { spawn } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import { expect, test } from "vitest";
import { type CliOptions, cliEnv } from "../support/cli.js";
import { startFaultyProxy } from "../support/faulty-proxy.js";
import { startServeProcess } from "../support/serve-process.js";
import { clonePerson, cloneServed, newPerson, type Person } from "../support/serverless.js";
import { tempDir } from "../support/temp.js";

const files = () => ({ "x.bin": randomBytes(40_000), "a.txt": randomBytes(2000).toString("hex") });

function started(url: string): Person {
  const ann = newPerson(url);
  ann.commit({ ".gitattributes": "*.bin odb=magic\n", ...files() });
  ann.git("push", "-q", "-u", "origin", "main");
  return ann;
}

/** A clone is whole: every object there, every blob of every ref in reach. */
function checkClone(url: string): Person {
  const clone = clonePerson(url, "--no-checkout");
  expect(clone.try("fsck", "--full")).toMatchObject({ status: 0 });
  clone.git("rev-list", "--objects", "--all", "--quiet");
  return clone;
}

test("many pushers at once: every branch arrives, main goes to one of them", async () => {
  const url = `odb::${tempDir("bucket")}`;
  const people = [started(url), ...Array.from({ length: 4 }, () => clonePerson(url))];
  const tips = people.map((person) => person.commit(files()));
  const pushes = people.map((person, n) =>
    person.run(["push", "origin", "HEAD:main", `HEAD:refs/heads/own-${n}`]),
  );
  const results = await Promise.all(pushes);
  expect(results.map(({ status }) => status).toSorted()).toEqual([0, 1, 1, 1, 1]);
  for (const { status, stderr } of results) {
    if (status !== 0) expect(stderr).toMatch(/HEAD -> main \((fetch first|non-fast-forward)\)/);
  }
  const clone = checkClone(url);
  for (const [n, tip] of tips.entries()) expect(clone.git("rev-parse", `origin/own-${n}`)).toBe(tip);
  expect(tips).toContain(clone.git("rev-parse", "origin/main"));
});

test("kill -9 at any moment of a push leaves the old state or the new one", async () => {
  const url = `odb::${tempDir("bucket")}`;
  const ann = started(url);
  let remote = ann.git("rev-parse", "HEAD");
  for (let round = 0; round < 6; round++) {
    const next = ann.commit(files());
    await killed(["push", "origin", "main"], { cwd: ann.dir }, randomInt(30, 600));
    const now = ann.git("ls-remote", "origin", "main").split("\t")[0] ?? "";
    expect([remote, next]).toContain(now);
    remote = now;
    if (round % 3 === 2) checkClone(url);
  }
  ann.git("push", "-q", "origin", "main");
  expect(checkClone(url).git("rev-parse", "origin/main")).toBe(ann.git("rev-parse", "HEAD"));
});

test("a server that refuses the nth write, or loses its answer, leaves nothing half", async () => {
  const folder = tempDir("served");
  await using server = await startServeProcess(folder);
  await using proxy = await startFaultyProxy(server.url);
  const url = `odb::${proxy.url}`;
  const ann = newPerson(url);
  ann.commit({ ".gitattributes": "*.bin odb=magic\n", ...files() });
  expect(await ann.run(["push", "-q", "-u", "origin", "main"])).toMatchObject({ status: 0 });
  ann.commit(files());
  proxy.seen.length = 0;
  expect(await ann.run(["push", "-q"])).toMatchObject({ status: 0 });
  const writes = proxy.seen.filter(({ method }) => method === "PUT").map(({ path }) => path);
  expect(writes.findIndex((path) => path.endsWith("git-odb/refs"))).toBeGreaterThan(
    writes.findLastIndex((path) => /\/objects\/(pack|..)\//.test(path)),
  );
  let remote = ann.git("rev-parse", "HEAD");
  for (let nth = 1; nth <= writes.length; nth++) {
    const kind = nth % 2 === 0 ? "lose-answer" : "status";
    const fault = kind === "status" ? ({ kind, status: 403 } as const) : ({ kind } as const);
    const next = ann.commit(files());
    proxy.add({ method: "PUT", nth, fault });
    const { status } = await ann.run(["push", "-q"]);
    proxy.clear();
    // A copy of the bucket, as another person's git sees it.
    const now = (await ann.run(["ls-remote", "origin", "main"])).stdout.split("\t")[0] ?? "";
    expect(now).toBe(status === 0 ? next : remote);
    if (kind === "lose-answer") expect(status).toBe(0);
    remote = now;
  }
  expect(await ann.run(["push", "-q"])).toMatchObject({ status: 0 });
  const clone = await cloneServed(url);
  expect(clone.git("rev-parse", "HEAD")).toBe(ann.git("rev-parse", "HEAD"));
  expect(await clone.run(["fsck", "--full"])).toMatchObject({ status: 0 });
  expect(await cloneServed(`odb::${folder}`)).toBeDefined();
});

test("a fetch in which nothing has changed is one request", async () => {
  const folder = tempDir("served");
  started(`odb::${folder}`);
  await using server = await startServeProcess(folder);
  const clone = await cloneServed(`odb::${server.url}`);
  await server.takeLog();
  expect(await clone.run(["fetch", "-q"])).toMatchObject({ status: 0 });
  expect((await server.takeLog()).map(({ method, target }) => `${method} ${target}`)).toEqual([
    "GET /git-odb/refs",
  ]);
});

/** Runs git and kills it, with all that it started, after so many milliseconds. */
async function killed(args: readonly string[], options: CliOptions, afterMs: number): Promise<void> {
  const child = spawn("git", args, { ...options, env: cliEnv(), detached: true, stdio: "ignore" });
  const ended = new Promise((done) => child.once("exit", done));
  const timer = setTimeout(() => {
    try {
      process.kill(-(child.pid ?? 0), "SIGKILL");
    } catch (error) {
      // It was through already.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }, afterMs);
  await ended;
  clearTimeout(timer);
}
