/** Where requests to S3 go, and which settings our own wire understands: with any other the SDK decides. */

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { S3Location } from "./url.js";

/** For a new connection, in milliseconds. */
export const CONNECT_MS = 10_000;

/** Connections at the same time. */
export const MAX_SOCKETS = 64;

/** When checksums beside MD5 and SHA-256 are sent, and checked in answers. */
export type ChecksumMode = "required" | "supported";

/** How our own wire speaks to a location. */
export interface WireSettings {
  /** undefined: the SDK's own settings say. */
  readonly region: string | undefined;
  readonly request: ChecksumMode;
  readonly response: ChecksumMode;
}

/** Where the objects of one bucket are. */
export interface S3Address {
  /** URL of the bucket without `/` at its end. */
  readonly base: string;
  readonly origin: URL;
}

/**
 * The settings of a location, or undefined when the location, the environment or the user's AWS files hold anything that
 * only the SDK understands: dual-stack, FIPS or configured endpoints, access points, other partitions …
 */
export function wireSettings(
  { bucket, endpoint, region, checksums }: S3Location,
  env: NodeJS.ProcessEnv = process.env,
): WireSettings | undefined {
  if (Object.keys(env).some((name) => unusualVariable.test(name) && env[name] !== "")) return undefined;
  // A directory bucket, an access point, an alias of one: they have endpoints and signatures of their own.
  if (!/^[A-Za-z0-9._-]{1,255}$/.test(bucket) || /--|-s3alias$/.test(bucket)) return undefined;
  if (endpoint === undefined && hasUnusualFile(env)) return undefined;
  const modes = checksumModes(checksums, endpoint, env);
  if (modes === undefined) return undefined;
  const set = region ?? (endpoint === undefined ? env.AWS_REGION || undefined : regionForEndpoint(env));
  return { region: set, ...modes };
}

/** A service of one's own rarely cares for the region, but it is part of every signature. */
export function regionForEndpoint(env: NodeJS.ProcessEnv = process.env): string {
  return env.AWS_REGION ?? env.AWS_DEFAULT_REGION ?? "us-east-1";
}

/**
 * The address of the bucket as the SDK would have it: `bucket.host` where that can be a host name, else `host/bucket`.
 *
 * @returns undefined for a region that our wire does not know the host of
 */
export function addressOf(
  { bucket, endpoint, pathStyle = endpoint !== undefined }: S3Location,
  region: string,
): S3Address | undefined {
  if (endpoint === undefined && !ordinaryRegion.test(region)) return undefined;
  const service = new URL(endpoint ?? `https://s3.${region}.amazonaws.com`);
  if (service.search !== "" || service.hash !== "") return undefined;
  const path = service.pathname.replace(/\/$/, "");
  const inHost = !pathStyle && !isAddress(service.hostname) && hostLabel.test(bucket);
  // Between the two styles lie names with dots, which a certificate does not cover: the SDK's affair.
  if (!pathStyle && !inHost) return undefined;
  const host = inHost ? `${bucket}.${service.host}` : service.host;
  const base = `${service.protocol}//${host}${path}${inHost ? "" : `/${bucket}`}`;
  return { base, origin: new URL(base) };
}

/** Variables of the SDK that change where or how requests go. */
const unusualVariable =
  /^AWS_(?:ENDPOINT_URL(?:_S3)?$|USE_|S3_|SIGV4A_|CREDENTIAL_SCOPE$|AUTH_SCHEME_|DEFAULTS_MODE$|DISABLE_|ENABLE_|ACCOUNT_ID_ENDPOINT_MODE$)/;

/** The same in a file. */
const unusualLine =
  /^\s*(?:endpoint_url|services|use_\w+|s3\w*|sigv4a\w*|auth_scheme\w*|defaults_mode|re(?:quest|sponse)_checksum\w*|account_id_endpoint_mode|disable_\w+)\s*=/im;

/** Commercial regions and those of the US government share the host names. */
const ordinaryRegion = /^(?:af|ap|ca|eu|il|me|mx|sa|us|us-gov)-[a-z]+-\d$/;

const hostLabel = /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/;

/** Only Amazon's own host is looked for in these files. */
function hasUnusualFile(env: NodeJS.ProcessEnv): boolean {
  const files = [
    env.AWS_CONFIG_FILE || join(homedir(), ".aws/config"),
    env.AWS_SHARED_CREDENTIALS_FILE || join(homedir(), ".aws/credentials"),
  ];
  return files.some((file) => {
    try {
      return unusualLine.test(readFileSync(file, "utf8"));
    } catch (error) {
      // One that cannot be read is the SDK's to report.
      return (error as NodeJS.ErrnoException).code !== "ENOENT";
    }
  });
}

/**
 * Amazon takes checksums in every form; of other services radosgw 16, R2 and Dell ECS refuse some, so behind an
 * `endpoint` they are sent only where S3 demands them, unless the URL or the environment says otherwise.
 *
 * @returns undefined for a word that is none of the SDK's
 */
function checksumModes(
  wanted: ChecksumMode | undefined,
  endpoint: string | undefined,
  env: NodeJS.ProcessEnv,
): { request: ChecksumMode; response: ChecksumMode } | undefined {
  const set = env.AWS_REQUEST_CHECKSUM_CALCULATION !== undefined;
  if (wanted !== undefined || (endpoint !== undefined && !set)) {
    const mode = wanted ?? "required";
    return { request: mode, response: mode };
  }
  const request = modeNamed(env.AWS_REQUEST_CHECKSUM_CALCULATION);
  const response = modeNamed(env.AWS_RESPONSE_CHECKSUM_VALIDATION);
  return request && response && { request, response };
}

function modeNamed(word = "WHEN_SUPPORTED"): ChecksumMode | undefined {
  const [, mode] = /^WHEN_(SUPPORTED|REQUIRED)$/i.exec(word) ?? [];
  return mode?.toLowerCase() as ChecksumMode | undefined;
}

function isAddress(hostname: string): boolean {
  return hostname.startsWith("[") || /^\d+\.\d+\.\d+\.\d+$/.test(hostname);
}
