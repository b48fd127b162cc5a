/** A pack fetched to a temporary repository, where git itself indexes it and every id and link is checked. */

import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { OdbError } from "../errors.js";
import type { Source as Bytes, Content } from "../object/content.js";
import { hexLength, isObjectId, type ObjectId } from "../object/id.js";
import { type PackIndex, parseIndex } from "../pack/idx.js";
import { infosOf, smallObjects } from "../repo/cat-file.js";
import { type ArrivedPack, PassingPack } from "./arriving-pack.js";
import type { KnownObjects } from "./known.js";
import { type LfsObject, POINTER_LEAST, POINTER_LIMIT, parsePointer } from "./lfs-pointer.js";
import { checkLinks, type LinkingType, OpenLinks, visitLinks } from "./links.js";
import { type ScratchRepository, scratchRepository } from "./scratch.js";

/** A pack and its index as files, until it is disposed of. */
export interface FetchedPack extends AsyncDisposable {
  /** `pack-<checksum>` */
  readonly name: string;
  readonly count: number;
  readonly pack: Bytes;
  readonly index: Bytes;
  /** The temporary repository that holds it, and nothing else. */
  readonly repo: ScratchRepository;
  oids(): AsyncIterable<ObjectId>;
  /** The LFS objects that its blobs point to: looks at every small blob. */
  pointers(): Promise<LfsObject[]>;
}

