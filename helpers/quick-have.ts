/**
 * `have` of script mode without the rest of a helper: git starts a process for it in every command, and what answers it
 * as a rule are a few files of the clone. In a file of its own, which takes a millisecond to load where a helper takes ten.
 */

import { writeAll } from "../src/descriptor.js";
import { exitCodeOf, toOdbError } from "../src/errors.js";
import { type KnownObjects, knownObjects } from "../src/odb/known.js";
import { isOdbName } from "../src/odb/name.js";
import { openPlainRepository } from "../src/repo/plain.js";
import { checkScheme, fileHelper, type HelperKind, httpHelper, s3Helper } from "./kinds.js";

/**
 * Answers `--name <name> have`, which is how git calls a command that `git odb init` wrote, and sets `process.exitCode`.
 *
 * @returns false when it has done nothing: the helper has to answer, and says what is wrong if something is
 */
export async function answerHave(command: string, argv: readonly string[]): Promise<boolean> {
  const [option, name = "", ...instruction] = argv;
  if (option !== "--name" || instruction.join(" ") !== "have" || !isOdbName(name)) return false;
  if (process.env.GIT_ODB_TRACE !== undefined) return false;
  const kind = [fileHelper, httpHelper, s3Helper].find((each) => each.command === command);
  const known = kind && (await knownHere(kind, name));
  if (known === undefined) return false;
  await writeAll(1, Buffer.from(known.lines), "write to the other side").catch((cause: unknown) => {
    const error = toOdbError(cause);
    process.stderr.write(`error: have: ${error.message}\n`);
    process.exitCode = exitCodeOf(error);
  });
  return true;
}

/** @returns undefined also when something is wrong: the helper meets it again, and tells */
async function knownHere(kind: HelperKind, name: string): Promise<KnownObjects | undefined> {
  const repo = openPlainRepository();
  if (repo === undefined) return undefined;
  try {
    const known = await knownObjects(repo, name);
    if (known !== undefined) checkScheme(kind, name, known.urls);
    return known;
  } catch {
    return undefined;
  }
}
