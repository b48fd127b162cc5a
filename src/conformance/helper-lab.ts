/** The subject of the helper cases: a command, scratch repositories to run it in, and samples to give it. */

import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hashObject } from "../object/content.js";
import type { HashAlgorithm, ObjectId } from "../object/id.js";
import { gets, type Peer, type Sample } from "./helper-peer.js";
import { existing, git, installedIn, type Place, repositoryVariables } from "./helper-place.js";
import { HelperProcess } from "./helper-process.js";
import { Scripts } from "./helper-scripts.js";
import { Session, type SessionOptions } from "./helper-session.js";
import { SkipCase } from "./run.js";

/** The two ways in which that git talks to a helper. */
export type HelperMode = "process" | "script";

/** What a run is about. */
export interface LabOptions {
  readonly command: string;
  readonly mode: HelperMode;
  readonly timeoutMs: number;
  /** An object that a helper without put already has. */
  readonly oid?: ObjectId;
  /** A repository to run the helper in, instead of a scratch one. */
  readonly cwd?: string;
}

/** How a helper is started, where it differs from `git add` at the top of the repository. */
export interface StartOptions extends Partial<Omit<SessionOptions, "installed">> {
  /** `below`: in a subdirectory, GIT_DIR unset (cat-file, log); `outside`: as during a clone. Default `top`. */
  readonly where?: "top" | "below" | "outside";
  /** Of the repository. Default that of the run's own. */
  readonly hash?: HashAlgorithm;
  readonly env?: NodeJS.ProcessEnv;
}

/** A filler of 65521 bytes: prime, so that no two places of a sample 8 MiB apart look alike. */
const filler = Buffer.concat(
  Array.from({ length: 1024 }, (_, index) =>
    Buffer.from(createHash("sha256").update(`${index}`).digest("hex")),
  ),
).subarray(0, 65521);

/** One helper under test. */
export class HelperLab {
  readonly mode: HelperMode;
  readonly oid: ObjectId | undefined;
  /** What the helper offered, and `get`, `put`, `oid`: known once its first session is open. */
  readonly capabilities: Set<string> = new Set();
  /** Whether the shared session has served an earlier case. */
  sharedIsUsed = false;
  readonly #options: LabOptions;
  readonly #scratch: string;
  readonly #places = new Map<HashAlgorithm, Place>();
  readonly #own: Place;
  readonly #nonce = randomBytes(8).toString("hex");
  #shared: Peer | undefined;
  #opened: Peer[] = [];

  /** @throws Error when git cannot make, or find, the repository */
  constructor(options: LabOptions) {
    this.#options = options;
    this.mode = options.mode;
    this.oid = options.oid;
    this.#scratch = mkdtempSync(join(tmpdir(), "git-odb-conformance-"));
    this.#own = options.cwd === undefined ? this.#place("sha1") : existing(options.cwd);
    this.#places.set(this.#own.hash, this.#own);
  }

  /** A blob of this size that no other run has made (where the size leaves room for that). */
  sample(size: number, hash: HashAlgorithm = this.#own.hash): Sample {
    const bytes = Buffer.alloc(size);
    for (let at = 0; at < size; at += filler.length) filler.copy(bytes, at);
    bytes.write(
      size < 64
        ? randomBytes(32).toString("hex")
        : `${this.#nonce} ${size} ${randomBytes(8).toString("hex")}\n`,
    );
    return this.sampleOf(bytes, hash);
  }

  /** A blob with these bytes. */
  sampleOf(bytes: Buffer, hash: HashAlgorithm = this.#own.hash): Sample {
    return { bytes, oid: hashObject("blob", bytes, hash) };
  }

  /** The id of an object that nobody has. */
  absentOid(): string {
    return this.sample(100).oid;
  }

  /** A session that cases share, as the commands of one git do. */
  async shared(): Promise<Peer> {
    this.#shared ??= await this.#open({});
    return this.#shared;
  }

  /** A new session, ended when the case ends. */
  async fresh(options: StartOptions = {}): Promise<Peer> {
    const peer = await this.#open(options);
    this.#opened.push(peer);
    return peer;
  }

