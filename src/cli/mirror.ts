/** `git odb mirror`: copies git repositories to buckets, for any git to clone over plain HTTP. */

import { setFlagsFromString } from "node:v8";
import { type Command, InvalidArgumentError, Option } from "commander";
import { OdbError } from "../errors.js";
import { mirror } from "../mirror/mirror.js";
import type { MirrorEvent, MirrorFailed, MirrorOptions, MirrorPair } from "../mirror/options.js";
import type { MirrorLayout } from "../mirror/record.js";
import { gitCredentials } from "../repo/credential.js";
import type { Context, OutputOptions } from "./context.js";
import { mirrorDisplay } from "./mirror-display.js";
import { addOutputOptions } from "./verb.js";

interface Options extends OutputOptions {
  readonly source: string[];
  readonly target: string[];
  readonly layout: MirrorLayout;
  readonly stream?: boolean;
  readonly lfs: boolean;
  readonly lfsUrl?: string;
  readonly refs: string[];
  readonly force?: boolean;
  readonly allowEmpty?: boolean;
  readonly grace?: number;
  readonly workers?: number;
  readonly json?: boolean;
}

export function define(command: Command, context: Context): void {
  const gather = (value: string, before: string[]) => [...before, value];
  command
    .addOption(
      new Option("--source <url>", "a repository: whatever git fetch takes").argParser(gather).default([]),
    )
    .addOption(
      new Option("--target <url>", "the bucket for the source before it").argParser(gather).default([]),
    )
    .option("--layout <layout>", "packs, or loose: a key for each object", parseLayout, "packs")
    .option("--stream", "use no temporary disk: the pack is indexed in the bucket")
    .option("--lfs-url <url>", "the LFS server, if it is not where git-lfs looks for it")
    .option("--no-lfs", "copy no LFS objects")
    .addOption(
      new Option("--refs <pattern>", "only refs like this one; may be repeated")
        .argParser(gather)
        .default([]),
    )
    .option("--force", "copy everything, over whatever the target holds")
    .option("--allow-empty", "let a source that has no refs any more empty the mirror")
    .option("--grace <time>", "how long readers of older tables find what they need: 24h", parseDuration)
    .option("--workers <number>", "repositories at a time: 4", parseCount)
    .option("--json", "print what happens as lines of JSON");
  addOutputOptions(command).action((options: Options) => run(options, context));
}

/**
 * V8's room for young objects, which is taken whole, grows to 50 MB on Node 20 and 140 on Node 24 while a million objects pass
 * by, of which next to none grow old: it stays as it is at the start. That costs no time.
 */
const KEEP_YOUNG_ROOM = "--semi-space-growth-factor=1";

async function run(options: Options, context: Context): Promise<void> {
  const pairs = pairUp(options);
  if (options.stream) setFlagsFromString(KEEP_YOUNG_ROOM);
  const display = mirrorDisplay(pairs.length, options, context);
  const report = await mirror(pairs, {
    ...mirrorOptions(options),
    credentials: gitCredentials(),
    signal: context.signal,
    onEvent: (event: MirrorEvent) => display.show(event),
  });
  await display.end();
  for (const { source, lfs } of report.done) {
    if (lfs.missing > 0)
      context.warn(`${source}: ${lfs.missing} LFS objects are in no LFS server that is known`);
  }
  for (const { source, target, error } of report.failed) context.error(describe(source, target, error));
  if (report.failed.length > 0) process.exitCode = 1;
}

/** The error names the source or the target, mostly; where it names neither, both are put before it. */
function describe(source: string, target: string, error: MirrorFailed["error"]): string {
  const named = [source, target].some((name) => error.message.includes(name));
  return named ? error.message : `${source} to ${target}: ${error.message}`;
}

function pairUp({ source, target }: Options): MirrorPair[] {
  if (source.length === 0) throw new OdbError("invalid", "name a --source and a --target");
  if (source.length !== target.length) {
    throw new OdbError(
      "invalid",
      `${source.length} --source and ${target.length} --target: they come in pairs`,
    );
  }
  const targets = new Set(target);
  if (targets.size < target.length)
    throw new OdbError("invalid", "two sources cannot have the same --target");
  return source.map((each, index) => ({ source: each, target: target[index] ?? "" }));
}

function mirrorOptions(options: Options): MirrorOptions {
  const { layout, stream = false, refs, force = false, allowEmpty = false, grace, workers } = options;
  return {
    layout,
    stream,
    ...(options.lfs ? options.lfsUrl !== undefined && { lfs: options.lfsUrl } : { lfs: false as const }),
    refs,
    force,
    allowEmpty,
    ...(grace !== undefined && { graceMs: grace }),
    ...(workers !== undefined && { workers }),
  };
}

function parseLayout(text: string): MirrorLayout {
  if (text === "packs" || text === "loose") return text;
  throw new InvalidArgumentError("Expected packs or loose.");
}

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function parseDuration(text: string): number {
  const [, number = "", unit = ""] = /^(\d{1,6})([smhd]?)$/.exec(text) ?? [];
  const ms = Number(number) * (unitMs[unit] ?? 1000);
  if (number === "") throw new InvalidArgumentError("Expected a time such as 24h, 30m or 7d.");
  return ms;
}

function parseCount(text: string): number {
  if (/^[1-9]\d{0,2}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Expected a number from 1 to 999.");
}
