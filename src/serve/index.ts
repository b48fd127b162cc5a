/** A bucket behind HTTP, for programs: docs/http-dialect.md says what it answers. */

export { type AccessCredential, type AccessOptions, isLoopback, parseCredentials } from "./access.js";
export { type RequestLog, type RunningServer, type ServeOptions, serveBucket } from "./server.js";
