/** `git odb doctor`: git itself, our commands on PATH, and the environment. */

import { existsSync } from "node:fs";
import { gitVersion } from "../repo/git-version.js";
import type { Finding } from "./doctor-finding.js";
import { findOnPath } from "./path.js";

/** The oldest git whose promisor remotes behave as git-odb relies on. */
const STOCK = [2, 39] as const;

/** The oldest whose plumbing the helpers use. */
const OLDEST = [2, 14] as const;

/** Checks that need no repository. */
export async function* checkTools(): AsyncGenerator<Finding> {
  yield await checkGit();
  for (const command of ["git-odb", "git-remote-odb"]) yield checkCommand(command);
  yield* checkEnvironment(process.env);
}

/** Whether `command` is where git looks for it. */
export function checkCommand(command: string): Finding {
  const path = command.includes("/") && existsSync(command) ? command : findOnPath(command);
  if (path !== undefined) return { check: "path", state: "ok", message: `${command} is ${path}` };
  return {
    check: "path",
    state: "bad",
    message: `${command} is not on PATH, where git looks for it`,
    fix: "npm install -g git-odb",
  };
}

async function checkGit(): Promise<Finding> {
  const { text, isSince } = await gitVersion();
  const check = "git";
  if (isSince(...STOCK)) return { check, state: "ok", message: text };
  if (isSince(...OLDEST)) {
    const message = `${text} is older than 2.39: only a git with ODB support works with stores here`;
    return { check, state: "advice", message, fix: "install git 2.39 or later" };
  }
  const message = `${text} is older than 2.14, the oldest that the helpers work with`;
  return { check, state: "bad", message, fix: "install git 2.39 or later" };
}

function* checkEnvironment(env: NodeJS.ProcessEnv): Generator<Finding> {
  const check = "environment";
  for (const [name, means] of [
    ["GIT_NO_LAZY_FETCH", "git fetches no big file that is missing"],
    ["GIT_NO_EXTERNAL_ODB", "a git with ODB support ignores its stores"],
  ] as const) {
    if (!env[name] || env[name] === "0") continue;
    yield { check, state: "bad", message: `${name}=${env[name]} is set: ${means}`, fix: `unset ${name}` };
  }
  const allowed = env.GIT_ALLOW_PROTOCOL;
  if (allowed !== undefined && !allowed.split(":").includes("odb")) {
    const message = `GIT_ALLOW_PROTOCOL=${allowed} keeps git from git-remote-odb`;
    yield { check, state: "bad", message, fix: `export GIT_ALLOW_PROTOCOL=${allowed}:odb` };
  }
}
