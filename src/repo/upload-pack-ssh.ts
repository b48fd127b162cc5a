/** A connection to `git upload-pack` by ssh, as git itself makes one. */

import { spawn } from "node:child_process";
import { OdbError } from "../errors.js";
import { runGit } from "./process.js";
import { type UploadPack, type UploadPackOptions, version2 } from "./upload-pack-connection.js";

/** Where to connect to. */
export interface SshTarget {
  /** With `user@` before it where there is one. */
  readonly host: string;
  readonly port?: string;
  readonly path: string;
}

/** Of an `ssh://` URL. */
export function sshOfUrl(url: URL): SshTarget {
  const user = url.username === "" ? "" : `${decodeURIComponent(url.username)}@`;
  const path = decodeURIComponent(url.pathname);
  return {
    host: user + url.hostname.replace(/[[\]]/g, ""),
    path: path.startsWith("/~") ? path.slice(1) : path,
    ...(url.port !== "" && { port: url.port }),
  };
}

/** As git starts it: GIT_SSH_COMMAND, core.sshCommand, GIT_SSH, ssh (git(1)); nothing can pass for an option. */
export async function connectSsh(
  { host, port, path }: SshTarget,
  options: UploadPackOptions,
): Promise<UploadPack> {
  if (host.startsWith("-") || path.startsWith("-") || /[\n\r\0]/.test(host + path)) {
    throw new OdbError("invalid", `${JSON.stringify(`${host}:${path}`)}: no host and path for ssh`);
  }
  const command = process.env.GIT_SSH_COMMAND ?? (await configured("core.sshCommand"));
  const remote = `git-upload-pack '${path.replaceAll(/['!]/g, (mark) => `'\\${mark}'`)}'`;
  const args = [...(port === undefined ? [] : ["-p", port]), "-o", "SendEnv=GIT_PROTOCOL", host, remote];
  const child = command
    ? spawn("sh", ["-c", `${command} "$@"`, command, ...args], sshOptions(options))
    : spawn(process.env.GIT_SSH ?? "ssh", args, sshOptions(options));
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-4096);
  });
  child.stdin.on("error", () => {});
  child.on("error", (error) => {
    stderr += error.message;
    child.stdout.destroy();
  });
  return {
    input: child.stdin,
    output: child.stdout,
    stateless: false,
    complaint: () => stderr,
    close: () => void child.kill(),
  };
}

function sshOptions({ signal }: UploadPackOptions) {
  const stdio: ["pipe", "pipe", "pipe"] = ["pipe", "pipe", "pipe"];
  return { stdio, env: { ...process.env, ...version2 }, ...(signal && { signal }) };
}

async function configured(key: string): Promise<string | undefined> {
  const { status, stdout } = await runGit(["config", "--get", key], { okStatus: [0, 1, 128] });
  return status === 0 ? stdout.toString().trim() : undefined;
}
