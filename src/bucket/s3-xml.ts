/** The little XML of S3: answers of a few elements, read strictly and within bounds. */

/** An element: its text, or the elements in it. */
export interface Element {
  readonly name: string;
  /** Without what stands in inner elements. */
  readonly text: string;
  readonly children: readonly Element[];
}

/** An answer of S3 is never nested deeper. */
const DEPTH = 16;

/**
 * Reads a document without attributes' values, DOCTYPE or entities of its own.
 *
 * @throws SyntaxError, when it is none
 */
export function parseXml(xml: string): Element {
  const open: Building[] = [{ name: "", text: "", children: [] }];
  let at = 0;
  // Sticky: every character belongs to one token.
  const token =
    /<(?:!--[\s\S]*?--|\?[\s\S]*?\?|!\[CDATA\[([\s\S]*?)\]\]|(\/?)([A-Za-z_][\w.:-]*)((?:\s+[\w.:-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?))>|[^<]+/y;
  for (; at < xml.length; at = token.lastIndex) {
    token.lastIndex = at;
    const match = token.exec(xml);
    const parent = open.at(-1);
    if (match === null || parent === undefined) throw broken(at);
    const [all, cdata, closing, name, attributes, empty] = match;
    if (name !== undefined) {
      if (closing) {
        if (parent.name !== name || open.length === 1 || attributes || empty) throw broken(at);
        open.pop();
        continue;
      }
      const element: Building = { name, text: "", children: [] };
      parent.children.push(element);
      if (!empty) open.push(element);
      if (open.length > DEPTH) throw broken(at);
    } else if (cdata !== undefined) parent.text += cdata;
    else if (!all.startsWith("<")) parent.text += unescapeXml(all, at);
  }
  const [document] = open;
  const [root, ...others] = document?.children ?? [];
  const whole =
    open.length === 1 && others.length === 0 && document?.text.trim().replace("\ufeff", "") === "";
  if (root === undefined || !whole) throw broken(at);
  return root;
}

/** The text of the first child of this name. */
export function textOf(element: Element, name: string): string | undefined {
  return element.children.find((child) => child.name === name)?.text;
}

/** Text that may stand in an element. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"'\r]/g, (char) => `&#${char.charCodeAt(0)};`);
}

interface Building {
  readonly name: string;
  text: string;
  readonly children: Building[];
}

const named: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

function unescapeXml(text: string, at: number): string {
  if (!text.includes("&")) return text;
  return text.replace(/&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|(\w+));|&/gi, (_, hex, decimal, word) => {
    const code = hex !== undefined ? Number.parseInt(hex, 16) : Number(decimal);
    const char =
      word === undefined ? (code <= 0x10ffff ? String.fromCodePoint(code) : undefined) : named[word];
    if (char === undefined) throw broken(at);
    return char;
  });
}

function broken(at: number): SyntaxError {
  return new SyntaxError(`no XML of S3 (at character ${at})`);
}
