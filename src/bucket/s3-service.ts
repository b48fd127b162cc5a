/** Chooses who makes the requests to a location: our own wire, or Amazon's client. */

import type { S3Client, S3ClientConfig } from "@aws-sdk/client-s3";
import {
  addressOf,
  CONNECT_MS,
  MAX_SOCKETS,
  regionForEndpoint,
  type WireSettings,
  wireSettings,
} from "./s3-address.js";
import type { S3Service } from "./s3-calls.js";
import { environmentCredentials } from "./s3-credentials.js";
import type { S3Location } from "./url.js";

/**
 * Our own wire for what is asked often, the SDK for the rest; the SDK alone with a client of the caller's or with
 * settings that our wire does not understand. The SDK is loaded when it is needed.
 *
 * @param idleMs how long the service may be silent
 * @param given a client of the caller's: it stays open
 */
export async function openService(
  location: S3Location,
  idleMs: number,
  given?: S3Client,
): Promise<S3Service> {
  if (given !== undefined) return { ...(await serviceOf(given)), close() {} };
  const client = lazy(() => makeClient(location, idleMs));
  const settings = wireSettings(location);
  return (
    (settings && (await openWire(location, settings, idleMs, client))) ?? (await serviceOf(await client()))
  );
}

/** @returns undefined when the SDK knows of something unusual */
async function openWire(
  location: S3Location,
  settings: WireSettings,
  idleMs: number,
  client: () => Promise<S3Client>,
): Promise<S3Service | undefined> {
  const fixed = environmentCredentials(location.profile);
  const region = settings.region ?? (await (await client()).config.region());
  const address = addressOf(location, region);
  if (address === undefined) return undefined;
  const { wireService } = await import("./s3-wire.js");
  return wireService({
    address,
    region,
    idleMs,
    request: settings.request,
    response: settings.response,
    // The SDK keeps what its chain found until shortly before it expires.
    credentials: async () => fixed ?? (await (await client()).config.credentials()),
    others: lazy(async () => serviceOf(await client())),
  });
}

async function makeClient(location: S3Location, idleMs: number): Promise<S3Client> {
  const { loadSdk } = await import("./s3-sdk-service.js");
  const { S3Client } = await loadSdk();
  return new S3Client(clientConfig(location, idleMs));
}

async function serviceOf(client: S3Client): Promise<S3Service> {
  const { loadSdk, sdkService } = await import("./s3-sdk-service.js");
  return sdkService(client, await loadSdk());
}

/** The client's settings. Credentials, and what is left out here, come from the SDK's own chain. */
export function clientConfig(location: S3Location, idleMs: number): S3ClientConfig {
  const { endpoint, profile, checksums } = location;
  const region = location.region ?? (endpoint === undefined ? undefined : regionForEndpoint());
  return {
    ...(endpoint !== undefined && { endpoint }),
    ...(region !== undefined && { region }),
    ...(profile !== undefined && { profile }),
    forcePathStyle: location.pathStyle ?? endpoint !== undefined,
    ...checksumConfig(checksums, endpoint),
    // Tried again by withRetry only: two layers would multiply.
    maxAttempts: 1,
    logger: silent,
    requestHandler: {
      connectionTimeout: Math.min(CONNECT_MS, idleMs),
      socketTimeout: idleMs,
      httpAgent: agent,
      httpsAgent: agent,
    },
  };
}

/** The SDK would write some failures to the console, too: whoever gets the error reports it. */
const silent = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };

const agent = { keepAlive: true, maxSockets: MAX_SOCKETS };

/** As `wireSettings` has it; what is left out here the SDK reads from the environment and its files. */
function checksumConfig(wanted: S3Location["checksums"], endpoint: string | undefined): S3ClientConfig {
  const set = process.env.AWS_REQUEST_CHECKSUM_CALCULATION !== undefined;
  if (wanted === undefined && (endpoint === undefined || set)) return {};
  const mode = wanted === "supported" ? "WHEN_SUPPORTED" : "WHEN_REQUIRED";
  return { requestChecksumCalculation: mode, responseChecksumValidation: mode };
}

/** Made once, on demand; a failure is tried again by the next who asks. */
function lazy<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make().catch((error: unknown) => {
      made = undefined;
      throw error;
    });
    return made;
  };
}
