/** `git odb completion <shell>`: prints the shell's completion script, to be sourced or installed. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Argument, type Command } from "commander";
import { toOdbError } from "../errors.js";
import type { Context } from "./context.js";
import { packageRoot } from "./package-root.js";

const files: Readonly<Record<string, string>> = {
  bash: "git-odb.bash",
  zsh: "_git-odb",
  fish: "git-odb.fish",
};

export function define(command: Command, context: Context): void {
  command
    .addArgument(new Argument("<shell>", "the shell").choices(Object.keys(files)))
    .action(async (shell: string) => {
      const path = join(packageRoot(), "completion", files[shell] ?? "");
      await context.print(
        await readFile(path, "utf8").catch((error: unknown) => {
          throw toOdbError(error, path);
        }),
      );
    });
}
