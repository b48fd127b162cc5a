// Preloaded into a command (NODE_OPTIONS=--require): kills it, as kill -9 does, before its KILL_AT-th change to an
// object store or to our state, or start of a git that writes; with KILL_BUCKET, before each key of this folder's file
// bucket that it writes or removes. KILL_LOG: a file that gets what each step was.
// KILL_BY: another signal, which the command may answer as it likes.
const { appendFileSync } = require("node:fs");
const fs = require("node:fs/promises");
const child = require("node:child_process");

const target = Number(process.env.KILL_AT ?? 0);
let steps = 0;

function step(what) {
  steps += 1;
  if (process.env.KILL_LOG) appendFileSync(process.env.KILL_LOG, `${steps} ${what}\n`);
  if (steps === target) process.kill(process.pid, process.env.KILL_BY || "SIGKILL");
}

const bucket = process.env.KILL_BUCKET;

function isKey(path) {
  return String(path).startsWith(`${bucket}/`) && !String(path).startsWith(`${bucket}/.git-odb/`);
}

function isOurs(path) {
  return /\/objects\/|gc\.pid|\.git\/odb\//.test(String(path));
}

if (bucket && /git-odb/.test(process.argv[1] ?? "")) {
  for (const [name, at] of [
    ["rename", 1],
    ["link", 1],
    ["unlink", 0],
  ]) {
    const real = fs[name];
    fs[name] = (...args) => {
      if (isKey(args[at])) step(`${name} ${args[at].slice(bucket.length + 1)}`);
      return real(...args);
    };
  }
} else if (/git-(?:remote-)?odb/.test(process.argv[1] ?? "") && target > 0) {
  for (const name of ["rename", "rm", "unlink", "link", "writeFile", "mkdir", "open"]) {
    const real = fs[name];
    fs[name] = (...args) => {
      const reads = name === "open" && (args[1] ?? "r") === "r";
      if (isOurs(args[0]) && !reads) step(`${name} ${args[0]}`);
      return real(...args);
    };
  }
  const spawn = child.spawn;
  child.spawn = (command, args, ...rest) => {
    const verb = (args ?? []).find((arg) => /^(?:pack-objects|update-ref|config|push)$/.test(arg));
    if (command === "git" && verb) step(`spawn git ${verb}`);
    return spawn(command, args, ...rest);
  };
}
