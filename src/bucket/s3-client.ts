/** The connection to an S3 service: made from a location on the first call, every failure of it an OdbError. */

import type { S3Client, S3ClientConfig } from "@aws-sdk/client-s3";
import { OdbError } from "../errors.js";
import { checkSignal } from "./flow.js";
import { s3Failure } from "./s3-errors.js";
import type { S3Location } from "./url.js";

/** The client's commands, loaded. */
export type Sdk = typeof import("./s3-sdk.js");

/** How one call is made: `send` is the client's own, `options` go to it as they are. */
export type Call<T> = (client: S3Client, sdk: Sdk, options: { abortSignal?: AbortSignal }) => Promise<T>;

/** A connection that is made when it is first used: a command that never asks S3 does not pay for loading the client. */
export interface S3Connection {
  /**
   * Makes one call, tried once.
   *
   * @param what for messages: `read s3://bucket/key`
   * @throws OdbError with the SDK's failure as its cause
   */
  call<T>(what: string, signal: AbortSignal | undefined, run: Call<T>): Promise<T>;
  close(): void;
}

/** Idle time in milliseconds after which a connection counts as dead. */
const IDLE_MS = 60_000;

/** In milliseconds. */
const CONNECT_MS = 10_000;

/** @param given a client of the caller's: it stays open */
export function s3Connection(location: S3Location, given?: S3Client): S3Connection {
  let opening: Promise<{ client: S3Client; sdk: Sdk }> | undefined;
  let closed = false;
  return {
    async call(what, signal, run) {
      if (closed) throw new OdbError("bug", `${what}: the bucket is closed`);
      checkSignal(signal, what);
      opening ??= open(location, given);
      try {
        const { client, sdk } = await opening;
        return await run(client, sdk, signal === undefined ? {} : { abortSignal: signal });
      } catch (error) {
        throw s3Failure(error, what, location, signal);
      }
    },
    close() {
      closed = true;
      if (given !== undefined) return;
      // A client that never came up has nothing to end; whoever asked for it has seen the failure.
      opening?.then(({ client }) => client.destroy()).catch(() => {});
    },
  };
}

async function open(location: S3Location, given?: S3Client): Promise<{ client: S3Client; sdk: Sdk }> {
  // Read when the SDK is loaded: without it every git command prints six lines about Node 20.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true";
  const sdk = await import("./s3-sdk.js");
  return { client: given ?? new sdk.S3Client(clientConfig(location)), sdk };
}

/** The client's settings. Credentials, and what is left out here, come from the SDK's own chain. */
export function clientConfig(location: S3Location): S3ClientConfig {
  const { endpoint, profile, checksums } = location;
  const region = location.region ?? (endpoint === undefined ? undefined : regionForEndpoint());
  return {
    ...(endpoint !== undefined && { endpoint }),
    ...(region !== undefined && { region }),
    ...(profile !== undefined && { profile }),
    forcePathStyle: location.pathStyle ?? endpoint !== undefined,
    ...checksumMode(checksums, endpoint),
    // Tried again by withRetry only: two layers would multiply.
    maxAttempts: 1,
    logger: silent,
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      socketTimeout: IDLE_MS,
      httpAgent: agent,
      httpsAgent: agent,
    },
  };
}

/** The SDK would write some failures to the console, too: whoever gets the error reports it. */
const silent = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };

const agent = { keepAlive: true, maxSockets: 64 };

/** A service of one's own rarely cares for the region, but it is part of every signature. */
function regionForEndpoint(): string | undefined {
  return process.env.AWS_REGION ?? process.env.AWS_DEFAULT_REGION ?? "us-east-1";
}

/**
 * Amazon takes checksums in every form; of other services radosgw 16, R2 and Dell ECS refuse some, so behind an
 * `endpoint` they are sent only where S3 demands them, unless the URL or the environment says otherwise.
 */
function checksumMode(wanted: S3Location["checksums"], endpoint: string | undefined): S3ClientConfig {
  const set = process.env.AWS_REQUEST_CHECKSUM_CALCULATION !== undefined;
  if (wanted === undefined && (endpoint === undefined || set)) return {};
  const mode = wanted === "supported" ? "WHEN_SUPPORTED" : "WHEN_REQUIRED";
  return { requestChecksumCalculation: mode, responseChecksumValidation: mode };
}
