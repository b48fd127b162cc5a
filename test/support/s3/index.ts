/** Starts the embedded S3 server in a process of its own; the handle is that of a real server (../radosgw.ts), too. */

import { type ChildProcess, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildSync } from "esbuild";
import type { Command, Reply } from "./main.js";
import type { Faults, RequestRecord } from "./types.js";

export type { FaultRule, Faults, RequestRecord } from "./types.js";

/** A running S3 server with one bucket, `test`. */
export interface S3Server {
  readonly kind: "embedded" | "radosgw";
  /** `http://127.0.0.1:<port>` */
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** The environment that a process needs to be let in (and not to look for credentials elsewhere). */
  readonly env: Readonly<Record<string, string>>;
  /** `s3://test/<prefix>?endpoint=…` for openBucket; `options` are more parameters of the URL. */
  url(prefix: string, options?: Readonly<Record<string, string>>): string;
  close(): Promise<void>;
}

/** The embedded server: it can also misbehave and say what it was asked. */
export interface EmbeddedS3 extends S3Server {
  readonly kind: "embedded";
  /** Replaces the faults and starts their counters anew. In force when it resolves. */
  setFaults(faults: Faults): Promise<void>;
  /** The requests answered since the last call, in order. */
  takeRequests(): Promise<RequestRecord[]>;
  /** Makes another bucket. */
  createBucket(name: string): Promise<void>;
}

/** Starts a server on a free port of loopback. It ends with this process, or when closed. */
export async function startS3({ faults }: { faults?: Faults } = {}): Promise<EmbeddedS3> {
  const account = {
    accessKeyId: `AK${randomBytes(8).toString("hex")}`,
    secretAccessKey: randomBytes(20).toString("hex"),
  };
  const child = fork(serverBundle(), {
    env: {
      PATH: process.env.PATH,
      TMPDIR: tmpdir(),
      S3_SERVER_ACCESS_KEY_ID: account.accessKeyId,
      S3_SERVER_SECRET_ACCESS_KEY: account.secretAccessKey,
    },
    execArgv: [],
  });
  const [first] = (await once(child, "message")) as [Reply];
  const ask = asker(child);
  const server: EmbeddedS3 = {
    kind: "embedded",
    ...s3Address(`http://127.0.0.1:${first.port}`, account),
    setFaults: async (wanted) => void (await ask({ do: "faults", faults: wanted })),
    takeRequests: async () => (await ask({ do: "requests" })).requests ?? [],
    createBucket: async (name) => void (await ask({ do: "bucket", name })),
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.disconnect();
      await once(child, "exit");
    },
  };
  await server.createBucket("test");
  if (faults) await server.setFaults(faults);
  return server;
}

/** What every S3 server's handle says of how to reach it. */
export function s3Address(
  endpoint: string,
  account: { accessKeyId: string; secretAccessKey: string },
): Omit<S3Server, "kind" | "close"> {
  return {
    endpoint,
    ...account,
    env: {
      AWS_ACCESS_KEY_ID: account.accessKeyId,
      AWS_SECRET_ACCESS_KEY: account.secretAccessKey,
      AWS_EC2_METADATA_DISABLED: "true",
      AWS_CONFIG_FILE: "/dev/null",
      AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
    },
    url(prefix, options = {}) {
      const query = new URLSearchParams({ endpoint, region: "us-east-1", pathStyle: "true", ...options });
      return `s3://test/${prefix}?${query}`;
    },
  };
}

let bundle: string | undefined;

/** The server as one JavaScript file, built once a process. */
function serverBundle(): string {
  if (bundle) return bundle;
  const directory = mkdtempSync(join(tmpdir(), "git-odb-s3-bundle-"));
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
  bundle = join(directory, "s3-server.mjs");
  const entryPoints = [join(import.meta.dirname, "main.ts")];
  buildSync({
    entryPoints,
    outfile: bundle,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
  });
  return bundle;
}

/** Commands over IPC, each answered under its id. */
function asker(child: ChildProcess): (command: DistributiveOmit<Command, "id">) => Promise<Reply> {
  let lastId = 0;
  const waiting = new Map<number, { resolve: (reply: Reply) => void; reject: (error: Error) => void }>();
  child.on("message", (reply: Reply) => {
    waiting.get(reply.id)?.resolve(reply);
    waiting.delete(reply.id);
  });
  child.on("exit", () => {
    for (const { reject } of waiting.values()) reject(new Error("the embedded S3 server has ended"));
  });
  return (command) =>
    new Promise((resolve, reject) => {
      lastId += 1;
      waiting.set(lastId, { resolve, reject });
      child.send({ id: lastId, ...command });
    });
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
