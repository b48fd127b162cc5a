/** A handler over a folder of files `<oid>-<size>-<type>`: small, right, and alike in one process or many. */

import { createReadStream, readdirSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { OdbHandler } from "../../protocol/handler.js";
import { collect, verified } from "../../src/object/content.js";
import type { ObjectId } from "../../src/object/id.js";
import { formatInfo, type ObjectInfo, parseInfo } from "../../src/object/info.js";
import { encodeLoose } from "../../src/object/loose.js";

export function folderHandler(folder: string): Required<Omit<OdbHandler, "putGitObject" | "putDirect">> {
  const path = (info: ObjectInfo) => join(folder, formatInfo(info).replaceAll(" ", "-"));
  const list = () =>
    readdirSync(folder)
      .filter((name) => /^[0-9a-f]{40,64}-/.test(name))
      .map((name) => parseInfo(name.replaceAll("-", " ")));
  const find = (oid: ObjectId) => list().find((info) => info.oid === oid);
  const open = (info: ObjectInfo) => verified(createReadStream(path(info)), info);
  return {
    async init() {},
    async close() {},
    async getRawObject(oid) {
      const info = find(oid);
      return info && { info, content: open(info) };
    },
    async getGitObject(oid) {
      const info = find(oid);
      return info && encodeLoose(info, open(info));
    },
    async getDirect(oid) {
      return find(oid) !== undefined;
    },
    async putRawObject(info, content) {
      const bytes = await collect(verified(content, info), info.size);
      await writeFile(`${path(info)}.tmp`, bytes);
      await rename(`${path(info)}.tmp`, path(info));
    },
    async *have() {
      yield* list();
    },
  };
}
