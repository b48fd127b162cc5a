/** A git repository as a source: its refs, and a pack of what somebody lacks, by git's smart protocol. */

import type { CredentialProvider } from "../bucket/options.js";
import { OdbError } from "../errors.js";
import type { Content } from "../object/content.js";
import type { HashAlgorithm } from "../object/id.js";
import { connectUploadPack, sourceName } from "../repo/upload-pack.js";
import type { UploadPack } from "../repo/upload-pack-connection.js";
import { connectOldHttp } from "./connect-old-http.js";
import { type Dialogue, endedEarly, type PackRequest } from "./dialogue.js";
import { type Packet, PacketReader } from "./packets.js";
import type { RefTable } from "./refs.js";
import { advertisement } from "./source-v0.js";
import { dialogueOfVersion2 } from "./source-v2.js";

/** A connection to a repository; one fetch at most. */
export interface Source extends Disposable {
  /** Without a password. */
  readonly name: string;
  /** As it was given: it may hold a password. */
  readonly url: string;
  readonly hash: HashAlgorithm;
  readonly table: RefTable;
  /**
   * A pack of all that is wanted and not reached from what we have.
   *
   * @throws OdbError unavailable, from the content, when the source dies; unsupported, when it is shallow
   */
  fetch(request: PackRequest): Content;
}

/** Options of {@link openSource}. */
export interface SourceOptions {
  readonly signal?: AbortSignal;
  /** For a server behind http(s) that does not speak version 2; with others git itself asks for them. */
  readonly credentials?: CredentialProvider | undefined;
}

/**
 * Connects and reads the refs.
 *
 * @throws OdbError config or unavailable, when there is no repository to be read; unsupported, when it is shallow
 */
export async function openSource(url: string, options: SourceOptions = {}): Promise<Source> {
  const name = sourceName(url);
  const connection = (await connectUploadPack(url, options)) ?? (await connectOldHttp(url, options));
  const packets = new PacketReader(connection.output, name);
  try {
    const dialogue = await begin(packets, connection, name);
    return {
      name,
      url,
      hash: dialogue.hash,
      table: dialogue.table,
      async *fetch(request) {
        try {
          await dialogue.ask(request);
          yield* packContent(packets, name);
        } catch (error) {
          throw await explained(error, connection, name);
        }
      },
      [Symbol.dispose]: () => connection.close(),
    };
  } catch (error) {
    const why = await explained(error, connection, name);
    connection.close();
    throw why;
  }
}

async function begin(packets: PacketReader, connection: UploadPack, name: string): Promise<Dialogue> {
  let first = await packets.readLine();
  // Over http(s) a line of its own comes first (gitprotocol-http(5), "Smart Server Response").
  if (first?.startsWith("# service=") && (await packets.readLine()) === "flush")
    first = await packets.readLine();
  if (first === undefined) throw endedEarly(name);
  if (first === "version 2") return await dialogueOfVersion2(packets, connection, name);
  return await advertisement(packets, connection, first, name);
}

/** Band 1 is the pack, 2 what a person may read, 3 the last words (gitprotocol-pack(5), "Packfile Data"). */
async function* packContent(packets: PacketReader, name: string): Content {
  for (;;) {
    const packet: Packet | undefined = await packets.read();
    if (packet === "flush") return;
    if (packet === undefined) throw endedEarly(name);
    if (!Buffer.isBuffer(packet) || packet.length === 0) continue;
    // Version 0 may acknowledge more than one of the objects that we have before the pack begins.
    if (packet.toString("latin1", 0, 4) === "ACK ") continue;
    const [band] = packet;
    if (band === 1) {
      if (packet.length > 1) yield packet.subarray(1);
    } else if (band === 3) throw new OdbError("unavailable", `${name}: ${packet.toString("utf8", 1).trim()}`);
    else if (band !== 2) throw new OdbError("protocol", `${name}: data on side band ${band}`);
  }
}

/** What the transport said about an answer that ended early, where it said something. */
async function explained(error: unknown, connection: UploadPack, name: string): Promise<unknown> {
  if (!(error instanceof OdbError) || error.code !== "unavailable") return error;
  // Its last words may still be on the way.
  for (let tries = 0; tries < 20 && connection.complaint() === ""; tries++) {
    await new Promise((done) => setTimeout(done, 10));
  }
  const said = connection
    .complaint()
    .split("\n")
    .filter((line) => line.trim() !== "");
  const why = said.findLast((line) => /^(?:fatal|error): /.test(line)) ?? said.at(-1);
  if (why === undefined) return error;
  const absent = /not a git repository|does not appear to be|not found|dubious ownership/i.test(
    said.join(" "),
  );
  const reason = why.replace(/\b([a-z+]+:\/\/)[^/@\s]*@/g, "$1").replaceAll(/\s+/g, " ");
  return new OdbError(absent ? "config" : "unavailable", `${name}: ${reason}`, { cause: error });
}
