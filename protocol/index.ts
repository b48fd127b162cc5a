/** The helper protocol, both ends of it: `git-odb/protocol`. */

export { OdbError } from "../src/errors.js";
export { contentOf, hashObject, verified } from "../src/object/content.js";
export { isObjectId, type ObjectId, parseObjectId } from "../src/object/id.js";
export { formatInfo, type ObjectInfo, type ObjectType, parseInfo } from "../src/object/info.js";
export { type ChildOptions, startHelper } from "./child.js";
export { type ConnectOptions, connectProcess, type ProcessClient } from "./client.js";
export type { Failure } from "./commands.js";
export * from "./handler.js";
export * from "./handshake.js";
export { type GetKind, type OfferOptions, offeredCapabilities } from "./offer.js";
export * from "./pkt-line.js";
export { instructions, type ScriptOptions, serveScript } from "./script.js";
export { connectScript, type ScriptConnectOptions } from "./script-client.js";
export { type ServeOptions, serveProcess } from "./server.js";
export { isStatus, type Status } from "./status.js";
export { stdinChunks } from "./stdin.js";
export {
  type Direction,
  formatPacket,
  parsePacket,
  parseTranscript,
  type Spoken,
} from "./transcript.js";
