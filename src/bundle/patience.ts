/** A download of a bundle that goes on after what may pass. */

import { setTimeout as sleep } from "node:timers/promises";
import { isTransient, toOdbError } from "../errors.js";
import { type DownloadOptions, download } from "./download.js";

/** Tries of one download within a run, if it is not said how many, and the first pause between them in milliseconds. */
const ATTEMPTS = 4;
const PAUSE_MS = 300;

/**
 * As {@link download}, which goes on after a failure that may pass, and begins anew once when what had been gone on with
 * was another file.
 */
export async function downloadPatiently(
  url: string,
  folder: string,
  options: DownloadOptions & { readonly tries?: number },
): Promise<string> {
  const { signal, tries = ATTEMPTS } = options;
  let mayBeginAnew = true;
  for (let attempt = 1; ; attempt++) {
    try {
      return await download(url, folder, options);
    } catch (error) {
      const known = toOdbError(error);
      const isOther = known.code === "integrity" && mayBeginAnew;
      if (isOther) mayBeginAnew = false;
      if (!(isOther || isTransient(known)) || attempt >= tries || signal?.aborted) throw known;
      await sleep(Math.max(PAUSE_MS * attempt, known.retryAfterMs ?? 0), undefined, { signal });
    }
  }
}
