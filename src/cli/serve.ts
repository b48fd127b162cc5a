/** `git odb serve <url>`: serves a bucket over HTTP until it is interrupted. */

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { type Command, InvalidArgumentError } from "commander";
import type { Bucket } from "../bucket/bucket.js";
import { openBucket } from "../bucket/open.js";
import { OdbError, toOdbError } from "../errors.js";
import { parseCredentials } from "../serve/access.js";
import { type RequestLog, serveBucket } from "../serve/server.js";
import type { Context } from "./context.js";

/** How a server is started. */
export interface ServeVerbOptions {
  readonly listen: string;
  readonly port: string;
  readonly tokenFile?: string;
  readonly basicFile?: string;
  readonly hostName?: string[];
  readonly baseUrl?: string;
  readonly readOnly?: boolean;
  readonly allowDelete?: boolean;
  readonly tlsKey?: string;
  readonly tlsCert?: string;
  readonly quiet?: boolean;
}

export function define(command: Command, context: Context): void {
  addServerOptions(command.argument("<url>", "the bucket: a path, file:// or s3:// URL"))
    .option(
      "--base-url <url>",
      "by which clients reach this server, for the links to LFS objects",
      parseBaseUrl,
    )
    .option("--read-only", "refuse whatever changes the bucket")
    .option("--allow-delete", "let clients delete; needs credentials")
    .action((url: string, options: ServeVerbOptions) => serve(url, options, context));
}

/** Adds what every server of a bucket can be told. */
export function addServerOptions(command: Command): Command {
  return command
    .option("--listen <address>", "where to listen; anything but this machine needs credentials", "127.0.0.1")
    .option("--port <number>", "0 takes a free one", "8080")
    .option("--token-file <file>", "accept the bearer tokens in this file, one a line")
    .option("--basic-file <file>", "accept the users in this file, a <user>:<password> a line")
    .option("--host-name <name...>", "other names that clients know this server by")
    .option("--tls-key <file>", "private key (PEM); serves https")
    .option("--tls-cert <file>", "certificate chain (PEM)")
    .option("-q, --quiet", "do not log requests on standard error");
}

/**
 * Serves the bucket until the verb is interrupted.
 *
 * @param tell what to print once it listens, given the bucket and the server's URL; default the URL
 */
export async function serve(
  url: string,
  options: ServeVerbOptions,
  context: Context,
  tell: (bucket: Bucket, server: string) => Promise<string> = async (_, server) => `${server}\n`,
): Promise<void> {
  const { listen, hostName = [], readOnly = false, allowDelete = false } = options;
  const tls = await readTls(options);
  const credentials = [
    ...(await readCredentials(options.tokenFile, "bearer")),
    ...(await readCredentials(options.basicFile, "basic")),
  ];
  const bucket = await openBucket(url);
  try {
    await using server = await serveBucket(bucket, {
      host: listen,
      port: parsePort(options.port),
      credentials,
      hostNames: hostName,
      ...(options.baseUrl !== undefined && { baseUrl: options.baseUrl }),
      readOnly,
      allowDelete,
      ...(tls && { tls }),
      ...(!options.quiet && { log: (line: RequestLog) => context.note(formatLog(line), options) }),
    });
    await context.print(await tell(bucket, server.url));
    if (!context.signal.aborted) await once(context.signal, "abort");
  } finally {
    await bucket.close();
  }
}

function parsePort(text: string): number {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (port <= 65535) return port;
  throw new OdbError("invalid", `--port=${text}: expected a number from 0 to 65535`);
}

async function readCredentials(file: string | undefined, kind: "bearer" | "basic") {
  if (file === undefined) return [];
  const credentials = parseCredentials((await readOptionFile(file)).toString(), file);
  if (credentials.every((credential) => credential.kind === kind)) return credentials;
  const expected = kind === "bearer" ? "a token without a colon" : "<user>:<password>";
  throw new OdbError("config", `${file}: every line should be ${expected}`);
}

async function readTls({ tlsKey, tlsCert }: ServeVerbOptions) {
  if (tlsKey === undefined && tlsCert === undefined) return undefined;
  if (tlsKey === undefined || tlsCert === undefined) {
    throw new OdbError("invalid", "TLS needs both --tls-key and --tls-cert");
  }
  return { key: await readOptionFile(tlsKey), cert: await readOptionFile(tlsCert) };
}

async function readOptionFile(file: string): Promise<Buffer> {
  return await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") throw new OdbError("config", `${file}: no such file`, { cause: error });
    throw toOdbError(error, file);
  });
}

function formatLog({ remote, method, target, status, milliseconds, error }: RequestLog): string {
  return `${remote} ${method} ${target} ${status || "-"} ${milliseconds} ms${error ? ` (${error.message})` : ""}`;
}

function parseBaseUrl(text: string): string {
  if (URL.canParse(text) && /^https?:\/\/[^@]+$/.test(text)) return text;
  throw new InvalidArgumentError("Expected an http:// or https:// URL without a user name.");
}
