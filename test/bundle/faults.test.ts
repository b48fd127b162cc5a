/** What servers and files do wrong: told in a line, nothing half done, and the mark stays where it was. */

import { once } from "node:events";
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fetchBundles } from "../../src/bundle/fetch.js";
import { readTable } from "../../src/bundle/read-table.js";
import { openRepository } from "../../src/repo/git.js";
import { allObjects, bundleUp, commit, readTableOf, sourceRepo } from "../support/bundles.js";
import { startOdb } from "../support/cli.js";
import { git, tempRepo, tryGit } from "../support/git.js";
import { tempDir } from "../support/temp.js";

type Answer = (request: IncomingMessage, response: ServerResponse, file: Buffer) => void;

interface Host extends AsyncDisposable {
  readonly url: string;
  /** How it answers for bundles. The table is always served well. */
  answer: Answer;
  /** `GET /path range etag-condition authorization` of each request for a bundle. */
  readonly seen: string[];
}

const whole: Answer = (_request, response, file) => void response.end(file);

/** A web server over a folder that answers for bundles as a test wants it. */
async function startHost(folder: string): Promise<Host> {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    const name = (request.url ?? "").split("/").at(-1)?.replace(/\?.*/, "") ?? "";
    const path = join(folder, name);
    if (name.endsWith(".bundle")) {
      const { range = "-", authorization = "-" } = request.headers;
      seen.push(`${range} ${request.headers["if-none-match"] ?? "-"} ${authorization}`);
      host.answer(request, response, existsSync(path) ? readFileSync(path) : Buffer.alloc(0));
    } else if (existsSync(path)) response.end(readFileSync(path));
    else response.writeHead(404).end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const host: Host = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answer: whole,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
  return host;
}

/** A host with one bundle of a repository, and a repository that is to take it. */
async function scene(size = 3000) {
  const source = sourceRepo();
  commit(source, "big", size);
  const folder = tempDir("bundles");
  const host = await startHost(folder);
  await bundleUp(source, folder, { start: "new", baseUrl: host.url });
  const repo = tempRepo();
  const table = `${host.url}/bundles.json`;
  const fetchNow = async () => {
    const warnings: string[] = [];
    const { taken, failed } = await fetchBundles(await openRepository(repo), table, await readTable(table), {
      warn: (line) => void warnings.push(line),
    });
    return { taken, failed, warnings };
  };
  const mark = () => tryGit(["config", "bundle.latestTimestamp"], { cwd: repo }).stdout.trim();
  const close = () => host[Symbol.asyncDispose]();
  return { source, folder, host, repo, table, fetchNow, mark, [Symbol.asyncDispose]: close };
}

type Scene = Awaited<ReturnType<typeof scene>>;

/** Takes size and digest out of the table: then only what is in the file tells. */
function undigest({ folder }: Scene): void {
  const entries = readTableOf(folder).map(({ uri, timestamp }) => ({ uri, timestamp }));
  writeFileSync(join(folder, "bundles.json"), JSON.stringify(entries));
}

const send =
  (change: (file: Buffer) => Buffer): Answer =>
  (_request, response, file) =>
    void response.end(change(file));
const status =
  (code: number, headers = {}): Answer =>
  (_request, response) =>
    void response.writeHead(code, headers).end();
/** Other bytes from so many before the end to so many. */
const spoilt = (from: number, to: number) => (file: Buffer) =>
  Buffer.from(file).fill(7, file.length - from, file.length - to);
const headed = (lines: string) => (file: Buffer) =>
  Buffer.concat([Buffer.from(`${lines}\n`), file.subarray(file.indexOf("\n") + 1)]);

