/** The LFS batch API, for downloads of what lies at `lfs/objects/` in the bucket (git-lfs docs/api/batch.md). */

import type { Bucket } from "../bucket/bucket.js";
import { checkKey } from "../bucket/keys.js";
import { OdbError } from "../errors.js";
import { collect } from "../object/content.js";
import type { Answer } from "./answer.js";
import { type Exchange, receive } from "./exchange.js";

const MEDIA_TYPE = "application/vnd.git-lfs+json";

/** A request is never larger, in bytes. */
const BODY_LIMIT = 1024 * 1024;

/** Nor does it ask for more objects: that is how many git-lfs asks for. */
const OBJECTS_LIMIT = 100;

const endpoint = /^(.*?)\/?(?:\.git)?\/info\/lfs\/objects\/batch$/;

/** Whether a path is that of a batch request: of any repository in the bucket, or of the bucket itself. */
export function isLfsBatch(path: string): boolean {
  return endpoint.test(path);
}

interface Wanted {
  readonly oid: string;
  readonly size: number;
}

/**
 * Answers with where each object can be fetched: plain keys of this server.
 *
 * @param baseUrl by which clients reach the bucket; never taken from the request
 */
export async function lfsBatch(bucket: Bucket, baseUrl: string, exchange: Exchange): Promise<Answer> {
  const body = await readBody(exchange);
  if ("status" in body) return body;
  if (body.operation === "upload") return refusal(403, "this server takes no LFS objects");
  if (body.operation !== "download") return refusal(422, "the operation is none");
  if (body.hashAlgorithm !== "sha256") return refusal(409, "LFS objects have SHA-256 names here");
  if (body.objects.length > OBJECTS_LIMIT) return refusal(413, `at most ${OBJECTS_LIMIT} objects at a time`);
  const folders = foldersOf(exchange.target.path);
  const objects = await Promise.all(
    body.objects.map((each) => answerOne(bucket, baseUrl, folders, each, exchange)),
  );
  return json(200, { transfer: "basic", hash_algo: "sha256", objects });
}

/** `/a/repo.git/info/lfs/…` is of `a/repo.git`, or, as git-lfs adds `.git` by itself, of `a/repo`. */
function foldersOf(path: string): string[] {
  const full = path.slice(1, -"/info/lfs/objects/batch".length);
  return [...new Set([full, full.replace(/\/?\.git$/, "")])];
}

async function answerOne(
  bucket: Bucket,
  baseUrl: string,
  folders: readonly string[],
  { oid, size }: Wanted,
  { signal }: Exchange,
): Promise<object> {
  for (const folder of folders) {
    const key = `${folder === "" ? "" : `${decodeURIComponent(folder)}/`}lfs/objects/${oid.slice(0, 2)}/${oid.slice(2, 4)}/${oid}`;
    checkKey(key);
    const entry = await bucket.head(key, { signal });
    if (entry?.size !== size) continue;
    const href = `${baseUrl.replace(/\/+$/, "")}/${key.split("/").map(encodeURIComponent).join("/")}`;
    return { oid, size, actions: { download: { href } } };
  }
  return { oid, size, error: { code: 404, message: "this mirror does not have it" } };
}

interface Batch {
  readonly operation: unknown;
  readonly hashAlgorithm: unknown;
  readonly objects: readonly Wanted[];
}

/** @returns the request, or the answer that says what is wrong with it */
async function readBody(exchange: Exchange): Promise<Batch | Answer> {
  let value: unknown;
  try {
    value = JSON.parse((await collect(receive(exchange), BODY_LIMIT)).toString());
  } catch (error) {
    if (error instanceof SyntaxError) return refusal(400, "the request is no JSON");
    if (error instanceof OdbError && error.code === "invalid") return refusal(413, error.message);
    throw error;
  }
  const { operation, hash_algo = "sha256", objects } = (value ?? {}) as Record<string, unknown>;
  if (!Array.isArray(objects) || !objects.every(isWanted)) return refusal(422, "the objects are none");
  return { operation, hashAlgorithm: hash_algo, objects };
}

function isWanted(value: unknown): value is Wanted {
  const { oid, size } = (value ?? {}) as Record<string, unknown>;
  return (
    typeof oid === "string" && /^[0-9a-f]{64}$/.test(oid) && Number.isSafeInteger(size) && Number(size) >= 0
  );
}

function refusal(status: number, message: string): Answer {
  return json(status, { message });
}

function json(status: number, value: object): Answer {
  return { status, headers: { "content-type": MEDIA_TYPE }, body: `${JSON.stringify(value)}\n` };
}
