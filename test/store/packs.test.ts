import { createHash, randomBytes } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fileBucket } from "../../src/bucket/file.js";
import { sample } from "../../src/conformance/store-subject.js";
import { OdbError } from "../../src/errors.js";
import { collect, hashObject } from "../../src/object/content.js";
import { parseObjectId } from "../../src/object/id.js";
import { asRaw } from "../../src/store/encoding.js";
import { openStoreOn } from "../../src/store/open.js";
import { initBucket } from "../../src/store/settings.js";
import { git, tempRepo } from "../support/git.js";
import { tempDir } from "../support/temp.js";

/** A bare repository with deltas in one pack, a second pack and loose objects on top. */
function bareRepo(hash: "sha1" | "sha256"): string {
  const work = tempRepo(`--object-format=${hash}`);
  let text = Array.from(
    { length: 3000 },
    (_, i) => `line ${i} ${createHash("md5").update(`${i}`).digest("hex")}\n`,
  );
  const commit = (name: string) => {
    text = text.map((line, i) => (i % 500 === 0 ? `${name} ${line}` : line));
    writeFileSync(join(work, "text"), text.join(""));
    writeFileSync(join(work, name), randomBytes(200_000));
    git(["add", "."], { cwd: work });
    git(["commit", "-qm", name], { cwd: work });
  };
  for (const name of ["a", "b", "c", "d"]) commit(name);
  git(["repack", "-adfq"], { cwd: work });
  commit("e");
  git(["repack", "-dq"], { cwd: work });
  commit("f");
  return join(work, ".git");
}

describe.each(["sha1", "sha256"] as const)("a bucket that holds a %s repository", (hash) => {
  it("gives every object that git says is there, once, whole", async () => {
    const dir = bareRepo(hash);
    const said = git(["--git-dir", dir, "cat-file", "--batch-all-objects", "--batch-check"]).split("\n");
    const store = await openStoreOn(fileBucket(dir), { hash });
    const listed: string[] = [];
    for await (const { oid, type, size } of store.list()) listed.push(`${oid} ${type} ${size}`);
    expect(listed.sort()).toEqual(said.sort());
    for (const line of said) {
      const [name = "", type, size] = line.split(" ");
      const oid = parseObjectId(name);
      const found = await store.get(oid);
      if (found === undefined) throw new Error(`${oid} is absent`);
      expect(found.info).toEqual({ oid, type, size: Number(size) });
      expect(hashObject(found.info.type, await collect(asRaw(found), 1 << 22), hash)).toBe(oid);
      expect(await store.verify(oid)).toEqual(found.info);
      expect(await store.stat(oid)).toEqual(found.info);
    }
    expect(await store.get(sample(8, hash).info.oid)).toBeUndefined();
  });
});

describe("packs in a bucket", () => {
  it("are found by objects/info/packs where the bucket cannot be listed", async () => {
    const dir = bareRepo("sha1");
    git(["--git-dir", dir, "repack", "-adq"]);
    git(["--git-dir", dir, "update-server-info"]);
    const list = () => {
      throw new OdbError("unsupported", "a plain web server has no listing");
    };
    const store = await openStoreOn({ ...fileBucket(dir), list });
    const head = parseObjectId(git(["--git-dir", dir, "rev-parse", "HEAD"]));
    expect((await store.get(head))?.info.type).toBe("commit");
    rmSync(join(dir, "objects/info/packs"));
    const blind = await openStoreOn({ ...fileBucket(dir), list });
    expect(await blind.stat(head)).toBeUndefined();
  });

  it("are proved, not trusted: changed bytes are an integrity error", async () => {
    const dir = bareRepo("sha1");
    git(["--git-dir", dir, "repack", "-adq"]);
    const real = fileBucket(dir);
    const bucket: typeof real = {
      ...real,
      async read(key, options) {
        const body = await real.read(key, options);
        if (body === undefined || !key.endsWith(".pack")) return body;
        async function* spoiled() {
          for await (const chunk of body?.content ?? []) {
            const bytes = Buffer.from(chunk);
            for (let at = 3000; at < bytes.length; at += 3000) bytes[at] = (bytes[at] ?? 0) ^ 1;
            yield bytes;
          }
        }
        return { ...body, content: spoiled() };
      },
    };
    const store = await openStoreOn(bucket);
    const blob = parseObjectId(git(["--git-dir", dir, "rev-parse", "HEAD:a"]));
    await expect(store.verify(blob)).rejects.toMatchObject({ code: "integrity" });
  });

  it("are not looked for in a plain store", async () => {
    const dir = tempDir("plain");
    const real = fileBucket(dir);
    await initBucket(real, { layout: "loose", hash: "sha1", kind: "store" });
    const asked: string[] = [];
    const list: typeof real.list = (prefix, options) => {
      asked.push(prefix);
      return real.list(prefix, options);
    };
    const store = await openStoreOn({ ...real, list });
    expect(await store.stat(sample(8).info.oid)).toBeUndefined();
    expect(asked).toEqual([]);
  });
});
