// The assignments of a shell file, without a shell: what a plain settings file says, and where it does more than that.
//
// Facts relied on: POSIX shell grammar of words, quotes, comments and simple commands (2.2, 2.3, 2.9 of the Shell Command Language).
// Nothing is executed or expanded: a value with an expansion is null, and what is no assignment, or depends on a condition, is told
// as an odd command. Assignments within such a command are not told by name, their text is.

export interface ShellAssignment {
  name: string;
  /** null where only a shell could tell */
  value: string | null;
  /** of the name */
  offset: number;
  /** of the word behind `=`, with its quotes */
  start: number;
  end: number;
}

/** A command that is no plain assignment, with its text. */
export interface OddCommand {
  offset: number;
  text: string;
}

export interface ShellFile {
  assignments: ShellAssignment[];
  odd: OddCommand[];
  /** where a quote or an expansion begins that does not end */
  unclosed: number | null;
}

interface Word {
  start: number;
  end: number;
  value: string | null;
}

const OPENERS = ["if", "for", "while", "until", "case", "select", "{", "("];
const CLOSERS = ["fi", "done", "esac", "}", ")"];
const PREFIXES = ["then", "do", "else", "elif", "!"];

export function parseShell(text: string): ShellFile {
  const file: ShellFile = { assignments: [], odd: [], unclosed: null };
  let words: Word[] = [];
  let isOdd = false;
  let depth = 0;
  const endCommand = (end: number): void => {
    const first = words[0];
    if (first !== undefined) {
      const raw = words.map((word) => text.slice(word.start, word.end));
      const found = isOdd || depth > 0 ? null : assignmentsOf(text, words, raw);
      if (found === null)
        file.odd.push({ offset: first.start, text: text.slice(first.start, end).trimEnd() });
      else file.assignments.push(...found);
      depth = Math.max(0, depth + depthOf(raw));
    }
    words = [];
    isOdd = false;
  };
  for (let at = 0; at < text.length;) {
    const char = text.charAt(at);
    if (text.startsWith("\\\n", at)) at += 2;
    else if (char === " " || char === "\t") at += 1;
    else if (char === "#") at = lineEnd(text, at);
    else if (char === "\n" || char === ";") {
      endCommand(at);
      at += 1;
    } else if ("&|<>()".includes(char)) {
      isOdd = true;
      // What follows a here-document's mark is text, up to a line that only a shell knows.
      if (text.startsWith("<<", at)) depth = Infinity;
      words.push({ start: at, end: at + 1, value: null });
      at += 1;
    } else {
      const word = readWord(text, at);
      if (word === null) {
        file.unclosed = at;
        file.odd.push({ offset: words[0]?.start ?? at, text: text.slice(words[0]?.start ?? at) });
        return file;
      }
      words.push(word);
      at = word.end;
    }
  }
  endCommand(text.length);
  return file;
}

/** A word that the shell reads as this value. */
export function quoteWord(value: string): string {
  return /^[\w.,:/@%+-]*$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`;
}

/** The assignments that are all of a command; null where it is something else. */
function assignmentsOf(
  text: string,
  words: readonly Word[],
  raw: readonly string[],
): ShellAssignment[] | null {
  const isExport = raw[0] === "export";
  const found: ShellAssignment[] = [];
  for (const [index, word] of words.entries()) {
    if (index === 0 && isExport) continue;
    const name = /^([A-Za-z_]\w*)=/.exec(raw[index] ?? "")?.[1];
    if (name === undefined) {
      if (isExport && /^[A-Za-z_]\w*$/.test(raw[index] ?? "")) continue;
      return null;
    }
    const start = word.start + name.length + 1;
    const value = readWord(text, start, word.end)?.value ?? null;
    found.push({ name, value, offset: word.start, start, end: word.end });
  }
  return found;
}

/** How many blocks a command opens, less those that it closes. */
function depthOf(raw: readonly string[]): number {
  const rest = raw.slice(raw.findIndex((word) => !PREFIXES.includes(word)));
  const head = rest[0] ?? "";
  // A function's head: `name() {`
  if (OPENERS.includes(head) || rest.slice(1).includes("{")) return 1;
  return CLOSERS.includes(head) ? -1 : 0;
}

/** The word that begins here, which may be empty; null where it does not end. */
function readWord(text: string, start: number, limit = text.length): Word | null {
  let value: string | null = "";
  const add = (more: string | null): void => {
    value = value === null || more === null ? null : value + more;
  };
  let at = start;
  // A tilde is somebody's home directory.
  if (text[at] === "~") add(null);
  while (at < limit && !" \t\n;&|<>()".includes(text.charAt(at))) {
    const char = text.charAt(at);
    const next = text.charAt(at + 1);
    if (char === "'" || char === '"') {
      const end = char === "'" ? text.indexOf("'", at + 1) : closingQuote(text, at + 1);
      if (end < 0 || end >= limit) return null;
      const inner = text.slice(at + 1, end);
      add(char === "'" ? inner : unquoted(inner));
      at = end + 1;
    } else if (char === "\\") {
      add(next === "\n" ? "" : next === "" ? "\\" : next);
      at += 2;
    } else if (char === "`" || char === "$") {
      const end = expansionEnd(text, at);
      if (end < 0 || end > limit) return null;
      add(null);
      at = end;
    } else {
      add(char);
      at += 1;
    }
  }
  return { start, end: Math.min(at, limit), value };
}

/** What is between double quotes; null where it has an expansion. */
function unquoted(inner: string): string | null {
  const plain = inner.replaceAll(/\\[$`"\\\n]/g, "");
  if (/[$`]/.test(plain)) return null;
  return inner.replaceAll(/\\([$`"\\\n])/g, (_, char: string) => (char === "\n" ? "" : char));
}

/** The offset of the double quote that ends what begins here; -1 where none does. */
function closingQuote(text: string, from: number): number {
  for (let at = from; at < text.length;) {
    const char = text.charAt(at);
    if (char === '"') return at;
    if (char === "\\") at += 2;
    else if (char === "`" || char === "$") {
      at = expansionEnd(text, at);
      if (at < 0) return -1;
    } else at += 1;
  }
  return -1;
}

/** The offset behind an expansion or a substitution; -1 where it does not end. */
function expansionEnd(text: string, start: number): number {
  const next = text.charAt(start + 1);
  if (text.charAt(start) === "`") return endOf(text, start + 1, "`");
  if (next === "(") return endOf(text, start + 2, ")");
  if (next === "{") return endOf(text, start + 2, "}");
  return start + 1;
}

/** The offset behind the closing character, nested ones and quotes skipped; -1 where there is none. */
function endOf(text: string, from: number, close: string): number {
  for (let at = from; at >= 0 && at < text.length;) {
    const char = text.charAt(at);
    if (char === close) return at + 1;
    if (char === "\\") at += 2;
    else if (char === "'" && close !== "}") at = text.indexOf("'", at + 1) + 1 || -1;
    else if (char === '"') at = closingQuote(text, at + 1) + 1 || -1;
    else if (char === "(" && close === ")") at = endOf(text, at + 1, ")");
    else if (char === "$" || (char === "`" && close !== "`")) at = expansionEnd(text, at);
    else at += 1;
  }
  return -1;
}

function lineEnd(text: string, start: number): number {
  const found = text.indexOf("\n", start);
  return found < 0 ? text.length : found;
}
