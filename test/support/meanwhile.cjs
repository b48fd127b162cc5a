// Preloaded into a command (NODE_OPTIONS=--require): just before each of its first MEANWHILE_TIMES calls of the file
// operation MEANWHILE_CALL (`rename`, `open`) on a path that matches MEANWHILE_PATH, git runs with the words of
// MEANWHILE_GIT in the folder MEANWHILE_IN, as somebody else's might at that moment.
const { execFileSync } = require("node:child_process");
const fs = require("node:fs/promises");

const {
  NODE_OPTIONS: _,
  MEANWHILE_CALL,
  MEANWHILE_PATH,
  MEANWHILE_TIMES,
  MEANWHILE_GIT,
  MEANWHILE_IN,
  ...env
} = process.env;
const path = new RegExp(MEANWHILE_PATH ?? "^$");
let left = Number(MEANWHILE_TIMES ?? 1);

if (MEANWHILE_CALL) {
  const real = fs[MEANWHILE_CALL];
  fs[MEANWHILE_CALL] = (first, ...rest) => {
    if (path.test(String(first)) && left > 0) {
      left -= 1;
      execFileSync("git", MEANWHILE_GIT.split(" "), { cwd: MEANWHILE_IN, env });
    }
    return real(first, ...rest);
  };
}
