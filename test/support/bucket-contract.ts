/** Runs the bucket contract on a subject, a test a case. */

import { beforeAll, describe, it } from "vitest";
import { type BucketSubject, bucketAbilities, bucketCases } from "../../src/conformance/bucket-cases.js";

/**
 * Declares a suite that runs every case on the subject that `open` gives.
 *
 * @param without needs that this subject does not meet: a case is skipped for these only, and fails for any other
 */
export function testBucket(
  title: string,
  open: () => BucketSubject | Promise<BucketSubject>,
  without: readonly string[] = ["unconditional"],
): void {
  describe(title, () => {
    let subject: BucketSubject;
    let abilities: ReadonlySet<string>;
    beforeAll(async () => {
      subject = await open();
      abilities = await bucketAbilities(subject);
    });
    for (const { name, needs = [], run } of bucketCases) {
      if (needs.some((need) => without.includes(need))) continue;
      it(name, async ({ expect }) => {
        for (const need of needs) expect([...abilities]).toContain(need);
        await run(subject);
      }, 60_000);
    }
  });
}
