/** A bare repository that keeps no big blobs itself: the settings and the hook that it needs (docs/server.md). */

import { OdbError } from "../errors.js";
import type { ConfigEntry } from "../repo/config.js";
import { setConfig } from "../repo/config.js";
import type { Repository } from "../repo/git.js";
import { hookPlace, hookState, writeHook } from "../repo/hooks.js";
import { PROMISE_PREFIX } from "./promise.js";

/** A setting of such a server, and what goes wrong without it. */
export interface ServerSetting {
  /** In the spelling of git's documentation. */
  readonly key: string;
  readonly value: string;
  readonly without: string;
}

/** For every ODB of the server, and `odb.<name>.server` for each. */
export const serverSettings: readonly ServerSetting[] = [
  { key: "repack.writeBitmaps", value: "false", without: "git gc fails once blobs are gone" },
  { key: "uploadpack.allowFilter", value: "true", without: "nobody can clone once blobs are gone" },
  {
    key: "uploadpack.allowAnySHA1InWant",
    value: "true",
    without: "clones cannot get the small blobs that their filter left out",
  },
  {
    key: "promisor.advertise",
    value: "true",
    without: "clients of git 2.49 and later are not told of the store",
  },
];

/** The key by which `git odb offload` knows that what this repository's own branches reach may go. */
export function serverKey(name: string): string {
  return `odb.${name}.server`;
}

/** Refuses pushes to the promise refs: a client could promise what no store has, and the server would believe it. */
export const preReceiveHook = `#!/bin/sh
# Written by "git odb init --server": only "git odb offload" here says which blobs the stores hold.
while read -r old new ref; do
	case $ref in
	${PROMISE_PREFIX}*)
		echo "$ref is written by this server alone: push without it" >&2
		exit 1
		;;
	esac
done
`;

/** Promises what came to the store before its commits, so that it need not come here. A push is never held up by it. */
export const postReceiveHook = `#!/bin/sh
# Written by "git odb init --server": what clients have put into the stores is promised, once the stores prove it.
found=
while read -r old new ref; do
	case $ref in
	refs/odbs/*) found=yes ;;
	esac
done
[ -z "$found" ] || git odb offload --promise --quiet ||
	echo "the blobs are in the store, but this server does not know it yet" >&2
exit 0
`;

/** What a hook of the admin's needs in it, where it reads the refs. */
export const preReceiveAdvice = `case $ref in ${PROMISE_PREFIX}*) exit 1 ;; esac`;

/**
 * Makes a bare repository a server of this kind. Doing it again changes nothing.
 *
 * @throws OdbError config, when it is not bare; conflict, when it has a pre-receive hook that is not ours: its settings
 *   are written all the same, but for `odb.<name>.server`, so that nothing is dropped before the hook is right
 */
export async function setUpServer(repo: Repository, name: string): Promise<void> {
  if (!repo.bare) {
    throw new OdbError(
      "config",
      `${repo.name} is not bare: --server is for a repository that others push to`,
    );
  }
  for (const { key, value } of serverSettings) await setConfig(repo, key, value);
  const { path, shared } = await hookPlace(repo, "pre-receive");
  const state = await hookState(path, preReceiveHook);
  if (state === "other" && !(await isGuarded(repo, name))) {
    throw new OdbError(
      "conflict",
      `${path} is a hook of yours and stays as it is: add "${preReceiveAdvice}" to where it reads the refs, then run "git config ${serverKey(name)} true"`,
    );
  }
  if (state === "absent" && shared) {
    throw new OdbError(
      "conflict",
      `core.hooksPath is set for more than this repository: make ${path} refuse pushes to ${PROMISE_PREFIX}*, then run "git config ${serverKey(name)} true"`,
    );
  }
  if (state === "absent") await writeHook(path, preReceiveHook);
  // Only a convenience: a hook of the admin's stays, and nothing is lost without ours.
  const after = await hookPlace(repo, "post-receive");
  if (!after.shared && (await hookState(after.path, postReceiveHook)) === "absent") {
    await writeHook(after.path, postReceiveHook);
  }
  await setConfig(repo, serverKey(name), "true");
}

/** Whether the ODB was set up for a server. */
export function isServerOdb(entries: readonly ConfigEntry[], name: string): boolean {
  return entries.findLast(({ key }) => key === serverKey(name))?.value === "true";
}

/** The admin said so, after a look at the hook. */
async function isGuarded(repo: Repository, name: string): Promise<boolean> {
  const { stdout } = await repo.run(["config", "--get", serverKey(name)], { okStatus: [0, 1] });
  return stdout.toString().trim() === "true";
}
