/** S3 by Amazon's client: whatever our own wire leaves to it, and everything when the settings are unusual. */

import { Readable } from "node:stream";
import type { S3Client } from "@aws-sdk/client-s3";
import { bodyContent } from "./s3-body.js";
import type { RequestBody, S3Calls, S3Operation, S3Service, Sending } from "./s3-calls.js";

/** The client's commands, loaded. */
type Sdk = typeof import("./s3-sdk.js");

/** Bytes that a body reads ahead. */
const READ_AHEAD = 1024 * 1024;

/** Loads the commands: 25 to 60 ms. */
export async function loadSdk(): Promise<Sdk> {
  // Read when the SDK is loaded: without it every git command prints six lines about Node 20.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true";
  return await import("./s3-sdk.js");
}

/** @param client who closes it is up to the caller */
export function sdkService(client: S3Client, sdk: Sdk): S3Service {
  const special: { [K in S3Operation]?: Send<K> } = {
    async GetObject(input, { what, signal }) {
      const { Body, ...facts } = await client.send(new sdk.GetObjectCommand(input), optionsOf(signal));
      return { ...facts, content: bodyContent(Body as Readable, facts.ContentLength ?? 0, what, signal) };
    },
    PutObject: ({ body, ...place }, { signal }) =>
      withStream(body, signal, (Body, options) =>
        client.send(new sdk.PutObjectCommand({ ...place, ...bodyInput(body), Body }), options),
      ),
    UploadPart: ({ body, ...place }, { signal }) =>
      withStream(body, signal, (Body, options) =>
        client.send(new sdk.UploadPartCommand({ ...place, ...bodyInput(body), Body }), options),
      ),
    DeleteObjects({ Bucket, keys }, { signal }) {
      const Delete = { Objects: keys.map((Key) => ({ Key })), Quiet: true };
      return client.send(new sdk.DeleteObjectsCommand({ Bucket, Delete }), optionsOf(signal));
    },
  };
  return {
    async send<K extends S3Operation>(operation: K, input: S3Calls[K]["input"], sending: Sending) {
      const own = special[operation] as Send<K> | undefined;
      if (own !== undefined) return await own(input, sending);
      // Their inputs and answers are the command's own.
      const Command = sdk[`${operation}Command`] as unknown as AnyCommand;
      return (await client.send(new Command(input), optionsOf(sending.signal))) as S3Calls[K]["answer"];
    },
    close: () => client.destroy(),
  };
}

type Send<K extends S3Operation> = (
  input: S3Calls[K]["input"],
  sending: Sending,
) => Promise<S3Calls[K]["answer"]>;

type AnyCommand = new (input: unknown) => never;

interface Options {
  readonly abortSignal?: AbortSignal;
}

function optionsOf(signal: AbortSignal | undefined): Options {
  return signal === undefined ? {} : { abortSignal: signal };
}

function bodyInput({ source, md5 }: RequestBody): { ContentLength: number; ContentMD5?: string } {
  return { ContentLength: source.size, ...(md5 !== undefined && { ContentMD5: md5 }) };
}

/** The SDK pipes a body without watching it: one that fails would leave the request open for ever. */
async function withStream<T>(
  { source, bytes }: RequestBody,
  signal: AbortSignal | undefined,
  send: (body: Buffer | Readable, options: Options) => Promise<T>,
): Promise<T> {
  if (bytes !== undefined) return await send(bytes, optionsOf(signal));
  const body = Readable.from(source.open(), { objectMode: false, highWaterMark: READ_AHEAD });
  const broken = new AbortController();
  body.on("error", () => broken.abort());
  try {
    return await send(body, optionsOf(signal ? AbortSignal.any([signal, broken.signal]) : broken.signal));
  } finally {
    body.destroy();
  }
}
