/** What several helper cases ask of an answer. */

import { expect, fail, shown } from "./expect.js";
import { type Got, offerOf, type Peer, type Sample } from "./helper-peer.js";

/** Puts a sample that must be taken. @throws AssertionError on any status but `success` */
export async function mustPut(peer: Peer, sample: Sample): Promise<void> {
  const status = await peer.put(offerOf(sample));
  if (status === "success") return;
  fail(
    `a put of ${sample.bytes.length} good bytes was answered status=${status}, not success${await peer.said()}`,
  );
}

/** Gets a sample that must be there, whole. @throws AssertionError when it is not */
export async function mustGet(peer: Peer, sample: Sample): Promise<void> {
  const got = await peer.get(sample.oid);
  expectSample(got, sample, got.status === "success" ? "" : await peer.said());
}

/** @param said of the peer @throws AssertionError unless the answer is `success` and exactly these bytes */
export function expectSample(got: Got, sample: Sample, said = ""): void {
  const what = `a get of ${sample.oid} (${sample.bytes.length} bytes)`;
  expect(got.status === "success", `${what} was answered status=${got.status}, not success${said}`);
  if (got.content === undefined) fail(`${what}: success, but there is no such object`);
  const { content } = got;
  expect(
    content.length === sample.bytes.length,
    `${what}: ${content.length} bytes came, of ${sample.bytes.length}`,
  );
  expect(content.equals(sample.bytes), () => `${what}: other bytes came: ${shown(content)}`);
}

/** @throws AssertionError when bytes can be got under this name: a refused or broken put must leave nothing */
export async function mustLack(peer: Peer, oid: string, because: string): Promise<void> {
  const { status, content } = await peer.get(oid);
  const came = status === "success" && content !== undefined && content.length > 0;
  expect(!came, `${oid} can be got, although ${because}`);
}

/** Whether `have` names the object. */
export async function isNamed(peer: Peer, oid: string): Promise<boolean> {
  let named = false;
  await peer.have((line) => {
    if (line.startsWith(oid)) named = true;
  });
  return named;
}
