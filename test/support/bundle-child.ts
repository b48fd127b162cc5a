/** Updates a chain of bundles, and dies by SIGKILL at its n-th write: `<repository> <bucket-url> <n> before|after`. */

import { openBucket } from "../../src/bucket/open.js";
import { wrapBucket } from "../../src/bucket/wrap.js";
import { updateBundles } from "../../src/bundle/update.js";
import { openRepository } from "../../src/repo/git.js";

const [, , repository = "", url = "", nth = "0", when = ""] = process.argv;

async function main() {
  const bucket = await openBucket(url);
  let writes = 0;
  const deadly = async <T>(change: () => Promise<T>): Promise<T> => {
    const isIt = ++writes === Number(nth);
    if (isIt && when === "before") process.kill(process.pid, "SIGKILL");
    const result = await change();
    if (isIt) process.kill(process.pid, "SIGKILL");
    return result;
  };
  await updateBundles(
    await openRepository(repository),
    wrapBucket(bucket, {
      write: (key, source, options) => deadly(() => bucket.write(key, source, options)),
      remove: (keys, options) =>
        keys.length === 0 ? Promise.resolve() : deadly(() => bucket.remove(keys, options)),
    }),
    { start: "update", graceMs: 0 },
  );
  await bucket.close();
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
