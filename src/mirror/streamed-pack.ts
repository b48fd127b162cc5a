/** A pack that goes straight to the bucket: read once from the source, indexed where it lies, never on a disk of ours. */

import { randomUUID } from "node:crypto";
import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import type { Content } from "../object/content.js";
import type { ObjectId } from "../object/id.js";
import { formatIndex } from "../pack/idx-write.js";
import { resolveIndex } from "../pack/index-builder.js";
import { type ObjectObserver, type ScannedPack, scanPack } from "../pack/scan.js";
import { spoolInBucket } from "./bucket-spool.js";
import { temporaryPrefix } from "./cleanup.js";
import type { PackDemand } from "./fetched-pack.js";
import { keptAlive } from "./keep-alive.js";
import { type LfsObject, parsePointer } from "./lfs-pointer.js";
import { linksOf, OpenLinks } from "./links.js";

/** A pack that lies, complete and checked, under a temporary key. */
export interface StreamedPack extends AsyncDisposable {
  /** `pack-<checksum>` */
  readonly name: string;
  readonly count: number;
  readonly size: number;
  /** The pack's temporary key: to be copied to its own. Disposal removes it. */
  readonly key: string;
  readonly index: Buffer;
  /** The LFS objects that its blobs point to. */
  readonly pointers: readonly LfsObject[];
}

/** Memory for the bases of deltas, in bytes; half of what is bounded, the other half being parts on their way. */
const BASES = 64 * 1024 * 1024;

/**
 * Sends a pack to `tmp/<id>`, hashing every object on the way; then resolves its deltas, read by ranges where they
 * were too many to be kept. What it holds is bounded but for some 300 bytes an object.
 *
 * @throws OdbError unsupported, when the bucket cannot take a stream; integrity, as `fetchPack`
 */
export async function streamPack(
  content: Content,
  bucket: Bucket,
  demand: PackDemand,
  call: CallOptions,
): Promise<StreamedPack> {
  const id = `${temporaryPrefix}${randomUUID()}`;
  const key = `${id}/pack`;
  const links = new OpenLinks();
  const pointers = new Map<string, LfsObject>();
  const onObject: ObjectObserver = (type, oid, bytes) => {
    const pointer = type === "blob" ? parsePointer(bytes) : undefined;
    if (pointer !== undefined) pointers.set(pointer.oid, pointer);
    if (type === "blob") return;
    for (const link of linksOf(type, bytes, demand.hash, oid)) links.add(link, `${type} ${oid}`);
  };
  const remove = () => bucket.remove([key], call);
  try {
    const { scanned, size } = await sendAndScan(content, bucket, key, demand, call, onObject);
    let bases = 0;
    const { entries } = await resolveIndex(
      scanned,
      {
        name: demand.what,
        hash: demand.hash,
        size,
        read: (start, end) => readRange(bucket, key, start, end, call),
      },
      {
        memory: BASES,
        onObject,
        setAside: (base) => spoolInBucket(bucket, `${id}/base-${bases++}`, base, call),
      },
    );
    const inside = new Set(entries.map(({ oid }) => oid));
    for (const oid of demand.wants) links.add(oid, "a ref");
    await links.check((oid) => inside.has(oid), demand.known ?? nothing, demand.what);
    const index = formatIndex(unique(entries), scanned.checksum, demand.hash);
    const name = `pack-${scanned.checksum}`;
    return {
      name,
      count: entries.length,
      size,
      key,
      index,
      pointers: [...pointers.values()],
      [Symbol.asyncDispose]: remove,
    };
  } catch (error) {
    // The failure is what counts; what cannot be removed now goes a grace period later.
    await remove().catch(() => {});
    throw error;
  }
}

const nothing = { has: async () => false, find: async () => undefined };

/** An object may stand twice in a pack, but once in its index. */
function unique<T extends { oid: ObjectId }>(entries: readonly T[]): T[] {
  return [...new Map(entries.map((entry) => [entry.oid, entry])).values()];
}

/** One pass over the content by two readers: the bucket's upload, and the scan, which sees each chunk first. */
async function sendAndScan(
  content: Content,
  bucket: Bucket,
  key: string,
  { hash, what }: PackDemand,
  call: CallOptions,
  onObject: ObjectObserver,
): Promise<{ scanned: ScannedPack; size: number }> {
  if (bucket.writeStream === undefined) {
    throw new OdbError(
      "unsupported",
      `${bucket.name} cannot take a stream of unknown size: leave out --stream`,
    );
  }
  const hand = handover();
  const scanning = scanPack(hand.content, hash, what, undefined, onObject);
  // Its failure ends the upload through the handover; it is awaited below.
  scanning.catch((error: unknown) => hand.fail(error));
  const size = await bucket.writeStream(key, passed(keptAlive(content), hand, scanning), call);
  return { scanned: await scanning, size };
}

/** The upload's content: it ends only when the scan has found all of it right, so that nothing wrong is completed. */
async function* passed(content: Content, hand: Handover, scanning: Promise<unknown>): Content {
  try {
    for await (const chunk of content) {
      await hand.give(chunk);
      yield chunk;
    }
    hand.end();
    await scanning;
  } catch (error) {
    hand.break(error);
    throw error;
  } finally {
    hand.break(new OdbError("aborted", "the upload of the pack was given up"));
  }
}

interface Handover {
  readonly content: Content;
  /** Resolves when the chunk has been used. @throws what the reader failed with */
  give(chunk: Uint8Array): Promise<void>;
  end(): void;
  /** The content fails. */
  break(error: unknown): void;
  /** The reader has failed. */
  fail(error: unknown): void;
}

/** A chunk at a time from a writer to a reader. */
function handover(): Handover {
  let chunk: Uint8Array | undefined;
  let state: "open" | "ended" | { broken: unknown } = "open";
  const failures: unknown[] = [];
  let wake = () => {};
  let used = () => {};
  async function* content(): Content {
    try {
      for (;;) {
        if (chunk !== undefined) {
          const given = chunk;
          yield given;
          chunk = undefined;
          used();
        } else if (state === "ended") return;
        else if (state !== "open") throw state.broken;
        else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      chunk = undefined;
      used();
    }
  }
  const waitUsed = () =>
    new Promise<void>((resolve) => {
      used = resolve;
      wake();
      if (failures.length > 0) resolve();
    });
  return {
    content: content(),
    async give(next) {
      if (failures.length > 0) throw failures[0];
      chunk = next;
      await waitUsed();
      if (failures.length > 0) throw failures[0];
    },
    end() {
      state = "ended";
      wake();
    },
    break(error) {
      if (state === "open") state = { broken: error };
      wake();
    },
    fail(error) {
      failures.push(error);
      used();
    },
  };
}

async function readRange(
  bucket: Bucket,
  key: string,
  start: number,
  end: number,
  call: CallOptions,
): Promise<Content> {
  const body = await bucket.read(key, { ...call, range: { start, end } });
  if (body !== undefined) return body.content;
  throw new OdbError("unavailable", `${bucket.name}/${key} was removed while it was read: try again`);
}
