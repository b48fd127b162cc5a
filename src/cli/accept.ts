/** Asks the user whether a store that a remote proposes may be used. */

import { createInterface } from "node:readline/promises";
import type { PublishedSettings } from "../odb/published.js";
import { type Acceptance, describeStore, judge } from "../odb/trust.js";
import { formatBytes } from "../progress.js";
import { redact } from "../trace.js";
import type { Context, OutputOptions } from "./context.js";

/**
 * Decides by what the user said on the command line, else by a question on the terminal; without a terminal the answer is
 * no, and a warning says how to say yes.
 */
export async function acceptStore(
  proposed: PublishedSettings,
  acceptance: Acceptance,
  context: Context,
  options: OutputOptions,
): Promise<boolean> {
  const { name, urls, minSize } = proposed;
  const stores = urls.map((url) => redact(describeStore(url))).join(", ");
  const judged = judge(proposed, acceptance);
  const later = `or run "git odb init ${[name, ...urls.map(quote)].join(" ")}" in the clone`;
  if (judged.verdict === "refuse") {
    const typed = urls.map((url) => ` --accept-odb=${quote(url)}`).join("");
    context.warn(
      `ODB "${name}" is not used: its store ${stores} is not taken from a remote, because ${judged.why}; if you know it, clone with${typed}, ${later}`,
    );
    return false;
  }
  if (judged.verdict === "accept") {
    context.note(`ODB ${name}: ${stores}`, options);
    return true;
  }
  if (!canAsk()) {
    context.warn(
      `ODB "${name}" is not used: nobody can be asked about its store ${stores}; clone with --accept-odb, ${later}`,
    );
    return false;
  }
  const sizes = minSize === undefined ? "" : `, all of ${formatBytes(minSize)} or more`;
  const question = `The remote keeps big files${sizes} in ODB ${name}: ${stores}\nUse this store? [y/N] `;
  if (await askYes(question, context)) return true;
  context.note(`ODB ${name} is not used; to use it later, ${later.slice("or ".length)}`, options);
  return false;
}

function canAsk(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY && process.env.GIT_TERMINAL_PROMPT !== "0";
}

async function askYes(question: string, { signal }: Context): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    // Ctrl-C and the end of the input are no.
    const gone = new Promise<string>((done) => terminal.once("close", () => done("")));
    const answer = await Promise.race([terminal.question(question, { signal }), gone]);
    return /^y(?:es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
  }
}

/** For a shell. */
function quote(url: string): string {
  return /^[\w:/.@%+=,-]+$/.test(url) ? url : `'${url.replaceAll("'", "'\\''")}'`;
}
