/** OpenSSH's own server on a loopback port, for one key and with a host key of its own: clones over real ssh. */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { tempDir } from "./temp.js";

/** Debian's place of it: it insists on being started by an absolute path. */
export const SSHD = "/usr/sbin/sshd";

/** A running server. */
export interface Sshd extends AsyncDisposable {
  /** Followed by an absolute path: `ssh://<user>@127.0.0.1:<port>`. */
  readonly url: string;
  /** What a git needs to be let in. */
  readonly env: { readonly GIT_SSH_COMMAND: string };
}

/**
 * Starts it as whoever runs the tests, who may log in with the one key.
 *
 * @param session variables of every session (the gits of the server)
 */
export async function startSshd(session: Readonly<Record<string, string>> = {}): Promise<Sshd> {
  const dir = tempDir("sshd");
  for (const name of ["host", "user"]) {
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(dir, name)]);
  }
  const port = await freePort();
  const values = Object.entries(session).map(([name, value]) => `"${name}=${value}"`);
  writeFileSync(
    join(dir, "config"),
    [
      `Port ${port}`,
      "ListenAddress 127.0.0.1",
      `HostKey ${dir}/host`,
      `AuthorizedKeysFile ${dir}/user.pub`,
      "PidFile none",
      "UsePAM no",
      "StrictModes no",
      "AuthenticationMethods publickey",
      "AcceptEnv GIT_PROTOCOL",
      ...(values.length > 0 ? [`SetEnv ${values.join(" ")}`] : []),
      "",
    ].join("\n"),
  );
  // Where it gives up its rights before it knows who calls; it does so only as root.
  if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  const child = spawn(SSHD, ["-D", "-e", "-f", join(dir, "config")], { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  child.stderr.on("data", (text) => {
    log += text;
  });
  await untilOpen(port, child, () => log);
  const hostKey = readFileSync(join(dir, "host.pub"), "utf8");
  writeFileSync(join(dir, "known"), `[127.0.0.1]:${port} ${hostKey}`);
  const options = ["BatchMode=yes", `UserKnownHostsFile=${dir}/known`, "StrictHostKeyChecking=yes"];
  const ssh = `ssh -F none -i ${dir}/user ${options.map((option) => `-o ${option}`).join(" ")}`;
  return {
    url: `ssh://${userInfo().username}@127.0.0.1:${port}`,
    env: { GIT_SSH_COMMAND: ssh },
    [Symbol.asyncDispose]: async () => void child.kill(),
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

async function untilOpen(port: number, child: ChildProcess, log: () => string): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`sshd ended: ${log()}`);
    const isOpen = await new Promise<boolean>((done) => {
      const socket = connect(port, "127.0.0.1", () => done(true)).on("error", () => done(false));
      socket.on("connect", () => socket.destroy());
    });
    if (isOpen) return;
    await sleep(20);
  }
}
