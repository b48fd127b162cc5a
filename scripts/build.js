// Builds dist/: the library with its types (tsc) and each command as one CommonJS file (esbuild).
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** Command -> its entry. CommonJS entries start about 20 ms sooner than ESM ones on Node 22 and later. */
const commands = {
  "git-odb": "src/cli/main.ts",
  "git-odb-helper-file": "helpers/file.ts",
  "git-odb-helper-http": "helpers/http.ts",
  "git-odb-helper-s3": "helpers/s3.ts",
  "git-odb-helper-bundle": "helpers/bundle.ts",
  "git-remote-odb": "src/remote/main.ts",
};

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));
rmSync("dist", { recursive: true, force: true });
execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"], {
  stdio: "inherit",
});
for (const [command, entry] of Object.entries(commands)) {
  if (!existsSync(entry)) continue;
  const outfile = `dist/bin/${command}.cjs`;
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "cjs",
    mainFields: ["module", "main"],
    conditions: ["module"],
    banner: { js: "#!/usr/bin/env node" },
    legalComments: "none",
    logLevel: "warning",
  });
  chmodSync(outfile, 0o755);
}
