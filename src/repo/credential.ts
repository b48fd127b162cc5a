/** User names and passwords for http(s), from `git credential` (gitcredentials(7)) as git itself gets them. */

import { OdbError } from "../errors.js";
import { type GitOptions, runGit } from "./process.js";

/** A user name and password (or token). */
export interface GitCredential {
  readonly username: string;
  readonly password: string;
}

/** `git credential` for URLs without userinfo; fits the CredentialProvider of a bucket. */
export interface GitCredentials {
  /** @returns undefined when no helper knows one and the user was not asked, or declined */
  fill(url: string): Promise<GitCredential | undefined>;
  /** The server took it: git's helpers may store it. */
  approve(url: string, credential: GitCredential): Promise<void>;
  /** The server refused it: git's helpers forget it. */
  reject(url: string, credential: GitCredential): Promise<void>;
}

/**
 * Asks the user's credential helpers, then, as git does, the user: on the terminal unless GIT_TERMINAL_PROMPT=0, or
 * by GIT_ASKPASS. A secret passes through pipes only. A URL is asked about once at a time.
 *
 * @param where the repository whose config names the helpers; outside of one, the user's
 */
export function gitCredentials(where: { run: typeof runGit } = { run: runGit }): GitCredentials {
  const asked = new Map<string, Promise<GitCredential | undefined>>();
  const tell = async (action: "approve" | "reject", url: string, credential: GitCredential) => {
    await where.run(["credential", action], { input: format(url, credential), okStatus: [0, 1, 128] });
  };
  return {
    fill(url) {
      // Several requests meet a 401 at the same time: the user is asked once.
      const pending = asked.get(url) ?? fill(where.run, url).finally(() => asked.delete(url));
      asked.set(url, pending);
      return pending;
    },
    approve: (url, credential) => tell("approve", url, credential),
    reject: (url, credential) => tell("reject", url, credential),
  };
}

async function fill(run: typeof runGit, url: string): Promise<GitCredential | undefined> {
  const options: GitOptions = { input: format(url), okStatus: [0, 1, 128] };
  const { status, stdout } = await run(["credential", "fill"], options);
  if (status !== 0) return undefined;
  const fields = new Map<string, string>();
  for (const line of stdout.toString().split("\n")) {
    const cut = line.indexOf("=");
    if (cut > 0) fields.set(line.slice(0, cut), line.slice(cut + 1));
  }
  const username = fields.get("username");
  const password = fields.get("password");
  return username === undefined || password === undefined ? undefined : { username, password };
}

/** @throws OdbError invalid, when a value would become a line of its own */
function format(url: string, credential?: GitCredential): string {
  const target = parse(url);
  const path = target.pathname.replace(/^\//, "");
  const fields = {
    protocol: target.protocol.replace(/:$/, ""),
    host: target.host,
    ...(path !== "" && { path: decodeURIComponent(path) }),
    ...credential,
  };
  const lines = Object.entries(fields).map(([key, value]) => {
    if (/[\n\r\0]/.test(value)) {
      throw new OdbError(
        "invalid",
        `${target.origin}: a ${key} with a line break cannot be given to git credential`,
      );
    }
    return `${key}=${value}\n`;
  });
  return `${lines.join("")}\n`;
}

function parse(url: string): URL {
  if (URL.canParse(url)) return new URL(url);
  throw new OdbError("invalid", "git credential is asked about URLs only");
}
