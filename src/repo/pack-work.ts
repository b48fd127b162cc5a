/**
 * Replacing packs so that a crash at any instruction loses nothing and leaves nothing behind for long: new packs are made
 * in a folder of their own, which also says what was begun; the next run takes it up.
 */

import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { toOdbError } from "../errors.js";
import type { Repository } from "./git.js";
import { clearLeftBehind, isLeftBehind, ownTag } from "./left-behind.js";

/** Must not begin with `tmp_`: `git prune` would clear it away under us. */
const PREFIX = "git-odb-packs-";

/** What our `.keep` files say; others' are never touched. */
const KEEP = "git-odb: until the packs that this one replaces are gone\n";

/** In the order in which git takes a pack away: the index first, so that nobody opens what goes. */
const EXTENSIONS = ["idx", "rev", "bitmap", "mtimes", "promisor", "keep", "pack"] as const;

/** A folder in which packs are made, and the list of what is under way. */
export interface PackWork extends AsyncDisposable {
  readonly repo: Repository;
  /** New packs are written here, as `pack-<checksum>.pack` and `.idx`. */
  readonly directory: string;
  /**
   * Moves a pack from the folder into the object store, durably. It is protected by a `.keep` against every other gc
   * until {@link release}, or for good by one that says `keep`. One that is there already stays.
   */
  place(name: string, options: { promisor: boolean; keep?: string }): Promise<void>;
  /** Ends the protection of what was placed. */
  release(): Promise<void>;
  /** Removes packs of the object store, noted first. */
  remove(names: readonly string[]): Promise<void>;
}

/** Runs `use` with a folder to make packs in, which goes afterwards. Whoever removes packs holds the gc lock. */
export async function withPackWork<T>(repo: Repository, use: (work: PackWork) => Promise<T>): Promise<T> {
  await using work = await openPackWork(repo);
  return await use(work).catch((error: unknown) =>
    Promise.reject(toOdbError(error, `write packs in ${repo.objectsDir}`)),
  );
}

async function openPackWork(repo: Repository): Promise<PackWork> {
  const directory = join(repo.objectsDir, PREFIX + ownTag());
  await mkdir(directory).catch((error: unknown) => Promise.reject(toOdbError(error)));
  return new Work(repo, directory);
}

/** Finishes what runs that were killed had begun. The gc lock must be held. */
export async function recoverPackWork(repo: Repository): Promise<void> {
  await clearLeftBehind(repo);
  for (const folder of await readdir(repo.objectsDir)) {
    if (!folder.startsWith(PREFIX) || !isLeftBehind(folder.slice(PREFIX.length))) continue;
    const directory = join(repo.objectsDir, folder);
    for (const { verb, name } of await readNotes(directory)) {
      const base = join(repo.objectsDir, "pack", name);
      // A pack with its index is whole, and the run that follows decides; without, nobody can read it.
      const whole = await exists(`${base}.idx`);
      if (verb === "remove" && !whole) await removeFiles(base);
      if (verb === "keep" && (await removeOwnKeep(base)) && !whole) await removeFiles(base);
    }
    await rm(directory, { recursive: true, force: true });
  }
}

class Work implements PackWork {
  readonly repo: Repository;
  readonly directory: string;
  readonly #packDir: string;
  readonly #kept: string[] = [];

  constructor(repo: Repository, directory: string) {
    this.repo = repo;
    this.directory = directory;
    this.#packDir = join(repo.objectsDir, "pack");
  }

  async place(name: string, { promisor, keep }: { promisor: boolean; keep?: string }): Promise<void> {
    const base = join(this.#packDir, name);
    await this.#protect(name);
    if (promisor) await writeDurably(`${base}.promisor`, "");
    if (!(await exists(`${base}.idx`))) await this.#move(name);
    if (keep === undefined) return;
    const made = join(this.directory, `${name}.keep`);
    await writeDurably(made, keep);
    await rename(made, `${base}.keep`);
    await syncFile(this.#packDir);
  }

  async #protect(name: string): Promise<void> {
    const base = join(this.#packDir, name);
    await mkdir(this.#packDir, { recursive: true });
    if (!(await exists(`${base}.keep`))) {
      await this.#note("keep", name);
      this.#kept.push(base);
      await writeDurably(`${base}.keep`, KEEP);
    }
  }

  async #move(name: string): Promise<void> {
    const base = join(this.#packDir, name);
    const made = join(this.directory, name);
    // The index comes last: with it the pack is there.
    for (const extension of ["pack", "rev", "idx"]) {
      const from = `${made}.${extension}`;
      if (extension === "rev" && !(await exists(from))) continue;
      await syncFile(from);
      await rename(from, `${base}.${extension}`);
      await syncFile(this.#packDir);
    }
  }

  async release(): Promise<void> {
    for (const base of this.#kept.splice(0)) await removeOwnKeep(base);
  }

  async remove(names: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    for (const name of names) await this.#note("remove", name);
    // They are caches that name packs; git makes them anew.
    await rm(join(this.#packDir, "multi-pack-index.d"), { recursive: true, force: true });
    for (const file of await readdir(this.#packDir)) {
      if (file.startsWith("multi-pack-index")) await rm(join(this.#packDir, file), { force: true });
    }
    for (const name of names) await removeFiles(join(this.#packDir, name));
    await syncFile(this.#packDir);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
    await rm(this.directory, { recursive: true, force: true });
  }

  /** Durable before what it notes is done. */
  async #note(verb: "keep" | "remove", name: string): Promise<void> {
    const file = await open(join(this.directory, "notes"), "a");
    try {
      await file.writeFile(`${verb} ${name}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await syncFile(this.directory);
  }
}

async function readNotes(directory: string): Promise<{ verb: string; name: string }[]> {
  const text = await readFile(join(directory, "notes"), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw toOdbError(error);
  });
  return [...text.matchAll(/^(keep|remove) (pack-[0-9a-f]+)\n/gm)].map(([, verb = "", name = ""]) => ({
    verb,
    name,
  }));
}

/** @returns whether there was one of ours */
async function removeOwnKeep(base: string): Promise<boolean> {
  const path = `${base}.keep`;
  const own = (await readFile(path, "utf8").catch(() => "")) === KEEP;
  if (own) await rm(path, { force: true });
  return own;
}

async function removeFiles(base: string): Promise<void> {
  for (const extension of EXTENSIONS) await rm(`${base}.${extension}`, { force: true });
}

async function writeDurably(path: string, content: string): Promise<void> {
  const file = await open(path, "w");
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A file's bytes, or the names in a folder. */
async function syncFile(path: string): Promise<void> {
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

async function exists(path: string): Promise<boolean> {
  const file = await open(path, "r").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw toOdbError(error);
  });
  await file?.close();
  return file !== undefined;
}
