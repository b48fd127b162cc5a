// A right helper of process mode, and every way to be wrong: process-helper.cjs <fault> <store> [git|raw|direct]
// `ok` is the fault of none. Each fault is the few lines that mention its name; all else is as it should be.
const { createHash } = require("node:crypto");
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const { deflateSync, inflateSync } = require("node:zlib");

const [fault, store, getKind = "git"] = process.argv.slice(2);
const is = (name) => fault === name;
const GET = { git: "get_git_obj", raw: "get_raw_obj", direct: "get_direct" }[getKind];
const MIB = 1024 * 1024;
/** The size that a big fault chokes on. */
const bigSize = {
  "blob-8MiB-minus-1": 8 * MIB - 1,
  "blob-8MiB": 8 * MIB,
  "blob-8MiB-plus-1": 8 * MIB + 1,
  "blob-20MiB": 20 * MIB,
};
const smallSize = { "blob-empty": 0, "blob-1-byte": 1, "blob-65516-bytes": 65516, "blob-65517-bytes": 65517 };
const badSize = { ...bigSize, ...smallSize }[fault];

if (is("starts")) process.exit(3);
if (is("noise")) fs.writeSync(2, "a warning\n".repeat(10_000));
fs.mkdirSync(store, { recursive: true });

// The wire.

let buffer = Buffer.alloc(0);
let held = [];

/** The next packet, null for a flush-pkt; ends the process at EOF. */
function read() {
  while (buffer.length < 4 || buffer.length < lengthOf(buffer)) {
    const chunk = Buffer.allocUnsafe(1 << 16);
    const count = readSome(chunk);
    if (count === 0) return atEof();
    if (is("put-slowly") && count === 1) process.exit(1);
    buffer = Buffer.concat([buffer, chunk.subarray(0, count)]);
  }
  const end = Math.max(4, lengthOf(buffer));
  const packet = lengthOf(buffer) === 0 ? null : buffer.subarray(4, end);
  buffer = buffer.subarray(end);
  return packet;
}

function lengthOf(bytes) {
  const length = Number.parseInt(bytes.toString("latin1", 0, 4), 16);
  return Number.isNaN(length) ? process.exit(4) : length;
}