  /** Ends the shared session as git does and starts the next one: what the next command of git would see. */
  async next(): Promise<Peer> {
    await this.#shared?.close();
    this.#shared = undefined;
    return this.shared();
  }

  /** As {@link shared}, where a case looks at packets. */
  async sharedSession(): Promise<Session> {
    return asSession(await this.shared());
  }

  /** As {@link fresh}, where a case looks at packets. */
  async session(options: StartOptions = {}): Promise<Session> {
    return asSession(await this.fresh(options));
  }

  /** As {@link fresh}, where a case runs instructions of its own. */
  async scripts(options: StartOptions = {}): Promise<Scripts> {
    const peer = await this.fresh(options);
    if (peer instanceof Scripts) return peer;
    throw new Error("a case of script mode ran in process mode");
  }

  /** Puts an object into the repository itself. */
  install({ bytes }: Sample): void {
    git(["-C", this.#own.dir, "hash-object", "-w", "--stdin"], bytes);
  }

  /** Ends what a case has opened. */
  release(): void {
    for (const peer of this.#opened) peer.kill();
    this.#opened = [];
    this.sharedIsUsed = this.#shared !== undefined;
  }

  /** Ends the shared session too: the next case starts from nothing. */
  reset(): void {
    this.release();
    this.#shared?.kill();
    this.#shared = undefined;
    this.sharedIsUsed = false;
  }

  /** Ends everything and removes the scratch repositories. */
  close(): void {
    this.reset();
    rmSync(this.#scratch, { recursive: true, force: true });
  }

  /** A new folder, gone with the lab. */
  folder(name: string): string {
    return mkdtempSync(join(this.#scratch, `${name}-`));
  }

  async #open(options: StartOptions): Promise<Peer> {
    const { where = "top", hash = this.#own.hash, env, ...how } = options;
    const place = this.#place(hash);
    const start = {
      ...this.#cwdAndDir(place, where, env),
      timeoutMs: this.#options.timeoutMs,
      installed: (oid: string) => installedIn(place.dir, oid),
      ...how,
    };
    const { command } = this.#options;
    const peer = await (this.mode === "process"
      ? Session.open(new HelperProcess(command, start), start)
      : Scripts.open(command, start));
    this.#learn(peer.offers);
    return peer;
  }

  #learn(offers: readonly string[]): void {
    if (this.capabilities.size > 0) return;
    for (const offer of offers) this.capabilities.add(offer);
    if (gets.some((get) => offers.includes(get))) this.capabilities.add("get");
    if (offers.includes("put_raw_obj")) this.capabilities.add("put");
    if (this.oid !== undefined) this.capabilities.add("oid");
  }

  #cwdAndDir(place: Place, where: "top" | "below" | "outside", extra: NodeJS.ProcessEnv = {}) {
    const env: NodeJS.ProcessEnv = { ...process.env, ...extra };
    for (const name of repositoryVariables) delete env[name];
    if (where === "top") return { cwd: place.dir, env: { ...env, GIT_DIR: ".git" } };
    if (where === "outside") {
      return { cwd: this.folder("outside"), env: { ...env, GIT_DIR: join(place.dir, ".git") } };
    }
    if (place === this.#own && this.#options.cwd !== undefined) return { cwd: place.dir, env };
    const below = join(place.dir, "sub", "directory");
    mkdirSync(below, { recursive: true });
    return { cwd: below, env };
  }

  #place(hash: HashAlgorithm): Place {
    const known = this.#places.get(hash);
    if (known) return known;
    if (this.#options.cwd !== undefined) {
      throw new SkipCase(`the repository given has ${this.#own.hash} ids`);
    }
    const dir = join(this.#scratch, hash);
    const format = hash === "sha1" ? [] : [`--object-format=${hash}`];
    try {
      git(["init", "-q", ...format, dir]);
    } catch (error) {
      if (hash === "sha1") throw error;
      throw new SkipCase(`the git on PATH makes no ${hash} repository`);
    }
    const place = { dir, hash };
    this.#places.set(hash, place);
    return place;
  }
}

function asSession(peer: Peer): Session {
  if (peer instanceof Session) return peer;
  throw new Error("a case of process mode ran in script mode");
}
