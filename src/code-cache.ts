/** Loads a large CommonJS file with V8's code cache, kept for the user: what takes 60 ms to compile takes a few to read. */

import { createHash, hash, randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { basename, dirname, isAbsolute, join } from "node:path";
import { Script } from "node:vm";

/** Caches of other versions are removed after so many milliseconds: 30 days. */
const STALE_MS = 30 * 24 * 3600 * 1000;

/** A code cache begins with the SHA-1 of the rest, in bytes: V8 itself does not notice a damaged one. */
const HEADER = 20;

/**
 * As `require(path)`. The cache lies in `$XDG_CACHE_HOME/git-odb` (default `~/.cache/git-odb`), one file for a
 * content, a Node version and a platform; it is made when the process exits, from what has run by then. A folder
 * that is not this user's own and private is not used: a code cache is code.
 *
 * @param path absolute; the file may require what lies beside it, but not import
 */
export function requireCached(path: string): unknown {
  const source = readFileSync(path, "utf8");
  const directory = privateDirectory();
  const file = directory && join(directory, cacheName(path, source));
  const cachedData = file === undefined ? undefined : readCache(file);
  const wrapper = `(function (exports, require, module, __filename, __dirname) {${source}\n})`;
  const script = new Script(wrapper, { filename: path, ...(cachedData && { cachedData }) });
  if (file !== undefined && (cachedData === undefined || script.cachedDataRejected)) {
    process.once("exit", () => writeCache(file, script.createCachedData()));
  }
  const module = { exports: {} };
  script.runInThisContext()(module.exports, requireOf(path), module, path, dirname(path));
  return module.exports;
}

/** Commands are CommonJS and have a `require` of their own, beside the file: making another costs 2 ms. */
function requireOf(path: string): NodeJS.Require {
  return typeof require === "function" ? require : createRequire(path);
}

/** The cache folder, made if absent; undefined unless it is a folder of ours that nobody else may even look into. */
function privateDirectory(): string | undefined {
  const uid = process.geteuid?.();
  const set = process.env.XDG_CACHE_HOME ?? "";
  const directory = join(isAbsolute(set) ? set : join(homedir(), ".cache"), "git-odb");
  if (uid === undefined || !isAbsolute(directory)) return undefined;
  try {
    // Not `recursive`: below /proc that never returns (Node 20).
    makeFolder(dirname(directory));
    makeFolder(directory);
    const found = lstatSync(directory);
    return found.isDirectory() && found.uid === uid && (found.mode & 0o077) === 0 ? directory : undefined;
  } catch {
    // No home, a read-only one: then it works without a cache.
    return undefined;
  }
}

function makeFolder(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

function cacheName(path: string, source: string): string {
  const hash = createHash("sha256").update(source).digest("hex").slice(0, 32);
  return `${basename(path, ".cjs")}-${process.version}-${process.platform}-${process.arch}-${hash}.code`;
}

/** The bytes of a cache file that is ours, private and whole. */
function readCache(file: string): Buffer | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW);
    const found = fstatSync(fd);
    if (!found.isFile() || found.uid !== process.geteuid?.() || (found.mode & 0o077) !== 0) return undefined;
    const bytes = readFileSync(fd);
    const data = bytes.subarray(HEADER);
    return bytes.length > HEADER && bytes.subarray(0, HEADER).equals(digestOf(data)) ? data : undefined;
  } catch {
    // Absent, or unreadable: compiled anew.
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function digestOf(data: Buffer): Buffer {
  return hash("sha1", data, "buffer");
}

/** Whole under its name or not at all; whatever fails here costs only the time saved. */
function writeCache(file: string, data: Buffer): void {
  const temporary = `${file}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    writeFileSync(temporary, Buffer.concat([digestOf(data), data]), { flag: "wx", mode: 0o600 });
    renameSync(temporary, file);
    removeStale(dirname(file), basename(file));
  } catch {
    rmSync(temporary, { force: true });
  }
}

function removeStale(directory: string, kept: string): void {
  const name = kept.slice(0, kept.indexOf("-v"));
  for (const entry of readdirSync(directory)) {
    if (entry === kept || !entry.startsWith(`${name}-v`)) continue;
    const path = join(directory, entry);
    if (Date.now() - statSync(path).mtimeMs > STALE_MS) rmSync(path, { force: true });
  }
}
