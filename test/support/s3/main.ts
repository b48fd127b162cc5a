/** The process of the embedded S3 server: commands and answers over the IPC channel of its parent, with which it ends. */

import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { embeddedServer } from "./server.js";
import type { Faults, RequestRecord } from "./types.js";

/** What the parent sends. */
export type Command =
  | { readonly id: number; readonly do: "faults"; readonly faults: Faults }
  | { readonly id: number; readonly do: "requests" }
  | { readonly id: number; readonly do: "bucket"; readonly name: string };

/** What it gets back: for id 0, without being asked, the port. */
export interface Reply {
  readonly id: number;
  readonly port?: number;
  readonly requests?: RequestRecord[];
}

const directory = mkdtempSync(join(tmpdir(), "git-odb-s3-"));
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
process.on("disconnect", () => process.exit(0));
process.on("SIGTERM", () => process.exit(0));

const server = embeddedServer(directory, {
  accessKeyId: process.env.S3_SERVER_ACCESS_KEY_ID ?? "",
  secretAccessKey: process.env.S3_SERVER_SECRET_ACCESS_KEY ?? "",
});
process.on("message", (command: Command) => {
  if (command.do === "faults") server.setFaults(command.faults);
  if (command.do === "bucket") server.createBucket(command.name);
  reply({ id: command.id, ...(command.do === "requests" && { requests: server.takeRequests() }) });
});
server.http.listen(0, "127.0.0.1");
await once(server.http, "listening");
reply({ id: 0, port: (server.http.address() as AddressInfo).port });

function reply(message: Reply): void {
  process.send?.(message);
}
