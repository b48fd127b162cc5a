import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseBundleList } from "../../src/bundle/bundle-list.js";
import { parseTable, TABLE_LIMIT } from "../../src/bundle/table.js";
import { bundleUp, commit, readTableOf, sourceRepo } from "../support/bundles.js";
import { startOdb } from "../support/cli.js";
import { bin, git } from "../support/git.js";
import { type EmbeddedS3, startS3 } from "../support/s3/index.js";
import { startStaticServer } from "../support/static-server.js";
import { tempDir } from "../support/temp.js";

const baseUrl = "http://bundles.example/repo";

/** Runs the command while this process serves. */
async function odb(args: readonly string[], cwd?: string, env: NodeJS.ProcessEnv = {}) {
  const child = startOdb(args, { ...(cwd && { cwd }), env });
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].on("data", (text) => {
      said[name] += text;
    });
  }
  const [status] = (await once(child, "close")) as [number];
  return { status, ...said };
}

describe("git odb bundle", () => {
  it("creates, updates and lists", async () => {
    const repo = sourceRepo();
    const folder = tempDir("cli");
    const created = await odb(["bundle", "create", repo, folder, "--base-url", `${baseUrl}/`]);
    expect(created).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(/^1 bundle in .*bundles.json\n$/),
    });
    const [bundle = "", ...tables] = created.stdout.trim().split("\n");
    expect(bundle).toMatch(/^http:\/\/bundles.example\/repo\/bundle-[0-9]+-[0-9a-f]{16}\.bundle$/);
    expect(tables).toEqual([`${baseUrl}/bundles.json`, `${baseUrl}/bundle-list`]);
    commit(repo, "two");
    expect((await odb(["bundle", "update", "-q", repo, folder])).status).toBe(0);
    const { stdout } = await odb(["bundle", "list", folder]);
    const rows = stdout
      .trim()
      .split("\n")
      .map((line) => line.split("\t"));
    expect(rows.map(([, , kind]) => kind)).toEqual(["first", "next"]);
    expect(rows.map(([, , , uri]) => uri)).toEqual(readTableOf(folder).map(({ uri }) => uri));
    const json = JSON.parse((await odb(["bundle", "list", "--json", folder])).stdout);
    expect(json).toEqual(readTableOf(folder));
    const moved = await odb(["bundle", "update", "--base-url", "https://cdn.example", repo, folder]);
    expect(moved.stdout).toContain("https://cdn.example/bundle-list\n");
    expect(readTableOf(folder).map(({ uri }) => new URL(uri).host)).toEqual(["cdn.example", "cdn.example"]);
  });

  it.each([
    ["a second create", ["create", "R", "B", "--base-url", baseUrl], /bundles.json is there already/, 128],
    ["an update of nothing", ["update", "R", "E"], /is not there: begin with git odb bundle create/, 128],
    [
      "a base URL that is none",
      ["create", "R", "E", "--base-url", "file:///x"],
      /expected an absolute http/,
      129,
    ],
    ["another filter", ["create", "R", "E", "--base-url", baseUrl, "--filter=tree:0"], /blob:none/, 129],
    ["an empty repository", ["create", "N", "E", "--base-url", baseUrl], /no branch or tag yet/, 128],
    ["a shallow one", ["create", "S", "E", "--base-url", baseUrl], /is shallow/, 128],
    ["no repository", ["create", "E", "E", "--base-url", baseUrl], /not a git repository/, 128],
    ["serving nothing", ["serve", "E", "--port", "0"], /holds no bundles/, 128],
  ])("refuses %s in one line", async (_name, args, message, status) => {
    const [repo, made, empty, none] = [sourceRepo(), tempDir("made"), tempDir("empty"), tempDir("none")];
    commit(repo, "two");
    await bundleUp(repo, made, { start: "new", baseUrl });
    const before = readFileSync(join(made, "bundles.json"));
    git(["init", "-q", none]);
    const shallow = join(tempDir("shallow"), "s");
    git(["clone", "-q", "--depth=1", `file://${repo}`, shallow]);
    const places: Record<string, string> = { R: repo, B: made, E: empty, N: none, S: shallow };
    const told = await odb(["bundle", ...args.map((arg) => places[arg] ?? arg)]);
    expect(told).toMatchObject({ status, stdout: "" });
    expect(told.stderr).toMatch(message);
    expect(told.stderr.trim().split("\n")).toHaveLength(1);
    expect(readFileSync(join(made, "bundles.json")).equals(before)).toBe(true);
    expect(readdirSync(empty)).toEqual([]);
  });

  it("refuses to carry on a chain whose table lists what is gone, and begins anew as it says", async () => {
    const repo = sourceRepo();
    const folder = tempDir("gone");
    await bundleUp(repo, folder, { start: "new", baseUrl });
    commit(repo, "two");
    await bundleUp(repo, folder);
    const table = readFileSync(join(folder, "bundles.json"));
    const [, second = ""] = readTableOf(folder).map(({ uri }) => basename(uri));
    rmSync(join(folder, second));
    commit(repo, "three");
    const told = await odb(["bundle", "update", repo, folder]);
    expect(told).toMatchObject({ status: 128, stdout: "" });
    expect(told.stderr).toMatch(
      new RegExp(`^fatal: .*bundles.json lists ${second}, which is gone.*create --force\n$`),
    );
    expect(readFileSync(join(folder, "bundles.json")).equals(table)).toBe(true);
    const again = ["bundle", "create", "-q", "--force", repo, folder, "--base-url", baseUrl];
    expect((await odb(again)).status).toBe(0);
    expect(readTableOf(folder)).toHaveLength(1);
  });

  it("serves what git clones, by the URLs that it prints", async () => {
    const repo = sourceRepo();
    const folder = tempDir("serve");
    await bundleUp(repo, folder, { start: "new", baseUrl });
    const server = startOdb(["bundle", "serve", folder, "--port", "0", "-q"]);
    try {
      const [text] = (await once(server.stdout, "data")) as [Buffer];
      const [table = "", list = ""] = text.toString().trim().split("\n");
      await bundleUp(repo, folder, { baseUrl: table.replace("/bundles.json", "") });
      const to = join(tempDir("clone"), "c");
      git(["clone", "-q", `--bundle-uri=${list}`, repo, to]);
      expect(git(["for-each-ref", "refs/bundles"], { cwd: to })).not.toBe("");
      const ours = await odb(["bundle", "clone", "-q", repo, "--bundles", table], tempDir("ours"));
      expect(ours).toEqual({ status: 0, stdout: "", stderr: "" });
      const ask = async (url: string, headers = {}, method = "GET") => {
        const { status, headers: got } = await fetch(url, { method, headers });
        return [status, got.get("content-range") ?? got.get("content-length")];
      };
      const { uri = "", size = 0 } = readTableOf(folder)[0] ?? {};
      const etag = (await fetch(uri, { method: "HEAD" })).headers.get("etag") ?? "";
      expect(etag).toMatch(/^"/);
      expect(await ask(uri, {}, "HEAD")).toEqual([200, `${size}`]);
      expect(await ask(uri, { range: "bytes=9-" })).toEqual([206, `bytes 9-${size - 1}/${size}`]);
      expect(await ask(uri, { range: "bytes=9-", "if-range": '"x"' })).toEqual([200, `${size}`]);
      expect((await ask(uri, { "if-none-match": etag }))[0]).toBe(304);
      expect((await ask(table, {}, "DELETE"))[0]).toBe(403);
      expect((await ask(`${new URL(table).origin}/%2e%2e/%2e%2e/etc/passwd`))[0]).toBe(404);
      expect((await ask(`${new URL(table).origin}/..%2f..%2fetc/passwd`))[0]).toBe(400);
      const put = await fetch(table, { method: "PUT", body: "x" });
      expect(put.status).toBe(403);
    } finally {
      server.kill();
      await once(server, "close");
    }
  });

  it("points the ref of an ODB to the newest first bundle, with which its helper begins a clone", async () => {
    const repo = sourceRepo();
    const folder = tempDir("ref");
    await using server = await startStaticServer(folder);
    await bundleUp(repo, folder, { start: "new", baseUrl: server.url });
    const head = commit(repo, "two");
    await bundleUp(repo, folder, { start: "replace", baseUrl: server.url });
    commit(repo, "three");
    await bundleUp(repo, folder);
    const made = await odb(["bundle", "ref", "-q", "magic", `${server.url}/bundles.json`], repo);
    const uri = readTableOf(folder)[0]?.uri;
    expect(made).toEqual({ status: 0, stdout: `refs/odbs/magic/bundle ${uri}\n`, stderr: "" });
    expect(git(["cat-file", "blob", "refs/odbs/magic/bundle"], { cwd: repo })).toBe(`bundle url: ${uri}`);
    const clone = tempDir("helped");
    git(["init", "-q", clone]);
    git(["config", "odb.magic.scriptCommand", "git-odb-helper-bundle --name magic"], { cwd: clone });
    git(["fetch", "-q", repo, "refs/odbs/*:refs/odbs/*"], { cwd: clone });
    const helper = spawn(bin("git-odb-helper-bundle"), ["--name", "magic", "init"], { cwd: clone });
    await once(helper, "close");
    expect(git(["rev-parse", "refs/bundles/odb-magic/heads/main"], { cwd: clone })).toBe(head);
  });
});

