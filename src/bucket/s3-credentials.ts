/** Credentials in the environment, which need no SDK; everything else is found by the SDK's own chain. */

import type { Credentials } from "./s3-sign.js";

/**
 * What the environment holds, unless a profile is asked for: that is the order of the SDK.
 *
 * @param profile of the location
 */
export function environmentCredentials(
  profile: string | undefined,
  env: NodeJS.ProcessEnv = process.env,
): Credentials | undefined {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = env;
  if ((profile ?? env.AWS_PROFILE) || !accessKeyId || !secretAccessKey) return undefined;
  const sessionToken = env.AWS_SESSION_TOKEN;
  return { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) };
}
