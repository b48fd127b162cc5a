/** Conditional requests: If-Match and If-None-Match, on reads and on writes. */

import { type Faults, S3Error, type S3Request, type StoredObject } from "./types.js";

/** The conditions of a write that the server means to honour. */
export interface Conditions {
  readonly ifAbsent: boolean;
  /** The header as sent. */
  readonly ifMatch: string | undefined;
  readonly bareEtags: boolean;
}

/** The conditions of a PutObject. @throws S3Error 501 where the server is told to refuse them */
export function putConditions(request: S3Request, faults: Faults): Conditions {
  const ifNoneMatch = request.header("if-none-match");
  const ifMatch = request.header("if-match");
  const conditional = ifNoneMatch !== undefined || ifMatch !== undefined;
  if (conditional && faults.conditions === "refused")
    throw new S3Error(
      501,
      "NotImplemented",
      "A header you provided implies functionality that is not implemented.",
    );
  if (faults.conditions === "ignored") return { ifAbsent: false, ifMatch: undefined, bareEtags: false };
  if (ifNoneMatch !== undefined && ifNoneMatch !== "*")
    throw new S3Error(501, "NotImplemented", "If-None-Match of a write takes * only");
  return { ifAbsent: ifNoneMatch === "*", ifMatch, bareEtags: faults.bareEtags === true };
}

/** The conditions of a CompleteMultipartUpload. */
export function completeConditions(request: S3Request, faults: Faults): Conditions {
  if (faults.completeConditions === "ignored")
    return { ifAbsent: false, ifMatch: undefined, bareEtags: false };
  return putConditions(request, faults);
}

/** What a write onto `current` must fail with, if anything. */
export function conditionError(
  conditions: Conditions,
  current: StoredObject | undefined,
): S3Error | undefined {
  const failed = new S3Error(
    412,
    "PreconditionFailed",
    "At least one of the pre-conditions you specified did not hold",
  );
  if (conditions.ifAbsent && current) return failed;
  if (conditions.ifMatch === undefined) return undefined;
  if (!current) return new S3Error(404, "NoSuchKey", "The specified key does not exist.");
  const sent = conditions.bareEtags ? conditions.ifMatch : unquote(conditions.ifMatch);
  return sent === current.etag ? undefined : failed;
}

/** The status that a conditional read ends with, if it ends there. @throws S3Error PreconditionFailed */
export function readConditions(request: S3Request, object: StoredObject): 304 | undefined {
  const ifMatch = request.header("if-match");
  if (ifMatch !== undefined && ifMatch !== "*" && unquote(ifMatch) !== object.etag)
    throw new S3Error(412, "PreconditionFailed");
  const ifNoneMatch = request.header("if-none-match");
  return ifNoneMatch !== undefined && unquote(ifNoneMatch) === object.etag ? 304 : undefined;
}

function unquote(etag: string): string {
  return etag.replace(/^"(.*)"$/, "$1");
}
