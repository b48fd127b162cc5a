/** Blobs that the repository itself has, read by a few gits for many workers at once. */

import { createHash } from "node:crypto";
import { OdbError } from "../errors.js";
import { type Content, contentOf, verified } from "../object/content.js";
import type { ObjectId } from "../object/id.js";
import type { ObjectInfo } from "../object/info.js";
import { type CatFile, infosOf, openCatFile, smallObjects } from "../repo/cat-file.js";
import type { Repository } from "../repo/git.js";
import { turns } from "../store/parallel.js";
import type { OwnCopy } from "../store/store.js";

/** Up to this many bytes a blob is read into memory. */
const SMALL = 1024 * 1024;

/** Larger ones read at the same time: each has a git of its own, which streams it. */
const LARGE_AT_ONCE = 4;

/** The repository's blobs, for many workers at once. */
export interface LocalBlobs extends AsyncDisposable {
  /** Of those that are here. */
  readonly infos: ReadonlyMap<ObjectId, ObjectInfo>;
  /** @throws OdbError conflict, when it has gone meanwhile; what `take` throws */
  use(info: ObjectInfo, take: (content: Content) => Promise<void>): Promise<void>;
  /** For a store to know the blob by. @returns undefined when it is not here */
  own(oid: ObjectId): OwnCopy | undefined;
}

/**
 * Looks which of the blobs are here.
 *
 * @param inOrder blobs that will be used once each, in the order of `oids`: one git reads the small ones ahead of their
 *   users. Default none
 */
export async function openLocalBlobs(
  repo: Repository,
  oids: Iterable<ObjectId>,
  inOrder: (oid: ObjectId) => boolean = () => false,
): Promise<LocalBlobs> {
  const infos = new Map<ObjectId, ObjectInfo>();
  for await (const info of infosOf(repo, oids)) if (info !== undefined) infos.set(info.oid, info);
  const ahead = new ReadAhead(
    repo,
    [...infos.values()].filter(({ oid, size }) => size <= SMALL && inOrder(oid)).map(({ oid }) => oid),
  );
  const shared = openCatFile(repo);
  const one = turns(1);
  const few = turns(LARGE_AT_ONCE);
  const blobs: LocalBlobs = {
    infos,
    own(oid) {
      const info = infos.get(oid);
      if (info === undefined) return undefined;
      let sha256: Promise<string | undefined> | undefined;
      return {
        size: info.size,
        sha256() {
          // Several stores may ask.
          sha256 ??= sha256In(blobs, info);
          return sha256;
        },
      };
    },
    async use(info, take) {
      if (info.size <= SMALL) {
        const bytes = await one(async () => (await ahead.next(info.oid)) ?? (await bytesIn(shared, info)));
        return await take(contentOf(bytes));
      }
      return await few(async () => {
        await using own = openCatFile(repo);
        await take(await contentIn(own, info));
      });
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([ahead.close(), shared.close()]);
    },
  };
  return blobs;
}

/** Small blobs from one git that is told all of them at once: it need not wait for each question. */
class ReadAhead {
  readonly #oids: readonly ObjectId[];
  readonly #stream: ReturnType<typeof smallObjects>;
  #taken = 0;

  constructor(repo: Repository, oids: readonly ObjectId[]) {
    this.#oids = oids;
    this.#stream = smallObjects(repo, oids, SMALL);
  }

  /** @returns undefined when it is not this blob's turn, or it is not here any more */
  async next(oid: ObjectId): Promise<Buffer | undefined> {
    if (this.#oids[this.#taken] !== oid) return undefined;
    this.#taken += 1;
    const step = await this.#stream.next();
    return step.done || step.value?.info.oid !== oid ? undefined : step.value.content;
  }

  async close(): Promise<void> {
    await this.#stream.return(undefined);
  }
}

async function bytesIn(objects: CatFile, info: ObjectInfo): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(info.size);
  let at = 0;
  // A chunk is the reader's until the next one is asked for: kept ones are copied.
  for await (const chunk of await contentIn(objects, info)) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** @returns undefined when the copy here is not the object */
async function sha256In(blobs: LocalBlobs, info: ObjectInfo): Promise<string | undefined> {
  const digest = createHash("sha256");
  try {
    await blobs.use(info, async (content) => {
      for await (const chunk of verified(content, info)) digest.update(chunk);
    });
  } catch (error) {
    if (error instanceof OdbError && error.code === "integrity") return undefined;
    throw error;
  }
  return digest.digest("hex");
}

async function contentIn(objects: CatFile, info: ObjectInfo): Promise<Content> {
  const object = await objects.get(info.oid);
  if (object !== undefined) return object.content;
  throw new OdbError("conflict", `object ${info.oid} went away while it was to be read: run this again`);
}