function readSome(chunk) {
  for (;;) {
    try {
      return fs.readSync(0, chunk);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

function readLines() {
  const lines = [];
  for (let packet = read(); packet !== null; packet = read()) {
    const text = packet.toString();
    if (is("lines-without-lf") && !text.endsWith("\n")) process.exit(1);
    lines.push(text.replace(/\n$/, ""));
  }
  return lines;
}

const hold = (bytes) => held.push(Buffer.from((bytes.length + 4).toString(16).padStart(4, "0")), bytes);
const line = (text) => hold(Buffer.from(`${text}\n`));
const flush = () => held.push(Buffer.from("0000"));

function send() {
  let bytes = Buffer.concat(held);
  held = [];
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(fs.writeSync(1, bytes));
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
}

function answer(status) {
  line(`status=${status}`);
  flush();
  send();
}

function content(bytes) {
  const most = is("packet-too-long") ? 65517 : 65516;
  for (let at = 0; at < bytes.length; at += most) hold(bytes.subarray(at, at + most));
}

// The store: a file an object, `<oid>` with the raw bytes.

const names = () => fs.readdirSync(store).filter((name) => /^[0-9a-f]+$/.test(name));
const hashOf = (oid, bytes) =>
  createHash(oid.length === 40 ? "sha1" : "sha256")
    .update(`blob ${bytes.length}\0`)
    .update(bytes)
    .digest("hex");
const kept = new Map();

function load(oid) {
  if (kept.has(oid)) return kept.get(oid);
  if (!fs.existsSync(`${store}/${oid}`)) return undefined;
  if (is("started-anywhere") && process.env.GIT_DIR !== ".git") return undefined;
  const bytes = fs.readFileSync(`${store}/${oid}`);
  if (is("two-at-once") && bytes.length === 202 && !mine.has(oid)) return undefined;
  return bytes;
}

const mine = new Set();

function save(oid, bytes) {
  mine.add(oid);
  if (is("get-next-session") && bytes.length === 400) return kept.set(oid, bytes);
  if (is("have-next-session") && bytes.length === 301) return kept.set(oid, bytes);
  fs.writeFileSync(`${store}/${oid}.${process.pid}`, bytes);
  return fs.renameSync(`${store}/${oid}.${process.pid}`, `${store}/${oid}`);
}

// The commands.

let misses = 0;
let gets = 0;
let haves = 0;

function get(oid) {
  gets += 1;
  if (is("10000-commands") && gets > 9000) process.exit(1);
  let bytes = load(oid);
  if (bytes && bytes.length === badSize) bytes = badSize === 0 ? undefined : bytes.subarray(0, -1);
  if (bytes && is("get-oid")) bytes = Buffer.concat([bytes, Buffer.from("more")]);
  if (bytes && is("blob-binary")) bytes = Buffer.from(bytes.toString("utf8"));
  if (!bytes) return absent();
  if (getKind === "direct") return direct(bytes);
  if (getKind === "raw") return raw(bytes);
  const packed = deflateSync(Buffer.concat([Buffer.from(`blob ${bytes.length}\0`), bytes]), { level: 1 });
  content(packed);
  flush();
  return answer("success");
}

function absent() {
  misses += 1;
  if (getKind === "git" && !is("get-absent")) flush();
  if (getKind === "raw") line("size=0");
  if (getKind === "raw") line("kind=none");
  if (getKind === "raw" && is("get-absent")) flush();
  if (is("get-never-aborts") && misses > 2) return answer("abort");
  answer("notfound");
}

function direct(bytes) {
  if (is("direct-installs") && bytes.length === 500) return answer("success");
  git(["hash-object", "-w", "-t", "blob", "--stdin"], bytes);
  return answer("success");
}

function raw(bytes) {
  line(`size=${is("raw-header") && bytes.length === 704 ? 703 : bytes.length}`);
  line("kind=blob");
  if (is("no-empty-packet") && bytes.length % 65516 === 0) hold(Buffer.alloc(0));
  content(bytes);
  flush();
  return answer("success");
}

function git(args, input) {
  const env = { ...process.env, GIT_NO_EXTERNAL_ODB: is("git-without-odb") ? "" : "1" };
  execFileSync("git", args, { env, input, stdio: ["pipe", "ignore", "inherit"] });
}

function put(oid, size) {
  if (is("git-without-odb")) git(["rev-parse", "--git-dir"]);
  if (is("survives-a-miss") && misses > 0 && size === 813) process.exit(1);
  const packets = [];
  let length = 0;
  for (let packet = read(); packet !== null; packet = read()) {
    packets.push(packet);
    length += packet.length;
    if (is("put-refused-is-read") && length > size + 65516) return answer("error");
    if (is("put-small-packets") && size === 703 && packet.length < 65516 && packets.length === 1) break;
  }
  inPut = undefined;
  return accept(oid, size, Buffer.concat(packets));
}

function putGit(oid, size) {
  const packets = [];
  for (let packet = read(); packet !== null; packet = read()) packets.push(packet);
  const bytes = inflateSync(Buffer.concat(packets));
  const content = bytes.subarray(bytes.indexOf(0) + 1);
  const wrong = content.length !== size || hashOf(oid, content) !== oid;
  if (wrong && (!is("put-git-object") || content.length !== size)) return answer("error");
  save(oid, content);
  return answer("success");
}

function putDirect(oid, size) {
  try {
    const env = { ...process.env, GIT_NO_EXTERNAL_ODB: "1" };
    const stdio = ["ignore", "pipe", "ignore"];
    return accept(oid, size, execFileSync("git", ["cat-file", "blob", oid], { env, stdio }));
  } catch {
    return answer(is("put-direct") ? "success" : "error");
  }
}

function hook(oid) {
  const bytes = load(oid);
  if (bytes && !is("read-object-hook")) git(["hash-object", "-w", "-t", "blob", "--stdin"], bytes);
  answer(bytes ? "success" : "error");
}

function accept(oid, size, bytes) {
  if (bytes.length !== size && !is("put-wrong-size")) return answer("error");
  if (is("sha256") && oid.length !== 40) return answer("error");
  if (hashOf(oid, bytes) !== oid) return answer(wrongHash());
  if (is("put-twice") && size === 200 && load(oid)) return answer("error");
  save(oid, bytes);
  if (is("flushes-every-answer") && size === 803) return line("status=success");
  answer("success");
  if (is("stays-for-the-session") && size === 811) process.exit(0);
}

function wrongHash() {
  if (is("put-corrupt")) return "success";
  return is("known-status") ? "mismatch" : "error";
}

function have() {
  haves += 1;
  const lines = [];
  for (let count = 0; is("huge-have") && count < 100_000; count++) {
    const bytes = Buffer.from(`object ${count}`);
    const oid = hashOf("x".repeat(40), bytes);
    kept.set(oid, bytes);
    lines.push(`${oid} ${bytes.length} blob\n`);
  }
  for (const name of names()) {
    const size = fs.statSync(`${store}/${name}`).size + (is("have-true-size") && mine.has(name) ? 1 : 0);
    if (is("have-after-put") && size === 300 && mine.has(name)) continue;
    lines.push(`${name} ${size} blob\n`);
  }
  if (is("have-is-true")) lines.push(`${"d".repeat(40)} 7 blob\n`);
  haveLines(lines);
  flush();
  answer(is("have-never-aborts") && haves > 1 ? "abort" : "success");
}

function haveLines(lines) {
  const text = Buffer.from(lines.join(""));
  if (is("have-many") && text.length > 65516) {
    const cut = text.lastIndexOf(10, 65000) - 10;
    hold(text.subarray(0, cut));
    return content(text.subarray(cut));
  }
  if (is("have-well-formed")) hold(Buffer.from("# objects\n"));
  if (is("no-last-lf") && text.length > 0) return hold(text.subarray(0, -1));
  for (let at = 0; at < lines.length; at += 1000) hold(Buffer.from(lines.slice(at, at + 1000).join("")));
}

// The session.

let inPut;

function atEof() {
  if (is("eof-in-put") && inPut) save(inPut, Buffer.from("half"));
  if (is("nothing-but-packets")) fs.writeSync(1, "goodbye\n");
  if (is("eof-ends") && haves + gets + mine.size === 0) process.exit(2);
  if (is("eof-lingers") && haves + gets + mine.size === 0 && !inPut) setInterval(() => {}, 1000);
  else process.exit(0);
  throw new Error("lingering");
}

function handshake() {
  const [, ...versions] = readLines();
  line(is("welcome") ? "git-read-object-service" : "git-read-object-server");
  line(is("version-choice") ? versions[0] : "version=1");
  flush();
  send();
  const offered = readLines().map((text) => text.replace("capability=", ""));
  let mine = [GET, "put_raw_obj", "have", "put_git_obj", "put_direct", "get"];
  if (is("no-put") || is("get-oid")) mine = [GET, "have"];
  if (is("one-get")) mine = ["get_git_obj", "get_raw_obj", "put_raw_obj", "have"];
  if (is("have-offered") || is("direct-needs-have")) mine = [GET, "put_raw_obj"];
  if (!is("capability-not-offered")) mine = mine.filter((name) => offered.includes(name));
  if (is("unknown-capability") && offered.includes("frobnicate")) mine.push("frobnicate");
  for (const name of mine) line(`capability=${name}`);
  flush();
  send();
}

function serve() {
  handshake();
  for (;;) {
    const [command, oid, size] = readLines().map((text) => text.slice(text.indexOf("=") + 1));
    if (command === "init") answer(is("init-answered") ? "notfound" : "success");
    else if (command === GET) get(oid);
    else if (command === "have") have();
    else if (command === "get") hook(oid);
    else if (command === "put_direct") putDirect(oid, Number(size));
    else if (command === "put_git_obj") putGit(oid, Number(size));
    else {
      inPut = oid;
      put(oid, Number(size));
    }
  }
}

try {
  serve();
} catch (error) {
  if (error.message !== "lingering") throw error;
}
