/** Cases that put a blob of a telling size or content and get it back. */

import type { HelperCase } from "./helper-cases.js";
import { mustGet, mustPut } from "./helper-judge.js";
import type { HelperLab, HelperMode } from "./helper-lab.js";
import type { Sample } from "./helper-peer.js";

const MIB = 1024 * 1024;

/** The sizes at which helpers and that git change their ways, for a mode. */
export function blobCases(mode: HelperMode): readonly HelperCase[] {
  return mode === "script" ? [...smallBlobs, ...scriptBlobs, ...bigBlobs] : [...smallBlobs, ...bigBlobs];
}

const smallBlobs: readonly HelperCase[] = [
  blob(
    "blob-empty",
    0,
    "no packet at all, then the flush-pkt: what reads one packet first hangs, and git with it",
  ),
  blob("blob-1-byte", 1, "the smallest content: no room for a helper that peeks at what it gets"),
  blob("blob-65516-bytes", 65516, "the most that one packet carries: no empty packet may follow"),
  blob("blob-65517-bytes", 65517, "one byte more than a packet carries: a second packet, and both count"),
  {
    name: "blob-binary",
    needs: ["get", "put"],
    why: "content is 8-bit clean: NUL, CR LF, every byte, and text that looks like packets",
    run: (lab) => roundTrip(lab, lab.sampleOf(binary(lab))),
  },
];

const scriptBlobs: readonly HelperCase[] = [
  blob("blob-4096-bytes", 4096, "git reads a script's stdout 4096 bytes at a time: exactly one read"),
  blob("blob-4097-bytes", 4097, "and one byte more"),
];

const bigBlobs: readonly HelperCase[] = [
  blob("blob-8MiB-minus-1", 8 * MIB - 1, "git writes to a script in pieces of 8 MiB: just below", true),
  blob("blob-8MiB", 8 * MIB, "exactly one piece", true),
  blob("blob-8MiB-plus-1", 8 * MIB + 1, "one byte more than a piece", true),
  blob(
    "blob-20MiB",
    20 * MIB,
    "more than any buffer holds: what is not read on, or kept whole, shows here",
    true,
  ),
];

function blob(name: string, size: number, why: string, big = false): HelperCase {
  return { name, needs: ["get", "put"], why, big, run: (lab) => roundTrip(lab, lab.sample(size)) };
}

async function roundTrip(lab: HelperLab, sample: Sample): Promise<void> {
  const peer = await lab.shared();
  await mustPut(peer, sample);
  await mustGet(peer, sample);
}

function binary(lab: HelperLab): Buffer {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  return Buffer.concat([
    bytes,
    Buffer.from("\r\n0000000dcommand=x\n0012status=success\n0000\n\n\r"),
    lab.sample(64).bytes,
    bytes.reverse(),
  ]);
}
