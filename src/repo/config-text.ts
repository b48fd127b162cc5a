/** git's config syntax, written for a file that is not there yet: a git for each setting would cost 4 ms. */

/** A key as `git config` takes it (`remote.origin.url`), and its value. */
export type Setting = readonly [key: string, value: string];

/** The text of a config file, or of a part of one. */
export function formatSettings(settings: readonly Setting[]): string {
  let text = "";
  let last: string | undefined;
  for (const [key, value] of settings) {
    const [, section = "", subsection, name = ""] = /^([^.]+)(?:\.(.+))?\.([^.]+)$/s.exec(key) ?? [];
    const head = subsection === undefined ? `[${section}]` : `[${section} "${escaped(subsection)}"]`;
    text += `${head === last ? "" : `${head}\n`}\t${name} = ${quoted(value)}\n`;
    last = head;
  }
  return text;
}

/** As git quotes: what would be cut off or taken for a comment. */
function quoted(value: string): string {
  const text = escaped(value).replaceAll("\n", "\\n").replaceAll("\t", "\\t");
  return /^\s|\s$|[#;]/.test(value) ? `"${text}"` : text;
}

function escaped(text: string): string {
  return text.replace(/["\\]/g, "\\$&");
}
