/** git odb doctor: each thing that can be wrong is made wrong for real, found, and mended by the command it names. */

import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { clockAhead } from "../src/bucket/clock.js";
import { parseObjectId } from "../src/object/id.js";
import { enqueue } from "../src/odb/queue.js";
import { stateDirectory } from "../src/odb/state.js";
import { openRepository } from "../src/repo/git.js";
import { cliEnv, gitOdb } from "./support/cli.js";
import { git, tempRepo } from "./support/git.js";
import { startS3 } from "./support/s3/index.js";
import { startServeProcess } from "./support/serve-process.js";
import { tempDir } from "./support/temp.js";

interface Finding {
  readonly check: string;
  readonly state: "ok" | "advice" | "bad";
  readonly message: string;
  readonly fix?: string;
}

/** What it finds, and its exit code, which must go with that. */
function examine(cwd: string, env: NodeJS.ProcessEnv = {}): Finding[] {
  const { status, stdout, stderr } = gitOdb(["doctor", "--json"], { cwd, env });
  expect(stderr).toBe("");
  const findings = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Finding);
  expect(status).toBe(findings.some(({ state }) => state === "bad") ? 1 : 0);
  return findings;
}

function notOk(cwd: string, env?: NodeJS.ProcessEnv): Finding[] {
  return examine(cwd, env).filter(({ state }) => state !== "ok");
}

/**
 * Finds exactly this one thing, runs the fix, finds nothing.
 *
 * @param places what to put where the fix has `<url>` or `<remote>`
 */
function expectMended(
  cwd: string,
  state: Finding["state"],
  message: RegExp,
  fix: string,
  places: Readonly<Record<string, string>> = {},
): void {
  expect(notOk(cwd)).toEqual([
    { check: expect.any(String), state, message: expect.stringMatching(message), fix },
  ]);
  const command = fix.replace(/<[a-z]+>/g, (place) => places[place] ?? place);
  execFileSync("sh", ["-c", command], { cwd, env: cliEnv(), stdio: "pipe" });
  expect(notOk(cwd)).toEqual([]);
}

let repo: string;
let store: string;

/** A repository in good health, with its hook. */
beforeAll(() => {
  repo = tempRepo();
  store = tempDir("store");
  for (const args of [
    ["init", "-q", "media", store],
    ["track", "-q", "media", "*.bin"],
    ["install", "-q"],
  ]) {
    expect(gitOdb(args, { cwd: repo }).status).toBe(0);
  }
  writeFileSync(join(repo, "a.bin"), "big");
  git(["add", "-A"], { cwd: repo });
  git(["commit", "-qm", "one"], { cwd: repo });
});

describe("a repository in good health", () => {
  it("has nothing wrong, in text as in JSON", () => {
    expect(notOk(repo)).toEqual([]);
    const { status, stdout } = gitOdb(["doctor"], { cwd: repo });
    expect(status).toBe(0);
    expect(stdout).toMatch(/^ok {6}git version/);
    expect(stdout).not.toMatch(/BAD|advice/);
    expect(gitOdb(["doctor", "-q"], { cwd: repo }).stdout).toBe("");
  });

  it("is not needed to look at git and PATH", () => {
    expect(notOk(tempDir())).toEqual([
      { check: "repository", state: "advice", message: "there is no repository here to look at" },
    ]);
    expect(notOk(tempRepo())).toEqual([expect.objectContaining({ check: "config", state: "advice" })]);
  });
});

