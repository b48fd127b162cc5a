/** The ground of wrappers: a bucket that hands every call on, save those it is given. */

import type { Bucket } from "./bucket.js";

/** `bucket` with some of its operations changed. Optional members are there only where the bucket has them. */
export function wrapBucket(bucket: Bucket, changed: Partial<Bucket>): Bucket {
  return {
    name: bucket.name,
    ...(bucket.recordsSha256 && { recordsSha256: true }),
    ...(bucket.checksSha256 && { checksSha256: true }),
    // Asked for only when it is needed: looking at it may make the folder.
    get stagingDirectory() {
      return bucket.stagingDirectory;
    },
    head: (key, options) => bucket.head(key, options),
    read: (key, options) => bucket.read(key, options),
    write: (key, source, options) => bucket.write(key, source, options),
    remove: (keys, options) => bucket.remove(keys, options),
    list: (prefix, options) => bucket.list(prefix, options),
    copy: (from, to, options) => bucket.copy(from, to, options),
    conditionalWrites: (options) => bucket.conditionalWrites(options),
    close: () => bucket.close(),
    ...(bucket.writeStream && {
      writeStream: (key, content, options) => streamTo(bucket, key, content, options),
    }),
    ...(bucket.removeUnfinished && {
      removeUnfinished: async (prefix, before, options) =>
        (await bucket.removeUnfinished?.(prefix, before, options)) ?? 0,
    }),
    ...(bucket.publicUrl && { publicUrl: (key: string) => bucket.publicUrl?.(key) }),
    ...(bucket.create && { create: async (options) => bucket.create?.(options) }),
    ...changed,
  };
}

/** Only wrappers of a bucket that has it hand it on, so it is there. */
async function streamTo(
  bucket: Bucket,
  ...[key, content, options]: Parameters<NonNullable<Bucket["writeStream"]>>
) {
  return (await bucket.writeStream?.(key, content, options)) ?? 0;
}
