/** The orders in which several processes can use one bucket, one call at a time. */

import { type IsAside, type Scene, Stage, type Step } from "./interleave-stage.js";

interface Node {
  readonly enabled: ReadonlyMap<number, Step>;
  readonly sleep: Map<number, Step>;
  readonly backtrack: Set<number>;
  chosen: number;
}

/**
 * All orders of two processes with two interruptions: one runs to a stop, then the other to a stop, then each to its end.
 *
 * @param isStop before which calls a process may be stopped
 * @returns how many there were
 */
export async function exploreStops(
  start: () => Promise<Scene>,
  isAside: IsAside,
  isStop: (step: Step) => boolean,
): Promise<number> {
  let runs = 0;
  for (const first of [0, 1]) {
    for (let i = 0, more = true; more; i++) {
      for (let j = 0, inner = true; inner; j++) {
        const left: [number, number] = [i, j];
        const reached: [boolean, boolean] = [false, false];
        const pick = (enabled: ReadonlyMap<number, Step>): number | undefined => {
          for (const [turn, who] of [
            [0, first],
            [1, 1 - first],
          ] as const) {
            const step = enabled.get(who);
            if (step === undefined || reached[turn]) continue;
            if (!isStop(step) || left[turn]-- > 0) return who;
            reached[turn] = true;
          }
          return enabled.has(first) ? first : enabled.keys().next().value;
        };
        await runPicked(await start(), isAside, pick);
        runs++;
        more = reached[0];
        inner = more && reached[1];
      }
    }
  }
  return runs;
}

/**
 * Orders by chance: at every step each process that can go on is as likely. The seed of a failure is in its message.
 *
 * @param seed of the first; the others have those that follow
 */
export async function exploreByChance(
  start: () => Promise<Scene>,
  isAside: IsAside,
  { seed, orders }: { readonly seed: number; readonly orders: number },
): Promise<number> {
  for (let at = 0; at < orders; at++) {
    const random = mulberry32(seed + at);
    const pick = (enabled: ReadonlyMap<number, Step>): number | undefined =>
      [...enabled.keys()][Math.floor(random() * enabled.size)];
    try {
      await runPicked(await start(), isAside, pick);
    } catch (error) {
      throw new Error(`seed ${seed + at}: ${(error as Error).message}`, { cause: error });
    }
  }
  return orders;
}

/** @returns numbers from 0 to 1, the same for the same seed */
function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function runPicked(
  scene: Scene,
  isAside: IsAside,
  pick: (enabled: ReadonlyMap<number, Step>) => number | undefined,
): Promise<void> {
  const stage = new Stage(scene, isAside);
  const steps: Step[] = [];
  try {
    for (;;) {
      const enabled = await stage.arrived();
      const step = enabled.get(pick(enabled) ?? -1);
      if (step === undefined) break;
      steps.push(step);
      await stage.perform(step);
    }
    await scene.end(await stage.outcomes());
  } catch (error) {
    await stage.abort();
    throw new Error(`${(error as Error).message}\nafter ${describe(steps)}`, { cause: error });
  }
}

/**
 * Every order. Those that differ only in calls that do not touch each other are tried once (dynamic partial-order
 * reduction with sleep sets: Flanagan and Godefroid 2005).
 *
 * @returns how many orders there were
 */
export async function explore(start: () => Promise<Scene>, isAside: IsAside): Promise<number> {
  const stack: Node[] = [];
  for (let runs = 0; ; ) {
    if (await runOnce(await start(), isAside, stack)) runs++;
    addRaces(stack);
    if (!nextOrder(stack)) return runs;
  }
}

/** Follows `stack`, then goes on to the end. @returns false when the rest would be what has been seen already */
async function runOnce(scene: Scene, isAside: IsAside, stack: Node[]): Promise<boolean> {
  const stage = new Stage(scene, isAside);
  for (let at = 0; ; at++) {
    const enabled = await stage.arrived();
    if (enabled.size === 0) break;
    const node = stack[at] ?? newNode(stack.at(-1), enabled);
    if (node === undefined) {
      await stage.abort();
      return false;
    }
    if (at === stack.length) stack.push(node);
    const step = enabled.get(node.chosen);
    if (step === undefined) throw new Error(`order ${describe(stepsOf(stack))}: not the same a second time`);
    Object.assign(node, { enabled });
    try {
      await stage.perform(step);
    } catch (error) {
      await stage.abort();
      throw new Error(`${(error as Error).message}\nafter ${describe(stepsOf(stack.slice(0, at + 1)))}`, {
        cause: error,
      });
    }
  }
  try {
    await scene.end(await stage.outcomes());
  } catch (error) {
    throw new Error(`${(error as Error).message}\nat the end of ${describe(stepsOf(stack))}`, {
      cause: error,
    });
  }
  return true;
}

function newNode(parent: Node | undefined, enabled: ReadonlyMap<number, Step>): Node | undefined {
  const sleep = new Map<number, Step>();
  const last = parent?.enabled.get(parent.chosen);
  for (const [who, step] of parent?.sleep ?? []) {
    if (who !== parent?.chosen && last && !areDependent(step, last)) sleep.set(who, step);
  }
  const chosen = [...enabled.keys()].find((who) => !sleep.has(who));
  return chosen === undefined ? undefined : { enabled, sleep, backtrack: new Set([chosen]), chosen };
}

/** Where two steps of different processes race, the other order is to be tried too. */
function addRaces(stack: readonly Node[]): void {
  const steps = stepsOf(stack);
  /** The steps that come before this one in every equivalent order. */
  const before: Set<number>[] = [];
  for (const [j, step] of steps.entries()) {
    const mine = new Set<number>();
    const previous = steps.findLastIndex(({ who }, at) => at < j && who === step.who);
    if (previous >= 0) for (const one of [...(before[previous] ?? []), previous]) mine.add(one);
    for (let i = j - 1; i >= 0; i--) {
      const other = steps[i] as Step;
      if (other.who === step.who || !areDependent(other, step) || mine.has(i)) continue;
      const node = stack[i] as Node;
      if (node.enabled.has(step.who)) node.backtrack.add(step.who);
      else for (const who of node.enabled.keys()) node.backtrack.add(who);
      for (const one of [...(before[i] ?? []), i]) mine.add(one);
    }
    before.push(mine);
  }
}

function nextOrder(stack: Node[]): boolean {
  for (let node = stack.at(-1); node !== undefined; node = stack.at(-1)) {
    const done = node.enabled.get(node.chosen);
    if (done) node.sleep.set(node.chosen, done);
    const { sleep } = node;
    const next = [...node.backtrack].find((who) => !sleep.has(who));
    if (next !== undefined) {
      node.chosen = next;
      return true;
    }
    stack.pop();
  }
  return false;
}

function areDependent(a: Step, b: Step): boolean {
  const writes = (step: Step) => step.kind === "write" || step.kind === "remove";
  if (!writes(a) && !writes(b)) return false;
  if (a.kind === "list") return b.key.startsWith(a.key);
  if (b.kind === "list") return a.key.startsWith(b.key);
  return a.key === b.key;
}

function stepsOf(stack: readonly Node[]): Step[] {
  return stack.map(({ enabled, chosen }) => enabled.get(chosen) as Step);
}

function describe(steps: readonly Step[]): string {
  return steps.map(({ who, kind, key }) => `${who}:${kind} ${key.replace(/[0-9a-f]{34,}/, "…")}`).join(", ");
}
