/** A process of its own that writes to a file bucket: `bucket-child <dir> count|swap-big [<times>]`. */

import { fileBucket } from "../../src/bucket/file.js";
import { collect, type Source, sourceOf } from "../../src/object/content.js";

const [, , dir = ".", verb, times = "Infinity"] = process.argv;
const bucket = fileBucket(dir);

/** Adds one to the number in `n`, and says so after each time that it was written. */
async function count() {
  for (let done = 0; done < Number(times); ) {
    const body = await bucket.read("n");
    if (body?.entry.etag === undefined) throw new Error("nothing to count from");
    const next = Number((await collect(body.content, 100)).toString()) + 1;
    const outcome = await bucket.write("n", sourceOf(Buffer.from(`${next}`)), { ifMatch: body.entry.etag });
    if (!outcome.written) continue;
    done++;
    process.stdout.write(`${next}\n`);
  }
}

/** Replaces `big` by other whole values, without end. */
async function swapBig() {
  for (let n = 0; ; n++) {
    const letter = "abcdefgh"[n % 8] ?? "a";
    const source: Source = sourceOf(Buffer.alloc(3_000_000, letter));
    await bucket.write("big", source);
    await bucket.write(`new/${process.pid}-${n}`, source, { ifAbsent: true });
    process.stdout.write(`${letter}\n`);
  }
}

const run = verb === "count" ? count : swapBig;
run().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
