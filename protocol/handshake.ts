/**
 * The welcome, the versions and the capabilities with which a session begins (git's sub-process.c), from both ends.
 * The welcome prefix is a parameter: the read-object protocol uses it, filters use `git-filter`.
 */

import { OdbError } from "../src/errors.js";
import type { PktReader, PktWriter } from "./pkt-line.js";

/** The prefix of git's external-ODB helpers and of the read-object hook. */
export const WELCOME = "git-read-object";

/** What one side brings to a handshake. */
export interface HandshakeOptions<Capability extends string> {
  /** Before `-client` and `-server`. Default {@link WELCOME}. */
  readonly welcome?: string | undefined;
  /** In order of preference. Default: 1 alone. */
  readonly versions?: readonly number[] | undefined;
  /** What this side can do, in the order in which it says so. */
  readonly capabilities: readonly Capability[];
}

/** What both sides agreed on. */
export interface Agreement<Capability extends string> {
  readonly version: number;
  /** In the order of this side's own list. */
  readonly capabilities: readonly Capability[];
  /** What the other side named and this side does not know or did not offer: ignored, as git ignores it. */
  readonly ignored: readonly string[];
}

/** More lines than this before a flush-pkt are no handshake. */
const MAX_LINES = 256;

/**
 * The helper's end: answers git's welcome with one of its versions and with those of its capabilities that are
 * known here. The input must be at its very beginning.
 *
 * @throws OdbError protocol, when the peer is no such client or no version is common
 */
export async function acceptHandshake<Capability extends string>(
  reader: PktReader,
  writer: PktWriter,
  options: HandshakeOptions<Capability>,
): Promise<Agreement<Capability>> {
  const { welcome = WELCOME, versions = [1], capabilities } = options;
  const [first, ...rest] = await reader.readLines(MAX_LINES);
  if (first !== `${welcome}-client`) throw unexpected(first, `${welcome}-client`);
  const offered = valuesOf("version", rest).map(Number);
  const version = versions.find((known) => offered.includes(known));
  if (version === undefined) {
    throw new OdbError("protocol", `no common protocol version: offered ${offered}, known here ${versions}`);
  }
  writer.line(`${welcome}-server`);
  writer.line(`version=${version}`);
  writer.flushPkt();
  await writer.send();

  const wanted = valuesOf("capability", await reader.readLines(MAX_LINES));
  const agreed = agree(version, capabilities, wanted);
  for (const capability of agreed.capabilities) writer.line(`capability=${capability}`);
  writer.flushPkt();
  await writer.send();
  return agreed;
}

/**
 * git's end: offers versions and capabilities and accepts what git itself accepts: lines that are no
 * `capability=` and capabilities that were not offered are ignored.
 *
 * @throws OdbError protocol, where git gives up on the helper
 */
export async function offerHandshake<Capability extends string>(
  reader: PktReader,
  writer: PktWriter,
  options: HandshakeOptions<Capability>,
): Promise<Agreement<Capability>> {
  const { welcome = WELCOME, versions = [1], capabilities } = options;
  writer.line(`${welcome}-client`);
  for (const version of versions) writer.line(`version=${version}`);
  writer.flushPkt();
  await writer.send();
  const version = await readVersion(reader, welcome, versions);

  for (const capability of capabilities) writer.line(`capability=${capability}`);
  writer.flushPkt();
  await writer.send();
  return agree(version, capabilities, valuesOf("capability", await reader.readLines(MAX_LINES)));
}

async function readVersion(reader: PktReader, welcome: string, versions: readonly number[]): Promise<number> {
  const [first, second, ...rest] = await reader.readLines(MAX_LINES);
  if (first !== `${welcome}-server`) throw unexpected(first, `${welcome}-server`);
  const chosen = versions.find((version) => second === `version=${version}`);
  if (chosen === undefined)
    throw unexpected(second, `one of ${versions.map((v) => `version=${v}`).join(", ")}`);
  if (rest.length > 0) throw unexpected(rest[0], "a flush-pkt");
  return chosen;
}

function agree<Capability extends string>(
  version: number,
  ours: readonly Capability[],
  theirs: readonly string[],
): Agreement<Capability> {
  return {
    version,
    capabilities: ours.filter((capability) => theirs.includes(capability)),
    ignored: theirs.filter((capability) => !(ours as readonly string[]).includes(capability)),
  };
}

function valuesOf(key: string, lines: readonly string[]): string[] {
  return lines.filter((line) => line.startsWith(`${key}=`)).map((line) => line.slice(key.length + 1));
}

function unexpected(line: string | undefined, expected: string): OdbError {
  const found = line === undefined ? "a flush-pkt" : JSON.stringify(line.slice(0, 120));
  return new OdbError("protocol", `handshake: ${found} where ${expected} was expected`);
}
