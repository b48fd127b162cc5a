import { randomBytes } from "node:crypto";
import { readdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { connectProcess } from "../../protocol/client.js";
import type { OdbClient } from "../../protocol/handler.js";
import { connectScript } from "../../protocol/script-client.js";
import { collect, contentOf, hashObject } from "../../src/object/content.js";
import { parseObjectId } from "../../src/object/id.js";
import type { ObjectInfo } from "../../src/object/info.js";
import { decodeLoose } from "../../src/object/loose.js";
import { bundled } from "../support/bundle.js";
import { tempDir } from "../support/temp.js";

const program = bundled("folder-helper.ts");
const limit = 1 << 26;
const absent = parseObjectId("a".repeat(40));
const modes = { process: connectProcess, script: connectScript } as const;

function command(folder: string): string {
  return `'${process.execPath}' '${program}' '${folder}'`;
}

function object(bytes: Uint8Array, algorithm: "sha1" | "sha256" = "sha1"): ObjectInfo {
  return { oid: hashObject("blob", bytes, algorithm), size: bytes.length, type: "blob" };
}

async function listed(client: OdbClient): Promise<string[]> {
  const oids: string[] = [];
  for await (const { oid } of client.have()) oids.push(oid);
  return oids.sort();
}

async function readLoose(client: OdbClient, info: ObjectInfo): Promise<Buffer | undefined> {
  const loose = await client.getGitObject(info.oid);
  return loose && collect((await decodeLoose(loose, "it")).content, limit);
}

describe.each(["process", "script"] as const)("%s mode, with a helper in a process of its own", (mode) => {
  const connect = modes[mode];
  // Script mode starts a process an instruction: fewer sizes.
  const sizes =
    mode === "process" ? [0, 1, 4097, 65516, 65517, 131_072, 1 << 20, (8 << 20) + 1] : [0, 4097, 70_000];

  it("puts, lists and gets objects of every size", async () => {
    await using client = await connect(command(tempDir("odb")));
    const objects = [...sizes.map((size) => randomBytes(size)), Buffer.alloc(100_000, "text ")];
    for (const bytes of objects) await client.putRawObject(object(bytes), contentOf(bytes));
    expect(await listed(client)).toEqual(objects.map((bytes) => object(bytes).oid).sort());
    for (const bytes of objects) expect((await readLoose(client, object(bytes)))?.equals(bytes)).toBe(true);
    expect(await client.getGitObject(absent)).toBeUndefined();
  });

  it("gets raw objects, with their info", async () => {
    const folder = tempDir("odb");
    await using client = await connect(command(folder), { env: { ...process.env, HELPER_GET: "raw" } });
    expect(client.negotiation.capabilities).toEqual(["get_raw_obj", "put_raw_obj", "have"]);
    for (const bytes of [Buffer.alloc(0), randomBytes(200_000)]) {
      await client.putRawObject(object(bytes), contentOf(bytes));
      const got = await client.getRawObject(object(bytes).oid);
      expect(got?.info).toEqual(object(bytes));
      expect((await collect(got?.content ?? contentOf(), limit)).equals(bytes)).toBe(true);
    }
    expect(await client.getRawObject(absent)).toBeUndefined();
  });

  it("asks for objects directly", async () => {
    await using client = await connect(command(tempDir("odb")), {
      env: { ...process.env, HELPER_GET: "direct" },
    });
    const bytes = Buffer.from("x");
    await client.putRawObject(object(bytes), contentOf(bytes));
    expect([await client.getDirect(object(bytes).oid), await client.getDirect(absent)]).toEqual([
      true,
      false,
    ]);
  });

  it("takes SHA-256", async () => {
    await using client = await connect(command(tempDir("odb")));
    const info = object(Buffer.from("x"), "sha256");
    await client.putRawObject(info, contentOf(Buffer.from("x")));
    expect((await readLoose(client, info))?.toString()).toBe("x");
  });

  it("hears of a refused put; nothing is stored; the next one works", async () => {
    const folder = tempDir("odb");
    const said: string[] = [];
    await using client = await connect(command(folder), { onStderr: (text) => said.push(text) });
    const bytes = randomBytes(300_000);
    const wrong = contentOf(Buffer.alloc(300_000));
    await expect(client.putRawObject(object(bytes), wrong)).rejects.toMatchObject({ code: "unavailable" });
    expect(readdirSync(folder)).toEqual([]);
    await client.putRawObject(object(bytes), contentOf(bytes));
    await client.close();
    expect(said.join("")).toMatch(new RegExp(`^error: put_raw_obj.*${object(bytes).oid}.*hash to.*\\n$`));
  });

  it("does not take damaged bytes", async () => {
    const folder = tempDir("odb");
    await using client = await connect(command(folder), { onStderr: () => {} });
    const bytes = randomBytes(200_000);
    await client.putRawObject(object(bytes), contentOf(bytes));
    const file = join(folder, readdirSync(folder)[0] ?? "");
    writeFileSync(file, Buffer.alloc(200_000));
    await expect(readLoose(client, object(bytes))).rejects.toThrow();
    truncateSync(file, 0);
    await expect(readLoose(client, object(bytes))).rejects.toThrow();
  });
});

describe("the subprocess client", () => {
  /** Packets as text for printf; a line without LF ends in a backslash, `0000` is a flush-pkt. */
  const pkts = (...lines: string[]) =>
    lines
      .map((line) => {
        if (line === "0000") return line;
        const text = line.endsWith("\\") ? line.slice(0, -1) : `${line}\n`;
        return (text.length + 4).toString(16).padStart(4, "0") + text.replace("\n", "\\n");
      })
      .join("");
  /** A helper of fixed answers, in shell: it listens to nothing. */
  const shell = (text: string, then = "cat >/dev/null") => `printf '${text}'; ${then}`;
  const welcome = pkts("git-read-object-server", "version=1", "0000");
  const ok = pkts("status=success", "0000");
  const git = welcome + pkts("capability=get_git_obj", "capability=have", "0000") + ok;
  const raw = welcome + pkts("capability=get_raw_obj", "0000") + ok;

  it.each([
    ["an unknown status", pkts("0000", "status=fine", "0000"), "protocol"],
    ["no status", "00000000", "protocol"],
    ["success without content", `0000${ok}`, "integrity"],
    ["an error", pkts("0000", "status=error", "0000"), "unavailable"],
    ["abort", pkts("0000", "status=abort", "0000"), "unsupported"],
    ["junk", "hello", "protocol"],
    ["an early end", "0000", "protocol"],
  ])("does not take %s for an answer", async (_name, answer, code) => {
    // Listens to two flush-pkts and a command, then ends.
    await using client = await connectProcess(shell(git + answer, "head -c 300 >/dev/null"));
    await expect(client.getGitObject(absent)).rejects.toMatchObject({ code });
  });

  it("lets the last status win", async () => {
    const answer = pkts("0000", "status=error", "other=1", "status=notfound", "0000");
    await using client = await connectProcess(shell(git + answer));
    expect(await client.getGitObject(absent)).toBeUndefined();
  });

  it("reads have lines with and without LF, none across packets", async () => {
    const line = `${absent} 1 blob`;
    await using client = await connectProcess(shell(git + pkts(line, `${line}\\`, "0000") + ok));
    expect(await listed(client)).toEqual([absent, absent]);
    const halves = pkts(`${line.slice(0, 12)}\\`, line.slice(12), "0000");
    await using cut = await connectProcess(shell(git + halves + ok));
    await expect(listed(cut)).rejects.toMatchObject({ code: "protocol" });
  });

  it("says how a helper ended that cannot be started or dies", async () => {
    const silent = { onStderr: () => {} };
    await expect(connectProcess("no-such-command-here", silent)).rejects.toThrow(/exited with code 127/);
    await expect(connectProcess("exit 3", silent)).rejects.toThrow(
      /handshake: the helper exited with code 3/,
    );
    await expect(connectProcess("true", { cwd: "/no/such/folder" })).rejects.toMatchObject({
      code: "config",
    });
  });

  it("goes on after content that was left unread, and refuses two at once", async () => {
    const folder = tempDir("odb");
    await using client = await connectProcess(command(folder));
    const bytes = randomBytes(500_000);
    await client.putRawObject(object(bytes), contentOf(bytes));
    const loose = await client.getGitObject(object(bytes).oid);
    await expect(client.getGitObject(object(bytes).oid)).rejects.toMatchObject({ code: "bug" });
    for await (const _ of loose ?? []) break;
    expect((await readLoose(client, object(bytes)))?.equals(bytes)).toBe(true);
  });

  it("kills a helper that hangs", async () => {
    const controller = new AbortController();
    const hanging = connectProcess("sleep 1000", { signal: controller.signal });
    controller.abort();
    await expect(hanging).rejects.toMatchObject({ code: "protocol" });
  });

  it("speaks to a read-object hook without init", async () => {
    await using client = await connectProcess(command(tempDir("odb")), {
      capabilities: ["get"],
      init: false,
    });
    expect(client.negotiation.capabilities).toEqual(["get"]);
    await expect(client.getDirect(absent)).rejects.toMatchObject({ code: "unavailable" });
  });

  it("does not ask for what was not offered", async () => {
    await using client = await connectProcess(shell(raw));
    await expect(client.getGitObject(absent)).rejects.toMatchObject({ code: "unsupported" });
  });
});
