/** The completion scripts in real shells: what a user gets who types, in zsh through a terminal. */

import { spawnSync } from "node:child_process";
import { existsSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { cliEnv, gitOdb } from "./support/cli.js";
import { git, tempRepo } from "./support/git.js";
import { tempDir } from "./support/temp.js";
import { lacks } from "./support/tools.js";

const zshFunctions = "/usr/share/zsh/functions/Completion";

/** A repository with the ODBs `media` and `more`. */
function repository(): string {
  const repo = tempRepo();
  git(["config", "odb.media.url", "/x"], { cwd: repo });
  git(["config", "odb.more.scriptCommand", "x"], { cwd: repo });
  return repo;
}

function scriptOf(shell: string): string {
  return gitOdb(["completion", shell]).stdout;
}

/** Set up for one line of questions; few functions, since compinit reads each. */
const zshSetup = `PS1= PROMPT_EOL_MARK=
fpath=($1 ${zshFunctions}/Base ${zshFunctions})
autoload -Uz compinit; compinit -D -u
show() { zle -I; print -r -- "<"'<<'"$BUFFER>>>"; BUFFER= }
zle -N show; bindkey "^X" show
print -r -- "<"'<<ready>>>'
`;

/** Types each line with a TAB behind it into a zsh on a terminal, and prints what the line has become. */
const zshTyping = `zmodload zsh/zpty
zpty typist zsh -f -i
answer() {
  local out
  zpty -r typist out "*\\<\\<\\<*\\>\\>\\>*"
  out=\${out##*"<<<"}; print -r -- "\${out%%">>>"*}"
}
zpty -w typist "set -- $1; . $1/setup.zsh"
answer >/dev/null
shift
for line; do zpty -w -n typist "$line"$'\\t\\x18'; answer; done
zpty -d typist
`;

describe.skipIf(lacks("zsh") || !existsSync(join(zshFunctions, "Unix/_git")))("zsh", () => {
  it("completes verbs, options, ODB names and words through git's own", () => {
    const folder = tempDir("zsh");
    writeFileSync(join(folder, "_git-odb"), scriptOf("zsh"));
    symlinkSync(join(zshFunctions, "Unix/_git"), join(folder, "_git"));
    symlinkSync(join(zshFunctions, "Unix/_files"), join(folder, "_files"));
    writeFileSync(join(folder, "setup.zsh"), zshSetup);
    writeFileSync(join(folder, "typing.zsh"), zshTyping);
    const typed = [
      "git odb unt",
      "git odb track --qui",
      "git odb track med",
      "git odb completion fi",
      "git odb conformance he",
      "git odb bundle up",
      "git-odb unt",
    ];
    const { stdout } = spawnSync("zsh", ["-f", join(folder, "typing.zsh"), folder, ...typed], {
      cwd: repository(),
      env: cliEnv(),
      encoding: "utf8",
      timeout: 25_000,
    });
    expect(stdout.split("\n").map((line) => line.trimEnd())).toEqual([
      "git odb untrack",
      "git odb track --quiet",
      "git odb track media",
      "git odb completion fish",
      "git odb conformance helper",
      "git odb bundle update",
      "git-odb untrack",
      "",
    ]);
  });
});

describe.skipIf(lacks("fish"))("fish", () => {
  it("completes verbs, options, ODB names and words", () => {
    const lines = [
      ["git odb unt", ["untrack"]],
      ["git odb track --qui", ["--quiet"]],
      ["git odb track m", ["media", "more"]],
      ["git odb init media --no", ["--no-check"]],
      ["git odb completion ", ["bash", "fish", "zsh"]],
      ["git odb conformance ", ["helper", "store"]],
      ["git odb bundle up", ["update"]],
      ["git od", ["odb\tkeep big files outside of the repository"]],
    ] as const;
    const script = join(tempDir("fish"), "git-odb.fish");
    writeFileSync(script, scriptOf("fish"));
    const ask = lines.map(([line]) => `complete -C '${line}'; echo`).join("; ");
    const { stdout } = spawnSync("fish", ["--no-config", "-c", `source ${script}; ${ask}`], {
      cwd: repository(),
      env: { ...cliEnv(), HOME: tempDir("home") },
      encoding: "utf8",
      timeout: 25_000,
    });
    expect(stdout).toBe(lines.map(([, words]) => `${words.map((word) => `${word}\n`).join("")}\n`).join(""));
  });
});
