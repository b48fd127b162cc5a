/** The contract of a helper: every rule and trap of the wire as a case, for either mode. */

import type { ContractCase } from "./contract.js";
import { blobCases } from "./helper-blob-cases.js";
import { getCases } from "./helper-get-cases.js";
import { haveCases } from "./helper-have-cases.js";
import type { HelperLab, HelperMode } from "./helper-lab.js";
import { offerCases } from "./helper-offer-cases.js";
import { otherCases } from "./helper-other-cases.js";
import { placeCases } from "./helper-place-cases.js";
import { putCases } from "./helper-put-cases.js";
import { scriptCases } from "./helper-script-cases.js";
import { sessionCases } from "./helper-session-cases.js";
import { wireCases } from "./helper-wire-cases.js";

/** A case of a helper. `big`: it moves megabytes or makes thousands of calls. */
export interface HelperCase extends ContractCase<HelperLab> {
  readonly why: string;
  readonly big?: boolean;
}

/** The cases of a mode, in the order in which they run: cheap ones first. */
export function helperCases(mode: HelperMode): readonly HelperCase[] {
  const common = [...offerCases, ...haveCases, ...getCases, ...putCases, ...placeCases, ...blobCases(mode)];
  const own = mode === "process" ? [...wireCases, ...sessionCases, ...otherCases] : scriptCases;
  const all = [...common, ...own];
  return [...all.filter((one) => !one.big), ...all.filter((one) => one.big)];
}
