/** `have` of 100,000 objects by a helper process: all of them known to the clone, and all of them just fetched. `npm run build` first. */

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hashObject } from "../src/object/content.js";
import { interleave, keep, table } from "./support.js";
import { benchOdb } from "./support-odb.js";

const count = Number(process.argv[2] ?? 100_000);
const rounds = Number(process.argv[3] ?? 7);
const store = mkdtempSync(join(tmpdir(), "git-odb-bench-store-"));
const odb = benchOdb("file", store);
const state = join(odb.directory, ".git/odb/magic");
try {
  fill();
  const run = () => {
    const start = performance.now();
    const args = [odb.helper, "--name", "magic", "have"];
    const out = execFileSync(process.execPath, args, {
      cwd: odb.directory,
      env: odb.env,
      maxBuffer: 2 ** 28,
    }).toString("latin1");
    const ms = performance.now() - start;
    const named = out.split("\n").length - 1;
    if (named !== count) throw new Error(`have names ${named} of ${count} objects`);
    return ms;
  };
  const forget = () => {
    for (const name of readdirSync(state)) if (name.startsWith("confirmed")) rmSync(join(state, name));
  };
  run();
  const known = await interleave([{ name: "all confirmed before", run }], { rounds });
  const fetched = {
    name: "none confirmed before",
    run: () => {
      forget();
      return run();
    },
  };
  const timings = [...known, ...(await interleave([fetched], { rounds }))];
  const kept = (known[0]?.min ?? Number.NaN) < 1000 ? "kept" : "MISSED";
  const text = [
    `${count} objects by packed refs, script mode, from the start of the process to its end`,
    "",
    table(timings),
    "",
    `all confirmed before: under 1000 ms: ${kept}`,
  ].join("\n");
  keep("have", text, { count, timings });
} finally {
  odb.remove();
  rmSync(store, { recursive: true, force: true });
}

/** Objects in the store, their metadata blobs as one pack, their refs packed. */
function fill(): void {
  const stream: string[] = [];
  const refs: string[] = [];
  for (let n = 0; n < count; n++) {
    const bytes = Buffer.from(`object ${n}\n`);
    const oid = hashObject("blob", bytes);
    const metadata = `${oid} ${bytes.length} blob\n`;
    mkdirSync(join(store, "objects", oid.slice(0, 2)), { recursive: true });
    writeFileSync(join(store, "objects", oid.slice(0, 2), oid), bytes);
    stream.push(`blob\ndata ${metadata.length}\n${metadata}\n`);
    refs.push(`${hashObject("blob", Buffer.from(metadata))} refs/odbs/magic/${oid}`);
  }
  execFileSync("git", ["fast-import", "--quiet"], { cwd: odb.directory, input: stream.join("") });
  refs.sort((a, b) => (a.slice(41) < b.slice(41) ? -1 : 1));
  const head = "# pack-refs with: peeled fully-peeled sorted ";
  writeFileSync(join(odb.directory, ".git/packed-refs"), `${head}\n${refs.join("\n")}\n`);
}
