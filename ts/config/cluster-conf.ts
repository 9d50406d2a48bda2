// The grammar of /etc/ocfs2/cluster.conf, without loss: every byte of the text stays where it is, but those that an edit is about.
//
// Facts relied on (group-api 6.1, measured with the C tool): lines end in LF; a blank line closes a stanza, a comment, in column
// 1 only, does not; a backslash before LF continues a value; the last of two equal keys wins. The C tool appends what lies between two
// backslashes as a C string, so a NUL cuts that much.
//
// What the C tool reads is read, and what it refuses is refused, with the place and what was expected, but for a NUL outside a value's
// text: there the C tool stops reading and loses the rest in silence, or crashes. What the keys mean is model.ts.
import { O2cbError } from "../errors.ts";

export const CLUSTER_CONF = "/etc/ocfs2/cluster.conf";

/** From 1; columns count characters. */
export interface Position {
  line: number;
  column: number;
}

/** `start` to `end`: its lines, offsets in the text. */
export interface ConfAttribute extends Position {
  key: string;
  /** as a reader gets it: continued lines joined by LF, white space at the end dropped */
  value: string;
  valueAt: Position;
  valueStart: number;
  /** without the last line's LF */
  valueEnd: number;
  start: number;
  end: number;
}

/** `start` to `end`: its first line alone, offsets in the text. */
export interface ConfStanza extends Position {
  type: string;
  attributes: ConfAttribute[];
  start: number;
  end: number;
}

/** The attribute that counts: the last of its key. */
export function attributeOf(stanza: ConfStanza, key: string): ConfAttribute | undefined {
  return stanza.attributes.findLast((one) => one.key === key);
}

export function valueOf(stanza: ConfStanza, key: string): string | undefined {
  return attributeOf(stanza, key)?.value;
}

/** What is wrong at one place of a configuration file, as the error everybody gets. */
export function confError(path: string, { line, column }: Position, what: string, remedy: string): O2cbError {
  const message = `'${path}', line ${line}, column ${column}: ${what}`;
  const fields = { operation: "read-configuration", path, line, column, remedy };
  return new O2cbError("O2CB_CONFIGURATION_ERROR", message, fields);
}

/** A configuration file's text and its stanzas. After an edit the stanzas are new objects, and the text has been parsed again. */
export class ConfDocument {
  readonly path: string;
  #text = "";
  #parsed: Parsed = { stanzas: [], missing: "" };

  /** @throws O2CB_CONFIGURATION_ERROR with `line` and `column` */
  constructor(text: string, path: string = CLUSTER_CONF) {
    this.path = path;
    this.#load(text);
  }

  get text(): string {
    return this.#text;
  }

  get stanzas(): readonly ConfStanza[] {
    return this.#parsed.stanzas;
  }

  /** Changes a value in place, or adds the key after `after` (else at the stanza's end). `value` has no LF, NUL or backslash at its end. */
  setValue(stanza: ConfStanza, key: string, value: string, after?: string): void {
    const found = attributeOf(stanza, key);
    if (found?.value === value) return;
    if (found !== undefined) return this.#splice(found.valueStart, found.valueEnd, value);
    const before = (after && attributeOf(stanza, after)) || stanza.attributes.at(-1) || stanza;
    this.#insert(before.end, `\t${key} = ${value}\n`);
  }

  /** Adds a stanza at the end, as the manual and the C tools write it (group-api K17). */
  append(type: string, values: readonly (readonly [key: string, value: string])[]): void {
    const lines = values.map(([key, value]) => `\t${key} = ${value}\n`).join("");
    const whole = this.#text + this.#parsed.missing;
    const lastLine = whole.slice(whole.lastIndexOf("\n", whole.length - 2) + 1);
    const gap = /^[ \t]*\n?$/.test(lastLine) ? "" : "\n";
    this.#insert(this.#text.length, `${gap}${type}:\n${lines}\n`);
  }

