/** git-odb-helper-bundle: the restartable clone alone. It has no objects, takes none, and says so. */

import { runBundleStep } from "./bundle-step.js";
import { runHelper } from "./run.js";

void runHelper({
  command: "git-odb-helper-bundle",
  schemes: [],
  urls: "none: it reads the URL in refs/odbs/<name>/bundle",
  handler: (odb, { warn }) => ({
    init: () => runBundleStep(odb, warn),
    getGitObject: async () => undefined,
    async *have() {},
    close: () => odb.close(),
  }),
});
