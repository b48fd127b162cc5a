/** Stock git reads bare repositories through the server by the dumb protocol. */

import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fileBucket } from "../../src/bucket/file.js";
import { git, spawnGit, tempRepo } from "../support/git.js";
import { startServeProcess } from "../support/serve-process.js";
import { tempDir } from "../support/temp.js";

/** A bare repository `repo.git` in a new folder: a pack, loose objects, a branch and a tag. */
function folderWithRepository(): string {
  const work = tempRepo();
  for (let i = 0; i < 20; i++) {
    writeFileSync(join(work, `file${i}`), `content ${i}\n`.repeat(1000));
    git(["add", "."], { cwd: work });
    git(["commit", "-qm", `commit ${i}`], { cwd: work });
    if (i === 15) git(["gc", "-q"], { cwd: work });
  }
  git(["tag", "-am", "tagged", "v1"], { cwd: work });
  const root = tempDir("bucket");
  git(["clone", "-q", "--bare", "--no-local", work, join(root, "repo.git")]);
  git(["fetch", "-q", work, "main"], { cwd: join(root, "repo.git") });
  git(["update-server-info"], { cwd: join(root, "repo.git") });
  return root;
}

const objects = (cwd: string) => git(["rev-list", "--objects", "--all"], { cwd });

test("git clone and fetch, without and with a password", async () => {
  const root = folderWithRepository();
  const bare = join(root, "repo.git");
  await using open = await startServeProcess(root);
  const clone = join(tempDir("clone"), "c");
  expect(await spawnGit(["clone", "-q", "--mirror", `${open.url}/repo.git`, clone])).toMatchObject({
    status: 0,
    stderr: "",
  });
  expect(objects(clone)).toBe(objects(bare));
  expect(git(["fsck", "--strict"], { cwd: clone })).toBe("");

  const work = tempRepo();
  git(["pull", "-q", bare, "main"], { cwd: work });
  git(["commit", "-q", "--allow-empty", "-m", "later"], { cwd: work });
  git(["push", "-q", bare, "HEAD:main"], { cwd: work });
  git(["update-server-info"], { cwd: bare });
  expect(await spawnGit(["fetch", "-q"], { cwd: clone })).toMatchObject({ status: 0 });
  expect(objects(clone)).toBe(objects(bare));
  expect((await open.takeLog()).filter(({ status }) => status >= 500)).toEqual([]);

  await using closed = await startServeProcess(root, {
    credentials: [{ kind: "basic", username: "alice", password: "secret" }],
  });
  const url = `${closed.url}/repo.git`;
  expect((await spawnGit(["ls-remote", url])).status).toBe(128);
  const withPassword = url.replace("://", "://alice:secret@");
  expect(await spawnGit(["ls-remote", withPassword, "HEAD"])).toMatchObject({
    status: 0,
    stdout: `${git(["rev-parse", "main"], { cwd: bare })}\tHEAD\n`,
  });
});

test("a server that dies in the middle of a large write leaves nothing behind", async () => {
  const root = tempDir("bucket");
  const server = await startServeProcess(root);
  const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
  socket.on("error", () => {});
  socket.write("PUT /key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n");
  // More than the system's buffers hold: the server is writing when this has left.
  await new Promise((done) => socket.write(Buffer.alloc(20_000_000), done));
  await server.close();
  socket.destroy();
  const keys: string[] = [];
  for await (const { key } of fileBucket(root).list("")) keys.push(key);
  expect(keys).toEqual([]);
});
