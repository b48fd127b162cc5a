/** A small LFS server: the batch API for downloads, with the faults that a test asks for. */

import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A running server. */
export interface LfsServer extends AsyncDisposable {
  /** Of the API, without `/objects/batch`. */
  readonly url: string;
  /** Requests so far: `POST /lfs/objects/batch`, `GET /objects/<oid>`; a test may empty it. */
  readonly seen: string[];
  /** Takes an object in. @returns the text of its pointer */
  add(content: Buffer): string;
  /** What goes wrong with downloads: other bytes of the same size, too many, too few, or a 404 in the batch. */
  fault: "none" | "wrong" | "long" | "short" | "missing";
}

/** How the server behaves. */
export interface LfsServerOptions {
  /** `user:password` for the API: 401 without it. */
  readonly basicAuth?: string;
  /** Where downloads are redirected to (302), the oid behind it. */
  readonly storage?: string;
}

/** Starts it on a free loopback port. Actions have a header of their own, without which a download is refused. */
export async function startLfsServer({ basicAuth, storage }: LfsServerOptions = {}): Promise<LfsServer> {
  const objects = new Map<string, Buffer>();
  const secret = "Bearer for-this-action-alone";
  const server = createServer(async (request, response) => {
    lfs.seen.push(`${request.method} ${request.url}`);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    if (request.url === "/lfs/objects/batch") {
      if (basicAuth !== undefined && request.headers.authorization !== `Basic ${btoa(basicAuth)}`) {
        response.writeHead(401, { "www-authenticate": 'Basic realm="lfs"' }).end();
        return;
      }
      const { objects: wanted } = JSON.parse(Buffer.concat(chunks).toString()) as {
        objects: { oid: string; size: number }[];
      };
      const answers = wanted.map(({ oid, size }) =>
        objects.has(oid) && lfs.fault !== "missing"
          ? {
              oid,
              size,
              actions: { download: { href: `${origin}/objects/${oid}`, header: { Authorization: secret } } },
            }
          : { oid, size, error: { code: 404, message: "not here" } },
      );
      response.end(JSON.stringify({ transfer: "basic", objects: answers }));
      return;
    }
    if (storage !== undefined && request.headers.authorization === secret) {
      response.writeHead(302, { location: storage + request.url?.slice("/objects/".length) }).end();
      return;
    }
    const found = objects.get(request.url?.slice("/objects/".length) ?? "");
    if (found === undefined || request.headers.authorization !== secret) response.writeHead(403).end();
    else response.end(spoil(found, lfs.fault));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const lfs: LfsServer = {
    url: `${origin}/lfs`,
    seen: [],
    fault: "none",
    add(content) {
      const oid = createHash("sha256").update(content).digest("hex");
      objects.set(oid, content);
      return `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize ${content.length}\n`;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
  return lfs;
}

function spoil(content: Buffer, fault: LfsServer["fault"]): Buffer {
  if (fault === "long") return Buffer.concat([content, Buffer.from("more")]);
  if (fault === "short") return content.subarray(1);
  return fault === "wrong" ? Buffer.alloc(content.length, 1) : content;
}
