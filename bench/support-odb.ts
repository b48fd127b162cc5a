/** A repository with an ODB, and sessions with its helpers, for measuring them as git would use them. */

import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectProcess, type ProcessClient } from "../protocol/client.js";
import { contentOf } from "../src/object/content.js";
import { type ObjectId, parseObjectId } from "../src/object/id.js";
import { root } from "./support.js";

/** A repository whose ODB `magic` is kept at a URL. */
export interface BenchOdb {
  readonly directory: string;
  readonly env: NodeJS.ProcessEnv;
  /** Path of the helper's built command. */
  readonly helper: string;
  /** A session in subprocess mode. */
  connect(): Promise<ProcessClient>;
  /** Removes the repository. */
  remove(): void;
}

/** @param kind of the helper: `file`, `s3` */
export function benchOdb(kind: string, url: string, more: NodeJS.ProcessEnv = {}): BenchOdb {
  const directory = mkdtempSync(join(tmpdir(), "git-odb-bench-"));
  const cache = join(directory, "cache");
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    GIT_CONFIG_GLOBAL: "/dev/null",
    XDG_CACHE_HOME: cache,
    ...more,
  };
  // It adds 38 ms to every Node 20 process.
  delete env.NODE_EXTRA_CA_CERTS;
  const repository = join(directory, "repo");
  const helper = join(root, `dist/bin/git-odb-helper-${kind}.cjs`);
  execFileSync("mkdir", ["-p", cache]);
  execFileSync("git", ["init", "-q", repository], { env });
  const config = (key: string, value: string) =>
    execFileSync("git", ["config", key, value], { cwd: repository, env });
  config("odb.magic.url", url);
  config("odb.magic.subprocessCommand", `git-odb-helper-${kind} --name magic`);
  return {
    directory: repository,
    env,
    helper,
    connect: () => connectProcess(`"${process.execPath}" "${helper}" --name magic`, { cwd: repository, env }),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** Random blobs of one size, put one by one. @returns their ids */
export async function putBlobs(client: ProcessClient, count: number, size: number): Promise<ObjectId[]> {
  const oids: ObjectId[] = [];
  for (let n = 0; n < count; n++) {
    const content = randomBytes(size);
    const oid = parseObjectId(createHash("sha1").update(`blob ${size}\0`).update(content).digest("hex"));
    await client.putRawObject({ oid, size, type: "blob" }, contentOf(content));
    oids.push(oid);
  }
  return oids;
}
