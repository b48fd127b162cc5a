/** The lines of `git odb status`: for people, for scripts, and as JSON. */

import type { ObjectId } from "../object/id.js";

/** What is known of one selected path. */
export interface Row {
  /** Its bytes. */
  readonly path: Buffer;
  readonly oid: ObjectId;
  readonly odb: string;
  /** In bytes; undefined when the object is nowhere. */
  readonly size: number | undefined;
  readonly local: boolean;
  readonly stored: boolean;
  readonly queued: boolean;
  /** The one word that matters most. */
  readonly state: "stored" | "local" | "queued" | "missing";
}

/** How a line is written. */
export type RowFormat = "text" | "porcelain" | "json";

const words: Readonly<Record<Row["state"], string>> = {
  stored: "in the ODB",
  local: "local only",
  queued: "queued",
  missing: "MISSING",
};

/**
 * One line with its end. Porcelain: `<state> SP <LSQ flags> SP <odb> SP <oid> SP <size or -> SP <path>`, the path
 * C-quoted as git does, or, with `nul`, as it is and the line ended by NUL.
 */
export function formatRow(row: Row, format: RowFormat, nul: boolean): Buffer {
  const { path, oid, odb, size, local, stored, queued, state } = row;
  if (format === "json") {
    return Buffer.from(
      `${JSON.stringify({ path: path.toString(), odb, oid, size: size ?? null, state, local, stored, queued })}\n`,
    );
  }
  if (format === "text") return Buffer.from(`${odb}\t${words[state].padEnd(10)}\t${quotePath(path)}\n`);
  const flags = `${local ? "L" : "-"}${stored ? "S" : "-"}${queued ? "Q" : "-"}`;
  const head = `${state} ${flags} ${odb} ${oid} ${size ?? "-"} `;
  return nul
    ? Buffer.concat([Buffer.from(head), path, Buffer.of(0)])
    : Buffer.from(`${head}${quotePath(path)}\n`);
}

/** The last line for people, and what to do about what is not as it should be. */
export function summarize(rows: readonly Row[]): string {
  if (rows.length === 0) return 'no path is selected for an ODB: see "git odb track -h"\n';
  const count = (state: Row["state"]) => rows.filter((row) => row.state === state).length;
  const counts = (["stored", "local", "queued", "missing"] as const)
    .filter((state) => count(state) > 0)
    .map(
      (state) => `${count(state)} ${state === "missing" ? "missing" : words[state]}${awayOf(rows, state)}`,
    );
  const advice = [
    count("local") > 0 && 'local only: "git odb put <name> <path>..." sends them',
    count("queued") > 0 && 'queued: "git odb put --queued <name>" sends them',
    count("missing") > 0 && "missing: neither here nor in the ODB; fetch from a clone that has them",
  ].filter((line) => line !== false);
  return [`${rows.length} selected: ${counts.join(", ")}`, ...advice].map((line) => `${line}\n`).join("");
}

/** Dropped, or never fetched: git brings them when it needs them. */
function awayOf(rows: readonly Row[], state: Row["state"]): string {
  const away = rows.filter((row) => row.state === state && state === "stored" && !row.local).length;
  return away === 0 ? "" : ` (${away} not here)`;
}

/** As git's core.quotePath does: bytes that are not plain ASCII in octal, inside double quotes. */
function quotePath(path: Buffer): string {
  const text = path.toString("latin1");
  if (/^[ !#-[\]-~]*$/.test(text)) return text;
  const letters: Readonly<Record<string, string>> = { "\n": "n", "\t": "t", "\r": "r", '"': '"', "\\": "\\" };
  const quoted = text.replace(/[^ !#-[\]-~]/g, (char) => {
    return `\\${letters[char] ?? char.charCodeAt(0).toString(8).padStart(3, "0")}`;
  });
  return `"${quoted}"`;
}
