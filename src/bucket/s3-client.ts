/** The connection to an S3 service: made from a location on the first call, every failure of it an OdbError. */

import type { S3Client } from "@aws-sdk/client-s3";
import { OdbError } from "../errors.js";
import { checkSignal } from "./flow.js";
import type { S3Calls, S3Operation, S3Service } from "./s3-calls.js";
import { s3Failure } from "./s3-errors.js";
import { openService } from "./s3-service.js";
import { silenceLimit } from "./silence.js";
import type { S3Location } from "./url.js";

/** A connection that is made when it is first used: a command that never asks S3 does not pay for it. */
export interface S3Connection {
  /**
   * Makes one call, tried once.
   *
   * @param what for messages: `read s3://bucket/key`
   * @throws OdbError with the service's answer as its cause
   */
  call<K extends S3Operation>(
    operation: K,
    input: S3Calls[K]["input"],
    what: string,
    signal: AbortSignal | undefined,
  ): Promise<S3Calls[K]["answer"]>;
  close(): void;
}

/** @param options a client of the caller's stays open */
export function s3Connection(
  location: S3Location,
  options: { readonly client?: S3Client; readonly idleMs?: number } = {},
): S3Connection {
  let opening: Promise<S3Service> | undefined;
  let closed = false;
  return {
    async call(operation, input, what, signal) {
      if (closed) throw new OdbError("bug", `${what}: the bucket is closed`);
      checkSignal(signal, what);
      opening ??= openService(location, silenceLimit(options.idleMs), options.client);
      try {
        const service = await opening;
        return await service.send(operation, input, { what, signal });
      } catch (error) {
        throw s3Failure(error, what, location, signal);
      }
    },
    close() {
      closed = true;
      // A service that never came up has nothing to end; whoever asked for it has seen the failure.
      opening?.then((service) => service.close()).catch(() => {});
    },
  };
}
