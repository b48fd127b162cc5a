/** The line protocol of remote helpers, and the URLs that git hands over. */

import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { OdbError } from "../../src/errors.js";
import type { ObjectId } from "../../src/object/id.js";
import { parseRemoteAddress } from "../../src/odb/promisor-remote.js";
import type { PushCommand, Remote, RemoteOptions, Want } from "../../src/remote/remote.js";
import { runRemoteHelper } from "../../src/remote/remote-helper.js";
import { git } from "../support/git.js";
import { asking, gitWithOdb, lazyClone, talk } from "./lazy.js";

const oid = "1".repeat(40) as ObjectId;

/** What a remote was asked, in order, and what git was told. */
async function converse(input: string, remote: Partial<Remote> = {}) {
  const lines = input.split("\n");
  let said = "";
  const asked: {
    what: string;
    options: RemoteOptions;
    wants?: readonly Want[];
    commands?: readonly PushCommand[];
  }[] = [];
  const end = await runRemoteHelper(
    {
      readLine: async () => lines.shift(),
      write: async (text) => {
        said += text;
      },
    },
    async () => ({
      async list(options, forPush) {
        asked.push({ what: forPush ? "list for-push" : "list", options: structuredClone(options) });
        return (await remote.list?.(options, forPush)) ?? { hash: "sha1", refs: [] };
      },
      async fetch(wants, options) {
        asked.push({ what: "fetch", wants, options: structuredClone(options) });
        return (await remote.fetch?.(wants, options)) ?? { complete: true };
      },
      async push(commands, options) {
        asked.push({ what: "push", commands, options: structuredClone(options) });
        return (await remote.push?.(commands, options)) ?? [];
      },
      close: async () => {},
    }),
  );
  return { said, asked, ...end };
}

describe("the conversation", () => {
  it("offers what it can, and takes every option that a git from 2.39 on sends", async () => {
    const options = [
      "progress true",
      "verbosity 2",
      "filter blob:limit=1k",
      "from-promisor 1",
      "object-format",
    ];
    const more = [
      "object-format true",
      "cloning true",
      "check-connectivity true",
      "followtags true",
      "dry-run true",
    ];
    const { said, asked } = await converse(
      `capabilities\n${[...options, ...more].map((option) => `option ${option}\n`).join("")}option ipv4 true\nlist\n\n`,
    );
    expect(said).toBe(
      `fetch\noption\nobject-format\npush\ncheck-connectivity\n\n${"ok\n".repeat(10)}unsupported\n\n`,
    );
    expect(asked[0]?.options).toMatchObject({
      progress: true,
      verbosity: 2,
      filter: "blob:limit=1k",
      fromPromisor: true,
      cloning: true,
      checkConnectivity: true,
      dryRun: true,
    });
  });

  it("gives refs, HEAD and the hash as git reads them", async () => {
    const refs = [{ name: "refs/heads/main", oid }];
    const { said } = await converse("list\n\n", {
      list: async () => ({ hash: "sha256", refs, head: "refs/heads/main" }),
    });
    expect(said).toBe(`:object-format sha256\n@refs/heads/main HEAD\n${oid} refs/heads/main\n\n`);
  });

  it("gathers a batch of fetches, and several batches", async () => {
    const { said, asked } = await converse(
      `fetch ${oid} ${oid}\nfetch ${oid} refs/heads/a b\n\nfetch ${oid} HEAD\n\n\n`,
      {
        fetch: async (wants) => ({
          complete: true,
          connectivityOk: wants.length === 1,
          locks: wants.length === 1 ? ["/k"] : [],
        }),
      },
    );
    expect(asked.map(({ wants }) => wants?.map(({ ref }) => ref))).toEqual([
      [oid, "refs/heads/a b"],
      ["HEAD"],
    ]);
    expect(said).toBe("\nlock /k\nconnectivity-ok\n\n");
  });

  it("ends without an answer when not all is there", async () => {
    const { said, complete } = await converse(`fetch ${oid} ${oid}\n\n`, {
      fetch: async () => ({ complete: false }),
    });
    expect({ said, complete }).toEqual({ said: "", complete: false });
  });

  it("reads pushes and leases", async () => {
    const { said, asked } = await converse(
      `option cas refs/heads/a:${oid}\noption cas refs/heads/b:${"0".repeat(40)}\noption push-option "a"\n` +
        `push main~2:refs/heads/a\npush +x:refs/heads/b\npush :refs/heads/c\n\n\n`,
      { push: async () => [{ ref: "refs/heads/a" }, { ref: "refs/heads/b", error: "fetch first" }] },
    );
    expect(asked[0]?.commands).toEqual([
      { source: "main~2", ref: "refs/heads/a", force: false },
      { source: "x", ref: "refs/heads/b", force: true },
      { source: undefined, ref: "refs/heads/c", force: false },
    ]);
    expect(asked[0]?.options.leases).toEqual(
      new Map([
        ["refs/heads/a", oid],
        ["refs/heads/b", undefined],
      ]),
    );
    expect(said).toBe("ok\nok\nunsupported\nok refs/heads/a\nerror refs/heads/b fetch first\n\n");
  });

  it.each([
    ["depth 1", "unsupported"],
    ["deepen-since 2020-01-01", "unsupported"],
    ["deepen-not v1", "unsupported"],
  ])("refuses option %s, which git would take for leave to fetch everything", async (option, code) => {
    await expect(converse(`option ${option}\n`)).rejects.toMatchObject({ code });
  });

  it.each(["import x", "fetch nonsense x\n", `fetch ${oid} a\nlist`, "push nonsense\n"])(
    "refuses %j as broken protocol or input",
    async (input) => {
      const error: unknown = await converse(`${input}\n`).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(OdbError);
      expect(["protocol", "invalid"]).toContain((error as OdbError).code);
    },
  );

  it("is aborted when git ends in the middle of a batch", async () => {
    await expect(converse(`fetch ${oid} a`)).rejects.toMatchObject({ code: "aborted" });
  });
});