  /** Takes stanzas out, each with the blank line that ends it. Comments stay, also those within. */
  remove(stanzas: readonly ConfStanza[]): void {
    const text = this.#text;
    const parts = stanzas.flatMap((stanza) => {
      const own = [stanza, ...stanza.attributes].map(({ start, end }) => ({ start, end }));
      const end = (stanza.attributes.at(-1) ?? stanza).end;
      const blank = /^[ \t]*(?:\n|$)/.exec(text.slice(end, lineEnd(text, end)));
      return blank === null ? own : [...own, { start: end, end: end + blank[0].length }];
    });
    let rest = "";
    let at = 0;
    for (const { start, end } of parts.toSorted((a, b) => a.start - b.start)) {
      rest += text.slice(at, start);
      at = end;
    }
    this.#load(rest + text.slice(at));
  }

  #insert(at: number, lines: string): void {
    this.#splice(at, at, at === this.#text.length ? this.#parsed.missing + lines : lines);
  }

  #splice(start: number, end: number, lines: string): void {
    this.#load(this.#text.slice(0, start) + lines + this.#text.slice(end));
  }

  #load(text: string): void {
    this.#parsed = parse(text, this.path);
    this.#text = text;
  }
}

interface Parsed {
  stanzas: ConfStanza[];
  /** what the end of the text lacks before another line can follow */
  missing: string;
}

const WINDOWS = "convert its line ends: sed -i 's/\\r$//' FILE";
const CORRECT = "correct the line";

function parse(text: string, path: string): Parsed {
  const stanzas: ConfStanza[] = [];
  let open: ConfStanza | null = null;
  let missing = "";
  if (text.startsWith("\ufeff")) {
    const what = "the file begins with a byte-order mark, which no OCFS2 tool reads";
    throw confError(path, { line: 1, column: 1 }, what, "save it as plain UTF-8 without the mark");
  }
  for (let start = 0, line = 1; start < text.length; line += 1) {
    const end = lineEnd(text, start);
    const body = text.slice(start, end).replace(/\n$/, "");
    const refuse: Refuse = (offset, what, remedy = CORRECT): never => {
      throw confError(path, placeOf(text, start + offset), what, remedy.replace("FILE", path));
    };
    missing = end === text.length && !text.endsWith("\n") ? "\n" : "";
    if (/^[ \t]*$/.test(body)) open = null;
    else if (body.startsWith("#")) refuseNul(body, 1, refuse);
    else if (/^[ \t]/.test(body)) {
      const attribute = parseAttribute(text, start, line, body, refuse);
      if (open === null) {
        const what = `the key '${attribute.key}' belongs to no stanza: expected is a line like 'node:' above it, and no empty line between`;
        refuse(attribute.column - 1, what);
      }
      open?.attributes.push(attribute);
      missing = attribute.missing;
      line += attribute.moreLines;
      start = attribute.end;
      continue;
    } else {
      open = { type: parseHead(body, refuse), attributes: [], line, column: 1, start, end };
      stanzas.push(open);
    }
    start = end;
  }
  return { stanzas, missing };
}

/** Fails at an offset from the line's start. */
type Refuse = (offset: number, what: string, remedy?: string) => never;

function parseHead(body: string, refuse: Refuse): string {
  const word = /^\w*/.exec(body)?.[0] ?? "";
  const rest = body.slice(word.length);
  if (word !== "" && /^:[ \t]*$/.test(rest)) return word;
  const at = word.length;
  refuseNul(rest, /^:?[ \t]*/.exec(rest)?.[0].length ?? 0, refuse, at);
  if (body.endsWith("\r")) refuse(body.length - 1, "the line ends in a carriage return (CR LF)", WINDOWS);
  if (word === "")
    refuse(0, "expected is a stanza's name like 'cluster:', a key behind a tab, or '#' and a comment");
  const what = `stanza '${word}'`;
  if (rest.startsWith(":"))
    refuse(at + 1, `${what}: nothing may follow the colon in its line, no comment either`);
  if (/^[ \t]*=/.test(rest)) refuse(0, `the key '${word}' begins in column 1: expected is a tab before it`);
  return refuse(at, `${what}: expected is a colon right after a name of letters, digits and underscores`);
}

