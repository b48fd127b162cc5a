// Preloaded into a command (NODE_OPTIONS=--require): `git prune --expire=now` runs in the folder PRUNE_IN just before
// each of the first PRUNE_TIMES renames of a temporary file of its object store, as a gc at the same time might.
const { execFileSync } = require("node:child_process");
const fs = require("node:fs/promises");

let left = Number(process.env.PRUNE_TIMES ?? 0);
const { rename } = fs;

fs.rename = (from, to) => {
  if (/[/\\]tmp_(?:pack|idx)_/.test(String(from)) && left > 0) {
    left -= 1;
    const { NODE_OPTIONS: _, ...env } = process.env;
    execFileSync("git", ["prune", "--expire=now"], { cwd: process.env.PRUNE_IN, env });
  }
  return rename(from, to);
};
