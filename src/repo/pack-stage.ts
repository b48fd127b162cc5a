/** A pack of our own making as files: `pack-<checksum>.pack` and its index. */

import { open, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { toOdbError } from "../errors.js";
import type { HashAlgorithm } from "../object/id.js";
import { formatIndex } from "../pack/idx-write.js";
import type { PackOutput } from "../pack/write.js";

/** Writes both files into a folder. @returns `pack-<checksum>` @throws OdbError full, denied; what the content throws */
export async function stagePack(directory: string, pack: PackOutput, hash: HashAlgorithm): Promise<string> {
  const temporary = join(directory, "unnamed.pack");
  try {
    const file = await open(temporary, "wx", 0o444);
    try {
      for await (const chunk of pack.content) await file.writeFile(chunk);
    } finally {
      await file.close();
    }
    const name = `pack-${pack.checksum()}`;
    await rename(temporary, join(directory, `${name}.pack`));
    const index = formatIndex(pack.entries, pack.checksum(), hash);
    await writeFile(join(directory, `${name}.idx`), index, { mode: 0o444 });
    return name;
  } catch (error) {
    throw toOdbError(error, `write ${temporary}`);
  }
}
