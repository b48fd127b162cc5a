/** A connection to `git upload-pack` of any repository, by the transports that git has: local, git, ssh, http(s). */

import { statSync } from "node:fs";
import { connect } from "node:net";
import { isAbsolute, resolve } from "node:path";
import type { Readable } from "node:stream";
import { OdbError } from "../errors.js";
import { type GitProcess, startGit } from "./process.js";
import { type UploadPack, type UploadPackOptions, version2 } from "./upload-pack-connection.js";
import { connectSsh, sshOfUrl } from "./upload-pack-ssh.js";

/** The URL without a user name or password, for messages and records. */
export function withoutUserinfo(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, "$1");
}

/** What stands for a source in messages and records: the URL without a user name or password, a path made absolute. */
export function sourceName(url: string): string {
  return isLocal(url) ? resolve(url) : withoutUserinfo(url);
}

/**
 * Connects as `git fetch <url>` would, asking for protocol version 2. Over http(s) it is git's own transport:
 * redirects, proxies, certificates and credentials (`git credential`, `.netrc`, userinfo) are those of the user's git.
 *
 * @param url `https://`, `http://`, `ssh://`, `git://`, `file://`, `host:path` or a path
 * @returns undefined over http(s), when what answers does not speak version 2: git's transport hands nothing else through
 * @throws OdbError invalid, for any other transport; config, denied or unavailable when it cannot be reached
 */
export async function connectUploadPack(
  url: string,
  options: UploadPackOptions = {},
): Promise<UploadPack | undefined> {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(url)?.[1]?.toLowerCase();
  switch (scheme) {
    case "http":
    case "https":
      return await connectHttp(url, scheme, options);
    case "git":
      return await connectGit(parse(url), options);
    case "ssh":
    case "git+ssh":
    case "ssh+git":
      return await connectSsh(sshOfUrl(parse(url)), options);
    case "file":
      return connectLocal(decodeURIComponent(parse(url).pathname), options);
    case undefined:
      return await connectPlain(url, options);
    default:
      throw new OdbError(
        "invalid",
        `${withoutUserinfo(url)}: expected http(s)://, ssh://, git:// or file://`,
      );
  }
}

/** `host:path` unless a slash comes before the first colon, as git has it (git-fetch(1), "GIT URLS"). */
async function connectPlain(url: string, options: UploadPackOptions): Promise<UploadPack> {
  if (url.includes("::")) throw new OdbError("invalid", `${url}: no URL of a remote helper can be a source`);
  if (isLocal(url)) return connectLocal(url, options);
  const [, host = "", path = ""] = scpLike.exec(url) ?? [];
  return await connectSsh({ host: host.replace(/[[\]]/g, ""), path }, options);
}

const scpLike = /^([^/:]+|[^/@]*@?\[[^\]]+\]):(.*)$/s;

function isLocal(url: string): boolean {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(url) || url.includes("::")) return false;
  return !scpLike.test(url) || statSync(url, { throwIfNoEntry: false }) !== undefined;
}

function connectLocal(path: string, options: UploadPackOptions): UploadPack {
  if (path === "") throw new OdbError("invalid", "the source is empty");
  const place = isAbsolute(path) ? path : resolve(path);
  if (statSync(place, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new OdbError("config", `${path} is no git repository: there is no such directory`);
  }
  return ofProcess(startGit(["upload-pack", place], { ...options, env: { ...notOurs, ...version2 } }), false);
}

/** The remote helper's own `stateless-connect` (gitremote-helpers(7)) hands version 2 through. */
async function connectHttp(
  url: string,
  scheme: string,
  options: UploadPackOptions,
): Promise<UploadPack | undefined> {
  const git = startGit(["-c", "protocol.version=2", `remote-${scheme}`, url, url], options);
  const connection = ofProcess(git, true);
  git.stdin.write("stateless-connect git-upload-pack\n");
  const answer = await firstLine(git.stdout);
  if (answer === "") return connection;
  connection.close();
  if (answer === "fallback") return undefined;
  const place = withoutUserinfo(url);
  await git.done().catch((error: unknown) => {
    throw unreachable(place, error instanceof Error ? error.message : String(error));
  });
  throw unreachable(place, connection.complaint());
}

/** Reads up to the first LF and leaves the rest. @returns undefined when there is none */
async function firstLine(stream: Readable): Promise<string | undefined> {
  const bytes: Buffer[] = [];
  for (;;) {
    const byte = stream.read(1) as Buffer | null;
    if (byte !== null) {
      if (byte[0] === 0x0a) return Buffer.concat(bytes).toString();
      bytes.push(byte);
    } else if (stream.readableEnded || !(await readable(stream))) return undefined;
  }
}

/** @returns false at the end */
function readable(stream: Readable): Promise<boolean> {
  return new Promise((done) => {
    const settle = (more: boolean) => () => {
      stream.off("readable", onReadable).off("end", onEnd).off("close", onEnd);
      done(more);
    };
    const [onReadable, onEnd] = [settle(true), settle(false)];
    stream.once("readable", onReadable).once("end", onEnd).once("close", onEnd);
  });
}

/** gitprotocol-pack(5), "Git Transport". */
async function connectGit(url: URL, { signal }: UploadPackOptions): Promise<UploadPack> {
  const socket = connect({
    host: url.hostname.replace(/[[\]]/g, ""),
    port: Number(url.port || 9418),
    ...(signal && { signal }),
  });
  await new Promise<void>((done, fail) => {
    socket.once("connect", done);
    socket.once("error", (error) => fail(unreachable(url.href, error.message)));
  });
  const request = `git-upload-pack ${decodeURIComponent(url.pathname)}\0host=${url.host}\0\0version=2\0`;
  if (/[\n\r]/.test(request)) throw new OdbError("invalid", `${url.href}: a line break in the path`);
  socket.write((request.length + 4).toString(16).padStart(4, "0") + request);
  let failure = "";
  socket.on("error", (error) => {
    failure = error.message;
  });
  return {
    input: socket,
    output: socket,
    stateless: false,
    complaint: () => failure,
    close: () => void socket.destroy(),
  };
}

/** Of the repository that we may be run in, a hook for instance: not that of the source. */
const notOurs = {
  GIT_DIR: undefined,
  GIT_WORK_TREE: undefined,
  GIT_OBJECT_DIRECTORY: undefined,
  GIT_ALTERNATE_OBJECT_DIRECTORIES: undefined,
};

function ofProcess(git: GitProcess, stateless: boolean): UploadPack {
  let complaint = "";
  git.done().then(
    () => {},
    (error: unknown) => {
      complaint = error instanceof Error ? error.message : String(error);
    },
  );
  const close = () => {
    git.stdin.end();
    git.kill();
  };
  return { input: git.stdin, output: git.stdout, stateless, complaint: () => complaint, close };
}

function parse(url: string): URL {
  if (URL.canParse(url)) return new URL(url);
  throw new OdbError("invalid", `${withoutUserinfo(url)} cannot be parsed as a URL`);
}

function unreachable(place: string, why: string): OdbError {
  const reason = why.replace(/\b(https?:\/\/)[^/@\s]*@/g, "$1").trim();
  const denied = /authentication failed|could not read (?:username|password)|403|permission denied/i.test(
    reason,
  );
  const absent = /not found|404|not valid/i.test(reason);
  return new OdbError(denied ? "denied" : absent ? "config" : "unavailable", `${place}: ${reason}`);
}
