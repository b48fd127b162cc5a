/** The assertions of the cases: each failure is one sentence that says what was expected and what came. */

import { AssertionError } from "node:assert";

/** Ends a case as failed. @throws AssertionError always */
export function fail(message: string): never {
  throw new AssertionError({ message });
}

/** @throws AssertionError with `message`, unless `condition` holds */
export function expect(condition: boolean, message: string | (() => string)): asserts condition {
  if (!condition) fail(typeof message === "string" ? message : message());
}

/** Bytes as a message can show them: quoted, at most 80 of them. */
export function shown(bytes: Uint8Array): string {
  const text = JSON.stringify(Buffer.from(bytes.subarray(0, 80)).toString("latin1"));
  return bytes.length > 80 ? `${text}… (${bytes.length} bytes)` : text;
}
