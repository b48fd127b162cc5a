/** A run that is killed in the middle of a large pack: the next one sends only the parts that are not there yet. */

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { expect, it } from "vitest";
import { mirror } from "../../src/mirror/mirror.js";
import { commandFolder } from "../support/cli.js";
import { startFaultyProxy } from "../support/faulty-proxy.js";
import { git, tempRepo } from "../support/git.js";
import { addCommit, expectMirrors } from "../support/mirror.js";
import { startS3 } from "../support/s3/index.js";

it("goes on with the parts that it finds", async () => {
  const s3 = await startS3();
  Object.assign(process.env, s3.env);
  await using proxy = await startFaultyProxy(s3.endpoint);
  const source = tempRepo();
  // Nothing is gained by deflating noise.
  git(["config", "core.compression", "0"], { cwd: source });
  // Four parts of 16 MiB, the last one not full: as UTF-8 it is half as long again.
  addCommit(source, "noise", randomBytes(36 * 1024 * 1024).toString("latin1"));
  proxy.add({ path: /partNumber=2/, fault: { kind: "hang" } });
  const target = s3.url("resume", { endpoint: proxy.url });
  const args = ["mirror", "-q", "--source", source, "--target", target];
  const child = spawn(join(commandFolder(), "git-odb"), args, { stdio: ["ignore", "ignore", "inherit"] });
  const exited = once(child, "exit");
  const partsDone = () =>
    proxy.seen.filter(({ path, answered }) => answered && /partNumber=/.test(path)).length;
  const isStuck = () => proxy.seen.some(({ fault }) => fault === "hang");
  while (child.exitCode === null && (!isStuck() || partsDone() < 3)) {
    await new Promise((wait) => setTimeout(wait, 10));
  }
  expect(child.exitCode).toBe(null);
  child.kill("SIGKILL");
  await exited;
  await s3.takeRequests();
  expect((await mirror([{ source, target: s3.url("resume") }])).failed).toEqual([]);
  const requests = await s3.takeRequests();
  const sent = requests.filter(({ operation }) => operation === "UploadPart");
  expect(sent.map(({ query }) => /partNumber=(\d+)/.exec(query)?.[1])).toEqual(["2"]);
  expect(requests.some(({ operation }) => operation === "CreateMultipartUpload")).toBe(false);
  await expectMirrors(source, s3.url("resume"));
  await s3.close();
}, 120_000);
