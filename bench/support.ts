/** Measuring by interleaved rounds: every variant once a round, so that a busy machine slows all of them alike. */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";

/** One thing to measure. */
export interface Variant {
  readonly name: string;
  /** One run, in milliseconds as the variant measures them, or void to have the whole call timed. */
  run(): Promise<number | undefined> | number | undefined;
}

/** What came out for one variant, in milliseconds. */
export interface Timing {
  readonly name: string;
  readonly min: number;
  readonly median: number;
  readonly rounds: readonly number[];
}

/** Options of {@link interleave}. */
export interface InterleaveOptions {
  /** Default 7. */
  readonly rounds?: number;
  /** Runs of every variant before it counts. Default 1. */
  readonly warmUp?: number;
}

/** Runs the variants in turn, round after round; every second round in reverse. */
export async function interleave(
  variants: readonly Variant[],
  { rounds = 7, warmUp = 1 }: InterleaveOptions = {},
): Promise<Timing[]> {
  const times = new Map(variants.map((variant) => [variant, [] as number[]]));
  for (let round = -warmUp; round < rounds; round++) {
    for (const variant of round % 2 === 0 ? variants : variants.toReversed()) {
      const ms = await timed(variant);
      if (round >= 0) times.get(variant)?.push(ms);
    }
  }
  return variants.map((variant) => timingOf(variant.name, times.get(variant) ?? []));
}

/** Counts the processor time of the processes that variants run: it tells more than the clock on a busy machine. */
export function cpuCounter() {
  const cpu = new Map<string, number>();
  const runs = new Map<string, number>();
  const mean = (name: string) => (cpu.get(name) ?? Number.NaN) / (runs.get(name) ?? 0);
  return {
    /** Milliseconds by variant, of all its runs. */
    cpu,
    counted(name: string, work: () => unknown): Variant {
      const run = () => {
        const before = childrenCpu();
        const own = work();
        cpu.set(name, (cpu.get(name) ?? 0) + childrenCpu() - before);
        runs.set(name, (runs.get(name) ?? 0) + 1);
        return typeof own === "number" ? own : undefined;
      };
      return { name, run };
    },
    /** One line a variant: the time of a run, and its ratio to that of `base`. */
    lines: (base: string) =>
      [...cpu.keys()].map(
        (name) =>
          `${name}: ${mean(name).toFixed(0)} ms of CPU time, ${(mean(name) / mean(base)).toFixed(2)} times that of ${base}`,
      ),
  };
}

/** User and system time of the children that have ended, and theirs, in milliseconds (proc(5), ticks of 10 ms). */
function childrenCpu(): number {
  const fields = readFileSync("/proc/self/stat", "latin1").split(") ")[1]?.split(" ") ?? [];
  return 10 * (Number(fields[13]) + Number(fields[14]));
}

/** A table: milliseconds, and each variant's ratio to the first one, by minimum and by median. */
export function table(timings: readonly Timing[]): string {
  const [base] = timings;
  const rows = timings.map(({ name, min, median }) => [
    name,
    min.toFixed(1),
    median.toFixed(1),
    (min / (base?.min ?? 1)).toFixed(2),
    (median / (base?.median ?? 1)).toFixed(2),
  ]);
  const all = [["", "min ms", "median ms", "min ratio", "median ratio"], ...rows];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
  return all.map((row) => line(row).join("  ").trimEnd()).join("\n");
}

/** A bound that a ratio of minimums was meant to keep. */
export interface Target {
  readonly variant: string;
  readonly to: string;
  readonly atMost: number;
}

/** One line a target: the ratio of the minimums, the bound, and whether it was kept. */
export function verdicts(timings: readonly Timing[], targets: readonly Target[]): string[] {
  const min = (name: string) => timings.find((timing) => timing.name === name)?.min ?? Number.NaN;
  return targets.map(({ variant, to, atMost }) => {
    const ratio = min(variant) / min(to);
    const verdict = ratio <= atMost ? "kept" : "MISSED";
    return `${variant} / ${to}: ${ratio.toFixed(2)} (at most ${atMost}): ${verdict}`;
  });
}

/** Prints a result and keeps it as bench/results/<name>.txt and .json, with the machine it was measured on. */
export function keep(name: string, text: string, data: unknown): void {
  const machine = {
    node: process.version,
    cpu: cpus()[0]?.model ?? "?",
    cores: cpus().length,
    load: loadavg()[0]?.toFixed(1),
  };
  const head = `${name}: Node ${machine.node}, ${machine.cores} cores (${machine.cpu}), load ${machine.load}, ${new Date().toISOString()}`;
  const directory = join(root, "bench/results");
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, `${name}.txt`), `${head}\n\n${text}\n`);
  writeFileSync(join(directory, `${name}.json`), `${JSON.stringify({ name, machine, data }, null, 2)}\n`);
  console.log(`${head}\n\n${text}`);
}

/** The project's folder: benches are run from there (`node scripts/run-ts.js bench/<name>.ts`). */
export const root: string = process.cwd();

/** `bench/support.ts`'s own statistics, for numbers that come from elsewhere. */
export function timingOf(name: string, rounds: readonly number[]): Timing {
  const sorted = rounds.toSorted((a, b) => a - b);
  return { name, min: sorted[0] ?? Number.NaN, median: sorted[sorted.length >> 1] ?? Number.NaN, rounds };
}

async function timed(variant: Variant): Promise<number> {
  const start = performance.now();
  const own = await variant.run();
  return typeof own === "number" ? own : performance.now() - start;
}
