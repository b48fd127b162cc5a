import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { connectProcess } from "../../protocol/client.js";
import type { OdbClient } from "../../protocol/handler.js";
import { PktWriter } from "../../protocol/pkt-line.js";
import { connectScript } from "../../protocol/script-client.js";
import { collect, contentOf, hashObject } from "../../src/object/content.js";
import { parseObjectId } from "../../src/object/id.js";
import type { ObjectInfo } from "../../src/object/info.js";
import { decodeLoose } from "../../src/object/loose.js";
import { bin, git, tempRepo, tryGit } from "../support/git.js";
import { tempDir } from "../support/temp.js";

const helper = bin("git-odb-helper-file");
const command = `'${process.execPath}' '${helper}' --name magic`;
const limit = 1 << 26;
const absent = parseObjectId("a".repeat(40));
const MiB = 1 << 20;

/** A repository whose ODB "magic" is a folder. */
function odbRepo(url: string, ...settings: [string, string][]): string {
  const repo = tempRepo();
  for (const [key, value] of [["url", url], ["subprocessCommand", command], ...settings]) {
    git(["config", `odb.magic.${key}`, value as string], { cwd: repo });
  }
  return repo;
}

function object(bytes: Uint8Array): ObjectInfo {
  return { oid: hashObject("blob", bytes), size: bytes.length, type: "blob" };
}

async function readLoose(client: OdbClient, info: ObjectInfo): Promise<Buffer | undefined> {
  const loose = await client.getGitObject(info.oid);
  return loose && collect((await decodeLoose(loose, "it")).content, limit);
}

async function listed(client: OdbClient): Promise<string[]> {
  const oids: string[] = [];
  for await (const { oid } of client.have()) oids.push(oid);
  return oids.sort();
}

function metadata(repo: string): string[] {
  const refs = git(["for-each-ref", "--format=%(refname:lstrip=3)", "refs/odbs/magic/"], { cwd: repo });
  return refs === "" ? [] : refs.split("\n").sort();
}

/** Runs one instruction by hand. */
function run(cwd: string, args: readonly string[], input: Uint8Array = Buffer.alloc(0)) {
  const done = spawnSync(process.execPath, [helper, ...args], { cwd, input });
  return { code: done.status, out: done.stdout, err: done.stderr.toString() };
}

it("takes packets in any pieces from its pipe, and leaves when they are broken though the pipe stays open", async () => {
  const repo = odbRepo(tempDir("odb"));
  const content = randomBytes(3 * MiB);
  const info = object(content);
  const pieces: Buffer[] = [];
  const writer = new PktWriter(
    new Writable({
      write(chunk, _, done) {
        pieces.push(chunk);
        done();
      },
    }),
  );
  const say = (...lines: string[]) => {
    for (const line of lines) writer.line(line);
    writer.flushPkt();
  };
  say("git-read-object-client", "version=1");
  say("capability=get_git_obj", "capability=put_raw_obj", "capability=have");
  say("command=put_raw_obj", `sha1=${info.oid}`, `size=${info.size}`, "kind=blob");
  await writer.content(contentOf(content));
  say();
  say("command=have");
  writer.raw(Buffer.from("junk"));
  await writer.send();
  const child = spawn(process.execPath, [helper, "--name", "magic"], { cwd: repo });
  let said = "";
  child.stdout.setEncoding("latin1").on("data", (text) => {
    said += text;
  });
  const sent = Buffer.concat(pieces);
  for (let at = 0; at < sent.length; at += 100_003) {
    if (!child.stdin.write(sent.subarray(at, at + 100_003))) await once(child.stdin, "drain");
  }
  await once(child, "close");
  expect(child.exitCode).toBe(128);
  expect(said).toContain(`${info.oid} ${info.size} blob`);
});

