/** The contract of a bucket as a list of cases, free of any test runner: docs/writing-a-bucket.md. */

import { listCases } from "./bucket-cases-list.js";
import { raceCases } from "./bucket-cases-race.js";
import { readCases } from "./bucket-cases-read.js";
import { writeCases } from "./bucket-cases-write.js";
import type { BucketSubject } from "./bucket-subject.js";
import type { ContractCase } from "./contract.js";

export { type BucketSubject, bucketAbilities } from "./bucket-subject.js";

/** Everything that a bucket must do; a case that `needs` what {@link bucketAbilities} lacks does not apply. */
export const bucketCases: readonly ContractCase<BucketSubject>[] = [
  ...readCases,
  ...writeCases,
  ...listCases,
  ...raceCases,
];
