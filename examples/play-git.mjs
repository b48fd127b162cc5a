// Plays the git that speaks to helpers, as far as the quickstart needs it: runs an ODB's command exactly as such a git
// would (through the shell, in the repository) and talks to it over pipes.
//
//   node examples/play-git.mjs add <odb> <path>…        what `git add` does with a marked file: put_raw_obj
//   node examples/play-git.mjs cat <odb> <oid> <file>   what a missing object leads to: get_git_obj, into <file>
import { execFileSync } from "node:child_process";
import { createReadStream, createWriteStream, statSync } from "node:fs";
import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createInflate } from "node:zlib";
import { connectProcess, connectScript, formatPacket, parseObjectId } from "git-odb/protocol";

const [verb, odb, ...rest] = process.argv.slice(2);
const git = (...args) => execFileSync("git", args, { encoding: "utf8" }).trim();
const config = (key) => git("config", "--default", "", "--get", `odb.${odb}.${key}`);
const script = config("scriptCommand");
const command = script || config("subprocessCommand");

/** Shows the conversation: text packets as they are, content only by its length. */
function show(direction, packet) {
  const isText =
    packet === null || (packet.length < 80 && /^[\x20-\x7e]*\n?$/.test(packet.toString("latin1")));
  console.log(
    isText ? `    ${formatPacket(direction, packet)}` : `    packet: ${direction} … ${packet.length} bytes`,
  );
}

console.log(`    $ ${command}${script ? " <instruction>" : ""}`);
const quiet = (process.env.QUIET ?? "") !== "";
const helper = await (script
  ? connectScript(command)
  : connectProcess(command, quiet ? {} : { onPacket: show }));
if (verb === "add") {
  for (const path of rest) {
    const oid = parseObjectId(git("hash-object", "--", path));
    const size = statSync(path).size;
    if (script) console.log(`    $ ${command} put_raw_obj ${oid} ${size} blob < ${path}`);
    await helper.putRawObject({ oid, size, type: "blob" }, createReadStream(path));
  }
} else {
  const [oid, file] = rest;
  if (script) console.log(`    $ ${command} get_git_obj ${oid}`);
  const loose = await helper.getGitObject(parseObjectId(oid));
  if (loose === undefined) throw new Error(`${oid} is not in the ODB`);
  await pipeline(loose, createInflate(), withoutHeader(createWriteStream(file)));
}
await helper.close();

/** Drops git's `blob <size>\0` from what is written. */
function withoutHeader(target) {
  let seen = false;
  return new Writable({
    write(chunk, _, done) {
      const rest = seen ? chunk : chunk.subarray(chunk.indexOf(0) + 1);
      seen = true;
      target.write(rest, done);
    },
    final: (done) => target.end(done),
  });
}
