/** A disk that is really full: a small tmpfs of its own, which takes root to mount. */

import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { connectProcess } from "../../protocol/client.js";
import { contentOf, hashObject } from "../../src/object/content.js";
import { gitOdb } from "../support/cli.js";
import { bin, git, tempRepo, tryGit } from "../support/git.js";
import { tempDir } from "../support/temp.js";

const helper = bin("git-odb-helper-file");
const MiB = 1 << 20;

// Where CI says that all is there it must not be left out.
describe.skipIf(process.env.CI === undefined && !canMount())("a full disk", () => {
  /** A folder on a disk of 1 MiB, and a repository with an ODB in it; `repo` may be on the disk, too. */
  function smallDisk(): { disk: string; repo: string } & Disposable {
    const disk = tempDir("disk");
    expect(mount(disk)).toMatchObject({ status: 0 });
    const store = join(disk, "store");
    mkdirSync(store);
    const repo = tempRepo();
    git(["config", "odb.magic.url", store], { cwd: repo });
    return { disk, repo, [Symbol.dispose]: () => void spawnSync("umount", [disk]) };
  }

  function object(size: number) {
    const bytes = randomBytes(size);
    return { bytes, info: { oid: hashObject("blob", bytes), size, type: "blob" as const } };
  }

  /** Every file below a folder. */
  function files(dir: string): string[] {
    const names = readdirSync(dir, { recursive: true, encoding: "utf8" });
    return names.filter((name) => statSync(join(dir, name)).isFile()).sort();
  }

  it("a put is refused in one line, leaves nothing behind, and works once there is room", async () => {
    using place = smallDisk();
    const { disk, repo } = place;
    const { bytes, info } = object(2 * MiB);
    const said: string[] = [];
    const command = `'${process.execPath}' '${helper}' --name magic`;
    await using client = await connectProcess(command, { cwd: repo, onStderr: (text) => said.push(text) });
    await expect(client.putRawObject(info, contentOf(bytes))).rejects.toThrow(/status=error/);
    expect(said.join("")).toMatch(/^git-odb-helper-file: put_raw_obj: [^\n]*no space left[^\n]*\n$/i);
    expect(files(disk)).toEqual([]);
    const small = object(1000);
    await client.putRawObject(small.info, contentOf(small.bytes));
    expect(files(disk)).toEqual([`store/objects/${small.info.oid.slice(0, 2)}/${small.info.oid}`]);
  });

  it("a script put is kept in the repository and queued", () => {
    using place = smallDisk();
    const { disk, repo } = place;
    const { bytes, info } = object(2 * MiB);
    const args = [helper, "--name", "magic", "put_raw_obj", info.oid, String(info.size), "blob"];
    const put = spawnSync(process.execPath, args, { cwd: repo, input: bytes, encoding: "utf8" });
    expect(put.stderr).toMatch(
      /could not be stored: [^\n]*no space left[^\n]*kept in this repository[^\n]*\n$/i,
    );
    expect(put.status).toBe(0);
    expect(git(["cat-file", "-s", info.oid], { cwd: repo })).toBe(String(info.size));
    expect(files(disk)).toEqual([]);
    const sent = gitOdb(["put", "magic", "--queued"], { cwd: repo });
    expect(sent).toMatchObject({ status: 128, stderr: expect.stringMatching(/no space left/i) });
    expect(tryGit(["rev-parse", "--verify", `refs/odbs/magic/${info.oid}`], { cwd: repo }).status).toBe(128);
  });

  it("git odb put and get say so, exit with 128 and leave what there was", () => {
    using place = smallDisk();
    const { disk, repo } = place;
    const { bytes } = object(2 * MiB);
    writeFileSync(join(repo, "big.bin"), bytes);
    git(["add", "big.bin"], { cwd: repo });
    const put = gitOdb(["put", "magic", "big.bin"], { cwd: repo });
    expect([put.status, put.stdout]).toEqual([128, ""]);
    expect(put.stderr).toMatch(/^fatal: [^\n]*no space left[^\n]*\n$/i);
    expect(files(disk)).toEqual([]);
    // The other way: the store has room, the repository's disk has none.
    const clone = join(disk, "clone");
    const roomy = tempDir("roomy");
    git(["config", "odb.magic.url", roomy], { cwd: repo });
    expect(gitOdb(["put", "-q", "magic", "big.bin"], { cwd: repo }).status).toBe(0);
    git(["init", "-q", clone]);
    git(["config", "odb.magic.url", roomy], { cwd: clone });
    const objects = join(clone, ".git/objects");
    const oid = hashObject("blob", bytes);
    const got = gitOdb(["get", "magic", oid], { cwd: clone });
    expect(got.status).toBe(128);
    expect(got.stderr).toMatch(/^fatal: [^\n]*no space left[^\n]*\n$/i);
    expect(files(objects)).toEqual([]);
    expect(readFileSync(join(repo, "big.bin")).equals(bytes)).toBe(true);
  });
});

function mount(folder: string) {
  return spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], { encoding: "utf8" });
}

/** Root may do so, but not in every container. */
function canMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), "git-odb-mount-"));
  try {
    if (mount(folder).status !== 0) return false;
    return spawnSync("umount", [folder]).status === 0;
  } finally {
    rmdirSync(folder);
  }
}
