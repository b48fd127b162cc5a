/** Which ODB a path belongs to: by its `odb` attribute as git resolves it, else by size where that is configured. */

import { type AttributeOptions, type AttributeValue, checkAttribute } from "../repo/attributes.js";
import type { Repository } from "../repo/git.js";
import type { OdbConfig } from "./config.js";
import { isOdbName } from "./name.js";

/**
 * What an attribute value means for a path: the ODB's name, or undefined when the path stays with git. The path is for
 * messages; the blob's size in bytes is given where selection by size is wanted.
 */
export type Selector = (value: AttributeValue, path: string, size?: number) => string | undefined;

/**
 * Selects among configured ODBs. A bare `odb` names none and an ODB that is not configured cannot take anything: both
 * are said once each, by one line that names the first such path. `-odb` keeps a path out of selection by size too.
 */
export function selector(odbs: ReadonlyMap<string, OdbConfig>, warn: (line: string) => void): Selector {
  const said = new Set<string>();
  const once = (about: string, line: string) => {
    if (said.has(about)) return;
    said.add(about);
    warn(line);
  };
  return (value, path, size) => {
    if (value === false) return undefined;
    if (value === true) {
      once("", `${path}: attribute "odb" without a name selects no ODB: write odb=<name> in .gitattributes`);
      return undefined;
    }
    if (value === undefined) return size === undefined ? undefined : bySize(odbs, size);
    if (odbs.has(value)) return value;
    const todo = isOdbName(value) ? `run "git odb init ${value} <url>", or ` : "";
    once(
      value,
      `${path}: odb=${printable(value)} names an ODB that is not configured: ${todo}mend .gitattributes`,
    );
    return undefined;
  };
}

/** A path and the ODB it belongs to, if any. */
export interface SelectedPath<P extends string | Buffer> {
  readonly path: P;
  readonly odb: string | undefined;
}

/** Resolves paths by `git check-attr`, in order. @throws OdbError config, when the source is no tree-ish */
export async function* selectPaths<P extends string | Buffer>(
  repo: Repository,
  select: Selector,
  paths: Iterable<P> | AsyncIterable<P>,
  options: AttributeOptions = {},
): AsyncGenerator<SelectedPath<P>> {
  const asked: P[] = [];
  let answered = 0;
  async function* input() {
    for await (const path of paths) {
      asked.push(path);
      yield path;
    }
  }
  for await (const value of checkAttribute(repo, "odb", input(), options)) {
    const path = asked[answered] as P;
    // What is answered is let go of, so that millions of paths do not pile up.
    delete asked[answered++];
    yield { path, odb: select(value, path.toString()) };
  }
}

/** The first ODB in config order that wants blobs of this size. */
function bySize(odbs: ReadonlyMap<string, OdbConfig>, size: number): string | undefined {
  for (const { name, minSize } of odbs.values()) if (minSize !== undefined && size >= minSize) return name;
  return undefined;
}

/** A value comes out of a commit, so from anybody. */
function printable(value: string): string {
  return isOdbName(value) ? value : JSON.stringify(value.slice(0, 80));
}
