/** Versions 0 and 1 of the protocol: what an ssh server that does not hand GIT_PROTOCOL on speaks (gitprotocol-pack(5)). */

import { OdbError } from "../errors.js";
import type { HashAlgorithm } from "../object/id.js";
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
import { flushPacket, linePacket, type PacketReader, sendPackets } from "./packets.js";
import { type Head, type Ref, sortedRefs } from "./refs.js";

/**
 * Reads the advertisement.
 *
 * @param first the first line, read already
 */
export async function advertisement(
  packets: PacketReader,
  { input }: UploadPack,
  first: string,
  name: string,
): Promise<Dialogue> {
  let line = first === "version 1" ? await packets.readLine() : first;
  const capabilities = (line ?? "").split("\0")[1]?.split(" ") ?? [];
  const featureOf = (key: string) =>
    capabilities.find((each) => each.startsWith(`${key}=`))?.slice(key.length + 1);
  const hash = parseFormat(featureOf("object-format") ?? "sha1", name);
  const symref = capabilities.find((each) => each.startsWith("symref=HEAD:"))?.slice(12);
  if (line !== "flush" && !capabilities.includes("side-band-64k")) {
    throw new OdbError("protocol", `${name} is no smart git server: ${JSON.stringify(first.slice(0, 80))}`);
  }
  const refs: Ref[] = [];
  let head: Head | undefined = symref === undefined ? undefined : { symref };
  for (; line !== "flush"; line = await packets.readLine()) {
    if (line === undefined) throw endedEarly(name);
    if (line.startsWith("shallow ")) throw shallowSource(name);
    const [oid = "", ref = ""] = line.split("\0", 1)[0]?.split(" ", 2) ?? [];
    if (ref === "capabilities^{}") continue;
    if (ref === "HEAD") head = headOf(oid, symref);
    else if (ref.endsWith("^{}")) peelLast(refs, oid, ref, name);
    else addRef(refs, oid, ref, undefined, name);
  }
  return {
    hash,
    table: { refs: sortedRefs(refs), ...(head && { head }) },
    async ask(request) {
      await sendPackets(input, packetsOf(hash, capabilities, request));
      await acknowledged(packets, name);
    },
  };
}

function peelLast(refs: Ref[], oid: string, ref: string, name: string): void {
  const last = refs.pop();
  if (last === undefined || ref !== `${last.name}^{}`) {
    throw new OdbError("protocol", `${name}: ${JSON.stringify(ref.slice(0, 80))} is no ref`);
  }
  addRef(refs, last.oid, last.name, oid, name);
}

/** Without multi_ack there is one line of answer, however many `have`s; what we have below them is not told. */
function* packetsOf(
  hash: HashAlgorithm,
  offered: readonly string[],
  { wants, haves, thin: mayBeThin }: PackRequest,
): Iterable<Buffer> {
  const format = offered.some((each) => each.startsWith("object-format=")) ? [`object-format=${hash}`] : [];
  const thin = mayBeThin && offered.includes("thin-pack") ? ["thin-pack"] : [];
  let features = ` ${["side-band-64k", "ofs-delta", "no-progress", ...thin, ...format].join(" ")}`;
  for (const oid of wants) {
    yield linePacket(`want ${oid}${features}`);
    features = "";
  }
  yield flushPacket;
  for (const oid of haves) yield linePacket(`have ${oid}`);
  yield linePacket("done");
}

async function acknowledged(packets: PacketReader, name: string): Promise<void> {
  const line = await packets.readLine();
  if (line === undefined) throw endedEarly(name);
  if (line === "NAK" || line.startsWith("ACK ")) return;
  throw new OdbError("protocol", `${name}: ${JSON.stringify(line.slice(0, 80))} instead of ACK or NAK`);
}
