import { randomBytes } from "node:crypto";
import { existsSync, lutimesSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { parseBundleBlob } from "../../helpers/bundle-step.js";
import { connectProcess } from "../../protocol/client.js";
import { bin, git, tempRepo, tryGit } from "../support/git.js";
import { tempDir } from "../support/temp.js";

const command = `'${process.execPath}' '${bin("git-odb-helper-bundle")}' --name magic`;
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** What a request was: its Range and If-Range. */
interface Seen {
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
}

/** Serves `bytes` with an etag and ranges, and breaks off in the first `breaks` answers after half of what is left. */
async function serve(bytes: Buffer, breaks = 0) {
  const seen: Seen[] = [];
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    const { range, "if-range": ifRange } = request.headers;
    seen.push({ range, ifRange: ifRange as string | undefined });
    const start = Number(/^bytes=([0-9]+)-$/.exec(range ?? "")?.[1] ?? 0);
    const headers: Record<string, string | number> = {
      etag: '"one"',
      "content-length": bytes.length - start,
    };
    if (start > 0) headers["content-range"] = `bytes ${start}-${bytes.length - 1}/${bytes.length}`;
    response.writeHead(start > 0 ? 206 : 200, headers);
    if (seen.length > breaks) response.end(bytes.subarray(start));
    else
      response.write(bytes.subarray(start, (start + bytes.length) >> 1), () =>
        setTimeout(() => response.destroy(), 50),
      );
  };
  const server = createServer(answer).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/all.bundle`, seen };
}

/** A repository with one commit, as a bundle. */
function bundle(): { bytes: Buffer; commit: string } {
  const repo = tempRepo();
  writeFileSync(join(repo, "file"), randomBytes(200_000));
  git(["add", "."], { cwd: repo });
  git(["commit", "-q", "-m", "one"], { cwd: repo });
  const file = join(tempDir("bundle"), "all.bundle");
  git(["bundle", "create", "-q", file, "main"], { cwd: repo });
  return { bytes: readFileSync(file), commit: git(["rev-parse", "main"], { cwd: repo }) };
}

function pointTo(repo: string, text: string): void {
  const blob = git(["hash-object", "-w", "--stdin"], { cwd: repo, input: text });
  git(["update-ref", "refs/odbs/magic/bundle", blob], { cwd: repo });
}

function cloneToBe(text: string): string {
  const repo = tempRepo();
  git(["config", "odb.magic.subprocessCommand", command], { cwd: repo });
  pointTo(repo, text);
  return repo;
}

/** One start of the helper. @returns what it said on stderr */
async function start(repo: string): Promise<string> {
  const said: string[] = [];
  const client = await connectProcess(command, { cwd: repo, onStderr: (text) => said.push(text) });
  expect(client.negotiation.capabilities).toEqual(["get_git_obj", "have"]);
  for await (const info of client.have()) throw new Error(`it has ${info.oid}`);
  await client.close();
  return said.join("");
}

const has = (repo: string, oid: string) => tryGit(["cat-file", "-e", oid], { cwd: repo }).status === 0;

describe("the bundle step", () => {
  it("brings the bundle's objects, once a ref value", async () => {
    const { bytes, commit } = bundle();
    const { url, seen } = await serve(bytes);
    const repo = cloneToBe(`bundle url: ${url}\n`);
    expect(await start(repo)).toBe(`git-odb-helper-bundle: fetching bundle ${url}\n`);
    expect(has(repo, commit)).toBe(true);
    git(["fsck", "--strict"], { cwd: repo });
    expect(existsSync(join(repo, ".git/odb/magic/bundle.download"))).toBe(false);
    // What a fetch tells the server that it has.
    expect(git(["rev-parse", "refs/bundles/odb-magic/heads/main"], { cwd: repo })).toBe(commit);
    expect(await start(repo)).toBe("");
    expect(seen.length).toBe(1);
    pointTo(repo, `bundle url: ${url}?again`);
    await start(repo);
    expect(seen.length).toBe(2);
  });

  it("goes on where a broken download stopped, with the rest alone", async () => {
    const { bytes, commit } = bundle();
    const { url, seen } = await serve(bytes, 1);
    const repo = cloneToBe(`bundle url: ${url}\n`);
    expect(await start(repo)).toMatch(/a later run goes on with it/);
    expect(has(repo, commit)).toBe(false);
    // Not at once: helpers start often.
    expect(await start(repo)).toBe("");
    expect(seen.length).toBe(1);
    const mark = join(repo, ".git/odb/magic/bundle");
    writeFileSync(mark, readFileSync(mark, "utf8").replace(/[0-9]+\n$/, "0\n"));
    await start(repo);
    expect(seen[1]).toEqual({ range: `bytes=${bytes.length >> 1}-`, ifRange: '"one"' });
    expect(has(repo, commit)).toBe(true);
  });

  it("starts over after a process that died, whose claim has grown old", async () => {
    const { bytes, commit } = bundle();
    const { url, seen } = await serve(bytes, 1);
    const repo = cloneToBe(`bundle url: ${url}\n`);
    await start(repo);
    const folder = join(repo, ".git/odb/magic");
    writeFileSync(join(folder, "bundle"), "");
    const claimed = join(folder, "bundle.claimed");
    symlinkSync("000000000000-1-1-0000000000000000", claimed);
    await start(repo);
    expect(seen.length).toBe(1);
    lutimesSync(claimed, 1, 1);
    await start(repo);
    expect(has(repo, commit)).toBe(true);
  });

  it.each([
    ["other bytes", (bytes: Buffer) => Buffer.concat([bytes.subarray(0, -30_000), randomBytes(30_000)])],
    ["no bundle", () => Buffer.from("<html>not found</html>")],
  ])("refuses %s, and does not ask again", async (_name, spoil) => {
    const { bytes, commit } = bundle();
    const { url, seen } = await serve(spoil(bytes));
    const repo = cloneToBe(`bundle url: ${url}\n`);
    expect(await start(repo)).toMatch(/bundle of ODB "magic": http.*all.bundle: /);
    expect(await start(repo)).toBe("");
    expect(seen.length).toBe(1);
    expect(has(repo, commit)).toBe(false);
  });

  it("tells of a server that cannot be reached, and the helper works", async () => {
    const { url } = await serve(Buffer.alloc(1));
    for (const close of closing.splice(0)) close();
    expect(await start(cloneToBe(`bundle url: ${url}\n`))).toMatch(/ECONNREFUSED.*a later run/);
  });

  it.each([
    ["a file", "bundle url: file:///etc/passwd\n", /only http and https/],
    ["a command", "bundle url: ext::sh -c id\n", /does not say/],
    ["a credential", "bundle url: https://me:secret@example.com/x\n", /holds a credential/],
    ["something else", "hello\n", /does not say/],
    ["too much", `bundle url: http://127.0.0.1:1/${"x".repeat(5000)}\n`, /larger than 4096/],
  ])("does not follow %s", async (_name, text, message) => {
    const said = await start(cloneToBe(text));
    expect(said).toMatch(message);
    expect(said).not.toContain("secret");
  });

  it("reads the blob as the series writes it", () => {
    expect(parseBundleBlob("bundle url: http://example.com/a%20b?x=1\n")).toBe(
      "http://example.com/a%20b?x=1",
    );
  });
});
