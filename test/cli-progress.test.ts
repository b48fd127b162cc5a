import { describe, expect, it } from "vitest";
import { formatBytes, startProgress } from "../src/progress.js";

const MiB = 1024 * 1024;

/** A progress with a clock of our own, and what it wrote. */
function progress(total: number | undefined, shown = true) {
  let time = 0;
  let written = "";
  const output = { write: (text: string) => (written += text) };
  const task = startProgress("Uploading", total, { output, shown, now: () => time });
  return { task, written: () => written, advance: (ms: number) => (time += ms) };
}

describe("progress", () => {
  it("shows nothing in the first second, and nothing at all when it is all over by then", () => {
    const { task, written, advance } = progress(20);
    advance(999);
    task.add(20, MiB);
    task.finish();
    expect(written()).toBe("");
  });

  it("looks as git's", () => {
    const { task, written, advance } = progress(20);
    advance(4000);
    task.add(9, 12 * MiB);
    expect(written()).toBe("Uploading:  45% (9/20), 12.00 MiB | 3.00 MiB/s\r");
    task.add(1);
    expect(written()).not.toContain("10/20");
    advance(2000);
    task.add(10, 12 * MiB);
    task.finish();
    expect(written()).toContain("Uploading: 100% (20/20), 24.00 MiB | 4.00 MiB/s, done.\n");
  });

  it("covers a longer line by blanks, and ends its line when the task fails", () => {
    const { task, written, advance } = progress(undefined);
    advance(1000);
    task.add(1, 1000 * MiB);
    advance(100_000);
    task.add(1);
    const [first = "", second = ""] = written().split("\r");
    expect(second.length).toBeGreaterThanOrEqual(first.length);
    task.finish(false);
    expect(written()).toMatch(/Uploading: 2, 1000\.00 MiB \| 9\.90 MiB\/s *\n$/);
    task.add(1);
    task.finish();
    expect(written().match(/\n/g)).toHaveLength(1);
  });

  it("is silent when it is not to be shown, and learns its total late", () => {
    const silent = progress(2, false);
    silent.advance(5000);
    silent.task.add(2, 2);
    silent.task.finish();
    expect(silent.written()).toBe("");
    const late = progress(undefined);
    late.task.setTotal(0);
    late.advance(5000);
    late.task.add(0);
    expect(late.written()).toBe("Uploading: 100% (0/0)\r");
  });

  it("counts the bytes of one big object while they pass", async () => {
    const { task, written, advance } = progress(1);
    async function* slow() {
      for (let at = 0; at < 3; at++) {
        advance(1000);
        yield new Uint8Array(MiB);
      }
    }
    let size = 0;
    for await (const chunk of task.through(slow())) size += chunk.length;
    expect(size).toBe(3 * MiB);
    expect(written()).toContain("Uploading:   0% (0/1), 2.00 MiB | 1.00 MiB/s\r");
  });

  it("writes sizes as git does", () => {
    expect([0, 1, 1023, 1024, 1536 * 1024, 5 * 1024 * MiB].map(formatBytes)).toEqual([
      "0 bytes",
      "1 byte",
      "1023 bytes",
      "1.00 KiB",
      "1.50 MiB",
      "5.00 GiB",
    ]);
  });
});