describe("URLs", () => {
  it.each([
    ["/folder/store", { bucket: "/folder/store" }],
    ["odb::/folder/store", { bucket: "/folder/store" }],
    ["s3://bucket/prefix?region=r", { bucket: "s3://bucket/prefix?region=r" }],
    ["odb://s3/bucket/prefix/x?region=r", { bucket: "s3://bucket/prefix/x?region=r" }],
    ["odb://host.example:8443/a/b", { bucket: "https://host.example:8443/a/b" }],
    ["odb:media", { odb: "media" }],
  ])("%s means %j", (address, target) => {
    expect(parseRemoteAddress(address)).toEqual(target);
  });

  it.each(["odb:///path", "odb://user:secret@host/x", "ftp://host/x", "odb:no/name", "odb:-x"])(
    "%s is refused without showing a secret",
    (address) => {
      const act = () => parseRemoteAddress(address);
      expect(act).toThrow(OdbError);
      expect(act).not.toThrow(/secret/);
    },
  );
});

describe("git-remote-odb as a process", () => {
  it("refuses --depth in one line", () => {
    const { dir, store } = lazyClone({ files: { a: "a" } });
    const { status, stderr } = gitWithOdb(["fetch", "--depth=1", `odb::${store}`], dir);
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/^git-remote-odb: odb:: remotes make no shallow clones[^\n]*$/m);
  });

  it("has no refs for a store, and takes no push", () => {
    const { dir, store } = lazyClone({ files: { a: "a" } });
    expect(gitWithOdb(["ls-remote", `odb::${store}`], dir)).toMatchObject({ status: 0, stdout: "" });
    const { status, stderr } = gitWithOdb(["push", `odb::${store}`, "main"], dir);
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/is a store of objects/);
  });

  it("follows git into any folder, with GIT_DIR relative or absolute", async () => {
    for (const absolute of [false, true]) {
      const clone = lazyClone({ files: { a: "one", b: "two" } });
      const env = { GIT_DIR: absolute ? join(clone.dir, ".git") : ".git" };
      const { status } = await talk(clone.dir, clone.store, asking(clone.oid("a")), env);
      expect(status).toBe(0);
      expect(git(["cat-file", "-p", clone.oid("a")], { cwd: clone.dir })).toBe("one");
    }
  });

  it("writes where GIT_OBJECT_DIRECTORY says", async () => {
    const clone = lazyClone({ files: { a: "one" } });
    const elsewhere = join(clone.dir, "../elsewhere");
    const env = { GIT_DIR: ".git", GIT_OBJECT_DIRECTORY: "../elsewhere" };
    expect((await talk(clone.dir, clone.store, asking(clone.oid("a")), env)).status).toBe(0);
    const found = git(["cat-file", "-p", clone.oid("a")], {
      cwd: clone.dir,
      env: { GIT_OBJECT_DIRECTORY: elsewhere },
    });
    expect(found).toBe("one");
  });

  it("ends with 129 without a usable URL", async () => {
    const { status, stderr } = await talk("/", "", "");
    expect(status).toBe(129);
    expect(stderr).toMatch(/^git-remote-odb: [^\n]+\n$/);
  });
});