describe("tools and settings", () => {
  it("names what is not on PATH, and variables that stop git", () => {
    const folder = tempDir("bin");
    const git = execFileSync("sh", ["-c", "command -v git"]).toString().trim();
    const node = process.execPath;
    for (const [name, target] of [
      ["git", git],
      ["node", node],
    ] as const) {
      execFileSync("ln", ["-s", target, join(folder, name)]);
    }
    const built = cliEnv().PATH?.split(":")[0] ?? "";
    execFileSync("ln", ["-s", join(built, "git-odb"), join(folder, "git-odb")]);
    const found = notOk(repo, { PATH: folder }).map(({ message }) => message);
    expect(found).toEqual([
      "git-remote-odb is not on PATH, where git looks for it",
      "git-odb-helper-file is not on PATH, where git looks for it",
    ]);
    const env = { GIT_NO_LAZY_FETCH: "1", GIT_ALLOW_PROTOCOL: "https:ssh" };
    expect(notOk(repo, env).map(({ check, state, fix }) => [check, state, fix])).toEqual([
      ["environment", "bad", "unset GIT_NO_LAZY_FETCH"],
      ["environment", "bad", "export GIT_ALLOW_PROTOCOL=https:ssh:odb"],
    ]);
    const mended = `${notOk(repo, env)
      .map(({ fix }) => fix)
      .join("; ")}; git odb doctor --quiet`;
    execFileSync("sh", ["-c", mended], { cwd: repo, env: cliEnv(env) });
  });

  it("finds a promisor remote that is lost, or of another store", () => {
    git(["config", "--unset", "remote.odb-media.promisor"], { cwd: repo });
    expectMended(repo, "bad", /odb-media is no promisor remote/, `git odb init media file://${store}`);
    git(["config", "remote.odb-media.url", "odb::/elsewhere"], { cwd: repo });
    expectMended(repo, "bad", /url is odb::\/elsewhere, but/, `git odb init media file://${store}`);
    git(["config", "--unset", "remote.odb-media.skipFetchAll"], { cwd: repo });
    expectMended(repo, "advice", /skipFetchAll is not set/, "git config remote.odb-media.skipFetchAll true");
  });

  it("finds promisors in the wrong order", () => {
    const other = tempRepo();
    git(["config", "remote.origin.url", "/nowhere"], { cwd: other });
    git(["config", "remote.origin.promisor", "true"], { cwd: other });
    expect(gitOdb(["init", "-q", "media", store], { cwd: other }).status).toBe(0);
    expect(gitOdb(["install", "-q"], { cwd: other }).status).toBe(0);
    git(["config", "--unset", "extensions.partialClone"], { cwd: other });
    expectMended(
      other,
      "bad",
      /asks origin for big files before/,
      "git config extensions.partialClone origin",
    );
    git(["config", "extensions.partialClone", "odb-media"], { cwd: other });
    expectMended(other, "bad", /asks it after origin/, "git config extensions.partialClone origin");
  });

  it("finds the settings that stop git or the reference client", () => {
    git(["config", "protocol.odb.allow", "never"], { cwd: repo });
    expectMended(repo, "bad", /does not start git-remote-odb/, "git config protocol.odb.allow always");
    git(["config", "--unset", "protocol.odb.allow"], { cwd: repo });
    git(["config", "protocol.allow", "never"], { cwd: repo });
    expectMended(repo, "bad", /^protocol\.allow is never/, "git config protocol.odb.allow always");
    git(["config", "--unset", "protocol.allow"], { cwd: repo });
    git(["config", "odb.media.concurrency", "many"], { cwd: repo });
    const unset = "git config --unset-all odb.media.concurrency";
    expectMended(repo, "bad", /"many" is no number/, unset);
    git(["config", "odb.bare", "x"], { cwd: repo });
    expectMended(repo, "bad", /makes a git with ODB support crash/, "git config --unset odb.bare");
  });
});

