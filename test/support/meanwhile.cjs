// Preloaded into a command (NODE_OPTIONS=--require): just before each of MEANWHILE_TIMES calls, after MEANWHILE_SKIP, of
// the file operation MEANWHILE_CALL (`rename`, `open`, …) on a path that matches MEANWHILE_PATH, git runs with the words
// of MEANWHILE_GIT in the folder MEANWHILE_IN, as somebody else's might at that moment.
const { execFileSync } = require("node:child_process");
const fs = require("node:fs/promises");

const { NODE_OPTIONS: _, ...env } = process.env;
const call = env.MEANWHILE_CALL;
const path = new RegExp(env.MEANWHILE_PATH ?? "^$");
let skip = Number(env.MEANWHILE_SKIP ?? 0);
let left = Number(env.MEANWHILE_TIMES ?? 1);

if (call) {
  const real = fs[call];
  fs[call] = (first, ...rest) => {
    if (path.test(String(first)) && left > 0) {
      if (skip > 0) skip -= 1;
      else {
        left -= 1;
        execFileSync("git", env.MEANWHILE_GIT.split(" "), { cwd: env.MEANWHILE_IN, env });
      }
    }
    return real(first, ...rest);
  };
}
