/** Hooks that stand in the config: git 2.54 and later run them beside the hook's file, each with its standard input. */

import {
  type ConfigEntry,
  parseConfigBoolean,
  readConfig,
  removeConfigSection,
  setConfig,
} from "./config.js";
import type { Repository } from "./git.js";
import { gitVersion } from "./git-version.js";

/** Whether the git on PATH runs them. */
export async function runsConfigHooks(): Promise<boolean> {
  return (await gitVersion()).isSince(2, 54);
}

/** Whether a hook for this event stands there that is switched on and has `text` in its command. */
export function hasConfigHook(entries: readonly ConfigEntry[], event: string, text: string): boolean {
  const hooks = new Map<string, { events: Set<string>; command: string; enabled: boolean }>();
  for (const { key, value } of entries) {
    const [, name, setting] = /^hook\.(.+)\.([a-z]+)$/s.exec(key) ?? [];
    if (name === undefined) continue;
    const hook = hooks.get(name) ?? { events: new Set<string>(), command: "", enabled: true };
    hooks.set(name, hook);
    if (setting === "event" && value) hook.events.add(value);
    // An empty value forgets those before it.
    else if (setting === "event") hook.events.clear();
    else if (setting === "command") hook.command = value ?? "";
    else if (setting === "enabled") hook.enabled = parseConfigBoolean(key, value);
  }
  return [...hooks.values()].some((hook) => {
    return hook.enabled && hook.events.has(event) && hook.command.includes(text);
  });
}

/** Writes `hook.<name>.*`. */
export async function addConfigHook(
  repo: Repository,
  name: string,
  event: string,
  command: string,
): Promise<void> {
  await setConfig(repo, `hook.${name}.command`, command);
  await setConfig(repo, `hook.${name}.event`, event);
}

/** Whether `hook.<name>` stands in the repository's own config. */
export async function ownsConfigHook(repo: Repository, name: string): Promise<boolean> {
  const entries = await readConfig(repo);
  return entries.some(({ key, scope }) => scope === "repository" && key === `hook.${name}.command`);
}

/** @returns whether it was there */
export function removeConfigHook(repo: Repository, name: string): Promise<boolean> {
  return removeConfigSection(repo, `hook.${name}`);
}