describe("stores", () => {
  it("finds one that is gone, and one of another hash", () => {
    renameSync(store, `${store}.away`);
    const [gone, ...more] = notOk(repo);
    expect([gone?.check, gone?.state, more]).toEqual(["store", "bad", []]);
    expect(gone?.message).toContain(store);
    const other = tempDir("other");
    const anew = "git odb deinit media && git odb init media <url>";
    expectMended(repo, "bad", /.*/, gone?.fix ?? "", { "<url>": other });
    expect(gone?.fix).toBe(anew);
    renameSync(`${store}.away`, store);
    const settings = readFileSync(join(store, "git-odb.json"), "utf8");
    writeFileSync(join(other, "git-odb.json"), settings.replace("sha1", "sha256"));
    expectMended(repo, "bad", /holds sha256 objects/, anew, { "<url>": store });
  });

  it("tells denied from down", async () => {
    const s3 = await startS3();
    const one = tempRepo();
    const env = { ...s3.env };
    expect(gitOdb(["init", "-q", "media", s3.url("media")], { cwd: one, env }).status).toBe(0);
    expect(gitOdb(["install", "-q"], { cwd: one, env }).status).toBe(0);
    expect(notOk(one, env)).toEqual([]);
    const denied = notOk(one, { ...env, AWS_SECRET_ACCESS_KEY: "wrong" });
    expect(denied).toEqual([expect.objectContaining({ check: "store", state: "bad" })]);
    expect(denied[0]?.fix).toMatch(/AWS_PROFILE/);
    expect(JSON.stringify(denied)).not.toContain(s3.secretAccessKey);
    await s3.close();
    const down = notOk(one, env);
    expect(down).toEqual([
      expect.objectContaining({ state: "bad", fix: "check the network and the URL, then: git odb doctor" }),
    ]);
  });

  it("has a refused password forgotten by the command that it names", async () => {
    const folder = tempDir("served");
    const one = tempRepo();
    const kept = join(tempDir("credentials"), "kept");
    const server = await startServeProcess(folder, {
      credentials: [{ kind: "basic", username: "me", password: "right" }],
    });
    try {
      const helper = `store --file=${kept}`;
      git(["config", "credential.helper", helper], { cwd: one });
      const url = server.url;
      writeFileSync(kept, `${url.replace("://", "://me:wrong@")}\n`);
      expect(gitOdb(["init", "-q", "--no-check", "media", url], { cwd: one }).status).toBe(0);
      expect(gitOdb(["install", "-q"], { cwd: one }).status).toBe(0);
      const [denied, ...more] = notOk(one);
      expect([denied?.check, denied?.state, more]).toEqual(["store", "bad", []]);
      expect(denied?.fix).toMatch(/git credential reject && git odb doctor$/);
      const env = cliEnv({ GIT_TERMINAL_PROMPT: "0" });
      writeFileSync(kept, `${url.replace("://", "://me:wrong@")}\n`);
      spawnSync("sh", ["-c", denied?.fix ?? "false"], { cwd: one, env });
      expect(readFileSync(kept, "utf8")).toBe("");
    } finally {
      await server.close();
    }
  });

  it("measures how far the clock is off", async () => {
    let date: string | undefined;
    const server = createServer((_, response) => {
      response.sendDate = false;
      if (date !== undefined) response.setHeader("date", date);
      response.end();
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const at = (offset: number) => {
      date = new Date(Date.now() + offset).toUTCString();
      return clockAhead(`s3://b/p?endpoint=${endpoint}`);
    };
    expect(await at(0)).toBe(0);
    const minute = 60_000;
    expect(Math.round(((await at(-20 * minute)) ?? 0) / minute)).toBe(20);
    expect(Math.round(((await at(20 * minute)) ?? 0) / minute)).toBe(-20);
    date = undefined;
    expect(await clockAhead(endpoint)).toBeUndefined();
    await new Promise((done) => server.close(done));
    expect(await clockAhead(endpoint)).toBeUndefined();
    expect(await clockAhead(store)).toBeUndefined();
  });
});

describe("what belongs in an ODB", () => {
  it("is missed by an attribute without its ODB, or without the hook", () => {
    const attributes = join(repo, ".gitattributes");
    const before = readFileSync(attributes);
    writeFileSync(attributes, `${before}*.txt odb=other\n`);
    writeFileSync(join(repo, "b.txt"), "text");
    git(["add", "b.txt"], { cwd: repo });
    const init = "git odb init other <url>";
    expectMended(repo, "bad", /gives 1 paths to ODB "other"/, init, { "<url>": tempDir("other") });
    expect(gitOdb(["deinit", "-q", "other"], { cwd: repo }).status).toBe(0);
    writeFileSync(attributes, before);
    expect(gitOdb(["uninstall", "-q"], { cwd: repo }).status).toBe(0);
    expectMended(repo, "advice", /does not send big files/, "git odb install");
    const hook = join(repo, ".git/hooks/pre-push");
    rmSync(hook);
    writeFileSync(hook, "#!/bin/sh\n");
    chmodSync(hook, 0o755);
    const [own] = notOk(repo);
    expect(own).toMatchObject({ check: "hook", state: "advice" });
    writeFileSync(hook, `#!/bin/sh\n${own?.fix?.replace("add to it: ", "")}\n`);
    expect(notOk(repo)).toEqual([]);
    rmSync(hook);
    expect(gitOdb(["install", "-q"], { cwd: repo }).status).toBe(0);
    chmodSync(hook, 0o644);
    expectMended(repo, "bad", /is not executable/, `chmod +x ${hook}`);
  });

  it("waits in the queue for a store that was down", async () => {
    const blob = git(["hash-object", "-w", "--stdin"], { cwd: repo, input: "queued" });
    const info = { oid: parseObjectId(blob), size: 6, type: "blob" } as const;
    await enqueue(stateDirectory(await openRepository(repo), "media"), info);
    expectMended(repo, "bad", /1 objects wait for ODB media/, "git odb put --queued media");
    expect(existsSync(join(store, "objects", blob.slice(0, 2), blob))).toBe(true);
  });

  it("is told to clones otherwise than it is here", () => {
    expect(gitOdb(["init", "-q", "--publish", "media"], { cwd: repo }).status).toBe(0);
    expect(notOk(repo)).toEqual([]);
    git(["config", "odb.media.minSize", "5m"], { cwd: repo });
    const host = tempRepo("--bare");
    const fix = "git odb init --publish media && git push <remote> +refs/odbs/media/config";
    expectMended(repo, "advice", /clones select blobs .* from no bytes on/, fix, { "<remote>": host });
    const told = git(["cat-file", "blob", "refs/odbs/media/config"], { cwd: host });
    expect(told).toContain("minSize = 5242880");
    git(["config", "--unset", "odb.media.minSize"], { cwd: repo });
    expect(gitOdb(["init", "-q", "--publish", "media"], { cwd: repo }).status).toBe(0);
  });

  it("lies where only a git with ODB support looks", () => {
    const blob = git(["hash-object", "-w", "--stdin"], { cwd: repo, input: "of another git" });
    const [folder, file] = [blob.slice(0, 2), blob.slice(2)];
    const external = join(repo, ".git/objects/external", folder);
    mkdirSync(external, { recursive: true });
    renameSync(join(repo, ".git/objects", folder, file), join(external, file));
    expectMended(repo, "advice", /only a git with ODB support sees/, "git odb fetch");
    expect(git(["cat-file", "blob", blob], { cwd: repo })).toBe("of another git");
  });
});

describe("promises, on a server", () => {
  it("are checked: what is promised is in the store, git gc bears it, the hook and the settings are there", () => {
    const server = join(tempDir("server"), "server.git");
    git(["clone", "-q", "--bare", repo, server]);
    git(["remote", "remove", "origin"], { cwd: server });
    expect(gitOdb(["put", "-q", "media", "HEAD:a.bin"], { cwd: repo }).status).toBe(0);
    expect(gitOdb(["init", "-q", "--server", "media", store], { cwd: server }).status).toBe(0);
    expect(gitOdb(["offload", "-q"], { cwd: server }).status).toBe(0);
    const found = examine(server);
    expect(found.filter(({ state }) => state !== "ok")).toEqual([]);
    expect(found.map(({ message }) => message)).toContain(
      "ODB media: 1 blob promised, 1 not here, all of them in the store",
    );
    git(["config", "repack.writeBitmaps", "true"], { cwd: server });
    expect(notOk(server).map(({ check, fix }) => [check, fix])).toEqual([
      ["bitmaps", "git config repack.writeBitmaps false"],
      ["server", "git config repack.writeBitmaps false"],
    ]);
    git(["config", "repack.writeBitmaps", "false"], { cwd: server });
    git(["config", "uploadpack.allowFilter", "false"], { cwd: server });
    expectMended(server, "bad", /nobody can clone/, "git config uploadpack.allowFilter true");
    git(["config", "receive.hideRefs", "refs/odbs-promise"], { cwd: server });
    const fix = "git config --add receive.hiderefs '!refs/odbs-promise/media'";
    expectMended(server, "bad", /hides refs\/odbs-promise\/media/, fix);
    git(["config", "--unset-all", "receive.hideRefs"], { cwd: server });
    const hook = join(server, "hooks/pre-receive");
    rmSync(hook);
    expectMended(server, "bad", /nothing refuses pushes/, "git odb init --server media");
    chmodSync(hook, 0o644);
    expectMended(server, "bad", /is not executable/, `chmod +x ${hook}`);
    const oid = git(["rev-parse", "HEAD:a.bin"], { cwd: repo });
    const stored = join(store, "objects", oid.slice(0, 2), oid);
    renameSync(stored, `${store}/away`);
    expect(notOk(server)).toEqual([
      expect.objectContaining({
        check: "promise",
        state: "bad",
        message: expect.stringContaining(`object ${oid} is promised by ODB media, but neither here nor`),
      }),
    ]);
    rmSync(`${store}/away`);
    // "…, in a clone that has it": this one.
    const [put = ""] = notOk(server)[0]?.fix?.split(", ") ?? [];
    execFileSync("sh", ["-c", put], { cwd: repo, env: cliEnv(), stdio: "pipe" });
    expect(notOk(server)).toEqual([]);
    for (const file of git(["rev-parse", "--git-path", "objects/pack"], { cwd: server }).split("\n")) {
      execFileSync("sh", ["-c", `rm ${join(server, file)}/*.promisor`]);
    }
    const anew = "git odb fetch --all && git update-ref -d refs/odbs-promise/media";
    expectMended(server, "bad", /in no promisor pack/, anew);
    expect(git(["cat-file", "blob", oid], { cwd: server })).toBe("big");
  });
});
