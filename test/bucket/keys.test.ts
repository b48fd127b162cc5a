import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkKey, checkPrefix, compareKeys, isKey } from "../../src/bucket/keys.js";

describe("keys", () => {
  it.each(["a", "objects/ab/cd", ".git", "..a", "a..", "a/...", "ä/😀", "x".repeat(1024), "a b", "%2e%2e/x"])(
    "takes %j",
    (key) => {
      checkKey(key);
      checkPrefix(key);
      expect(isKey(key)).toBe(true);
    },
  );

  it.each([
    "",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "../a",
    "a/../b",
    "a/..",
    "a/./b",
    "a\0b",
    "a\nb",
    "a\x7fb",
    "a\u0085b",
    "a\\b",
    "..\\a",
    "\ud800",
    "x".repeat(1025),
    "ä".repeat(513),
  ])("refuses %j", (key) => {
    expect(() => checkKey(key)).toThrow(/^key /);
    expect(isKey(key)).toBe(false);
  });

  it("takes as prefix what a key can begin with", () => {
    for (const prefix of ["", "a/", "a/..", "..", ".", "a/b"]) checkPrefix(prefix);
    for (const prefix of ["/", "a//", "../", "a/../b", "a\0"])
      expect(() => checkPrefix(prefix)).toThrow(/prefix/);
  });

  it("sorts as UTF-8 bytes do", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (a, b) => {
        expect(Math.sign(compareKeys(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
    );
    expect(compareKeys("\uffff", "😀")).toBeLessThan(0);
  });
});
