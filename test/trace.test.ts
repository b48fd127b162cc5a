/** GIT_ODB_TRACE: where the lines go, and what never stands in them. */

import { spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { redact, tracer } from "../src/trace.js";
import { bin, git, tempRepo } from "./support/git.js";
import { tempDir } from "./support/temp.js";

const secret = "hunter2SECRET/+=";

describe("redact", () => {
  it.each([
    `https://me:${secret.replaceAll("/", "%2F")}@host/path`,
    `https://${secret.replaceAll("/", "%2F")}@host/path`,
    "https://host/o?X-Amz-Signature=hunter2SECRET&x=1",
    "https://host/o?x=1&X-Amz-Credential=hunter2SECRET%2F2026&y=2",
    "https://host/o?X-Amz-Security-Token=hunter2SECRET",
    "https://host/o?sig=1&access_token=hunter2SECRET#part",
    `Authorization: Basic ${secret}`,
    `authorization: AWS4-HMAC-SHA256 Credential=hunter2SECRET/x, Signature=hunter2SECRET`,
    `{"Proxy-Authorization":"Bearer ${secret}"}`,
    `Set-Cookie: id=${secret}; Path=/`,
    `cookie: a=b; session=${secret}`,
    "AWS_SECRET_ACCESS_KEY=hunter2SECRET",
    "AWS_ACCESS_KEY_ID=hunter2SECRET",
    "aws_session_token = hunter2SECRET",
    `"password": "hunter2SECRET"`,
    "password=hunter2SECRET\nusername=me",
    "api-key: hunter2SECRET",
  ])("takes the secret out of %j", (line) => {
    expect(redact(line)).not.toContain("hunter2SECRET");
    expect(redact(line)).toContain("<redacted>");
  });

  it.each([
    "packet: git> command=have",
    "packet: git< ce013625030ba8dba906f756967f9e9ca394464a 6 blob",
    "https://host:8080/path?prefix=a&list=1",
    "s3://bucket/key@2x.png?region=eu-central-1",
    "GET /objects/ce/013625 200 3 ms",
  ])("leaves %j as it is", (line) => expect(redact(line)).toBe(line));
});

describe("GIT_ODB_TRACE", () => {
  it.each(["", "0", "false", "no", "relative/path"])("is off at %j", (value) => {
    expect(tracer({ GIT_ODB_TRACE: value })).toBeUndefined();
  });

  it("appends redacted lines to a file that its owner alone can read", () => {
    const file = join(tempDir("trace"), "log");
    for (const word of ["one", "two"]) tracer({ GIT_ODB_TRACE: file })?.(`${word} token=${secret}`);
    expect(readFileSync(file, "utf8")).toBe("one token=<redacted>\ntwo token=<redacted>\n");
    expect(statSync(file).mode & 0o077).toBe(0);
  });

  it("shows a helper's packets on stderr, and only packets on stdout", () => {
    const cwd = tempRepo();
    git(["config", "odb.magic.url", tempDir("odb")], { cwd });
    const input = "001bgit-read-object-client\n000eversion=1\n0000";
    const args = [bin("git-odb-helper-file"), "--name", "magic"];
    const env = { ...process.env, GIT_ODB_TRACE: "1" };
    const { stdout, stderr } = spawnSync(process.execPath, args, { cwd, input, env, encoding: "utf8" });
    expect(stderr).toContain(
      "packet: git> git-read-object-client\npacket: git> version=1\npacket: git> 0000\n",
    );
    expect(stderr).toContain("packet: git< version=1\n");
    expect(stdout).toBe("001bgit-read-object-server\n000eversion=1\n0000");
  });
});
