/** S3's newer checksums of whole objects: sent with what is in memory, checked in what is read. */

import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { crc32 } from "node:zlib";
import { OdbError } from "../errors.js";
import type { Content } from "../object/content.js";

/** The headers of a body's CRC32. */
export function crc32Header(bytes: Uint8Array): Record<string, string> {
  return { "x-amz-checksum-crc32": base64(crc32(bytes)), "x-amz-sdk-checksum-algorithm": "CRC32" };
}

/**
 * Passes an object through, and throws at its end when it has not the checksum of its headers. CRC32C and CRC64NVME
 * are not checked; nor is that of an upload in parts, which is one of parts.
 *
 * @throws OdbError integrity
 */
export function checkedContent(content: Content, headers: IncomingHttpHeaders, what: string): Content {
  for (const [name, start] of Object.entries(algorithms)) {
    const expected = headers[`x-amz-checksum-${name}`];
    if (typeof expected === "string" && !expected.includes("-"))
      return checked(content, start(), expected, what);
  }
  return content;
}

interface Checksum {
  update(bytes: Uint8Array): unknown;
  /** Base64. */
  finish(): string;
}

const hashed = (algorithm: string) => (): Checksum => {
  const hash = createHash(algorithm);
  return { update: (bytes) => hash.update(bytes), finish: () => hash.digest("base64") };
};

const algorithms: Readonly<Record<string, () => Checksum>> = {
  crc32() {
    let value = 0;
    return {
      update(bytes) {
        value = crc32(bytes, value);
      },
      finish: () => base64(value),
    };
  },
  sha1: hashed("sha1"),
  sha256: hashed("sha256"),
};

async function* checked(content: Content, checksum: Checksum, expected: string, what: string): Content {
  for await (const chunk of content) {
    checksum.update(chunk);
    yield chunk;
  }
  if (checksum.finish() !== expected)
    throw new OdbError("integrity", `${what}: the bytes have not the checksum that the store recorded`);
}

function base64(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes.toString("base64");
}
