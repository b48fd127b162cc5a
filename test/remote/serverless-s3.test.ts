import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type EmbeddedS3, startS3 } from "../support/s3/index.js";
import { cloneServed, newPerson, type Person } from "../support/serverless.js";

let server: EmbeddedS3;

beforeAll(async () => {
  server = await startS3();
  Object.assign(process.env, server.env);
});
afterAll(() => server.close());

async function started(prefix: string): Promise<{ url: string; ann: Person }> {
  const url = `odb::${server.url(prefix)}`;
  const ann = newPerson(url);
  ann.commit({ ".gitattributes": "*.bin odb=magic\n", "x.bin": randomBytes(300_000), "a.txt": "a\n" });
  return { url, ann };
}

test("two people, two branches and one bucket in S3", async () => {
  const { url, ann } = await started("repo");
  expect(await ann.run(["push", "-q", "-u", "origin", "main"])).toMatchObject({ status: 0 });
  const ben = await cloneServed(url);
  expect(readFileSync(join(ben.dir, "x.bin")).equals(readFileSync(join(ann.dir, "x.bin")))).toBe(true);
  ann.commit({ "a.txt": "ann\n" });
  ben.commit({ "b.bin": randomBytes(100_000) });
  const both = [
    ann.run(["push", "origin", "HEAD:one", "HEAD:main"]),
    ben.run(["push", "origin", "HEAD:two"]),
  ];
  expect((await Promise.all(both)).map(({ status }) => status)).toEqual([0, 0]);
  expect(await ben.run(["fetch", "-q"])).toMatchObject({ status: 0 });
  expect(ben.git("rev-parse", "origin/one", "origin/main")).toBe(ann.git("rev-parse", "HEAD", "HEAD"));
  expect(await (await cloneServed(url, "-b", "two")).run(["fsck", "--full"])).toMatchObject({ status: 0 });
  expect(await ben.run(["odb", "gc", "--store", "origin"])).toMatchObject({ status: 0 });
  expect(await (await cloneServed(url)).run(["fsck", "--full"])).toMatchObject({ status: 0 });
  await server.takeRequests();
  expect(await ben.run(["fetch", "-q"])).toMatchObject({ status: 0 });
  expect(await server.takeRequests()).toHaveLength(1);
});

test.each(["refused", "ignored"] as const)(
  "conditions %s by the service: no push, unless told so",
  async (conditions) => {
    const { url, ann } = await started(conditions);
    await server.setFaults({ conditions });
    const refused = await ann.run(["push", "origin", "main"]);
    expect(refused.status).toBeGreaterThan(0);
    expect(refused.stderr).toMatch(/git-remote-odb: .* has no conditional writes.*odb\.origin\.unsafePush/);
    expect((await ann.run(["ls-remote", "origin"])).stdout).toBe("");
    ann.git("config", "odb.origin.subprocessCommand", "git-odb-helper-s3 --name origin");
    ann.git("config", "odb.origin.unsafePush", "true");
    expect(await ann.run(["push", "-q", "origin", "main"])).toMatchObject({ status: 0 });
    await server.setFaults({});
    expect((await cloneServed(url)).git("rev-parse", "HEAD")).toBe(ann.git("rev-parse", "HEAD"));
  },
);
