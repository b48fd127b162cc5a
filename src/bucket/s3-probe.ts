/** Finds out by behaviour whether an S3 service honours conditional writes, and in which form it wants an ETag. */

import { randomUUID } from "node:crypto";
import { sourceOf } from "../object/content.js";
import { withBody } from "./s3-body.js";
import { statusOf } from "./s3-errors.js";
import { bareEtag, fullKey, type S3Context } from "./s3-request.js";

/** Keys that the probe writes and removes; no listing shows them. */
export const PROBE_FOLDER = ".git-odb-probe/";

/** What was found out. */
export interface Conditions {
  /** If-None-Match and If-Match of a PUT are evaluated, both ways. */
  readonly honoured: boolean;
  /** The form of a bare ETag that If-Match takes: radosgw 16 and 18 compare the header as it is, without quotes. */
  formatEtag(etag: string): string;
}

const quoted = (etag: string) => `"${etag}"`;
const bare = (etag: string) => etag;
const notHonoured: Conditions = { honoured: false, formatEtag: quoted };

/**
 * Writes a key of its own up to five times, and removes it.
 *
 * @throws OdbError denied, unavailable …: when it cannot be found out
 */
export async function probeConditions(context: S3Context, signal?: AbortSignal): Promise<Conditions> {
  const probe = `${PROBE_FOLDER}${randomUUID()}`;
  const first = await put(context, probe, { IfNoneMatch: "*" }, signal);
  if (first === undefined) return notHonoured;
  try {
    return await secondSteps(context, probe, first, signal);
  } finally {
    const what = `remove ${context.name}/${probe}`;
    await context.call("DeleteObject", fullKey(context, probe), what, signal);
  }
}

async function secondSteps(
  context: S3Context,
  probe: string,
  etag: string,
  signal: AbortSignal | undefined,
): Promise<Conditions> {
  const takes = async (condition: Condition) => (await put(context, probe, condition, signal)) !== undefined;
  if (await takes({ IfNoneMatch: "*" })) return notHonoured;
  const wrong = "0".repeat(32);
  if ((await takes({ IfMatch: quoted(wrong) })) || (await takes({ IfMatch: bare(wrong) })))
    return notHonoured;
  for (const formatEtag of [quoted, bare]) {
    if (await takes({ IfMatch: formatEtag(etag) })) return { honoured: true, formatEtag };
  }
  return notHonoured;
}

type Condition = { IfNoneMatch: string } | { IfMatch: string };

/** The ETag of what was written, or undefined when the condition did not hold or is refused. The body never changes. */
async function put(
  context: S3Context,
  probe: string,
  condition: Condition,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const what = `find out whether ${context.name} takes conditional writes`;
  try {
    const { answer } = await withBody(sourceOf(Buffer.from("git-odb")), undefined, what, (body) => {
      const place = fullKey(context, probe);
      return context.call("PutObject", { ...place, ...context.storage, ...condition, body }, what, signal);
    });
    return bareEtag(answer.ETag ?? "");
  } catch (error) {
    const refused = [304, 400, 404, 405, 409, 412, 501].includes(statusOf(error) ?? 0);
    if (refused && !isConfig(error)) return undefined;
    throw error;
  }
}

function isConfig(error: unknown): boolean {
  return (error as { code?: string }).code === "config";
}
