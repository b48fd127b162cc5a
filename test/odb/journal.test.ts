import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { hashObject } from "../../src/object/content.js";
import { formatInfo, type ObjectInfo } from "../../src/object/info.js";
import { openJournal, readJournals, removeJournals } from "../../src/odb/journal.js";
import { parseLines } from "../../src/odb/state.js";
import { tempDir } from "../support/temp.js";

function infoOf(text: string): ObjectInfo {
  return { oid: hashObject("blob", Buffer.from(text)), size: text.length, type: "blob" };
}

describe("the journal", () => {
  it("is on disk when an append resolves, and many share a write", async () => {
    const journal = openJournal(tempDir(), "s");
    const infos = Array.from({ length: 100 }, (_, n) => infoOf(`${n}`));
    await Promise.all(infos.map((info) => journal.append(info)));
    expect(readFileSync(journal.path, "utf8")).toBe(infos.map((info) => `${formatInfo(info)}\n`).join(""));
    expect(journal.pending()).toEqual(infos);
    await journal.clear(infos);
    expect([existsSync(journal.path), journal.pending()]).toEqual([false, []]);
    await journal.append(infoOf("again"));
    expect(readFileSync(journal.path, "utf8")).toContain(infoOf("again").oid);
    await journal.close();
  });

  it("keeps its file while a line is on its way into it, at every moment of that", async () => {
    const dir = tempDir();
    for (let turns = 0; turns < 12; turns++) {
      const journal = openJournal(dir, "s");
      const [first, second] = [infoOf(`a${turns}`), infoOf(`b${turns}`)];
      await journal.append(first);
      const written = journal.pending();
      const appending = journal.append(second);
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      await journal.clear(written);
      await appending;
      expect([turns, readFileSync(journal.path, "utf8").includes(second.oid)]).toEqual([turns, true]);
      await journal.close();
    }
  });

  it("fails an append that cannot be written, and recovers", async () => {
    const dir = tempDir();
    writeFileSync(join(dir, "journal"), "in the way");
    const journal = openJournal(dir, "s");
    await expect(Promise.all([journal.append(infoOf("a")), journal.append(infoOf("b"))])).rejects.toThrow();
    expect(journal.pending()).toEqual([]);
    renameSync(join(dir, "journal"), join(dir, "elsewhere"));
    await journal.append(infoOf("c"));
    expect(journal.pending()).toEqual([infoOf("c")]);
    await journal.close();
  });

  it("removes files only of processes that are known to be gone", async () => {
    const dir = tempDir();
    mkdirSync(join(dir, "journal"));
    const gone = spawnSync(process.execPath, ["-e", ""]).pid;
    const host = hostname().replace(/[^A-Za-z0-9-]/g, "_");
    const names = [
      `s.${host}.${gone}.aa`,
      `s.${host}.${process.ppid}.bb`,
      `s.another-host.${gone}.cc`,
      "junk",
    ];
    for (const name of names) writeFileSync(join(dir, "journal", name), `${formatInfo(infoOf(name))}\n`);
    const files = await readJournals(dir);
    expect(Object.fromEntries(files.map(({ path, alive }) => [path.slice(-2), alive]))).toEqual({
      aa: false,
      bb: true,
      cc: true,
    });
    expect(files.map(({ infos }) => infos.length)).toEqual([1, 1, 1]);
    await removeJournals(files);
    expect((await readJournals(dir)).map(({ alive }) => alive)).toEqual([true, true]);
  });
});

describe("parseLines", () => {
  it("reads whole lines only, whatever stands between", () => {
    const [a, b] = [formatInfo(infoOf("a")), formatInfo(infoOf("b"))];
    const sha256 = `${"f".repeat(64)} 7 tree`;
    const text = `${a}\n\n${b.slice(0, 45)}\n-${a}\nx${a}\n${a} \n${sha256}\n${"f".repeat(41)} 1 blob\n${b}`;
    expect(parseLines(Buffer.from(text)).map(({ info, gone }) => [formatInfo(info), gone])).toEqual([
      [a, false],
      [a, true],
      [sha256, false],
    ]);
  });
});
