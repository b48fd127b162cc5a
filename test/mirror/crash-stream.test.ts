/** Runs with --stream, killed at each of their writes. */

import { crashSuite } from "../support/mirror-crash.js";

// Thin pack, whole pack, its copy under its name, index, table of packs, removal of both, refs, HEAD, record.
crashSuite([
  { name: "an update, before each write", isUpdate: true, kind: "hang", stream: true, writes: 9 },
  { name: "an update, after each write", isUpdate: true, kind: "hold-answer", stream: true, writes: 9 },
]);
