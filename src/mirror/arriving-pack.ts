/** A pack on its way into `git index-pack --stdin`: readable as soon as its last byte is here, while git still looks into it. */

import { createHash } from "node:crypto";
import { type FileHandle, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Source as Bytes, Content } from "../object/content.js";
import { type HashAlgorithm, hexLength } from "../object/id.js";

/** A pack that has come whole: its trailer is the checksum of its bytes. */
export interface ArrivedPack extends AsyncDisposable {
  /** `pack-<checksum>` */
  readonly name: string;
  readonly bytes: Bytes;
}

/** In bytes. */
const CHUNK = 1 << 20;

/** How often git's file is looked at, in milliseconds. */
const POLL_MS = 5;

/** Sees a pack pass on its way to git. */
export class PassingPack {
  readonly #width: number;
  readonly #digest;
  #size = 0;
  /** The last bytes, not hashed yet: they may be the trailer. */
  #tail: Buffer = Buffer.alloc(0);

  constructor(hash: HashAlgorithm) {
    this.#width = hexLength[hash] / 2;
    this.#digest = createHash(hash);
  }

  async *through(content: Content): Content {
    for await (const chunk of content) {
      this.#see(chunk);
      yield chunk;
    }
  }

  #see(chunk: Uint8Array): void {
    this.#size += chunk.length;
    if (chunk.length < this.#width) {
      const held = Buffer.concat([this.#tail, chunk]);
      const cut = Math.max(0, held.length - this.#width);
      this.#digest.update(held.subarray(0, cut));
      this.#tail = held.subarray(cut);
      return;
    }
    this.#digest.update(this.#tail);
    this.#digest.update(chunk.subarray(0, chunk.length - this.#width));
    this.#tail = Buffer.from(chunk.subarray(chunk.length - this.#width));
  }

  /**
   * The pack, once its content has ended: from the file into which git has written it by then, all but the trailer.
   *
   * @param ended says that git is through: then there is nothing to be won any more
   * @returns undefined when the checksum is wrong, or git keeps its file elsewhere or otherwise
   */
  async arrived(packFolder: string, ended: () => boolean): Promise<ArrivedPack | undefined> {
    const trailer = this.#tail;
    if (!this.#digest.digest().equals(trailer)) return undefined;
    const body = this.#size - this.#width;
    const handle = await openTemporary(packFolder);
    if (handle === undefined) return undefined;
    const close = () => handle.close();
    while ((await handle.stat()).size < body) {
      if (ended()) return void (await close());
      await new Promise((done) => setTimeout(done, POLL_MS));
    }
    return {
      name: `pack-${trailer.toString("hex")}`,
      bytes: {
        size: this.#size,
        open: ({ start = 0, end = this.#size } = { start: 0 }) => read(handle, start, end, body, trailer),
      },
      [Symbol.asyncDispose]: close,
    };
  }
}

/** Opened, not only named: git gives it another name when it is done. */
async function openTemporary(packFolder: string): Promise<FileHandle | undefined> {
  const [name, ...more] = (await readdir(packFolder)).filter((each) => each.startsWith("tmp_pack_"));
  if (name === undefined || more.length > 0) return undefined;
  try {
    return await open(join(packFolder, name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Bytes `start` to `end` of the file's first `body` bytes and the trailer behind them. */
async function* read(handle: FileHandle, start: number, end: number, body: number, trailer: Buffer): Content {
  for (let at = start; at < Math.min(end, body); ) {
    const buffer = Buffer.allocUnsafe(Math.min(CHUNK, Math.min(end, body) - at));
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
    // The reader finds it too short, and says so.
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
  if (end > body) yield trailer.subarray(Math.max(0, start - body), end - body);
}
