/** A folder of a bucket as a bucket of its own: what lies beside it cannot be named. */

import type { Bucket, Entry } from "./bucket.js";
import { wrapBucket } from "./wrap.js";

/**
 * The keys of `bucket` that begin with `folder`, without it. Closing it leaves `bucket` open.
 *
 * @param folder ends in `/`, or is empty
 */
export function folderBucket(bucket: Bucket, folder: string): Bucket {
  const inside = <E extends Entry>(entry: E): E => ({ ...entry, key: entry.key.slice(folder.length) });
  return wrapBucket(bucket, {
    name: `${bucket.name.replace(/\/$/, "")}/${folder}`.replace(/\/$/, ""),
    async head(key, options) {
      const entry = await bucket.head(folder + key, options);
      return entry && inside(entry);
    },
    async read(key, options) {
      const body = await bucket.read(folder + key, options);
      return body && { ...body, entry: inside(body.entry) };
    },
    write: (key, source, options) => bucket.write(folder + key, source, options),
    remove: (keys, options) =>
      bucket.remove(
        keys.map((key) => folder + key),
        options,
      ),
    async *list(prefix, { after, ...options } = {}) {
      const from = after === undefined ? {} : { after: folder + after };
      for await (const entry of bucket.list(folder + prefix, { ...options, ...from })) yield inside(entry);
    },
    copy: (from, to, options) => bucket.copy(folder + from, folder + to, options),
    ...(bucket.writeStream && {
      writeStream: async (key, content, options) =>
        (await bucket.writeStream?.(folder + key, content, options)) ?? 0,
    }),
    ...(bucket.removeUnfinished && {
      removeUnfinished: async (prefix, before, options) =>
        (await bucket.removeUnfinished?.(folder + prefix, before, options)) ?? 0,
    }),
    ...(bucket.publicUrl && { publicUrl: (key: string) => bucket.publicUrl?.(folder + key) }),
    close: async () => {},
  });
}
