/** Large blobs through a raw file store, each way, against `sha1sum` and zlib on the same bytes; and memory. */

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { createDeflate } from "node:zlib";
import type { Content } from "../src/object/content.js";
import { hashObject, objectHash } from "../src/object/content.js";
import { parseObjectId } from "../src/object/id.js";
import type { ObjectInfo } from "../src/object/info.js";
import { asLoose, asRaw } from "../src/store/encoding.js";
import { openStore } from "../src/store/open.js";
import { putContent } from "../src/store/stage.js";
import { interleave, keep, table, timingOf, verdicts } from "./support.js";

const MiB = 1024 * 1024;

/** What a child reports: its own milliseconds, and the most memory it ever had resident, in MiB. */
interface Run {
  readonly ms: number;
  readonly rss: number;
}

const [task, ...args] = process.argv.slice(2);
if (task === "child") await child(args);
else await main(Number(task ?? 1024), Number(args[0] ?? 7));

async function main(size: number, rounds: number): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "git-odb-bench-"));
  const memory = new Map<string, number[]>();
  try {
    const variants = [];
    for (const kind of ["random", "text"] as const) {
      const file = join(dir, kind);
      const info = await makeFile(file, kind, size * MiB);
      const line = `${info.oid} ${info.size}`;
      const run = (what: string) => () => {
        const { ms, rss } = runChild([what, dir, file, line]);
        memory.set(`${what} ${kind}`, [...(memory.get(`${what} ${kind}`) ?? []), rss]);
        return ms;
      };
      const sum = () => void execFileSync("sha1sum", [file]);
      variants.push({ name: `sha1sum ${kind}`, run: sum });
      const copy = [`if=${file}`, `of=${join(dir, "copy")}`, "bs=1M", "conv=fsync", "status=none"];
      if (kind === "random")
        variants.push({ name: "dd conv=fsync", run: () => void execFileSync("dd", copy) });
      if (kind === "text") variants.push({ name: "zlib level 1 text", run: run("zlib") });
      for (const what of ["put", "get-raw", "get-git"])
        variants.push({ name: `${what} ${kind}`, run: run(what) });
    }
    const timings = await interleave(variants, { rounds, warmUp: 0 });
    const targets = [
      { variant: "put random", to: "sha1sum random", atMost: 2 },
      { variant: "get-raw random", to: "sha1sum random", atMost: 2 },
      { variant: "get-git random", to: "sha1sum random", atMost: 2 },
      { variant: "get-git text", to: "zlib level 1 text", atMost: 1 },
      { variant: "put text", to: "sha1sum text", atMost: 2 },
    ];
    const rss = [...memory].map(([name, all]) => `${name}: ${Math.max(...all)} MiB resident at most`);
    const small = await smallObjects(join(dir, "small"), 20_000, rounds);
    const text = [table(timings), ...verdicts(timings, targets), ...rss, small.text].join("\n");
    keep(`file-store-${size}MiB`, text, { timings, memory: Object.fromEntries(memory), small: small.data });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function runChild(childArgs: readonly string[]): Run {
  const script = fileURLToPath(import.meta.url);
  return JSON.parse(execFileSync(process.execPath, [script, "child", ...childArgs]).toString()) as Run;
}

async function child([what, dir, file, line]: string[]): Promise<void> {
  if (what === undefined || dir === undefined || file === undefined || line === undefined) return;
  const [oid = "", size = "0"] = line.split(" ");
  const info: ObjectInfo = { oid: parseObjectId(oid), size: Number(size), type: "blob" };
  const url = pathToFileURL(join(dir, "store")).href;
  await mkdir(join(dir, "store"), { recursive: true });
  const store = await openStore(url, { hash: "sha1" });
  if (what === "put") await rm(join(dir, "store/objects", oid.slice(0, 2)), { recursive: true, force: true });
  const start = performance.now();
  if (what === "put") await putContent(store, info, packets(file));
  else if (what === "zlib")
    await drain(
      createReadStream(file, { highWaterMark: MiB }).pipe(createDeflate({ level: 1, chunkSize: 256 * 1024 })),
    );
  else {
    const stored = await store.get(info.oid);
    if (stored === undefined) throw new Error(`${oid} is absent`);
    await drain(what === "get-raw" ? asRaw(stored) : asLoose(stored));
  }
  const ms = performance.now() - start;
  console.log(JSON.stringify({ ms, rss: Math.round(process.resourceUsage().maxRSS / 1024) }));
}

/** A get_git_obj of many objects of 100 B, without the wire: microseconds an object, beside reading and deflating. */
async function smallObjects(dir: string, count: number, rounds: number) {
  await mkdir(dir, { recursive: true });
  const store = await openStore(dir, { hash: "sha1" });
  const infos: ObjectInfo[] = [];
  for (let i = 0; i < count; i++) {
    const bytes = randomBytes(100);
    const oid = hashObject("blob", bytes);
    await mkdir(join(dir, "objects", oid.slice(0, 2)), { recursive: true });
    await writeFile(join(dir, "objects", oid.slice(0, 2), oid), bytes);
    infos.push({ oid, size: 100, type: "blob" });
  }
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    for (const { oid } of infos) {
      const stored = await store.get(oid);
      if (stored !== undefined) await drain(asLoose(stored));
    }
    times.push(performance.now() - start);
  }
  const timing = timingOf("small", times);
  const each = ((1000 * timing.min) / count).toFixed(1);
  return { text: `${count} objects of 100 B, get and asLoose: ${each} us each`, data: timing };
}

/** As they come off the wire: payloads of 65516 bytes, cut out of larger reads. */
async function* packets(path: string): Content {
  for await (const chunk of createReadStream(path, { highWaterMark: MiB }) as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.length; at += 65516) yield chunk.subarray(at, at + 65516);
  }
}

async function drain(content: Content): Promise<void> {
  for await (const _ of content);
}

async function makeFile(path: string, kind: "random" | "text", size: number): Promise<ObjectInfo> {
  const hash = objectHash("sha1", "blob", size);
  const file = await open(path, "w");
  for (let at = 0; at < size; at += MiB) {
    const block = kind === "random" ? randomBytes(MiB) : words(at);
    hash.update(block);
    await file.write(block);
  }
  await file.close();
  return { oid: parseObjectId(hash.digest("hex")), size, type: "blob" };
}

/** Text that deflates to a third, as source code and logs do. */
function words(seed: number): Buffer {
  let state = seed % 2147483647;
  let text = "";
  while (text.length < MiB) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    const word = (state >> 8) % 4000;
    text += `${word.toString(36)}${word % 3 ? "" : "ing"}${(state >> 20) % 11 ? " " : "\n"}`;
  }
  return Buffer.from(text.slice(0, MiB));
}