describe("a bundle that cannot be used", () => {
  it.each<[string, Answer, RegExp, "with digest" | "without"]>([
    ["is gone", status(404), /answered 404/, "with digest"],
    ["is denied", status(403), /answered 403/, "with digest"],
    ["is on a server that fails", status(503), /answered 503/, "with digest"],
    ["is redirected in a circle", status(302, { location: "?x" }), /more than 5 redirects/, "with digest"],
    ["is redirected to a file", status(302, { location: "file:///etc/passwd" }), /cannot go/, "with digest"],
    ["is redirected nowhere", status(302), /cannot go/, "with digest"],
    ["is shorter", send((file) => file.subarray(0, -9)), /bytes instead of/, "with digest"],
    ["is longer", send((file) => Buffer.concat([file, file])), /more than the .* promised/, "with digest"],
    ["has other bytes", send(spoilt(99, 0)), /SHA-256/, "with digest"],
    ["is a page", send(() => Buffer.from("<html>\n\n</html>")), /no git bundle/, "without"],
    ["is empty", send(() => Buffer.alloc(0)), /no git bundle/, "without"],
    ["ends in its header", send((file) => file.subarray(0, 60)), /no end/, "without"],
    ["has an endless line", send(() => Buffer.alloc(70_000, "# v2")), /more than 65536 bytes/, "without"],
    ["is of SHA-256", send(headed("# v3 git bundle\n@object-format=sha256")), /no sha256 object/, "without"],
    ["needs what nobody knows", send(headed("# v3 git bundle\n@new=1")), /needs "new"/, "without"],
    ["is of a later version", send(headed("# v4 git bundle")), /version 4/, "without"],
    ["has no pack", send((file) => file.subarray(0, file.indexOf("PACK"))), /no pack in it/, "without"],
    ["has half a pack", send((file) => file.subarray(0, -500)), /checksum/, "without"],
    ["has a bad pack", send(spoilt(500, 100)), /checksum/, "without"],
  ])("because it %s is told, and taken once it is well", async (_name, answer, message, digest) => {
    await using at = await scene();
    if (digest === "without") undigest(at);
    at.host.answer = answer;
    const { taken, failed, warnings } = await at.fetchNow();
    expect([taken, failed, warnings.length]).toEqual([0, 1, 1]);
    expect(warnings[0]).toMatch(message);
    expect(warnings[0]).toMatch(/^http:\/\/127[^\n]*; going on without this bundle$/);
    expect([at.mark(), git(["for-each-ref"], { cwd: at.repo })]).toEqual(["", ""]);
    expect(git(["count-objects"], { cwd: at.repo })).toMatch(/^0 objects/);
    expect(readdirSync(join(at.repo, ".git/objects/pack"))).toEqual([]);
    // Of another version, as its etag tells, it is tried again.
    at.host.answer = (_request, response, file) => void response.setHeader("etag", '"well"').end(file);
    if (digest === "without")
      await bundleUp(at.source, at.folder, { start: "replace", baseUrl: at.host.url });
    const again = await at.fetchNow();
    if (again.taken === 0) {
      // Its server names no versions: only another table brings it back.
      expect(again.warnings[0]).toMatch(/until the table changes/);
      await bundleUp(at.source, at.folder, { start: "replace", baseUrl: at.host.url });
      expect((await at.fetchNow()).taken).toBe(1);
    }
    expect(allObjects(at.repo)).toEqual(allObjects(at.source));
    expect(at.mark()).toBe(`${readTableOf(at.folder)[0]?.timestamp}`);
    expect(readdirSync(join(at.repo, ".git/odb-bundles"))).toEqual([]);
  });

  it("is not downloaded again as long as it is the same, nor are good ones above it", async () => {
    await using at = await scene();
    git(["branch", "-f", "elsewhere", git(["commit-tree", "-m", "x", "main^{tree}"], { cwd: at.source })], {
      cwd: at.source,
    });
    const bad = readTableOf(at.folder)[0]?.uri ?? "";
    git(["bundle", "create", "-q", join(at.folder, "other.bundle"), "elsewhere"], { cwd: at.source });
    const timestamps = { bad: 5, good: 6 };
    const entries = [
      { uri: bad, timestamp: timestamps.bad },
      { uri: `${at.host.url}/other.bundle`, timestamp: timestamps.good },
    ];
    writeFileSync(join(at.folder, "bundles.json"), JSON.stringify(entries));
    let etag = '"one"';
    at.host.answer = (request, response, file) => {
      const isBad = !request.url?.includes("other");
      response.setHeader("etag", etag).end(isBad ? file.subarray(0, -400) : file);
    };
    expect(await at.fetchNow()).toMatchObject({ taken: 1, failed: 1, warnings: [/checksum/] });
    expect(at.mark()).toBe("");
    at.host.seen.length = 0;
    expect(await at.fetchNow()).toMatchObject({ taken: 0, failed: 1, warnings: [/refused before/] });
    expect(at.host.seen).toEqual(['- "one" -']);
    expect(git(["count-objects", "-v"], { cwd: at.repo })).toMatch(/^packs: 1$/m);
    etag = '"two"';
    at.host.answer = (_request, response, file) => void response.setHeader("etag", etag).end(file);
    expect(await at.fetchNow()).toMatchObject({ taken: 1, failed: 0, warnings: [] });
    expect(at.mark()).toBe(`${timestamps.good}`);
  });
});

