// Preloaded into a command (NODE_OPTIONS=--require): at the start of its KILL_GIT-th git (a number, or `<verb>` or
// `<verb>:<n>`), it kills that git (KILL_WHO=git) or itself, as kill -9 does. KILL_IN: another command of ours than
// git-odb. KILL_LOG: a file that gets each git's verb.
const { appendFileSync } = require("node:fs");
const { basename } = require("node:path");
const child = require("node:child_process");

const [target = "", nth = "1"] = (process.env.KILL_GIT ?? "").split(":");
let seen = 0;

function isTarget(verb) {
  const counts = /^[0-9]+$/.test(target) || verb === target;
  if (counts) seen += 1;
  return counts && seen === Number(/^[0-9]+$/.test(target) ? target : nth);
}

if (basename(process.argv[1] ?? "", ".cjs") === (process.env.KILL_IN ?? "git-odb")) {
  const spawn = child.spawn;
  child.spawn = (command, args, ...rest) => {
    const started = spawn(command, args, ...rest);
    if (command !== "git") return started;
    const verb = args.find((arg, at) => !arg.startsWith("-") && args[at - 1] !== "-c") ?? "";
    if (process.env.KILL_LOG) appendFileSync(process.env.KILL_LOG, `${verb}\n`);
    if (isTarget(verb)) process.kill(process.env.KILL_WHO === "git" ? started.pid : process.pid, "SIGKILL");
    return started;
  };
}
