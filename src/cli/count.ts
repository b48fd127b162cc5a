/** Numbers of things, for messages. */

/** `1 blob`, `3 blobs`. @param what one of them is called */
export function counted(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
