/** Who may do what: the names a server answers to, credentials, and what is allowed at all. */

import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { hostname, networkInterfaces } from "node:os";
import { OdbError } from "../errors.js";
import { type Answer, textAnswer } from "./answer.js";

/** One way to prove that one may use the server. */
export type AccessCredential =
  | { readonly kind: "bearer"; readonly token: string }
  | { readonly kind: "basic"; readonly username: string; readonly password: string };

/** What guards a server. */
export interface AccessOptions {
  /** Any one of these opens the server; none: no authentication. */
  readonly credentials?: readonly AccessCredential[];
  /** More names that clients may know the server by: of a reverse proxy, of an interface. */
  readonly hostNames?: readonly string[];
}

/** Checks a request before anything else looks at it. @returns the refusal, if it is one */
export type Guard = (request: IncomingMessage) => Answer | undefined;

/**
 * Reads a credential file: a line `<user>:<password>` or a token without a colon; empty lines and lines that
 * begin with `#` are left out.
 *
 * @throws OdbError config, when there is none in it; the message never repeats a line
 */
export function parseCredentials(text: string, file: string): AccessCredential[] {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const credentials = lines.filter((line) => line !== "" && !line.startsWith("#")).map(parseCredential);
  if (credentials.length > 0) return credentials;
  throw new OdbError("config", `${file}: no credential in it: expected lines <user>:<password> or <token>`);
}

/** Whether nobody but this machine can reach a server that listens on `host`. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host);
}

/** The guard of a server that listens on `host`. */
export function createGuard(host: string, options: AccessOptions): Guard {
  const names = new Set([...ownNames(host), ...(options.hostNames ?? [])].map((name) => name.toLowerCase()));
  const credentials = options.credentials ?? [];
  const accepted = credentials.map(acceptedBy);
  return (request) => {
    if (request.headers.origin !== undefined) return textAnswer(403, "requests of web pages are refused");
    if (!names.has(hostNameOf(request.headers.host))) {
      return textAnswer(403, "this server is not known by that Host; --host-name adds one");
    }
    if (credentials.length === 0 || isAccepted(request.headers.authorization, accepted)) return undefined;
    return textAnswer(401, "authentication required", { "www-authenticate": challenge(credentials) });
  };
}

function parseCredential(line: string): AccessCredential {
  const at = line.indexOf(":");
  if (at < 0) return { kind: "bearer", token: line };
  return { kind: "basic", username: line.slice(0, at), password: line.slice(at + 1) };
}

/** Host without port and brackets, lower case; "" when there is none. */
function hostNameOf(header: string | undefined): string {
  const [, name = ""] = /^(\[[^\]]*\]|[^:]*)(?::\d*)?$/.exec(header ?? "") ?? [];
  return name.replace(/^\[|\]$/g, "").toLowerCase();
}

function ownNames(host: string): string[] {
  const loopback = ["localhost", "127.0.0.1", "::1"];
  if (isLoopback(host)) return [host, ...loopback];
  if (host !== "0.0.0.0" && host !== "::") return [host];
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return [hostname(), ...loopback, ...addresses.map(({ address }) => address.replace(/%.*$/, ""))];
}

/** Digests, so that a comparison takes as long whatever was sent. A token is a Basic password as well. */
interface Accepted {
  readonly bearer?: Buffer;
  readonly basic?: Buffer;
  readonly anyUserPassword?: Buffer;
}

function acceptedBy(credential: AccessCredential): Accepted {
  return credential.kind === "bearer"
    ? { bearer: digest(credential.token), anyUserPassword: digest(credential.token) }
    : { basic: digest(`${credential.username}:${credential.password}`) };
}

function isAccepted(authorization: string | undefined, accepted: readonly Accepted[]): boolean {
  const [, scheme = "", value = ""] = /^(\S+) +(\S+)$/.exec(authorization ?? "") ?? [];
  const sent: Accepted =
    scheme.toLowerCase() === "bearer" ? { bearer: digest(value) } : basicOf(scheme, value);
  let found = false;
  for (const one of accepted) {
    for (const kind of ["bearer", "basic", "anyUserPassword"] as const) {
      if (isSame(one[kind], sent[kind])) found = true;
    }
  }
  return found;
}

function basicOf(scheme: string, value: string): Accepted {
  if (scheme.toLowerCase() !== "basic") return {};
  const pair = Buffer.from(value, "base64").toString();
  return { basic: digest(pair), anyUserPassword: digest(pair.slice(pair.indexOf(":") + 1)) };
}

function isSame(one: Buffer | undefined, other: Buffer | undefined): boolean {
  return one !== undefined && other !== undefined && timingSafeEqual(one, other);
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** Basic first: git and curl take the first that they know. */
function challenge(credentials: readonly AccessCredential[]): string {
  const basic = 'Basic realm="git-odb", charset="UTF-8"';
  return credentials.some(({ kind }) => kind === "bearer") ? `${basic}, Bearer realm="git-odb"` : basic;
}
