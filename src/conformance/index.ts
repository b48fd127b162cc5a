/** The contracts of git-odb, to run on your own bucket, store or helper (`git-odb/testing`). */

export { type BucketSubject, bucketAbilities, bucketCases } from "./bucket-cases.js";
export type { ContractCase } from "./contract.js";
export { type HandlerConformanceOptions, runHandlerConformance } from "./handler.js";
export { handlerCases } from "./handler-cases.js";
export { type HandlerSubject, handlerAbilities } from "./handler-subject.js";
export { type HelperConformanceOptions, runHelperConformance } from "./helper.js";
export { type HelperCase, helperCases } from "./helper-cases.js";
export type { HelperLab, HelperMode } from "./helper-lab.js";
export {
  type CaseResult,
  formatCase,
  formatReport,
  formatSummary,
  makeReport,
  type Outcome,
  type Report,
  type ReportFormat,
} from "./report.js";
export { type RunOptions, runContract, SkipCase } from "./run.js";
export { storeCases } from "./store-cases.js";
export { type StoreSubject, storeAbilities } from "./store-subject.js";
