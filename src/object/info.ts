/** What is known of an object without its content, and the line that says so on the wire and in metadata. */

import { OdbError } from "../errors.js";
import { type ObjectId, parseObjectId } from "./id.js";

/** git's object types, by git's words. */
export type ObjectType = "blob" | "tree" | "commit" | "tag";

/** Id, size in bytes of the content (without git's header), and type of an object. */
export interface ObjectInfo {
  oid: ObjectId;
  size: number;
  type: ObjectType;
}

const types: ReadonlySet<string> = new Set<ObjectType>(["blob", "tree", "commit", "tag"]);

/** Whether `text` is one of git's four object types. */
export function isObjectType(text: string): text is ObjectType {
  return types.has(text);
}

/** @throws OdbError invalid */
export function parseObjectType(text: string): ObjectType {
  if (isObjectType(text)) return text;
  throw new OdbError(
    "invalid",
    `${JSON.stringify(text)} is no object type: expected blob, tree, commit or tag`,
  );
}

/**
 * Reads a size in bytes: decimal digits only, at most 2^53 - 1.
 *
 * @throws OdbError invalid
 */
export function parseSize(text: string): number {
  const size = /^(?:0|[1-9][0-9]{0,15})$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(size)) return size;
  throw new OdbError("invalid", `${JSON.stringify(text)} is no size: expected a number of bytes`);
}

/** The line of `have`, of a metadata blob and of the list/upload dialect, without its LF: `<oid> <size> <type>`. */
export function formatInfo(info: ObjectInfo): string {
  return `${info.oid} ${info.size} ${info.type}`;
}

/**
 * Reads one line of {@link formatInfo}, without its LF.
 *
 * @throws OdbError invalid
 */
export function parseInfo(line: string): ObjectInfo {
  const [oid, size, type, ...rest] = line.split(" ");
  if (oid === undefined || size === undefined || type === undefined || rest.length > 0) {
    throw new OdbError("invalid", `${JSON.stringify(line.slice(0, 120))} is no "<oid> <size> <type>" line`);
  }
  return { oid: parseObjectId(oid), size: parseSize(size), type: parseObjectType(type) };
}
