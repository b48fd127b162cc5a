/** A client of signed chunks (STREAMING-AWS4-HMAC-SHA256-PAYLOAD), which Amazon's JavaScript client never sends. */

import { createHash, createHmac } from "node:crypto";

const CHUNK = 65536;

/** Headers and body of a PUT of `bytes` in signed chunks. */
export function signedChunks(
  server: { endpoint: string; accessKeyId: string; secretAccessKey: string },
  path: string,
  bytes: Buffer,
): { headers: Record<string, string>; body: Buffer } {
  const date = new Date().toISOString().replace(/[-:]|\.\d{3}/g, "");
  const scope = `${date.slice(0, 8)}/us-east-1/s3/aws4_request`;
  const key = scope.split("/").reduce<Buffer | string>(hmac, `AWS4${server.secretAccessKey}`);
  const payload = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
  const signed: Record<string, string> = {
    host: new URL(server.endpoint).host,
    "x-amz-content-sha256": payload,
    "x-amz-date": date,
    "x-amz-decoded-content-length": `${bytes.length}`,
  };
  const names = Object.keys(signed).join(";");
  const lines = Object.entries(signed).map(([name, value]) => `${name}:${value}\n`);
  const canonical = ["PUT", path, "", lines.join(""), names, payload].join("\n");
  const seed = hmac(key, ["AWS4-HMAC-SHA256", date, scope, hash(canonical)].join("\n")).toString("hex");
  const credential = `Credential=${server.accessKeyId}/${scope}`;
  const authorization = `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=${names}, Signature=${seed}`;
  let previous = seed;
  const frame = (chunk: Buffer) => {
    const text = ["AWS4-HMAC-SHA256-PAYLOAD", date, scope, previous, hash(""), hash(chunk)].join("\n");
    previous = hmac(key, text).toString("hex");
    const head = `${chunk.length.toString(16)};chunk-signature=${previous}\r\n`;
    return Buffer.concat([Buffer.from(head), chunk, Buffer.from("\r\n")]);
  };
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK) frames.push(frame(bytes.subarray(at, at + CHUNK)));
  const body = Buffer.concat([...frames, frame(Buffer.alloc(0))]);
  return { headers: { ...signed, authorization, "content-length": `${body.length}` }, body };
}

function hmac(key: Buffer | string, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

function hash(bytes: Buffer | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}
