/** The downloads of one run: a few at once, each begun when it is first asked for. */

import { turns } from "../store/parallel.js";
import { Arrival } from "./arrival.js";
import type { HttpClients } from "./clients.js";
import { downloadPatiently } from "./patience.js";
import type { BundleEntry } from "./table.js";
import type { Workplace } from "./workplace.js";

/** Downloads at once. */
const PARALLEL = 6;

/** How to download. */
export interface DownloadsOptions {
  readonly clients?: HttpClients | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told of bytes as they arrive. */
  readonly onBytes?: ((count: number) => void) | undefined;
}

/** Disposing of it ends those under way. */
export class Downloads implements AsyncDisposable {
  readonly #workplace: Workplace;
  readonly #options: DownloadsOptions;
  readonly #arrivals = new Map<string, Arrival>();
  readonly #ending = new AbortController();
  readonly #turn = turns(PARALLEL);

  constructor(workplace: Workplace, options: DownloadsOptions) {
    this.#workplace = workplace;
    this.#options = options;
  }

  /**
   * The bundle's download: under way, or waiting for its turn.
   *
   * @param unwanted the etag of a file that is of no use
   */
  of(entry: BundleEntry, unwanted?: string): Arrival {
    const { uri, size, sha256 } = entry;
    const held = this.#arrivals.get(uri);
    if (held !== undefined) return held;
    const { clients, onBytes } = this.#options;
    const about = { size, sha256, unwanted, clients, onBytes, signal: this.#signal() };
    const arrival = new Arrival((onFile) =>
      this.#turn(() => downloadPatiently(uri, this.#workplace.folderOf(entry), { ...about, onFile })),
    );
    this.#arrivals.set(uri, arrival);
    return arrival;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await Promise.allSettled([...this.#arrivals.values()].map(({ whole }) => whole));
  }

  #signal(): AbortSignal {
    const { signal } = this.#options;
    return signal ? AbortSignal.any([signal, this.#ending.signal]) : this.#ending.signal;
  }
}
