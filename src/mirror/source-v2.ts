/** Version 2 of the fetch protocol (gitprotocol-v2(5)). */

import { OdbError } from "../errors.js";
import type { HashAlgorithm, ObjectId } from "../object/id.js";
import type { UploadPack } from "../repo/upload-pack-connection.js";
import {
  addRef,
  type Dialogue,
  endedEarly,
  headOf,
  type PackRequest,
  parseFormat,
  shallowSource,
} from "./dialogue.js";
import { delimiterPacket, flushPacket, linePacket, type PacketReader, sendPackets } from "./packets.js";
import { type Head, type Ref, type RefTable, sortedRefs } from "./refs.js";

/** With more haves, the answers to them would weigh more than what may be saved. */
const MOST_ASKED = 1000;

/** Reads capabilities and refs, the line `version 2` having been read. */
export async function dialogueOfVersion2(
  packets: PacketReader,
  connection: UploadPack,
  name: string,
): Promise<Dialogue> {
  const { format, unborn } = await readCapabilities(packets, name);
  const table = await listRefs(packets, connection, format, unborn, name);
  return {
    hash: format,
    table,
    ask: (request) => ask(packets, connection, format, request, name),
  };
}

async function readCapabilities(
  packets: PacketReader,
  name: string,
): Promise<{ format: HashAlgorithm; unborn: boolean }> {
  let format: HashAlgorithm = "sha1";
  let unborn = false;
  for (let line = await packets.readLine(); line !== "flush"; line = await packets.readLine()) {
    if (line === undefined) throw endedEarly(name);
    const [key, value = ""] = line.split("=", 2);
    if (key === "object-format") format = parseFormat(value, name);
    if (key === "ls-refs") unborn = value.split(" ").includes("unborn");
  }
  return { format, unborn };
}

async function listRefs(
  packets: PacketReader,
  connection: UploadPack,
  format: HashAlgorithm,
  unborn: boolean,
  name: string,
): Promise<RefTable> {
  await sendPackets(connection.input, [
    linePacket("command=ls-refs"),
    linePacket(`object-format=${format}`),
    delimiterPacket,
    linePacket("peel"),
    linePacket("symrefs"),
    ...(unborn ? [linePacket("unborn")] : []),
    flushPacket,
  ]);
  const refs: Ref[] = [];
  let head: Head | undefined;
  for (let line = await packets.readLine(); line !== "flush"; line = await packets.readLine()) {
    if (line === undefined) throw endedEarly(name);
    const [oid = "", ref = "", ...attributes] = line.split(" ");
    const symref = attributes.find((each) => each.startsWith("symref-target:"))?.slice(14);
    const peeled = attributes.find((each) => each.startsWith("peeled:"))?.slice(7);
    if (ref === "HEAD") head = headOf(oid, symref);
    else addRef(refs, oid, ref, peeled, name);
  }
  await endOfAnswer(packets, connection, name);
  return { refs: sortedRefs(refs), ...(head && { head }) };
}

/**
 * With something in common to begin with, the server is first told what we have: mostly it finds that enough, and the pack
 * comes in the same answer. What it does not know was rewritten there, and removed: then it is told what that stood on.
 */
async function ask(
  packets: PacketReader,
  connection: UploadPack,
  format: HashAlgorithm,
  request: PackRequest,
  name: string,
): Promise<void> {
  const haves = new Set(request.haves);
  const send = (isDone: boolean, more: Iterable<ObjectId>) =>
    sendPackets(connection.input, packetsOf(format, request, more, isDone));
  if (haves.size > 0 && haves.size <= MOST_ASKED) {
    await send(false, haves);
    const unknown = await acknowledged(packets, haves, name);
    if (unknown === undefined) return await untilPack(packets, name);
    await endOfAnswer(packets, connection, name);
    for await (const oid of request.below(unknown)) haves.add(oid);
  }
  await send(true, haves);
  await untilPack(packets, name);
}

function* packetsOf(
  format: HashAlgorithm,
  { wants, thin }: PackRequest,
  haves: Iterable<ObjectId>,
  isDone: boolean,
): Iterable<Buffer> {
  yield linePacket("command=fetch");
  yield linePacket(`object-format=${format}`);
  yield delimiterPacket;
  for (const line of ["ofs-delta", "no-progress", ...(thin ? ["thin-pack"] : [])]) yield linePacket(line);
  for (const oid of wants) yield linePacket(`want ${oid}`);
  for (const oid of haves) yield linePacket(`have ${oid}`);
  if (isDone) yield linePacket("done");
  yield flushPacket;
}

/** @returns undefined when the pack follows; else which of our objects the server has not */
async function acknowledged(
  packets: PacketReader,
  haves: ReadonlySet<ObjectId>,
  name: string,
): Promise<Set<ObjectId> | undefined> {
  const unknown = new Set(haves);
  for (;;) {
    const line = await packets.readLine();
    if (line === undefined) throw endedEarly(name);
    if (line === "delimiter") return undefined;
    if (line === "flush") return unknown;
    if (line.startsWith("ACK ")) unknown.delete(line.slice(4) as ObjectId);
    else if (line !== "acknowledgments" && line !== "NAK" && line !== "ready") {
      throw new OdbError(
        "protocol",
        `${name}: ${JSON.stringify(line.slice(0, 80))} instead of acknowledgments`,
      );
    }
  }
}

/** The sections before `packfile`; `shallow-info` comes, unasked, only from a shallow repository. */
async function untilPack(packets: PacketReader, name: string): Promise<void> {
  for (;;) {
    const line = await packets.readLine();
    if (line === undefined) throw endedEarly(name);
    if (line === "packfile") return;
    if (line.startsWith("shallow ")) throw shallowSource(name);
  }
}

/** Over http(s) an answer has an end of its own. */
async function endOfAnswer(packets: PacketReader, { stateless }: UploadPack, name: string): Promise<void> {
  if (stateless && (await packets.read()) !== "end") throw endedEarly(name);
}