interface Attribute extends ConfAttribute {
  moreLines: number;
  missing: string;
}

function parseAttribute(text: string, start: number, line: number, body: string, refuse: Refuse): Attribute {
  const indent = /^[ \t]*/.exec(body)?.[0].length ?? 0;
  const key = /^\w*/.exec(body.slice(indent))?.[0] ?? "";
  const equals = /^[ \t]*=[ \t]*/.exec(body.slice(indent + key.length));
  if (key === "" || equals === null) return refuseKey(body, indent, key, refuse);
  const valueStart = start + indent + key.length + equals[0].length;
  let value = "";
  let moreLines = 0;
  for (let at = valueStart; ; moreLines += 1) {
    const end = lineEnd(text, at);
    const hasEnd = text[end - 1] === "\n" && end > at;
    const segment = text.slice(at, hasEnd ? end - 1 : end);
    const isContinued = segment.endsWith("\\");
    value += withoutNul(isContinued ? segment.slice(0, -1) : segment, at - start, refuse);
    if (isContinued) value += "\n";
    if (isContinued && hasEnd && end < text.length) {
      at = end;
      continue;
    }
    // A backslash at the very end would take the line that an edit adds into the value.
    const missing = isContinued ? (hasEnd ? "\n" : "\n\n") : hasEnd ? "" : "\n";
    return {
      ...{ key, value: withoutSpaceAtEnd(value), line, column: indent + 1, moreLines, missing },
      valueAt: { line, column: valueStart - start + 1 },
      ...{ valueStart, valueEnd: hasEnd && !isContinued ? end - 1 : end, start, end },
    };
  }
}

function refuseKey(body: string, indent: number, key: string, refuse: Refuse): never {
  const rest = body.slice(indent + key.length);
  const at = indent + key.length;
  refuseNul(rest, 0, refuse, at);
  if (/^[ \t]*\r$/.test(body)) refuse(body.length - 1, "the line ends in a carriage return (CR LF)", WINDOWS);
  if (key === "" && rest.startsWith("#")) refuse(indent, "a comment begins in column 1, nowhere else");
  if (key === "")
    refuse(indent, "expected is a key of letters, digits and underscores, then '=' and a value");
  if (rest.startsWith(":"))
    refuse(indent, `'${key}:' is indented: expected is a stanza's name in column 1, or 'key = value'`);
  if (/^[ \t]*(?:\r?$|\w)/.test(rest)) refuse(at, `the key '${key}' has no value: expected is '=' after it`);
  return refuse(at, `the key '${key}': expected is '=' after a key of letters, digits and underscores`);
}

function refuseNul(text: string, at: number, refuse: Refuse, offset = 0): void {
  if (text[at] === "\0")
    refuse(offset + at, "there is a NUL character, where the C tools stop reading in silence", "remove it");
}

/** What C strings leave of a value: each part between backslashes ends at its first NUL. */
function withoutNul(segment: string, offset: number, refuse: Refuse): string {
  if (!segment.includes("\0")) return segment;
  let at = offset;
  const parts = segment.split("\\").map((part) => {
    refuseNul(part, 0, refuse, at);
    at += part.length + 1;
    return part.replace(/\0.*$/s, "");
  });
  return parts.join("\\");
}

/** As the C library's isspace(3) has it, but for the vertical tab. */
function withoutSpaceAtEnd(value: string): string {
  let end = value.length;
  while (end > 0 && " \t\n\f\r".includes(value.charAt(end - 1))) end -= 1;
  return value.slice(0, end);
}

/** The offset behind the line's LF, or the text's end. */
function lineEnd(text: string, start: number): number {
  const found = text.indexOf("\n", start);
  return found < 0 ? text.length : found + 1;
}

/** Where an offset of a text lies. */
export function placeOf(text: string, offset: number): Position {
  const before = text.slice(0, offset);
  const lines = before.split("\n");
  return { line: lines.length, column: [...(lines.at(-1) ?? "")].length + 1 };
}
