/** The little XML that S3 speaks: documents out, flat lists of elements in. */

/** Text of an element, or nested elements; an array repeats the element. */
export type XmlValue = string | number | boolean | undefined | XmlTree | readonly XmlValue[];

/** Elements by name, in order; an undefined one is left out. */
export interface XmlTree {
  readonly [name: string]: XmlValue;
}

/** A document with S3's namespace on its root. */
export function document(root: string, content: XmlTree): string {
  const body = render(content);
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${body}</${root}>`;
}

/** Each `<name>…</name>` in the text: its inside, still XML. */
export function elements(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}(?:\\s[^>]*)?>([\\s\\S]*?)</${name}>`, "g"))].map(
    (match) => match[1] ?? "",
  );
}

/** The text of the first element of this name. */
export function textOf(xml: string, name: string): string | undefined {
  return elements(xml, name)[0]
    ?.replace(/&#x([0-9a-fA-F]+);/g, (_, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16)))
    .replace(/&#(\d+);/g, (_, digits: string) => String.fromCodePoint(Number(digits)))
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&quot;", '"')
    .replaceAll("&apos;", "'")
    .replaceAll("&amp;", "&");
}

function render(tree: XmlTree): string {
  return Object.entries(tree)
    .map(([name, value]) =>
      (Array.isArray(value) ? value : [value]).map((one) => element(name, one)).join(""),
    )
    .join("");
}

function element(name: string, value: XmlValue): string {
  if (value === undefined) return "";
  return `<${name}>${typeof value === "object" ? render(value as XmlTree) : escapeText(String(value))}</${name}>`;
}

function escapeText(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replace(/[\r\n\t]/g, (char) => `&#${char.charCodeAt(0)};`);
}
