/** Published settings: what a repository tells its clones of its stores, and which of it a clone may believe. */

import { describe, expect, it } from "vitest";
import {
  formatPublished,
  knownOdbs,
  type PublishedSettings,
  publish,
  publishable,
  publishedRef,
  readPublished,
} from "../../src/odb/published.js";
import { describeStore, judge, parseAcceptance, whyNotFromRemote } from "../../src/odb/trust.js";
import { openRepository } from "../../src/repo/git.js";
import { gitOdb } from "../support/cli.js";
import { git, tempRepo } from "../support/git.js";
import { tempDir } from "../support/temp.js";

const media = "https://odb.example.com/media";

function settings(urls: string[], minSize?: number): PublishedSettings {
  return { name: "media", urls, ...(minSize !== undefined && { minSize }) };
}

/** A repository whose config ref points to this text. */
function repoWith(text: string | Buffer, name = "media"): string {
  const repo = tempRepo();
  const oid = git(["hash-object", "-w", "--stdin"], { cwd: repo, input: text });
  git(["update-ref", publishedRef(name), oid], { cwd: repo });
  return repo;
}

async function readFrom(repo: string): Promise<PublishedSettings | undefined> {
  return readPublished(await openRepository(repo), "media");
}

describe("the blob", () => {
  it.each([
    settings([media]),
    settings(["s3://assets/media?region=eu-central-1&layout=loose", media], 1_048_576),
    settings(['https://odb.example.com/a%22b"\\c;d']),
  ])("is what git reads as a config, and comes back as it was: %j", async (one) => {
    const repo = tempRepo();
    const opened = await openRepository(repo);
    expect(await publish(opened, one)).toBe(true);
    expect(await publish(opened, one)).toBe(false);
    const told = git(["config", "--blob", publishedRef("media"), "--get-all", "odb.media.url"], {
      cwd: repo,
    });
    expect(told.split("\n")).toEqual(one.urls);
    expect(await readPublished(opened, "media")).toEqual(one);
    expect(await knownOdbs(opened)).toEqual(["media"]);
  });

  it("may name the layout apart, and git's units", async () => {
    const text = `[odb "media"]\n\turl = ${media}\n\turl = s3://b/p?region=x\n\tlayout = loose\n\tminSize = 2m\n`;
    expect(await readFrom(repoWith(text))).toEqual(
      settings([`${media}?layout=loose`, "s3://b/p?region=x&layout=loose"], 2 * 1024 * 1024),
    );
  });

  it("is nothing where there is no ref", async () => {
    expect(await readFrom(tempRepo())).toBeUndefined();
  });

  it.each([
    [
      "a command",
      `[odb "media"]\n\turl = ${media}\n\tsubprocessCommand = evil\n`,
      /subprocesscommand.*may not/,
    ],
    ["another section", `[odb "media"]\n\turl = ${media}\n[core]\n\tsshCommand = evil\n`, /core\.sshcommand/],
    ["another ODB", `[odb "other"]\n\turl = ${media}\n`, /odb\.other\.url/],
    ["an include", `[include]\n\tpath = /etc/passwd\n[odb "media"]\n\turl = ${media}\n`, /include\.path/],
    ["no URL", `[odb "media"]\n\tminSize = 1m\n`, /has no odb\.media\.url/],
    ["no config", "[odb\n", /git cannot read it as a config/],
    ["a size that is none", `[odb "media"]\n\turl = ${media}\n\tminSize = big\n`, /is no size/],
    ["userinfo", `[odb "media"]\n\turl = https://me:hunter2@example.com/\n`, /no user name or password/],
    ["more than 4 KiB", Buffer.alloc(4097, "#"), /larger than 4096 bytes/],
  ])("is refused with %s", async (_, text, message) => {
    const reading = readFrom(repoWith(text));
    await expect(reading).rejects.toThrow(message);
    await expect(reading).rejects.not.toThrow(/hunter2/);
  });

  it("is not written when it would be too large", async () => {
    const one = settings([`https://example.com/${"x".repeat(4096)}`]);
    expect(formatPublished(one).length).toBeGreaterThan(4096);
    await expect(publish(await openRepository(tempRepo()), one)).rejects.toThrow(/larger than 4096/);
  });

  it("is not made of what is one user's own", () => {
    const config = { name: "media", get: "git", write: "first", unsafePush: false } as const;
    expect(() => publishable({ ...config, urls: ["s3://b?profile=me"] })).toThrow(
      /profile=me is a name of yours/,
    );
    expect(() => publishable({ ...config, urls: [] })).toThrow(/no URL to publish/);
    expect(publishable({ ...config, urls: ["s3://b?profile=me"] }, media).urls).toEqual([media]);
  });
});