describe.each(["process", "script"] as const)("git-odb-helper-file in %s mode", (mode) => {
  const connect = mode === "process" ? connectProcess : connectScript;

  it("keeps objects, names them by refs, and gives them to a second clone", async () => {
    const store = tempDir("odb");
    const repo = odbRepo(store);
    const contents = [0, 5, 70_000, ...(mode === "process" ? [9 * MiB] : [])].map((size) =>
      randomBytes(size),
    );
    const infos = contents.map(object);
    const oids = infos.map(({ oid }) => oid as string).sort();
    {
      await using client = await connect(command, { cwd: repo });
      for (const [n, info] of infos.entries())
        await client.putRawObject(info, contentOf(contents[n] as Buffer));
      expect(await listed(client)).toEqual(oids);
    }
    expect(metadata(repo)).toEqual(oids);
    expect(tryGit(["cat-file", "-e", oids[1] as string], { cwd: repo }).status).toBe(1);

    const second = odbRepo(store);
    git(["fetch", "-q", repo, "refs/odbs/magic/*:refs/odbs/magic/*"], { cwd: second });
    await using client = await connect(command, { cwd: second });
    expect(await listed(client)).toEqual(oids);
    for (const [n, info] of infos.entries()) {
      expect((await readLoose(client, info))?.equals(contents[n] as Buffer)).toBe(true);
    }
    expect(await client.getGitObject(absent)).toBeUndefined();
  });

  it("serves raw, and puts into the repository itself, as odb.<name>.get says", async () => {
    const store = tempDir("odb");
    const bytes = randomBytes(100_000);
    const info = object(bytes);
    {
      await using client = await connect(command, { cwd: odbRepo(store) });
      await client.putRawObject(info, contentOf(bytes));
    }
    const raw = odbRepo(store, ["get", "raw"]);
    git(["update-ref", `refs/odbs/magic/${info.oid}`, metadataBlob(raw, info)], { cwd: raw });
    {
      await using client = await connect(command, { cwd: raw });
      expect(client.negotiation.capabilities[0]).toBe("get_raw_obj");
      const got = await client.getRawObject(info.oid);
      expect((await collect(got?.content ?? contentOf(), limit)).equals(bytes)).toBe(true);
    }
    const direct = odbRepo(store, ["get", "direct"]);
    await using client = await connect(command, { cwd: direct });
    expect(client.negotiation.capabilities[0]).toBe("get_direct");
    expect(await client.getDirect(info.oid)).toBe(true);
    expect(git(["cat-file", "-s", info.oid], { cwd: direct })).toBe("100000");
    expect(await client.getDirect(absent)).toBe(false);
    git(["fsck", "--strict"], { cwd: direct });
  });

  it("stores nothing of wrong bytes, and gives no damaged ones", async () => {
    const store = tempDir("odb");
    const repo = odbRepo(store);
    await using client = await connect(command, { cwd: repo, onStderr: () => {} });
    const bytes = randomBytes(1000);
    const info = object(bytes);
    await expect(client.putRawObject(info, contentOf(randomBytes(1000)))).rejects.toMatchObject({
      code: "unavailable",
    });
    expect(await client.getGitObject(info.oid)).toBeUndefined();
    await client.putRawObject(info, contentOf(bytes));
    writeFileSync(join(store, "objects", info.oid.slice(0, 2), info.oid), randomBytes(1000));
    await expect(readLoose(client, info)).rejects.toThrow();
  });
});

function metadataBlob(repo: string, { oid, size, type }: ObjectInfo): string {
  return git(["hash-object", "-w", "--stdin"], { cwd: repo, input: `${oid} ${size} ${type}\n` });
}