/** What has to be true of a pack. */
export interface PackDemand {
  readonly hash: "sha1" | "sha256";
  /** Each must be in the pack or in the mirror. */
  readonly wants: ReadonlySet<ObjectId>;
  /** Undefined: all that its objects refer to must be in the pack itself. */
  readonly known: KnownObjects | undefined;
  /** Names the source in errors. */
  readonly what: string;
  readonly directory?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Trees and commits larger than this are no such: git itself would run out of memory over them. */
const TREE_LIMIT = 256 * 1024 * 1024;

/**
 * What to do with a pack that has come whole while git still resolves its deltas: nothing that it holds is checked yet.
 * The signal says that it was found wrong.
 */
export type OnArrival = (pack: ArrivedPack, signal: AbortSignal) => Promise<void>;

/**
 * Takes a pack as it comes, and checks it.
 *
 * @param onArrival not called where git keeps the pack so that it cannot be read early
 * @throws OdbError integrity, when bytes, ids or links are wrong; whatever `content` or `onArrival` throws
 */
export async function fetchPack(
  content: Content,
  demand: PackDemand,
  onArrival?: OnArrival,
): Promise<FetchedPack> {
  const repo = await scratchRepository(demand.hash, demand.directory);
  try {
    const checksum =
      onArrival === undefined
        ? await indexPack(repo, content, demand)
        : await indexArriving(repo, content, demand, onArrival);
    const file = join(repo.objectsDir, "pack", `pack-${checksum}`);
    const [pack, index] = [await fileSource(`${file}.pack`), await fileSource(`${file}.idx`)];
    const indexed = await parseIndex(
      await readFile(`${file}.idx`),
      demand.hash,
      `the index of ${demand.what}`,
    );
    await checkWhole(repo, indexed.index, demand);
    return {
      name: `pack-${checksum}`,
      count: indexed.index.count,
      pack,
      index,
      repo,
      async *oids() {
        for await (const { oid } of indexed.index.entries()) yield oid;
      },
      pointers: () => findPointers(repo),
      [Symbol.asyncDispose]: () => repo[Symbol.asyncDispose](),
    };
  } catch (error) {
    await repo[Symbol.asyncDispose]();
    throw error;
  }
}

/** The two work on the same pack; what fails first ends the other. */
async function indexArriving(
  repo: ScratchRepository,
  content: Content,
  demand: PackDemand,
  onArrival: OnArrival,
): Promise<string> {
  const stop = new AbortController();
  const signal = demand.signal ? AbortSignal.any([demand.signal, stop.signal]) : stop.signal;
  const passing = new PassingPack(demand.hash);
  let failed: { error: unknown } | undefined;
  const orStop = async <T>(work: Promise<T>) => {
    try {
      return await work;
    } catch (error) {
      failed ??= { error };
      stop.abort();
      return undefined;
    }
  };
  let ended = false;
  let arrival: Promise<unknown> | undefined;
  const arrive = async () => {
    await using pack = await passing.arrived(join(repo.objectsDir, "pack"), () => ended);
    if (pack !== undefined) await onArrival(pack, signal);
  };
  async function* whole(): Content {
    yield* passing.through(content);
    arrival = orStop(arrive());
  }
  const checksum = await orStop(indexPack(repo, whole(), { ...demand, signal }));
  ended = true;
  await arrival;
  if (failed !== undefined) throw failed.error;
  return checksum ?? "";
}

/** @returns the pack's checksum. git verifies the trailer and finds every id; with a flag, every link too. */
async function indexPack(
  repo: ScratchRepository,
  content: Content,
  { known, what, signal }: PackDemand,
): Promise<string> {
  const check = known === undefined ? ["--check-self-contained-and-connected"] : [];
  const options = { input: content, okStatus: [0, 1], ...(signal && { signal }) };
  const { status, stdout } = await repo
    .run(["index-pack", "--stdin", ...check], options)
    .catch((error: unknown) => {
      if (!(error instanceof OdbError) || !/^git index-pack: /.test(error.message)) throw error;
      if (error.code === "full" || error.code === "denied") throw error;
      throw new OdbError("integrity", `${what}: its pack is broken (${error.message})`, { cause: error });
    });
  const checksum = /^(?:pack|keep)\t([0-9a-f]+)\n/.exec(stdout.toString())?.[1] ?? "";
  if (status !== 0) {
    throw new OdbError("integrity", `${what}: its pack lacks objects that others in it refer to`);
  }
  if (isObjectId(checksum)) return checksum;
  throw new OdbError("bug", `git index-pack said ${JSON.stringify(stdout.toString().slice(0, 80))}`);
}

async function checkWhole(repo: ScratchRepository, index: PackIndex, demand: PackDemand): Promise<void> {
  if (demand.known === undefined) return await checkWants(index, demand);
  const inside = new Set<ObjectId>();
  for await (const { oid } of index.entries()) inside.add(oid);
  const links = new OpenLinks();
  for (const oid of demand.wants) if (!inside.has(oid)) links.add(oid, "a ref");
  await gatherLinks(repo, inside, links, demand);
  await checkLinks(links.sorted(), demand.known, demand.what);
}

/** git has checked the links of a pack that is to be whole by itself: what is left are the refs. */
async function checkWants(index: PackIndex, { wants, what }: PackDemand): Promise<void> {
  for (const oid of wants) {
    if ((await index.find(oid)) !== undefined) continue;
    throw new OdbError("integrity", `${what}: object ${oid} is missing, which a ref refers to`);
  }
}

async function gatherLinks(
  repo: ScratchRepository,
  inside: ReadonlySet<ObjectId>,
  links: OpenLinks,
  { hash }: PackDemand,
): Promise<void> {
  const linking: ObjectId[] = [];
  for await (const info of infosOf(repo, inside)) {
    if (info !== undefined && info.type !== "blob") linking.push(info.oid);
  }
  for await (const object of smallObjects(repo, linking, TREE_LIMIT)) {
    if (object === undefined) throw new OdbError("unsupported", "a tree or commit of more than 256 MiB");
    const { oid, type } = object.info;
    const visit = (bytes: Buffer, at: number) => {
      const link = bytes.toString("hex", at, at + hexLength[hash] / 2) as ObjectId;
      if (!inside.has(link)) links.add(link, `object ${oid}`);
    };
    visitLinks(type as LinkingType, object.content, hash, visit, () => oid);
  }
}

/** In the order of the pack, which is the fastest for git; only blobs of a size that a pointer can have are read. */
async function findPointers(repo: ScratchRepository): Promise<LfsObject[]> {
  const small: ObjectId[] = [];
  let rest = "";
  const format = "--batch-check=%(objecttype) %(objectsize) %(objectname)";
  for await (const chunk of repo.stream(["cat-file", format, "--batch-all-objects", "--unordered"])) {
    const text = rest + chunk.toString("latin1");
    const end = text.lastIndexOf("\n") + 1;
    rest = text.slice(end);
    for (const [, size, oid] of text.slice(0, end).matchAll(smallBlob)) {
      if (Number(size) >= POINTER_LEAST && Number(size) < POINTER_LIMIT) small.push(oid as ObjectId);
    }
  }
  const found = new Map<string, LfsObject>();
  for await (const object of smallObjects(repo, small, POINTER_LIMIT)) {
    const pointer = object && parsePointer(object.content);
    if (pointer !== undefined) found.set(pointer.oid, pointer);
  }
  return [...found.values()];
}

/** A pointer has more than 99 bytes and less than 10,000. */
const smallBlob = /^blob (\d{3,4}) (\w+)$/gm;

const CHUNK = 1 << 20;

async function fileSource(path: string): Promise<Bytes> {
  const { size } = await stat(path);
  return {
    size,
    open: ({ start = 0, end = size } = { start: 0 }) =>
      end > start ? createReadStream(path, { start, end: end - 1, highWaterMark: CHUNK }) : nothing(),
    file: { path, disposable: true },
  };
}

async function* nothing(): Content {}
