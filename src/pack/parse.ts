/** Reading a pack as it comes, once, from front to back, in bounded memory (gitformat-pack(5)). */

import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { OdbError } from "../errors.js";
import type { Content } from "../object/content.js";
import { type HashAlgorithm, hexLength } from "../object/id.js";
import { AT_ONCE, type EntryBody, entryBody, inflateWhole, mostDeflated } from "./body.js";
import { ByteReader } from "./byte-reader.js";
import { PACK_HEAD } from "./concat.js";
import { type EntryHeader, peekEntryHeader } from "./entry.js";

/** An entry in the order of the pack: its header, and its inflated data, of the object or of the delta. */
export interface PackEntry {
  readonly header: EntryHeader;
  /** Where it begins in the pack. */
  readonly offset: number;
  /** Names it in errors. */
  readonly what: string;
  /**
   * All of it, when it is small: valid until the next entry is asked for. Else to be read to its end, or closed, before that.
   */
  readonly data: Buffer | EntryBody;
}

/** A pack that is being read. */
export class PackReader {
  /** How many entries the header announces. */
  readonly count: number;
  readonly #reader: ByteReader;
  readonly #digest;
  readonly #hash: HashAlgorithm;
  readonly #what: string;
  /** The small entries, one after the other. */
  readonly #room = Buffer.allocUnsafeSlow(AT_ONCE + 1);
  #crc = 0;

  private constructor(
    count: number,
    reader: ByteReader,
    digest: ReturnType<typeof createHash>,
    hash: HashAlgorithm,
    what: string,
  ) {
    this.count = count;
    this.#reader = reader;
    this.#digest = digest;
    this.#hash = hash;
    this.#what = what;
  }

  /**
   * Reads the head of a pack. Whoever opens it closes it.
   *
   * @param what names the pack in errors
   * @throws OdbError integrity, here and later, for whatever is not a whole pack of version 2 or 3
   */
  static async open(content: Content, hash: HashAlgorithm, what: string): Promise<PackReader> {
    const digest = createHash(hash);
    let opened: PackReader | undefined;
    const reader = new ByteReader(content, what, (bytes) => {
      digest.update(bytes);
      if (opened !== undefined) opened.#crc = crc32(bytes, opened.#crc);
    });
    try {
      opened = new PackReader(await readCount(reader, what), reader, digest, hash, what);
      return opened;
    } catch (error) {
      await reader.close();
      throw error;
    }
  }

  /** To be called {@link count} times. */
  async next(): Promise<PackEntry> {
    this.#crc = 0;
    const reader = this.#reader;
    const offset = reader.position;
    const what = `${this.#what}, entry at ${offset}`;
    const { header, length } = await peekEntryHeader(reader, this.#hash, what);
    if (header.size <= AT_ONCE) {
      const most = length + mostDeflated(header.size);
      if (reader.buffered.length < most) await reader.fill(most);
      const whole = inflateWhole(reader.buffered.subarray(length), header.size, what, this.#room);
      if (whole !== undefined) {
        reader.skip(length + whole.consumed);
        return { header, offset, what, data: whole.content };
      }
    }
    reader.skip(length);
    return { header, offset, what, data: entryBody(reader, header.size, what) };
  }

  /** Of the last entry's bytes in the pack, once its data has been read. */
  get crc32(): number {
    return this.#crc;
  }

  /** Checks the trailer, which must be the end. @returns it, in hex */
  async finish(): Promise<string> {
    const sum = this.#digest.digest("hex");
    const trailer = await this.#reader.peek(hexLength[this.#hash] / 2);
    if (trailer.toString("hex") !== sum) {
      throw new OdbError("integrity", `${this.#what}: its checksum is wrong`);
    }
    if (await this.#reader.fill(trailer.length + 1)) {
      throw new OdbError("integrity", `${this.#what}: bytes behind its end`);
    }
    return sum;
  }

  /** Lets go of the content. */
  async close(): Promise<void> {
    await this.#reader.close();
  }
}

async function readCount(reader: ByteReader, what: string): Promise<number> {
  const header = await reader.take(PACK_HEAD);
  const version = header.readUInt32BE(4);
  if (header.toString("latin1", 0, 4) !== "PACK" || (version !== 2 && version !== 3)) {
    throw new OdbError("integrity", `${what} is no pack of version 2 or 3`);
  }
  return header.readUInt32BE(8);
}
