// Runs a TypeScript file of bench/ or examples/ on any supported Node: `node scripts/run-ts.js bench/startup.ts [argument…]`.
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";

/** Bundling would move a file: each keeps its own place in `import.meta.dirname`. */
const ownDirname = {
  name: "own-dirname",
  setup: (bundler) =>
    bundler.onLoad({ filter: /\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, "utf8").replaceAll("import.meta.dirname", JSON.stringify(dirname(path))),
      loader: "ts",
    })),
};

const [file, ...rest] = process.argv.slice(2);
if (file === undefined) {
  console.error("usage: node scripts/run-ts.js <file.ts> [argument…]");
  process.exitCode = 129;
} else {
  // Inside the project, so that packages are found from there.
  const directory = join(import.meta.dirname, `../node_modules/.run-ts-${process.pid}`);
  mkdirSync(directory, { recursive: true });
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
  const outfile = join(directory, "run.mjs");
  await build({
    entryPoints: [file],
    outfile,
    bundle: true,
    packages: "external",
    platform: "node",
    target: "node20",
    format: "esm",
    sourcemap: "inline",
    plugins: [ownDirname],
  });
  process.argv = [process.argv[0] ?? "", resolve(file), ...rest];
  await import(pathToFileURL(outfile).href);
}
