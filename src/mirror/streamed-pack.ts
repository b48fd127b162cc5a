/** A pack that goes straight to the bucket: read once from the source, indexed where it lies, never on a disk of ours. */

import { randomUUID } from "node:crypto";
import type { Bucket, CallOptions } from "../bucket/bucket.js";
import { OdbError } from "../errors.js";
import type { Content, Source } from "../object/content.js";
import { BaseMemory } from "../pack/base-memory.js";
import { completePack } from "../pack/complete.js";
import { type ObjectTable, referrers } from "../pack/object-table.js";
import { resolveDeferred } from "../pack/resolve-deferred.js";
import { type ObjectObserver, type ScannedPack, scanPack } from "../pack/scan.js";
import type { PackInput } from "../pack/write.js";
import { type MirrorObjects, mirrorObjects, packAccess } from "./bucket-pack.js";
import { spoolInBucket } from "./bucket-spool.js";
import { temporaryPrefix } from "./cleanup.js";
import type { PackDemand } from "./fetched-pack.js";
import { keptAlive } from "./keep-alive.js";
import { type LfsObject, parsePointer } from "./lfs-pointer.js";
import { checkLinks, visitLinks } from "./links.js";

/** A pack that lies, complete and checked, under a temporary key. */
export interface StreamedPack extends AsyncDisposable {
  /** `pack-<checksum>` */
  readonly name: string;
  /** Objects that came from the source, without the bases that were added. */
  readonly count: number;
  readonly size: number;
  /** The pack's temporary key: to be copied to its own. Disposal removes it. */
  readonly key: string;
  readonly index: Source;
  /** The LFS objects that its blobs point to. */
  readonly pointers: readonly LfsObject[];
}

/** Memory for bases of deltas, in bytes. */
const BASES = 24 * 1024 * 1024;

/**
 * Sends a pack to `tmp/<id>`, hashing every object on the way; then resolves what is left of its deltas, read by ranges,
 * their bases too where the mirror has them; to such a pack its missing bases are added. What it holds is bounded but for
 * some 60 bytes an object.
 *
 * @throws OdbError unsupported, when the bucket cannot take a stream; integrity, as `fetchPack`
 */
export async function streamPack(
  content: Content,
  bucket: Bucket,
  demand: PackDemand,
  call: CallOptions,
): Promise<StreamedPack> {
  const { hash, known, what, wants } = demand;
  const id = `${temporaryPrefix}${randomUUID()}`;
  const [key, wholeKey] = [`${id}/pack`, `${id}/whole`];
  const pointers = new Map<string, LfsObject>();
  const onObject = observer(demand, pointers);
  const remove = () => bucket.remove([key, wholeKey], call);
  try {
    const { scanned, size } = await sendAndScan(content, bucket, key, demand, call, onObject);
    const { table, checksum } = scanned;
    let asides = 0;
    const memory = new BaseMemory(BASES, (base) =>
      spoolInBucket(bucket, `${id}/base-${asides++}`, base, call),
    );
    const external = known && mirrorObjects(bucket, known, memory, call);
    const access = packAccess(bucket, key, { size, hash, name: what }, call);
    const bases = await resolveDeferred(scanned, external ? { ...access, external } : access, {
      memory,
      onObject,
    });
    for (const oid of wants) table.refer(Buffer.from(oid, "hex"), 0, referrers.ref);
    await checkLinks(table.missing(), known, what);
    const rest = { pointers: [...pointers.values()], [Symbol.asyncDispose]: remove };
    if (external === undefined || bases.length === 0) {
      return {
        ...rest,
        name: `pack-${checksum}`,
        count: scanned.count,
        size,
        key,
        index: table.toIndex(checksum),
      };
    }
    const thin = { name: what, count: scanned.count, size, checksum, content: await access.read(0, size) };
    const whole = completePack(thin, bases.length, basesOf(bases, table, external), hash);
    const wholeSize = (await bucket.writeStream?.(wholeKey, whole.content, call)) ?? 0;
    for (const { oid, offset, crc32 } of whole.entries) table.place(Buffer.from(oid, "hex"), offset, crc32);
    const name = `pack-${whole.checksum()}`;
    const index = table.toIndex(whole.checksum());
    return { ...rest, name, count: scanned.count, size: wholeSize, key: wholeKey, index };
  } catch (error) {
    // The failure is what counts; what cannot be removed now goes a grace period later.
    await remove().catch(() => {});
    throw error;
  }
}

async function* basesOf(
  numbers: readonly number[],
  table: ObjectTable,
  objects: MirrorObjects,
): AsyncIterable<PackInput> {
  for (const number of numbers) {
    const oid = table.oidOf(number);
    const base = await objects(oid);
    if (base === undefined) throw new OdbError("bug", `object ${oid} has left the mirror`);
    yield { info: { oid, type: base.type, size: base.size }, content: base.content };
  }
}

/** Gathers the pointers of git-lfs, and what objects refer to. */
function observer({ hash }: PackDemand, pointers: Map<string, LfsObject>): ObjectObserver {
  return (type, number, content, table, likeness) => {
    if (type !== "blob") {
      const visit = (bytes: Buffer, at: number) => void table.refer(bytes, at, number);
      return visitLinks(type, content, hash, visit, () => table.oidOf(number), likeness);
    }
    const pointer = parsePointer(content);
    if (pointer !== undefined) pointers.set(pointer.oid, pointer);
  };
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
  const scanning = scanPack(hand.content, hash, what, { onObject });
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
