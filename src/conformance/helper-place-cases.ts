/** Cases about where and how a helper is started, in both modes. */

import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { expect } from "./expect.js";
import type { HelperCase } from "./helper-cases.js";
import { isNamed, mustGet, mustPut } from "./helper-judge.js";

/** Cases for both modes. */
export const placeCases: readonly HelperCase[] = [
  {
    name: "started-anywhere",
    needs: ["get", "put"],
    why: "git add sets GIT_DIR and starts a helper at the top, cat-file and log do not, clone starts it outside the repository",
    async run(lab) {
      const sample = lab.sample(600);
      await mustPut(await lab.shared(), sample);
      for (const where of ["below", "outside"] as const) await mustGet(await lab.fresh({ where }), sample);
    },
  },
  {
    name: "git-without-odb",
    needs: ["get", "put"],
    why: "a git that a helper runs without GIT_NO_EXTERNAL_ODB=1 starts the helper again, endlessly",
    async run(lab) {
      const folder = lab.folder("bin");
      const log = join(folder, "log");
      writeFileSync(join(folder, "git"), shim(log));
      chmodSync(join(folder, "git"), 0o755);
      const env = { PATH: `${folder}${delimiter}${process.env.PATH ?? ""}` };
      const sample = lab.sample(601);
      const peer = await lab.fresh({ env });
      await mustPut(peer, sample);
      await mustGet(peer, sample);
      await peer.close();
      const runs = existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : [];
      expect(runs.length === 0, () => `run without GIT_NO_EXTERNAL_ODB=1: ${runs.slice(0, 3).join("; ")}`);
    },
  },
  {
    name: "sha256",
    needs: ["get", "put", "have"],
    why: "in a repository with extensions.objectFormat=sha256 an oid has 64 digits and is the SHA-256 of the object",
    async run(lab) {
      const sample = lab.sample(602, "sha256");
      const peer = await lab.fresh({ hash: "sha256" });
      await mustPut(peer, sample);
      await mustGet(peer, sample);
      expect(await isNamed(peer, sample.oid), "have does not name what was just put");
    },
  },
];

/** A git that notes when it is run with the ODBs enabled, and goes on as the next git on PATH. */
function shim(log: string): string {
  return `#!/bin/sh
[ "$GIT_NO_EXTERNAL_ODB" = 1 ] || echo "git $*" >>'${log}'
PATH=\${PATH#*${delimiter}}
exec git "$@"
`;
}
