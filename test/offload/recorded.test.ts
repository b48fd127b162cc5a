/** What the store recorded of our uploads proves its copies to who has the blobs: S3 is asked for headers alone. */

import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openBucket } from "../../src/bucket/open.js";
import { sourceOf } from "../../src/object/content.js";
import { cliEnv } from "../support/cli.js";
import { git, gitBytes, spawnGit } from "../support/git.js";
import { type EmbeddedS3, startS3 } from "../support/s3/index.js";
import { putUnrecorded } from "../support/s3/unrecorded.js";
import {
  bigBlobs,
  commit,
  expectOk,
  fsck,
  missing,
  pushedFixture,
  useCommands,
  writeBig,
} from "./fixture.js";

let s3: EmbeddedS3;
beforeAll(async () => {
  useCommands();
  s3 = await startS3();
  Object.assign(process.env, s3.env);
});
afterAll(() => s3.close());

const keyOf = (oid: string) => `objects/${oid.slice(0, 2)}/${oid}`;

async function offload(repo: string) {
  await s3.takeRequests();
  const done = await spawnGit(["odb", "offload", "-q"], { cwd: repo, env: cliEnv() });
  const asked = (operation: string) => (one: { operation: string }) => one.operation === operation;
  const requests = (await s3.takeRequests()).filter(({ key }) => key.includes("/objects/"));
  return {
    ...done,
    heads: requests.filter(asked("HeadObject")).length,
    /** The objects that were read. */
    reads: requests.filter(asked("GetObject")).map(({ key }) => key.slice(-40)),
  };
}

it("one HEAD a blob proves what we uploaded, of any size; only what others put is read", async () => {
  const { repo } = pushedFixture({ url: s3.url("ours") });
  // From memory, streamed, and in parts.
  writeBig(repo, "streamed.bin", 3_000_000);
  writeBig(repo, "parts.bin", 17_000_000);
  commit(repo, "large");
  expectOk(await spawnGit(["odb", "push", "-q"], { cwd: repo, env: cliEnv() }));
  git(["push", "-q", "origin", "main"], { cwd: repo });
  const oids = bigBlobs(repo);
  const [foreign = ""] = oids.filter((oid) => Number(git(["cat-file", "-s", oid], { cwd: repo })) === 20_000);
  await putUnrecorded(s3, `ours/${keyOf(foreign)}`, gitBytes(["cat-file", "blob", foreign], { cwd: repo }));
  expect(await offload(repo)).toMatchObject({ status: 0, stderr: "", heads: 8, reads: [foreign] });
  expect([missing(repo), fsck(repo)]).toEqual([oids, ""]);
}, 60_000);

it("a checksum that was recorded of other bytes proves nothing: they are read, and nothing is dropped", async () => {
  const { repo } = pushedFixture({ url: s3.url("other") });
  const [bad = ""] = bigBlobs(repo);
  const bucket = await openBucket(s3.url("other"));
  await bucket.write(keyOf(bad), sourceOf(randomBytes(20_000)));
  expect((await bucket.head(keyOf(bad)))?.sha256).toMatch(/^[0-9a-f]{64}$/);
  await bucket.close();
  const done = await offload(repo);
  expect(done).toMatchObject({ status: 128, reads: [bad] });
  expect(done.stderr).toContain(`object ${bad}`);
  expect(done.stderr).toContain("nothing was dropped");
  expect([missing(repo), fsck(repo)]).toEqual([[], ""]);
});
