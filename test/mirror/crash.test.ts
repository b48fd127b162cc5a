/** Runs that copy packs by way of a temporary repository, killed at each of their writes. */

import { crashSuite } from "../support/mirror-crash.js";

// Claim (only the first time), pack, index, table of packs, refs, HEAD, record; or what was left of them. Killed after one
// write is killed before the next: a first copy, which nobody reads yet, is killed only before.
crashSuite([
  { name: "an update, before each write", isUpdate: true, kind: "hang", stream: false, writes: 6 },
  { name: "an update, after each write", isUpdate: true, kind: "hold-answer", stream: false, writes: 6 },
  { name: "a first copy, before each write", isUpdate: false, kind: "hang", stream: false, writes: 7 },
]);
