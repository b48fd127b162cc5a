import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { openBucket } from "../../src/bucket/open.js";
import { parseBucketUrl } from "../../src/bucket/url.js";

describe("bucket URLs", () => {
  it("takes paths and file URLs, with a layout for the store", () => {
    expect(parseBucketUrl("/srv/big")).toEqual({ kind: "file", path: "/srv/big", name: "/srv/big" });
    expect(parseBucketUrl("../big?layout=loose")).toEqual({
      kind: "file",
      path: resolve("../big"),
      name: "../big",
      layout: "loose",
    });
    expect(parseBucketUrl("file:///srv/a%3Fb%20c")).toMatchObject({ kind: "file", path: "/srv/a?b c" });
    expect(() => parseBucketUrl("file://host/srv")).toThrow(/no host/);
    expect(() => parseBucketUrl("file:///a%2Fb")).toThrow(/names no path/);
  });

  it("takes http URLs with one slash at the end", () => {
    const { kind, name, ...rest } = parseBucketUrl("https://Example.com:8443/big//?layout=list");
    expect([kind, name]).toEqual(["http", "https://example.com:8443/big"]);
    expect(rest).toMatchObject({ layout: "list" });
    expect(String((rest as { url: URL }).url)).toBe("https://example.com:8443/big/");
  });

  it("takes S3 URLs with all their options", () => {
    const query =
      "endpoint=http://[::1]:9000&region=eu-1&pathStyle=true&profile=me&storageClass=GLACIER_IR&sse=AES256&checksums=required";
    expect(parseBucketUrl(`s3://My_bucket/some/pre%20fix/?${query}&layout=raw`)).toEqual({
      kind: "s3",
      name: "s3://My_bucket/some/pre fix",
      layout: "raw",
      s3: {
        bucket: "My_bucket",
        prefix: "some/pre fix",
        endpoint: "http://[::1]:9000",
        region: "eu-1",
        pathStyle: true,
        profile: "me",
        storageClass: "GLACIER_IR",
        sse: "AES256",
        checksums: "required",
      },
    });
    expect(parseBucketUrl("s3://b")).toEqual({ kind: "s3", name: "s3://b", s3: { bucket: "b", prefix: "" } });
  });

  it.each([
    ["", /one line/],
    ["/a\nb", /one line/],
    ["?layout=raw", /path before/],
    ["ftp://host/x", /expected a path/],
    ["s3:///x", /needs a bucket/],
    ["s3://b:90/x", /\?endpoint=/],
    ["s3://b/%ff", /%-escape/],
    ["s3://b?endpoint=ftp://x", /no http/],
    ["s3://b?pathStyle=yes", /true or false/],
    ["s3://b?checksums=no", /required or supported/],
    ["s3://b?region=", /empty/],
    ["s3://b?region=a&region=b", /twice/],
    ["s3://b?secretKey=x", /unknown option "secretKey"/],
    ["http://h/x?token=1", /unknown option "token"/],
    ["/srv?reigon=x", /unknown option "reigon"/],
    ["http://h/x#frag", /fragment/],
    ["http://h:99999/x", /cannot be parsed/],
  ])("refuses %j", (url, message) => {
    expect(() => parseBucketUrl(url)).toThrow(message);
  });

  it("refuses a user name or password and never shows it", () => {
    const urls = [
      "http://user:secret@h/x",
      "https://secret@h/",
      "s3://id:secret@b/x",
      "s3://b?endpoint=http://u:secret@h",
    ];
    for (const url of [...urls, "http://user:secret@h:99999/"]) {
      let message = "";
      try {
        parseBucketUrl(url);
      } catch (error) {
        message = String(error);
      }
      expect(message).toMatch(/no user name or password|cannot be parsed/);
      expect(message).not.toContain("secret");
    }
  });

  it("opens one memory bucket by name", async () => {
    expect(await openBucket("memory:url-test")).toBe(await openBucket("memory:url-test"));
    expect(await openBucket("memory:url-test")).not.toBe(await openBucket("memory:other"));
  });
});