describe("when the store fails", () => {
  /** A file where the store's folder should be: every write fails until it is gone. */
  function blocked() {
    const store = join(tempDir("odb"), "store");
    writeFileSync(store, "not a folder");
    return { store, repo: odbRepo(store) };
  }

  it("a put is refused in subprocess mode, so that git keeps the object, and works later", async () => {
    const { store, repo } = blocked();
    const bytes = randomBytes(10);
    await using client = await connectProcess(command, { cwd: repo, onStderr: () => {} });
    await expect(client.putRawObject(object(bytes), contentOf(bytes))).rejects.toThrow(
      /status=(error|abort)/,
    );
    expect(await listed(client)).toEqual([]);
    rmSync(store);
    mkdirSync(store);
    await client.putRawObject(object(bytes), contentOf(bytes));
    expect(await listed(client)).toEqual([object(bytes).oid]);
  });

  it("a script put keeps the object here and queues it; the next run sends it", () => {
    const { store, repo } = blocked();
    const bytes = randomBytes(100);
    const { oid } = object(bytes);
    const put = run(repo, ["--name", "magic", "put_raw_obj", oid, "100", "blob"], bytes);
    expect(put.code).toBe(0);
    expect(put.err).toMatch(new RegExp(`object ${oid} could not be stored: .*--queued.*\n`));
    expect(git(["cat-file", "-s", oid], { cwd: repo })).toBe("100");
    expect(run(repo, ["--name", "magic", "have"]).out.toString()).toBe("");
    expect(metadata(repo)).toEqual([]);
    rmSync(store);
    mkdirSync(store);
    expect(run(repo, ["--name", "magic", "have"]).err).toMatch(/1 object\(s\) that waited .* are stored now/);
    expect(run(repo, ["--name", "magic", "have"]).out.toString()).toBe(`${oid} 100 blob\n`);
    expect(metadata(repo)).toEqual([oid]);
  });

  it("says what that client's fault above 8 MiB has done, and what to do", () => {
    const repo = odbRepo(tempDir("odb"));
    const bytes = randomBytes(9 * MiB);
    // What it sends: the first 8 MiB, then from the beginning again.
    const sent = Buffer.concat([bytes.subarray(0, 8 * MiB), bytes.subarray(0, MiB)]);
    const { oid, size } = object(bytes);
    const put = run(repo, ["--name", "magic", "put_raw_obj", oid, String(size), "blob"], sent);
    expect(put.code).toBe(128);
    expect(put.err).toMatch(new RegExp(`${oid}.*above 8 MiB.*core.bigFileThreshold 8m.*git rm --cached`));
  });
});

it("says what to do about wrong bytes of a small script put", () => {
  const { oid } = object(Buffer.from("right"));
  const repo = odbRepo(tempDir("odb"));
  const put = run(repo, ["--name", "magic", "put_raw_obj", oid, "5", "blob"], Buffer.from("wrong"));
  expect(put.code).toBe(128);
  expect(put.err).toMatch(new RegExp(`^error: .*${oid}.*stored the file nowhere: "git rm --cached".*\n$`));
  expect(put.err).not.toMatch(/8 MiB/);
});

describe("set-ups that are wrong", () => {
  it.each([
    [["--name", "magic", "fly"], 129, /"fly" is no instruction/],
    [["have"], 129, /--name <name> is missing/],
    [["--name", "../x", "have"], 129, /name/],
    [["--name", "magic", "get_git_obj", "HEAD"], 129, /no object id/],
    [["--name", "magic", "get_git_obj"], 129, /expected 1 argument/],
    [["--name", "other", "have"], 128, /"other" is not configured/],
    [["--name", "magic", "get_git_obj", absent], 1, /^$/],
    [["--name", "magic", "s3://bucket/x", "have"], 128, /git-odb-helper-s3/],
    [["-h"], 0, /^$/],
  ] as const)("%j: exit code %i", (args, code, message) => {
    const done = run(odbRepo(tempDir("odb")), args);
    expect(done.err).toMatch(message);
    expect(done.err.split("\n").length).toBeLessThanOrEqual(2);
    expect(done.code).toBe(code);
    if (args[0] === "-h") expect(done.out.toString()).toMatch(/^usage: git-odb-helper-file --name/);
  });

  it("take a URL of the command line without any config", () => {
    const repo = tempRepo();
    const args = ["--name", "magic", tempDir("odb")];
    const { oid } = object(Buffer.from("x"));
    expect(run(repo, [...args, "put_raw_obj", oid, "1", "blob"], Buffer.from("x")).code).toBe(0);
    expect(run(repo, [...args, "have"]).out.toString()).toBe(`${oid} 1 blob\n`);
  });

  it("are answered command by command, so that git can go on", async () => {
    const said: string[] = [];
    const client = await connectProcess(command, {
      cwd: tempDir("none"),
      init: false,
      onStderr: (t) => said.push(t),
    });
    await expect(client.putRawObject(object(Buffer.from("x")), contentOf(Buffer.from("x")))).rejects.toThrow(
      /abort/,
    );
    await expect(listed(client)).rejects.toMatchObject({ code: "unavailable" });
    await expect(client.getGitObject(absent)).rejects.toMatchObject({ code: "unavailable" });
    await client.close();
    expect(said.join("")).toMatch(/git-odb-helper-file: put_raw_obj: .* is not a git repository/);
  });
});