describe("a table", () => {
  const uri = "http://127.0.0.1:1/a.bundle";
  it.each([
    ["that is not JSON", "<html>hello</html>", /not JSON, and no bundle list/],
    ["that is no list", '{"bundles":[]}', /expected a JSON list/],
    ["of an entry without a URI", "[{}]", /bundle 1: it has no uri/],
    ["that points outside", '[{"uri":"file:///etc/passwd"}]', /no absolute http/],
    ["with a relative URI", '[{"uri":"a.bundle"}]', /no absolute http/],
    ["with a credential", '[{"uri":"https://me:secret@host/x"}]', /holds a credential/],
    [
      "that goes round",
      JSON.stringify([
        { uri, requires: `${uri}2` },
        { uri: `${uri}2`, requires: uri },
      ]),
      /in a circle/,
    ],
    ["that requires what it lacks", JSON.stringify([{ uri, requires: "http://x/" }]), /not in the table/],
    ["that lists one twice", JSON.stringify([{ uri }, { uri }]), /lists a bundle twice/],
    ["with a bad size", JSON.stringify([{ uri, size: -1 }]), /size is no whole number/],
    ["with a bad digest", JSON.stringify([{ uri, sha256: "x" }]), /sha256 is not what it should be/],
    ["of a newer version", "[bundle]\n\tversion = 2\n\tmode = all\n", /bundle.version 2: expected 1/],
    ["without a mode", "[bundle]\n\tversion = 1\n", /bundle.mode should be/],
    ["that git cannot read", "[bundle\n", /neither JSON nor/],
    [
      "with a relative URI in git's form",
      '[bundle]\nversion=1\nmode=all\n[bundle "a"]\nuri=a.bundle\n',
      /no absolute http/,
    ],
  ])("%s is refused", async (_name, text, message) => {
    const parse = async () =>
      text.startsWith("[bundle") ? parseBundleList(text, "t") : parseTable(text, "t");
    const error = await parse().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "config", message: expect.stringMatching(message) });
    expect((error as Error).message).not.toMatch(/secret|\n/);
  });

  it.each(["<html>hello</html>", "[bundle\n", JSON.stringify([{ uri, requires: uri }])])(
    "such as %j ends a clone in one line before anything is made",
    async (text) => {
      const folder = tempDir("bad");
      writeFileSync(join(folder, "t"), text);
      await using server = await startStaticServer(folder);
      const cwd = tempDir("cwd");
      const told = await odb(["bundle", "clone", sourceRepo(), "--bundles", `${server.url}/t`], cwd);
      expect(told).toMatchObject({ status: 128, stdout: "" });
      expect(told.stderr).toMatch(/^fatal: http.*\n$/);
      expect(readdirSync(cwd)).toEqual([]);
    },
  );

  it("that is not there, too large, or no URL is refused", async () => {
    const endless = createServer((_, response) => {
      const more = () => {
        while (response.write(Buffer.alloc(1 << 20, 32)));
      };
      response.on("drain", more).on("error", () => {});
      more();
    }).listen(0, "127.0.0.1");
    await once(endless, "listening");
    const url = `http://127.0.0.1:${(endless.address() as AddressInfo).port}/bundles.json`;
    await using server = await startStaticServer(tempDir("none"));
    const clone = (table: string) =>
      odb(["bundle", "clone", sourceRepo(), "--bundles", table], tempDir("cwd"));
    expect((await clone(url)).stderr).toContain(`more than ${TABLE_LIMIT} bytes`);
    expect((await clone(`${server.url}/bundles.json`)).stderr).toMatch(/there is no table of bundles/);
    expect(await clone("ftp://x/y")).toMatchObject({ status: 129 });
    endless.closeAllConnections();
    endless.close();
  });
});