describe("a bundle's server", () => {
  /** The first answer breaks off in the middle; those after it are as `then` says. */
  function breaksOff(host: Host, etags: readonly [string, string], then: Answer): void {
    host.answer = (_request, response, file) => {
      response.writeHead(200, { etag: etags[0], "content-length": file.length });
      response.write(file.subarray(0, file.length >> 1), () => setTimeout(() => response.destroy(), 30));
      host.answer = (request, later, whole) => {
        later.setHeader("etag", etags[1]);
        then(request, later, whole);
      };
    };
  }
  const ranged: Answer = (request, response, file) => {
    const start = Number(/bytes=([0-9]+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
    const isSame = (request.headers["if-range"] ?? response.getHeader("etag")) === response.getHeader("etag");
    if (start === 0 || !isSame) return void response.end(file);
    response.setHeader("content-range", `bytes ${start}-${file.length - 1}/${file.length}`);
    response.writeHead(206).end(file.subarray(start));
  };

  it.each<[string, [string, string], Answer, "with digest" | "without", number]>([
    ["has the same file still", ['"a"', '"a"'], ranged, "without", 2],
    ["has another file by then", ['"a"', '"b"'], ranged, "without", 2],
    ["knows no ranges", ['"a"', '"a"'], whole, "with digest", 2],
    ["names no strong version, but the table a digest", ['W/"a"', 'W/"b"'], ranged, "with digest", 2],
    ["has neither", ['W/"a"', 'W/"a"'], ranged, "without", 2],
  ])("that breaks off and %s gives the whole in the end", async (_name, etags, then, digest, requests) => {
    await using at = await scene(200_000);
    if (digest === "without") undigest(at);
    breaksOff(at.host, etags, then);
    expect(await at.fetchNow()).toEqual({ taken: 1, failed: 0, warnings: [] });
    expect(at.host.seen.length).toBe(requests);
    expect(allObjects(at.repo)).toEqual(allObjects(at.source));
    git(["fsck", "--strict"], { cwd: at.repo });
  });

  it("that goes on with other bytes is begun anew", async () => {
    await using at = await scene(200_000);
    breaksOff(at.host, ['W/"a"', 'W/"b"'], (request, response, file) => {
      const { range } = request.headers;
      ranged(request, response, range === undefined ? file : Buffer.alloc(file.length, 7));
    });
    expect(await at.fetchNow()).toEqual({ taken: 1, failed: 0, warnings: [] });
    expect(at.host.seen.map((line) => line.split(" ")[0])).toEqual([
      "-",
      expect.stringMatching(/^bytes/),
      "-",
    ]);
  });

  it("may send us elsewhere, where its credentials do not go, and asks for them once", async () => {
    await using at = await scene();
    for (const n of [1, 2, 3]) {
      commit(at.source, `more-${n}`);
      await bundleUp(at.source, at.folder);
    }
    await using other = await startHost(at.folder);
    at.host.answer = (request, response) => {
      const isKnown = request.headers.authorization === `Basic ${btoa("me:hush-hush")}`;
      if (!isKnown) response.writeHead(401, { "www-authenticate": 'Basic realm="x"' }).end();
      else response.writeHead(307, { location: `${other.url}${request.url}` }).end();
    };
    const home = tempDir("home");
    const asked = join(home, "asked");
    const helper = join(home, "helper");
    const answer = "username=me\\npassword=hush-hush\\n";
    writeFileSync(
      helper,
      `#!/bin/sh\necho $1 >>'${asked}'\ncat >/dev/null\n[ $1 != get ] || printf '${answer}'\n`,
    );
    chmodSync(helper, 0o755);
    const config = join(home, "config");
    git(["config", "--file", config, "credential.helper", helper]);
    const env = { GIT_CONFIG_GLOBAL: config, GIT_TERMINAL_PROMPT: "0" };
    const child = startOdb(["bundle", "clone", at.source, "c", "--bundles", at.table], { cwd: home, env });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (text) => {
        said += text;
      });
    }
    expect(await once(child, "close")).toEqual([0, null]);
    expect(said).toMatch(/4 bundles taken, which had all of it\n/);
    expect(said + readFileSync(join(home, "c/.git/config"), "utf8")).not.toContain("hush");
    expect(readFileSync(asked, "utf8")).toBe("get\nstore\n");
    expect(other.seen).toEqual(["- - -", "- - -", "- - -", "- - -"]);
    expect(allObjects(join(home, "c"))).toEqual(allObjects(at.source));
  });
});
