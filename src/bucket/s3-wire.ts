/** Requests to S3 by ourselves: signed, sent once by node:http, never redirected. What is rare is left to the SDK. */

import { hash } from "node:crypto";
import { Agent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { OdbError } from "../errors.js";
import { type HttpResponse, sendOnce } from "./http-exchange.js";
import { CONNECT_MS, MAX_SOCKETS, type S3Address } from "./s3-address.js";
import type { S3Calls, S3Operation, S3Service, Sending } from "./s3-calls.js";
import {
  type Credentials,
  EMPTY,
  encodePath,
  encodeQuery,
  type Signer,
  signer,
  UNSIGNED,
} from "./s3-sign.js";
import { type ChecksumModes, readXml, type WireCall, wireCalls } from "./s3-wire-calls.js";
import { textOf } from "./s3-xml.js";

/** What the wire stands on. */
export interface WireOptions extends ChecksumModes {
  readonly address: S3Address;
  readonly region: string;
  /** How long the service may be silent, in milliseconds. */
  readonly idleMs: number;
  /** Asked for each request. */
  credentials(): Promise<Credentials>;
  /** Who does the rest; opened when it is needed. */
  others(): Promise<S3Service>;
}

/** Bytes of an error's body. */
const ERROR_LIMIT = 64 * 1024;

/** A clock that is this much off is corrected, in milliseconds: as the SDK does it. */
const SKEW_MS = 5 * 60 * 1000;

/** Makes requests to one bucket. */
export function wireService(options: WireOptions): S3Service {
  const { address, credentials, idleMs } = options;
  const isHttps = address.origin.protocol === "https:";
  const sockets = { keepAlive: true, maxSockets: MAX_SOCKETS };
  const agent = isHttps ? new HttpsAgent(sockets) : new Agent(sockets);
  const sign = signer(options.region);
  let clockOffset = 0;
  let others: S3Service | undefined;

  async function exchange(call: WireCall<unknown>, { what, signal }: Sending): Promise<HttpResponse> {
    const { method, body } = call;
    const who = await credentials();
    const { url, headers } = signedRequest(address, call, sign, who, new Date(Date.now() + clockOffset));
    const request = { method, url, what, ...(body && { body: body.source }), ...(signal && { signal }) };
    const limits = { idleMs, connectMs: Math.min(CONNECT_MS, idleMs) };
    const response = await sendOnce(request, url, headers, agent, limits).catch((error: unknown) => {
      throw ownFailure(error);
    });
    const serverTime = Date.parse(response.headers.date ?? "");
    const offset = serverTime - Date.now();
    if (Math.abs(offset - clockOffset) >= SKEW_MS) clockOffset = offset;
    return response;
  }

  return {
    async send<K extends S3Operation>(operation: K, input: S3Calls[K]["input"], sending: Sending) {
      const make = wireCalls[operation] as Maker | undefined;
      const call = make?.(input, options) as WireCall<S3Calls[K]["answer"]> | undefined;
      if (call === undefined) {
        others = await options.others();
        return await others.send(operation, input, sending);
      }
      const response = await exchange(call, sending);
      if (response.status >= 300) throw await answeredFailure(response);
      try {
        if (call.read !== undefined) return await call.read(response, sending.what);
      } catch (error) {
        response.discard();
        throw error;
      }
      response.discard();
      return {} as S3Calls[K]["answer"];
    },
    close() {
      agent.destroy();
      others?.close();
    },
  };
}

type Maker = (input: unknown, modes: ChecksumModes) => unknown;

/** URL and headers of a call. */
export function signedRequest(
  { base, origin }: S3Address,
  { method, key, query = {}, headers = {}, body }: WireCall<unknown>,
  sign: Signer,
  who: Credentials,
  time: Date,
): { url: URL; headers: Record<string, string> } {
  const target = `${base}/${encodePath(key ?? "")}`;
  const path = target.slice(origin.origin.length);
  const search = encodeQuery(query);
  const wanted: Record<string, string> = { host: origin.host };
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) wanted[name] = value;
  const payload = payloadOf(body);
  const signed = sign({ method, path, query: search, headers: wanted, payload }, who, time);
  return { url: new URL(search === "" ? target : `${target}?${search}`), headers: signed };
}

function payloadOf(body: WireCall<unknown>["body"]): string {
  if (body === undefined) return EMPTY;
  return body.sha256 ?? (body.bytes === undefined ? UNSIGNED : hash("sha256", body.bytes, "hex"));
}

/** An answer that says no, in the form of the SDK's exceptions: see s3-errors.ts. */
class AnsweredFailure extends Error {
  readonly Code: string | undefined;
  readonly Region: string | undefined;
  readonly $metadata: { readonly httpStatusCode: number };
  readonly $response: { readonly headers: HttpResponse["headers"] };

  constructor({ status, headers }: HttpResponse, said: { code?: string; message?: string; region?: string }) {
    super(said.message ?? "");
    // Only a HEAD says nothing of its 404.
    this.name = said.code ?? (status === 404 ? "NotFound" : "");
    this.Code = said.code;
    this.Region = said.region;
    this.$metadata = { httpStatusCode: status };
    this.$response = { headers };
  }
}

async function answeredFailure(response: HttpResponse): Promise<Error> {
  try {
    const error = await readXml(response, "Error", ERROR_LIMIT);
    const [code, message, region] = ["Code", "Message", "Region"].map((name) => textOf(error, name));
    return new AnsweredFailure(response, {
      ...(code !== undefined && { code }),
      ...(message !== undefined && { message }),
      ...(region !== undefined && { region }),
    });
  } catch {
    // No body, one that breaks off, or one of something between us and S3: its status says enough.
    return new AnsweredFailure(response, {});
  }
}

/** The failure below an error of the exchange: s3-errors.ts knows better what it means here. */
function ownFailure(error: unknown): unknown {
  const cause = error instanceof OdbError ? error.cause : undefined;
  if (!(error instanceof OdbError) || error.code === "aborted" || !(cause instanceof Error)) return error;
  return (cause as NodeJS.ErrnoException).code?.startsWith("HPE_") ? error : cause;
}