describe("trust", () => {
  const typed = (...urls: string[]) => parseAcceptance(urls);

  it.each([
    media,
    "s3://assets/media",
    "s3://assets/media?endpoint=https://minio.example.com&region=eu-central-1",
    "https://93.184.216.34/x",
    "https://[2606:2800:220:1::1]/x",
  ])("takes %s from a remote, after a question", (url) => {
    expect(whyNotFromRemote(url)).toBeUndefined();
    expect(judge(settings([url]), typed()).verdict).toBe("ask");
    expect(judge(settings([url]), typed("")).verdict).toBe("accept");
  });

  it.each([
    "/srv/blobs",
    "file:///srv/blobs",
    "http://odb.example.com/media",
    "https://localhost/x",
    "https://odb.localhost/x",
    "https://intranet/x",
    "https://nas.local/x",
    "https://nas.localdomain/x",
    "https://127.0.0.1/x",
    "https://[64:ff9b::10.0.0.1]/x",
    "s3://b/p\u202eq",
    "s3://b/p\u200bq",
    "https://2130706433/x",
    "https://0x7f.1/x",
    "https://10.1.2.3/x",
    "https://169.254.169.254/latest/meta-data",
    "https://192.168.1.1./x",
    "https://[::1]/x",
    "https://[::ffff:10.0.0.1]/x",
    "https://[fd00::1]/x",
    "s3://b/p?profile=prod",
    "s3://b/p?endpoint=http://minio.example.com",
    "s3://b/p?endpoint=https://10.0.0.1:9000",
    "s3://b/p?region=evil.example.com%2f",
  ])("does not take %s from a remote, unless the user typed it", (url) => {
    expect(judge(settings([url]), typed("")).verdict).toBe("refuse");
    expect(judge(settings([media, url]), typed("", media)).verdict).toBe("refuse");
    expect(judge(settings([url]), typed(url)).verdict).toBe("accept");
  });

  it("shows a store as it is", () => {
    expect(describeStore("s3://b/a\u202eb?endpoint=https://minio.example.com")).toBe(
      "s3://b/a\\u{202e}b (S3 service: https://minio.example.com)",
    );
    expect(describeStore("s3://b/p?region=eu-central-1")).toBe("s3://b/p (S3 service: Amazon, eu-central-1)");
    // Letters of another alphabet that look like ours.
    expect(describeStore("https://\u0435xample.com/x")).toBe("https://xn--xample-2of.com/x");
    for (const url of ["s3://b/p\u001b[2Kq", "https://example.com/a\nUse this store? yes"])
      expect(() => describeStore(url)).toThrow(/one line of text/);
  });

  it("knows a store again in another spelling, and no other store", () => {
    expect(judge(settings(["file:///srv/blobs?layout=loose"]), typed("/srv/blobs/")).verdict).toBe("accept");
    const s3 = "s3://b/p?region=eu&endpoint=https://10.0.0.1";
    expect(judge(settings([s3]), typed("s3://b/p?endpoint=https://10.0.0.1&region=eu")).verdict).toBe(
      "accept",
    );
    expect(judge(settings([s3]), typed("s3://b/p")).verdict).toBe("refuse");
    expect(judge(settings([media]), typed(`${media}2`)).verdict).toBe("ask");
  });
});

describe("git odb init --publish", () => {
  it("publishes what is configured, or another URL for the same store, and says what to push", () => {
    const repo = tempRepo();
    const store = tempDir("store");
    const init = (...args: string[]) => gitOdb(["init", ...args], { cwd: repo });
    const read = () => git(["cat-file", "blob", publishedRef("media")], { cwd: repo });
    const first = init("--publish", "media", store);
    expect(first.status).toBe(0);
    expect(first.stderr).toMatch(/warning: clones must name this store themselves.*--accept-odb=file:/);
    expect(first.stderr).toContain(`Next: git push <remote> +${publishedRef("media")}`);
    expect(read()).toBe(`[odb "media"]\n\turl = "file://${store}"`);
    git(["config", "odb.media.minSize", "1m"], { cwd: repo });
    const second = init("--public-url", media, "media");
    expect([second.status, second.stderr]).toEqual([0, expect.not.stringContaining("warning")]);
    expect(read()).toBe(`[odb "media"]\n\turl = "${media}"\n\tminSize = 1048576`);
    expect(init("media").status).toBe(129);
    expect(init("--publish", "other").stderr).toMatch(/^fatal: ODB "other" is not configured/);
  });
});
