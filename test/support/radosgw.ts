/** A real S3 service for the tests: Ceph's radosgw with one monitor and one OSD in memory, as plain processes on loopback. */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { type S3Server, s3Address } from "./s3/index.js";

/** Tries to reach a daemon, each 100 ms apart. */
const TRIES = 300;

/**
 * Starts the gateway with a bucket `test`. Needs Debian's radosgw, ceph-mon, ceph-osd and ceph-common.
 *
 * @throws Error when a daemon is missing or does not come up: never a skipped test
 */
export async function startRadosgw(): Promise<S3Server> {
  const directory = mkdtempSync(join(tmpdir(), "git-odb-rgw-"));
  const daemons: ChildProcess[] = [];
  const close = async () => {
    for (const daemon of daemons.toReversed()) daemon.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  };
  process.on("exit", () => {
    for (const daemon of daemons) daemon.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  });
  try {
    const account = {
      accessKeyId: `AK${randomBytes(8).toString("hex")}`,
      secretAccessKey: randomBytes(20).toString("hex"),
    };
    const cluster = await startCluster(directory, daemons);
    cluster.run(
      "radosgw-admin",
      "user",
      "create",
      "--uid=test",
      "--display-name=test",
      `--access-key=${account.accessKeyId}`,
      `--secret-key=${account.secretAccessKey}`,
    );
    cluster.daemon("radosgw", "-n", "client.rgw", "-f");
    const address = s3Address(`http://127.0.0.1:${cluster.port}`, account);
    await createBucket(address, () => cluster.log("radosgw"));
    return { kind: "radosgw", ...address, close };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Cluster {
  readonly port: number;
  run(command: string, ...args: string[]): string;
  daemon(command: string, ...args: string[]): void;
  log(command: string): string;
}

async function startCluster(directory: string, daemons: ChildProcess[]): Promise<Cluster> {
  const fsid = randomUUID();
  const [v2, v1, port] = (await freePorts(3)) as [number, number, number];
  const conf = join(directory, "ceph.conf");
  const addresses = `[v2:127.0.0.1:${v2},v1:127.0.0.1:${v1}]`;
  for (const folder of ["mon", "osd"]) mkdirSync(join(directory, folder));
  writeFileSync(conf, configuration(directory, fsid, addresses, port));
  const env = { ...process.env, CEPH_CONF: conf, CEPH_ARGS: "" };
  const log = (command: string) => join(directory, `${command}.out`);
  const cluster: Cluster = {
    port,
    run: (command, ...args) =>
      execFileSync(command, ["-c", conf, ...args], {
        env,
        encoding: "utf8",
        stdio: ["ignore", "pipe", "pipe"],
      }),
    daemon(command, ...args) {
      const out = openSync(log(command), "w");
      const child = spawn(command, ["-c", conf, ...args], { env, stdio: ["ignore", out, out] });
      // A missing program shows when its service is waited for; the log says so.
      child.on("error", (error) => writeFileSync(log(command), String(error)));
      daemons.push(child);
    },
    log: (command) => readFileSync(log(command), "utf8").slice(-2000),
  };
  const monmap = join(directory, "monmap");
  execFileSync("monmaptool", ["--create", "--fsid", fsid, "--addv", "a", addresses, monmap], {
    stdio: "ignore",
  });
  cluster.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap);
  cluster.daemon("ceph-mon", "-i", "a", "-f");
  const osd = randomUUID();
  cluster.run("ceph", "--connect-timeout", "30", "osd", "new", osd);
  cluster.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd);
  cluster.daemon("ceph-osd", "-i", "0", "-f");
  return cluster;
}

/** The last three settings are in no quick start: without them the gateway stays down, or is slow. */
function configuration(directory: string, fsid: string, addresses: string, port: number): string {
  return `[global]
fsid = ${fsid}
mon_host = ${addresses}
mon_initial_members = a
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
osd_pool_default_size = 1
osd_pool_default_min_size = 1
mon_allow_pool_size_one = true
osd_pool_default_pg_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
osd_objectstore = memstore
memstore_device_bytes = 4294967296
run_dir = ${directory}
log_file =
log_to_stderr = true
admin_socket = ${directory}/$name.asok
mon_data = ${directory}/mon
osd_data = ${directory}/osd
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
[client]
ms_mon_client_mode = crc
rgw_frontends = beast endpoint=127.0.0.1:${port} tcp_nodelay=1
rgw_data = ${directory}
keyring = ${directory}/none
`;
}

async function createBucket(address: Omit<S3Server, "kind" | "close">, log: () => string): Promise<void> {
  const { endpoint, accessKeyId, secretAccessKey } = address;
  const credentials = { accessKeyId, secretAccessKey };
  const client = new S3Client({
    endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials,
    maxAttempts: 1,
  });
  try {
    for (let tries = 1; ; tries++) {
      try {
        await client.send(new CreateBucketCommand({ Bucket: "test" }));
        return;
      } catch (error) {
        if (tries === TRIES) throw new Error(`radosgw does not come up: ${log()}`, { cause: error });
        await sleep(100);
      }
    }
  } finally {
    client.destroy();
  }
}

/** Ports that are free now: the kernel hands out others for a while. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) =>
          server.on("listening", () => resolve((server.address() as { port: number }).port)),
        ),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
