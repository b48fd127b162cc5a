/** Where a push goes and what it takes along: git-push(1), githooks(5) pre-push. */

import { OdbError } from "../errors.js";
import type { PushRange } from "../odb/push-range.js";
import { METADATA_REFS } from "../odb/refs.js";
import { infosOf } from "../repo/cat-file.js";
import { readConfig } from "../repo/config.js";
import type { Repository } from "../repo/git.js";

/** The other side of a push. */
export interface PushTarget {
  /** What `git push` is given: a name or a URL. */
  readonly destination: string;
  /** The remote's name, where it has one: then its remote-tracking refs say what it has. */
  readonly remote?: string;
}

/** The remote that was named, or the one that `git push` would take. @throws OdbError config, when there is none */
export async function targetOf(repo: Repository, named: string | undefined): Promise<PushTarget> {
  const entries = await readConfig(repo);
  const value = (key: string) => entries.findLast((entry) => entry.key === key)?.value;
  const remotes = new Set(
    entries.flatMap(({ key }) => /^remote\.(.+)\.(?:url|pushurl)$/s.exec(key)?.[1] ?? []),
  );
  const branch = (await repo.run(["symbolic-ref", "--quiet", "--short", "HEAD"], { okStatus: [0, 1, 128] }))
    .stdout;
  const section = `branch.${branch.toString().trim()}`;
  const only = [...remotes].filter((name) => value(`remote.${name}.promisor`) === undefined);
  const destination =
    named ??
    value(`${section}.pushremote`) ??
    value("remote.pushdefault") ??
    value(`${section}.remote`) ??
    (only.length === 1 && only[0] ? only[0] : "origin");
  if (remotes.has(destination)) return { destination, remote: destination };
  if (/[:/.]/.test(destination)) return { destination };
  throw new OdbError(
    "config",
    `${repo.name} has no remote ${destination}: name one, or run "git remote add"`,
  );
}

/** What git says on a hook's standard input: `<local ref> <local oid> <remote ref> <remote oid>` lines. */
export async function prePushRange(repo: Repository, target: PushTarget): Promise<PushRange> {
  const tips: string[] = [];
  const theirs: string[] = [];
  for (const line of (await readStdin()).split("\n")) {
    const [, local = "", ref = "", remote = ""] = line.split(" ");
    // Metadata refs are what we push ourselves; a null id deletes.
    if (ref === "" || ref.startsWith(METADATA_REFS) || isNull(local)) continue;
    tips.push(local);
    if (!isNull(remote)) theirs.push(remote);
  }
  const exclude: string[] = [];
  for await (const info of infosOf(repo, theirs)) if (info?.type === "commit") exclude.push(info.oid);
  return { tips, exclude, ...(target.remote !== undefined && { remote: target.remote }) };
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

function isNull(oid: string): boolean {
  return /^0+$/.test(oid);
}
