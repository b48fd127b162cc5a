// Builds dist/: the library with its types (tsc), each command as a loader and one CommonJS file (esbuild), and the S3 client apart.
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
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

/** The bundle that starts soonest: the packages' ESM sources, so that what is not used is left out. */
const bundled = {
  bundle: true,
  platform: "node",
  target: "node20",
  format: "cjs",
  mainFields: ["module", "main"],
  conditions: ["module"],
  legalComments: "none",
  logLevel: "warning",
};

/** Amazon's client is not part of any command: it is a file of its own, loaded with a code cache when it is needed. */
const s3Apart = {
  name: "s3-apart",
  setup(bundler) {
    bundler.onResolve({ filter: /\/s3-sdk\.js$/ }, () => ({ path: "s3-sdk", namespace: "apart" }));
    bundler.onLoad({ filter: /.*/, namespace: "apart" }, () => ({
      contents: `const { requireCached } = require("./src/code-cache.ts");
        module.exports = requireCached(require("node:path").join(__dirname, "s3-sdk.cjs"));`,
      resolveDir: resolve("."),
      loader: "js",
    }));
  },
};

/** Parts of Node that take a millisecond or two to load, and that many a run does without: loaded when first touched. */
const seldom = [
  "node:child_process",
  "node:crypto",
  "node:fs/promises",
  "node:http",
  "node:https",
  "node:module",
  "node:net",
  "node:os",
  "node:stream",
  "node:stream/promises",
  "node:timers/promises",
  "node:v8",
  "node:zlib",
];
const builtinsLater = {
  name: "builtins-later",
  setup(bundler) {
    const filter = new RegExp(`^(?:${seldom.join("|")})$`);
    bundler.onResolve({ filter }, ({ path, namespace }) =>
      namespace === "later" ? { path, external: true } : { path, namespace: "later" },
    );
    bundler.onLoad({ filter: /.*/, namespace: "later" }, async ({ path }) => {
      const names = Object.keys(await import(path)).join(" ");
      return {
        // Each gives way to what it gets: require() costs a microsecond or two, too much for what is used for each object.
        contents: `for (const name of "${names}".split(" "))
          Object.defineProperty(exports, name, {
            configurable: true,
            enumerable: true,
            get() {
              const value = require("${path}")[name];
              Object.defineProperty(exports, name, { enumerable: true, value });
              return value;
            },
          });`,
        loader: "js",
      };
    });
  },
};

/** The helpers with a store, whose `have` of script mode is answered by a small file of its own where that is possible. */
const quickHave = "git-odb-have.cjs";
const withQuickHave = ["git-odb-helper-file", "git-odb-helper-http", "git-odb-helper-s3"];

/** What a command itself is: it loads its main file with a code cache, 8 ms sooner than Node compiles it. */
const loaderOf = (command, main) => {
  const load = `requireCached(join(__dirname, ${JSON.stringify(main)}))`;
  const start = withQuickHave.includes(command)
    ? `if (process.argv.at(-1) !== "have") ${load};
      else require(join(__dirname, "${quickHave}"))
        .answerHave("${command}", process.argv.slice(2)).then((done) => {
          if (!done) ${load};
          // A process that ends by itself takes its heap down first, which takes 3 ms.
          else if (process.exitCode === undefined) process.exit();
        });`
    : `${load};`;
  return {
    contents: `import { join } from "node:path";
      import { requireCached } from "./src/code-cache.ts";
      ${start}`,
    resolveDir: resolve("."),
    loader: "ts",
  };
};

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));
rmSync("dist", { recursive: true, force: true });
execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"], {
  stdio: "inherit",
});
await build({
  ...bundled,
  entryPoints: ["src/bucket/s3-sdk.ts"],
  outfile: "dist/bin/s3-sdk.cjs",
  minify: true,
  // Run as a script with a code cache, where import() would need a loader.
  supported: { "dynamic-import": false },
});
await build({
  ...bundled,
  entryPoints: ["helpers/quick-have.ts"],
  outfile: join("dist/bin", quickHave),
  minifyWhitespace: true,
  plugins: [builtinsLater],
});
for (const [command, entry] of Object.entries(commands)) {
  if (!existsSync(entry)) continue;
  const main = `${command}.main.cjs`;
  await build({
    ...bundled,
    entryPoints: [entry],
    outfile: `dist/bin/${main}`,
    minifyWhitespace: true,
    supported: { "dynamic-import": false },
    plugins: [s3Apart, builtinsLater],
  });
  const outfile = `dist/bin/${command}.cjs`;
  const banner = { js: "#!/usr/bin/env node" };
  await build({ ...bundled, stdin: loaderOf(command, main), outfile, banner, plugins: [builtinsLater] });
  chmodSync(outfile, 0o755);
}
