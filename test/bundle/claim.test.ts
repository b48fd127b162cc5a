/** Several `git odb bundle` in one repository at the same time: one works, the others say so. */

import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { ownedName } from "../../src/bucket/owner.js";
import { allObjects, bundleUp, sourceRepo } from "../support/bundles.js";
import { startOdb } from "../support/cli.js";
import { startFaultyProxy } from "../support/faulty-proxy.js";
import { git, tempRepo } from "../support/git.js";
import { startStaticServer } from "../support/static-server.js";
import { tempDir } from "../support/temp.js";

const AT_WORK = /^fatal: another git odb bundle is at work here; if it is not, remove .*claimed\n$/;

/** A repository without anything yet, and a bundle for it whose server never answers until it is told to. */
async function scene() {
  const source = sourceRepo();
  const folder = tempDir("bundles");
  const server = await startStaticServer(folder);
  const proxy = await startFaultyProxy(server.url);
  await bundleUp(source, folder, { start: "new", baseUrl: proxy.url });
  const repo = tempRepo();
  git(["remote", "add", "origin", source], { cwd: repo });
  proxy.add({ path: /\.bundle$/, times: Number.POSITIVE_INFINITY, fault: { kind: "hang" } });
  return {
    source,
    repo,
    proxy,
    start: (env: NodeJS.ProcessEnv = {}) => run(repo, `${proxy.url}/bundles.json`, env),
    /** How many have got as far as to download. */
    downloads: () => proxy.seen.filter(({ path }) => path.endsWith(".bundle")).length,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await server.close();
    },
  };
}

function run(cwd: string, table: string, env: NodeJS.ProcessEnv) {
  const child = startOdb(["bundle", "fetch", "-q", "--bundles", table], { cwd, env });
  onTestFinished(() => void child.kill("SIGKILL"));
  const at = { child, stderr: "", isOver: false, end: once(child, "close") };
  child.stderr.on("data", (text) => {
    at.stderr += text;
  });
  at.end.then(() => {
    at.isOver = true;
  });
  return at;
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await sleep(5);
}

describe("fetches by bundles in one repository", () => {
  it("are refused while one is at work, and go on when that was killed", async () => {
    await using at = await scene();
    const first = at.start();
    await until(() => at.downloads() === 1);
    const second = at.start();
    expect((await second.end)[0]).not.toBe(0);
    expect(second.stderr).toMatch(AT_WORK);
    first.child.kill("SIGKILL");
    await first.end;
    at.proxy.clear();
    const third = at.start();
    expect([(await third.end)[0], third.stderr]).toEqual([0, ""]);
    expect(allObjects(at.repo)).toEqual(allObjects(at.source));
    expect(readdirSync(join(at.repo, ".git/odb-bundles"))).toEqual([]);
  });

  it("never both take over what a killed one left", async () => {
    await using at = await scene();
    mkdirSync(join(at.repo, ".git/odb-bundles"));
    const dead = `${ownedName().split("-")[0]}-4194400-1-${"0".repeat(16)}`;
    symlinkSync(dead, join(at.repo, ".git/odb-bundles/claimed"));
    // The first stops when it has seen that its owner is gone, before it takes it away.
    const stopping = join(tempDir("stopping"), "stopping.cjs");
    writeFileSync(
      stopping,
      `const fs = require("node:fs/promises");
       for (const name of ["rm", "unlink", "rename"]) {
         const real = fs[name];
         fs[name] = (path, ...rest) => {
           if (String(path).endsWith("/claimed")) process.kill(process.pid, "SIGSTOP");
           return real(path, ...rest);
         };
       }`,
    );
    const first = at.start({ NODE_OPTIONS: `--require=${stopping}` });
    const stat = `/proc/${first.child.pid}/stat`;
    await until(() => first.isOver || readFileSync(stat, "latin1").split(") ")[1]?.startsWith("T") === true);
    const second = at.start();
    await until(() => second.isOver || at.downloads() > 0);
    first.child.kill("SIGCONT");
    await until(() => first.isOver || at.downloads() + Number(second.isOver) === 2);
    expect([first.isOver, second.isOver, at.downloads()]).toEqual([false, true, 1]);
    expect(second.stderr).toMatch(AT_WORK);
    first.child.kill("SIGKILL");
    await first.end;
  });
});
