/** The links of trees that are made of others: what is left out is in the other one. */

import { expect, it } from "vitest";
import { visitLinks } from "../../src/mirror/links.js";
import type { Likeness } from "../../src/pack/scan.js";

/** The same numbers each time. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Ids of few bytes, which look like modes, names and ends of names: so runs agree in wrong places, too. */
const alphabet = Buffer.from("\0\x00100644 a\0");

function entry(random: (below: number) => number): Buffer {
  const id = Array.from({ length: 20 }, () => alphabet[random(alphabet.length)] ?? 0);
  const mode = random(8) === 0 ? "160000" : "100644";
  return Buffer.concat([Buffer.from(`${mode} ${"ab"[random(2)]}\0`), Buffer.from(id)]);
}

/** Whatever agrees, in order, wherever it is in the base: a delta may say so. */
function runsOf(tree: Buffer, base: Buffer, random: (below: number) => number): Likeness["copied"] {
  const copied: { start: number; end: number; from: number }[] = [];
  for (let at = 0; at < tree.length; ) {
    const length = Math.min(1 + random(60), tree.length - at);
    const places: number[] = [];
    const wanted = tree.subarray(at, at + length);
    for (let from = base.indexOf(wanted); from >= 0; from = base.indexOf(wanted, from + 1)) places.push(from);
    const from = places[random(places.length)];
    if (from === undefined) {
      at++;
      continue;
    }
    copied.push({ start: at, end: at + length, from });
    at += length;
  }
  return copied;
}

function linksOf(tree: Buffer, likeness?: Likeness): string[] {
  const links: string[] = [];
  const visit = (bytes: Buffer, at: number) => void links.push(bytes.toString("hex", at, at + 20));
  visitLinks("tree", tree, "sha1", visit, () => "x", likeness);
  return links;
}

it("shows each that the base has not, whatever is said to be copied", () => {
  let leftOut = 0;
  for (let seed = 1; seed <= 400; seed++) {
    const random = randomOf(seed);
    const old = Array.from({ length: 1 + random(12) }, () => entry(random));
    const changed = old.flatMap(
      (each) => [[each], [], [entry(random)], [each, entry(random)]][random(4)] ?? [],
    );
    const base = Buffer.concat(old);
    // Its first id is what the other tree begins with.
    const shifted = Buffer.concat([Buffer.from("100644 a\0"), base.subarray(0, 20), ...changed]);
    for (const tree of [Buffer.concat(changed), shifted]) {
      const all = linksOf(tree);
      const shown = linksOf(tree, { base, copied: runsOf(tree, base, random) });
      const known = new Set([...shown, ...linksOf(base)]);
      expect(all.filter((link) => !known.has(link))).toEqual([]);
      expect(shown.filter((link) => !all.includes(link))).toEqual([]);
      leftOut += all.length - shown.length;
    }
  }
  expect(leftOut).toBeGreaterThan(400);
});

it("shows only what has changed of a tree with one change", () => {
  const random = randomOf(7);
  const old = Array.from({ length: 40 }, () => entry(random));
  const fresh = Buffer.concat([Buffer.from("100644 c\0"), Buffer.alloc(20, 0xee)]);
  const base = Buffer.concat(old);
  const tree = Buffer.concat(old.with(20, fresh));
  const start = Buffer.concat(old.slice(0, 20)).length;
  const copied = [
    { start: 0, end: start + 7, from: 0 },
    { start: start + fresh.length, end: tree.length, from: start + fresh.length },
  ];
  expect(linksOf(tree, { base, copied })).toEqual(["ee".repeat(20)]);
});
