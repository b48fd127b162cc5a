/** `git odb doctor`: each store: can it be reached, with these credentials, and what can it do? */

import { clockAhead } from "../bucket/clock.js";
import { openBucket } from "../bucket/open.js";
import { parseBucketUrl } from "../bucket/url.js";
import { type OdbError, toOdbError } from "../errors.js";
import { hexLength, parseObjectId } from "../object/id.js";
import { absoluteUrl } from "../odb/absolute-url.js";
import { bucketRemotes, parseRemoteAddress } from "../odb/promisor-remote.js";
import { gitCredentials } from "../repo/credential.js";
import { openStore } from "../store/open.js";
import type { Finding, Patient } from "./doctor-finding.js";

/** S3 refuses requests from a clock that is 15 minutes off; the gap only grows. In milliseconds. */
const CLOCK_BAD = 10 * 60_000;
const CLOCK_ADVICE = 60_000;

/** One try: a doctor tells what is wrong, and does not wait until it is well. */
const once = { retry: false } as const;

export async function* checkStores(patient: Patient): AsyncGenerator<Finding> {
  // A repository in a bucket is its own ODB's store: one look is enough, that of who needs more.
  const seen = new Set<string>();
  for (const [remote, address] of bucketRemotes(patient.entries)) {
    const url = bucketOf(address);
    if (url === undefined) continue;
    seen.add(placeOf(url));
    yield* checkRemote(remote, url, patient);
  }
  for (const config of patient.odbs.values()) {
    if (config.urls.length === 0) {
      const message = `ODB ${config.name} has no URL`;
      yield { check: "store", state: "bad", message, fix: `git odb init ${config.name} <url>` };
    }
    for (const url of config.urls) {
      const again = `git odb deinit ${config.name} && git odb init ${config.name} <url>`;
      const place = { url: absoluteUrl(url, patient.repo), again, needsConditions: false };
      const { timeout } = config;
      const idleMs = timeout === undefined ? {} : { idleMs: timeout * 1000 };
      if (!seen.has(placeOf(place.url))) yield* checkStore({ ...place, ...idleMs }, patient);
    }
  }
}

function bucketOf(address: string): string | undefined {
  const parsed = parseRemoteAddress(address);
  return "bucket" in parsed ? parsed.bucket : undefined;
}

/** The same for every spelling of a folder's URL. */
function placeOf(url: string): string {
  const location = parseBucketUrl(url);
  return location.kind === "file" ? location.path : url;
}

/** A remote that is a repository in a bucket: its refs are moved by conditional writes. */
async function* checkRemote(remote: string, url: string, patient: Patient): AsyncGenerator<Finding> {
  const needsConditions = ![...patient.odbs.values()].some(({ unsafePush }) => unsafePush);
  const again = `git remote set-url ${remote} odb::<url>`;
  yield* checkStore({ url, again, needsConditions }, patient);
}

/** A store to look at. */
interface Place {
  readonly url: string;
  /** The command that gives another URL. */
  readonly again: string;
  /** Whether it is of no use without conditional writes. */
  readonly needsConditions: boolean;
  /** As in BucketOptions. */
  readonly idleMs?: number;
}

async function* checkStore(place: Place, patient: Patient): AsyncGenerator<Finding> {
  const { url } = place;
  const { name } = parseBucketUrl(url);
  yield* checkClock(url, name, patient);
  try {
    await reach(place, patient);
  } catch (error) {
    const failure = toOdbError(error);
    if (failure.code === "aborted") throw failure;
    yield { check: "store", state: "bad", message: failure.message, fix: fixFor(failure, place) };
    return;
  }
  yield { check: "store", state: "ok", message: `${name} can be reached` };
  if (parseBucketUrl(url).layout !== "list") yield await checkWrites(place, patient);
}

/** Reads the store's settings, and asks for an object that no store has. */
async function reach({ url, idleMs }: Place, { repo, signal }: Patient): Promise<void> {
  const patience = { ...once, ...(idleMs !== undefined && { idleMs }) };
  const credentials = gitCredentials(repo);
  const store = await openStore(url, { ...patience, hash: repo.hash, credentials, signal });
  try {
    await store.stat(parseObjectId("0".repeat(hexLength[repo.hash])), { signal });
  } finally {
    await store.close();
  }
}

function fixFor({ code }: OdbError, { url, again }: Place): string {
  const { kind } = parseBucketUrl(url);
  if (code === "denied" && kind === "s3")
    return "aws sts get-caller-identity, and set AWS_PROFILE to who may use the bucket";
  if (code === "denied" && kind === "http") {
    const { protocol, host } = new URL(url);
    return `printf 'protocol=${protocol.slice(0, -1)}\\nhost=${host}\\n\\n' | git credential reject && git odb doctor`;
  }
  if (code === "denied") return `chmod the folder, or ask whose it is`;
  if (code === "unavailable") return "check the network and the URL, then: git odb doctor";
  return again;
}

/** Whether objects can be written here, and written only if nobody else did: serverless repositories need that. */
async function checkWrites({ url, needsConditions }: Place, { repo, signal }: Patient): Promise<Finding> {
  const bucket = await openBucket(url, { ...once, credentials: gitCredentials(repo) });
  const check = "writes";
  try {
    if (await bucket.conditionalWrites({ signal })) {
      return { check, state: "ok", message: `${bucket.name} takes conditional writes` };
    }
    const message = `${bucket.name} does not honour conditional writes: good for big files, not for odb:: repositories`;
    if (!needsConditions) return { check, state: "ok", message };
    return { check, state: "bad", message, fix: "push to a bucket of another service: git remote set-url" };
  } catch (error) {
    const { code, message } = toOdbError(error);
    if (code !== "denied" && code !== "unsupported") throw error;
    return { check, state: "ok", message: `${bucket.name} is read-only from here (${message})` };
  } finally {
    await bucket.close();
  }
}

async function* checkClock(url: string, name: string, { signal }: Patient): AsyncGenerator<Finding> {
  const ahead = await clockAhead(url, { signal });
  if (ahead === undefined) return;
  const check = "clock";
  const off = Math.abs(ahead);
  if (off < CLOCK_ADVICE) {
    yield { check, state: "ok", message: `the clock agrees with ${name}` };
    return;
  }
  const minutes = Math.round(off / 60_000);
  const message = `the clock of this machine is ${minutes} minutes ${ahead > 0 ? "ahead of" : "behind"} ${name}'s; S3 refuses from 15 on`;
  yield { check, state: off < CLOCK_BAD ? "advice" : "bad", message, fix: "timedatectl set-ntp true" };
}
