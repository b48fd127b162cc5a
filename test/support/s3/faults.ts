/** Misbehaviour on request: which rule hits a request, and what it does to it. */

import { setTimeout as sleep } from "node:timers/promises";
import { type FaultRule, type Faults, S3Error, type S3Request, type S3Response } from "./types.js";
import { document } from "./xml.js";

/** The connection is to break now, without an answer. */
export class BrokenConnection extends Error {}

/** Counts what the rules have hit since they were set. */
export class FaultBox {
  #rules: { rule: FaultRule; seen: number; hit: number }[] = [];

  set(faults: Faults): void {
    this.#rules = (faults.rules ?? []).map((rule) => ({ rule, seen: 0, hit: 0 }));
  }

  /** The first rule that hits this request. */
  take(operation: string, key: string): FaultRule | undefined {
    for (const entry of this.#rules) {
      const { rule } = entry;
      if (rule.operation !== undefined && rule.operation !== operation) continue;
      if (rule.key !== undefined && !new RegExp(rule.key).test(key)) continue;
      entry.seen += 1;
      if (entry.seen <= (rule.skip ?? 0) || entry.hit >= (rule.times ?? Number.POSITIVE_INFINITY)) continue;
      entry.hit += 1;
      return rule;
    }
    return undefined;
  }
}

/** What a rule does before the operation runs: an answer in its place, an error, or nothing. */
export async function beforehand(rule: FaultRule | undefined): Promise<S3Response | undefined> {
  const headers: Record<string, string> =
    rule?.retryAfter === undefined ? {} : { "retry-after": `${rule.retryAfter}` };
  switch (rule?.kind) {
    case "slowDown":
      throw new S3Error(503, "SlowDown", "Please reduce your request rate.", headers);
    case "internal":
      throw new S3Error(500, "InternalError", "We encountered an internal error. Please try again.", headers);
    case "forbidden":
      throw new S3Error(403, "AccessDenied", "Access Denied");
    case "full":
      throw new S3Error(507, "InsufficientStorage", "no space left");
    case "quota":
      throw new S3Error(403, "QuotaExceeded", "quota exceeded");
    case "conflict":
      throw new S3Error(
        409,
        "ConditionalRequestConflict",
        "A conflicting conditional operation is in progress.",
      );
    case "completeError":
      return {
        status: 200,
        body: document("Error", { Code: "InternalError", Message: "Please try again." }),
      };
    case "hang":
      await sleep(2 ** 30, undefined, { ref: false });
      return undefined;
    default:
      return undefined;
  }
}

/** Refusals that hold for every request of a kind, as some servers have them. */
export function refuseByHeaders(request: S3Request, operation: string, faults: Faults): void {
  const streamed = request.header("x-amz-content-sha256")?.startsWith("STREAMING-") === true;
  if (faults.refuseStreamed && streamed) throw new S3Error(411, "MissingContentLength");
  const checksum = Object.keys(request.message.headers).find((name) =>
    /^x-amz-(checksum-(?!mode)|sdk-checksum|trailer)/.test(name),
  );
  if (faults.refuseChecksums && checksum && operation !== "DeleteObjects")
    throw new S3Error(501, "NotImplemented", `Header '${checksum}' is not implemented`);
}

/** The request's body, broken off where a `reset` rule says so. */
export async function* brokenBody(
  body: AsyncIterable<Uint8Array>,
  rule: FaultRule | undefined,
): AsyncGenerator<Uint8Array> {
  let seen = 0;
  for await (const chunk of body) {
    seen += chunk.length;
    if (rule?.kind === "reset" && seen > (rule.afterBytes ?? 0)) throw new BrokenConnection();
    yield chunk;
  }
}
