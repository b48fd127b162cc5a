/** Script mode with an ODB that cannot be opened: git keeps no copy of what it puts, so the repository must. */

import type { OdbHandler } from "../protocol/index.js";
import { OdbError, toOdbError } from "../src/errors.js";
import { keepObject, keptWarning, stageToKeep } from "../src/odb/keep.js";
import { openRepository } from "../src/repo/git.js";
import { brokenHandler } from "./store-handler.js";

/** What is known of the ODB that cannot be opened. */
export interface Unopened {
  readonly why: OdbError;
  /** Absent when it is the name that is wrong: then nothing can be queued under it. */
  readonly name?: string;
}

/** As {@link brokenHandler}, but a put's object is kept in the repository and queued; a line for the user says so. */
export function rescuingHandler({ why, name }: Unopened, warn: (line: string) => void): OdbHandler {
  return {
    ...brokenHandler(why),
    async putRawObject(info, content) {
      const repo = await openRepository().catch((error: unknown) => {
        const { code, message } = toOdbError(error);
        throw new OdbError(code, `object ${info.oid} is stored NOWHERE: ${message}`, { cause: error });
      });
      await using staged = await stageToKeep(repo, name, info, content);
      await keepObject(repo, name, staged, why);
      warn(keptWarning(info.oid, name, why));
    },
  };
}
