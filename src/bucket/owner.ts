/** Who left a file behind: a name that holds a process's identity, and whether that process is still there. */

import { createHash, randomBytes } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/**
 * A new file name that tells who made it: `<machine>-<pid>-<start>-<random>`. `machine` stands for host, boot and
 * pid namespace: a pid means the same process only where all three are the same.
 */
export function ownedName(): string {
  return `${machine()}-${process.pid}-${startOf(process.pid) ?? "x"}-${randomBytes(8).toString("hex")}`;
}

/**
 * Whether the process that made the name is certainly gone (`true`), certainly there (`false`), or out of our
 * sight (`undefined`: another host, boot or container, or no name of ours).
 */
export function isOwnerGone(name: string): boolean | undefined {
  const [where, pid, start, random] = name.split("-");
  if (random === undefined || where !== machine()) return undefined;
  if (!exists(Number(pid))) return true;
  const found = startOf(Number(pid));
  // Without /proc, a pid may have been given to another process since.
  if (found === undefined || start === "x") return undefined;
  return found !== start;
}

let known: string | undefined;

function machine(): string {
  known ??= createHash("sha256")
    .update(`${hostname()}\n${tryRead(() => readFileSync("/proc/sys/kernel/random/boot_id", "latin1"))}\n`)
    .update(`${tryRead(() => readlinkSync("/proc/self/ns/pid"))}`)
    .digest("hex")
    .slice(0, 12);
  return known;
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/** When a process started (proc_pid_stat(5), field 22); "gone" for one that only waits to be reaped. */
function startOf(pid: number): string | undefined {
  const stat = tryRead(() => readFileSync(`/proc/${pid}/stat`, "latin1"));
  const [state, ...fields] = stat?.slice(stat.lastIndexOf(")") + 2).split(" ") ?? [];
  return state === "Z" || state === "X" ? "gone" : fields[18];
}

/** Absent is an answer here: not every system has /proc, and a process may end while we look. */
function tryRead(read: () => string): string | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