describe("the end of a run", () => {
  it.each(["SIGTERM", "SIGHUP", "SIGINT"] as const)(
    "%s: refs are written before it exits",
    async (signal) => {
      const repo = odbRepo(tempDir("odb"));
      const child = spawn(process.execPath, [helper, "--name", "magic"], {
        cwd: repo,
        stdio: ["pipe", "pipe", "inherit"],
      });
      const writer = new PktWriter(child.stdin);
      const { oid } = object(Buffer.from("x"));
      for (const line of ["git-read-object-client", "version=1", null, "capability=put_raw_obj", null]) {
        line === null ? writer.flushPkt() : writer.line(line);
      }
      for (const line of ["command=put_raw_obj", `sha1=${oid}`, "size=1", "kind=blob"]) writer.line(line);
      writer.flushPkt();
      writer.packet(Buffer.from("x"));
      writer.flushPkt();
      await writer.send();
      let out = "";
      for await (const chunk of child.stdout) {
        out += chunk;
        if (out.includes("status=")) child.kill(signal);
      }
      if (child.exitCode === null) await once(child, "exit");
      expect(child.exitCode).toBe({ SIGTERM: 143, SIGHUP: 129, SIGINT: 130 }[signal]);
      expect(metadata(repo)).toEqual([oid]);
    },
  );
});

describe("get_direct", () => {
  it("brings the rest of HEAD's tree at the second object asked for, and nothing at the first", async () => {
    const store = tempDir("odb");
    const first = odbRepo(store);
    const contents = Array.from({ length: 12 }, (_, n) => Buffer.from(`blob ${n}\n`));
    {
      await using client = await connectProcess(command, { cwd: first });
      for (const bytes of contents) await client.putRawObject(object(bytes), contentOf(bytes));
    }
    const repo = odbRepo(store, ["get", "direct"]);
    git(["fetch", "-q", first, "refs/odbs/magic/*:refs/odbs/magic/*"], { cwd: repo });
    const tree = contents.slice(0, 10).map((bytes, n) => `100644 blob ${object(bytes).oid}\tf${n}\n`);
    const treeId = git(["mktree", "--missing"], { cwd: repo, input: tree.join("") });
    git(["update-ref", "refs/heads/main", git(["commit-tree", treeId, "-m", "x"], { cwd: repo })], {
      cwd: repo,
    });
    const here = () =>
      contents.map((bytes) =>
        existsSync(join(repo, ".git/objects", object(bytes).oid.replace(/^../, "$&/"))),
      );
    await using client = await connectProcess(command, { cwd: repo });
    await client.getDirect(object(contents[3] as Buffer).oid);
    expect(here().filter(Boolean).length).toBe(1);
    await client.getDirect(object(contents[5] as Buffer).oid);
    expect(here()).toEqual(contents.map((_, n) => n < 10));
    expect(readdirSync(join(repo, ".git/objects")).length).toBeGreaterThan(10);
    mkdirSync(join(repo, "checkout"));
    git(["--work-tree=checkout", "checkout", "-q", "-f", "main"], { cwd: repo });
  });
});
