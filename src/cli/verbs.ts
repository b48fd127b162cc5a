/** The verbs of `git odb`: one line each. A module is imported when its verb is used. */

import type { VerbModule } from "./verb.js";

/** A row of the table. */
export interface Verb {
  readonly name: string;
  /** One line, for `git odb -h` and the NAME of its man page. */
  readonly summary: string;
  load(): Promise<VerbModule>;
}

/** In the order in which `git odb -h` lists them. */
export const verbs: readonly Verb[] = [
  verb("init", "connect this repository to a store", () => import("./init.js")),
  verb("clone", "clone a repository and connect it to its stores", () => import("./clone.js")),
  verb("deinit", "take an ODB's settings out of this repository", () => import("./deinit.js")),
  verb("track", "keep the files of a pattern in an ODB", () => import("./track.js")),
  verb("untrack", "stop keeping the files of a pattern in an ODB", () => import("./untrack.js")),
  verb("status", "show where the blobs of selected paths are", () => import("./status.js")),
  verb("ls", "list the ODBs, or the objects of one", () => import("./ls.js")),
  verb("put", "send objects of the repository to an ODB", () => import("./put.js")),
  verb("get", "bring objects of an ODB into the repository", () => import("./get.js")),
  verb("fetch", "bring what revisions lack and the ODBs have", () => import("./fetch.js")),
  verb("pull", "bring the blobs of the current checkout", () => import("./pull.js")),
  verb("push", "send the blobs of what is about to be pushed", () => import("./push.js")),
  verb("install", "make git push send blobs by a hook", () => import("./install.js")),
  verb("uninstall", "take the hook away", () => import("./uninstall.js")),
  verb("offload", "drop local copies of what the store has proved to hold", () => import("./offload.js")),
  verb("gc", "keep the packs of fetched objects few", () => import("./gc.js")),
  verb("fsck", "check that the store has what git relies on", () => import("./fsck.js")),
  verb("serve", "serve a bucket over HTTP", () => import("./serve.js")),
  verb(
    "mirror",
    "copy git repositories to buckets, to be cloned over plain HTTP",
    () => import("./mirror.js"),
  ),
  verb("bundle", "clone and fetch by bundles, and make them", () => import("./bundle.js")),
  verb("conformance", "test a helper or a store, case by case", () => import("./conformance.js")),
  verb("doctor", "find out what is wrong, and say how to mend it", () => import("./doctor.js")),
  verb("env", "print versions, settings and environment for a report", () => import("./env.js")),
  verb("completion", "print the completion script of a shell", () => import("./completion.js")),
];

function verb(name: string, summary: string, load: Verb["load"]): Verb {
  return { name, summary, load };
}