describe("a bucket in S3", () => {
  async function withS3(
    use: (server: EmbeddedS3, repo: string, url: string) => Promise<void>,
  ): Promise<void> {
    const server = await startS3();
    try {
      const repo = sourceRepo();
      const url = server.url("bundles");
      const made = await odb(["bundle", "create", repo, url, "--base-url", baseUrl], undefined, server.env);
      expect(made.status).toBe(0);
      commit(repo, "two");
      await use(server, repo, url);
    } finally {
      await server.close();
    }
  }
  const table = async (url: string, env: NodeJS.ProcessEnv) =>
    (await odb(["bundle", "list", url], undefined, env)).stdout.trim().split("\n").length;

  it.each([
    ["denied", { rules: [{ operation: "PutObject", kind: "forbidden" }] }, /Access Denied|denied|not allow/i],
    ["full", { rules: [{ operation: "PutObject", key: "bundle-1", kind: "full" }] }, /space|full/i],
    ["without conditional writes", { conditions: "ignored" }, /has no conditional writes/],
  ] as const)("that is %s is told in one line, and the tables stay", async (_name, faults, message) => {
    await withS3(async (server, repo, url) => {
      await server.setFaults(faults);
      const told = await odb(["bundle", "update", repo, url], undefined, server.env);
      expect(told).toMatchObject({ status: 128, stdout: "" });
      expect(told.stderr).toMatch(message);
      expect(told.stderr.trim().split("\n")).toHaveLength(1);
      await server.setFaults({});
      expect(await table(url, server.env)).toBe(1);
      expect((await odb(["bundle", "update", repo, url], undefined, server.env)).status).toBe(0);
      expect(await table(url, server.env)).toBe(2);
    });
  });
});
