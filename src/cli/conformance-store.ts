/** Runs the contract of a store on the store that a URL names. */

import { openBucket } from "../bucket/open.js";
import { parseBucketUrl } from "../bucket/url.js";
import { type CaseResult, type Report, runContract } from "../conformance/index.js";
import { storeCases } from "../conformance/store-cases.js";
import { type StoreSubject, storeAbilities } from "../conformance/store-subject.js";
import { OdbError } from "../errors.js";
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

/** @throws OdbError conflict, when the store is not empty; what opening it throws */
export async function runStoreConformance(url: string, options: Options): Promise<Report> {
  const store = await openStore(url, { signal: options.signal, credentials: gitCredentials() });
  try {
    if (!options.force) await requireEmpty(store, options.signal);
    const subject = await subjectOf(url, store, options.signal);
    return await runContract(
      storeCases.filter(({ name }) => options.only?.includes(name) ?? true),
      {
        subject: store.name,
        capabilities: new Set(storeAbilities(subject)),
        make: () => subject,
        onCase: options.onCase,
      },
    );
  } finally {
    await store.close();
  }
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
