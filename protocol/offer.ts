/** What a helper offers to git for a handler. */

import { OdbError } from "../src/errors.js";
import type { Capability, OdbHandler } from "./handler.js";

/** Which of the gets a helper offers. git mixes up the answers of two, so it is always one. */
export type GetKind = "git" | "raw" | "direct";

/** What {@link offeredCapabilities} goes by. */
export interface OfferOptions {
  /** Default: the first of git, raw, direct that the handler can do. `git` is right at every size. */
  readonly get?: GetKind | undefined;
  /** Offer put_git_obj and put_direct too, which no client sends yet. Default false. */
  readonly experimental?: boolean | undefined;
}

/**
 * What is offered to git for a handler, in git's order: one get, put_raw_obj if it can, `have` always (without it that git
 * believes that a get_direct helper has everything, and stores nothing), and the read-object hook's `get`.
 *
 * @throws OdbError unsupported, when the get asked for is not one that the handler can do
 */
export function offeredCapabilities(handler: OdbHandler, options: OfferOptions = {}): readonly Capability[] {
  const offered: Capability[] = [];
  const get = chooseGet(handler, options.get);
  if (get) offered.push(get);
  if (options.experimental && handler.putGitObject) offered.push("put_git_obj");
  if (handler.putRawObject) offered.push("put_raw_obj");
  if (options.experimental && handler.putDirect) offered.push("put_direct");
  offered.push("have");
  if (handler.getDirect) offered.push("get");
  return offered;
}

function chooseGet(handler: OdbHandler, get: GetKind | undefined): Capability | undefined {
  const can: Readonly<Record<GetKind, Capability | undefined>> = {
    git: handler.getGitObject || handler.getRawObject ? "get_git_obj" : undefined,
    raw: handler.getRawObject && "get_raw_obj",
    direct: handler.getDirect && "get_direct",
  };
  if (get === undefined) return can.git ?? can.direct;
  const chosen = can[get];
  if (chosen === undefined)
    throw new OdbError("unsupported", `this helper cannot serve objects by get=${get}`);
  return chosen;
}
