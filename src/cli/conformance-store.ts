/** Runs the contracts of a bucket and of a store on what a URL names. */

import { randomBytes } from "node:crypto";
import type { Bucket } from "../bucket/bucket.js";
import { openBucket } from "../bucket/open.js";
import { parseBucketUrl } from "../bucket/url.js";
import {
  bucketAbilities,
  bucketCases,
  type CaseResult,
  type ContractCase,
  makeReport,
  type Report,
  runContract,
  type StoreSubject,
  storeAbilities,
  storeCases,
} from "../conformance/index.js";
import { OdbError, toOdbError } from "../errors.js";
import { gitCredentials } from "../repo/credential.js";
import { openStore } from "../store/open.js";
import { isBareRepository, readSettings } from "../store/settings.js";
import type { ObjectStore } from "../store/store.js";

interface Options {
  /** Run although the store holds objects. */
  readonly force: boolean;
  readonly only?: readonly string[];
  readonly onCase: (result: CaseResult) => void;
  readonly signal: AbortSignal;
}

/**
 * The cases of the bucket, as `bucket:<name>`, then those of the store on it. The list/upload dialect has no bucket.
 *
 * @throws OdbError conflict, when the store is not empty; what opening it throws
 */
export async function runStoreConformance(url: string, options: Options): Promise<Report> {
  const store = await openStore(url, { signal: options.signal, credentials: gitCredentials() });
  try {
    if (!options.force) await requireEmpty(store, options.signal);
    const subject = await subjectOf(url, store, options.signal);
    const underneath = parseBucketUrl(url).layout === "list" ? [] : await runBucketCases(url, options);
    const { cases } = await runContract(chosen(storeCases, options), {
      subject: store.name,
      capabilities: new Set(storeAbilities(subject)),
      make: () => subject,
      onCase: options.onCase,
    });
    return makeReport(store.name, [...underneath, ...cases]);
  } finally {
    await store.close();
  }
}

async function runBucketCases(url: string, options: Options): Promise<readonly CaseResult[]> {
  const cases = chosen(
    bucketCases.map((one) => ({ ...one, name: `bucket:${one.name}` })),
    options,
  );
  if (cases.length === 0) return [];
  const credentials = gitCredentials();
  const [bucket, other] = [await openBucket(url, { credentials }), await openBucket(url, { credentials })];
  try {
    const refusal = await whyNotCleared(bucket, options.signal);
    if (refusal !== undefined) {
      const skipped = { name: "bucket:*", outcome: "skip", milliseconds: 0, message: refusal } as const;
      options.onCase(skipped);
      return [skipped];
    }
    const subject = { bucket, other };
    const report = await runContract(cases, {
      subject: bucket.name,
      capabilities: await bucketAbilities(subject),
      make: () => subject,
      onCase: options.onCase,
    });
    return report.cases;
  } finally {
    await Promise.all([bucket.close(), other.close()]);
  }
}

/** The cases of a bucket remove what they wrote: whether it lets them, asked with a key that is not there. */
async function whyNotCleared(bucket: Bucket, signal: AbortSignal): Promise<string | undefined> {
  try {
    await bucket.remove([`git-odb-check/absent-${randomBytes(8).toString("hex")}`], { signal });
    return undefined;
  } catch (cause) {
    const error = toOdbError(cause);
    if (error.code !== "denied" && error.code !== "unsupported") throw error;
    return `they remove what they wrote: ${error.message}`;
  }
}

function chosen<T>(cases: readonly ContractCase<T>[], { only }: Options): readonly ContractCase<T>[] {
  return cases.filter(({ name }) => only?.includes(name) ?? true);
}

async function requireEmpty(store: ObjectStore, signal: AbortSignal): Promise<void> {
  for await (const { oid } of store.list({ signal })) {
    throw new OdbError(
      "conflict",
      `${store.name} holds objects already (${oid}): the cases leave random objects behind; use an empty store, or --force`,
    );
  }
}

/** What the store can do, by the layout that the bucket has. */
async function subjectOf(url: string, store: ObjectStore, signal: AbortSignal): Promise<StoreSubject> {
  const bucket = await openBucket(url, { credentials: gitCredentials() });
  try {
    const settings = await readSettings(bucket, { signal });
    const layout = settings?.layout ?? parseBucketUrl(url).layout;
    const loose =
      layout === "loose" || (layout === undefined && (await isBareRepository(bucket, { signal })));
    return { store, hash: settings?.hash ?? "sha1", can: [loose ? "types" : "blobs"] };
  } finally {
    await bucket.close();
  }
}
