// The grammar of cluster.conf: what is read and what is refused, row by row, and the same by the C tool where it is installed.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { ConfDocument } from "../../ts/config/cluster-conf.ts";
import { clusterConfig } from "../../ts/config/model.ts";
import { O2cbError } from "../../ts/errors.ts";
import { findCTool, runCTool } from "../helpers/o2cb/c-tool.ts";

const PATH = "/etc/ocfs2/cluster.conf";
const tool = findCTool();
const againstTool = tool === null ? test.skip : test;

const BASE = "cluster:\n\tname = a\n\tnode_count = 0\n";
const named = (value: string): string => `cluster:\n\tnode_count = 0\n\tname = ${value}\n`;

/** What is read, with the names of its clusters. */
const accepted: [title: string, text: string, ...names: string[]][] = [
  ["the plain form", BASE, "a"],
  ["spaces for tabs, none around =", "cluster:\n  name=a\n \t node_count\t =0\n", "a"],
  ["no blank line between stanzas", `${BASE}cluster:\n\tname = b\n\tnode_count = 0\n`, "a", "b"],
  ["no LF at the end", BASE.slice(0, -1), "a"],
  ["a stanza's head at the end", `${BASE}node:`, "a"],
  ["blanks behind a stanza's head", "cluster: \t\n\tname = a\n\tnode_count = 0\n", "a"],
  ["comments in column 1", `# x\n${BASE.replace("\n", "\n#in\n")}#y`, "a"],
  ["a comment with a backslash at its end is one line", `#x\\\n${BASE}`, "a"],
  ["a comment with a NUL within", `#x\0y\n${BASE}`, "a"],
  ["blank lines anywhere between", `\n \t\n${BASE}  `, "a"],
  ["== : the first separates", named("= a"), "= a"],
  ["a value with = and #", named("a=b # c"), "a=b # c"],
  ["white space behind a value is dropped", named("a \f\r"), "a"],
  ["a vertical tab is kept", named("a\v"), "a\v"],
  ["a carriage return in a value", named("a\rb"), "a\rb"],
  ["no value", named(""), ""],
  ["other letters in a value", named("\u00e4\u00a0"), "\u00e4\u00a0"],
  ["a NUL cuts the value", named("a\0b"), "a"],
  ["a NUL cuts what is between two backslashes", named("a\0b\\cd"), "a\\cd"],
  ["a backslash within a value", named("a\\b\\\\c\\ d"), "a\\b\\\\c\\ d"],
  ["a continued value", named("a\\\n  b"), "a\n  b"],
  ["continued by what looks like a comment", named("a\\\n#b"), "a\n#b"],
  ["continued from nothing", named("\\\n\ta"), "\n\ta"],
  ["two backslashes before LF: the first is itself", named("a\\\\\nb"), "a\\\nb"],
  ["continued by an empty line", named("a\\\n"), "a"],
  ["continued at the end of the file", named("a\\").slice(0, -1), "a"],
  ["continued by nothing at the end of the file", named("a\\"), "a"],
  ["the last of two equal keys", BASE.replace("= a", "= b\n\tname = a"), "a"],
  ["unknown keys and stanzas", `${BASE}\tFoo_1 = x\n\n1_X:\n\ty = z\n\nCluster:\n\tname = q\n`, "a"],
  ["an empty stanza", `x:\n\n${BASE}`, "a"],
  ["an empty file", ""],
  ["only blank lines", "\n\n"],
];

/** What is refused: where, and by which words. */
const refused: [title: string, text: string, line: number, column: number, words: RegExp][] = [
  ["an indented comment", `${BASE}\t# c\n`, 4, 2, /comment begins in column 1/],
  ["a comment behind a stanza's head", "cluster: # c\n", 1, 9, /'cluster'.*nothing may follow the colon/],
  ["a blank before the colon", "cluster :\n", 1, 8, /'cluster'.*expected is a colon/],
  ["no colon", "cluster\n", 1, 8, /expected is a colon/],
  ["a backslash behind the head", "cluster:\\\n", 1, 9, /nothing may follow/],
  ["two heads in a line", "cluster: node:\n", 1, 9, /nothing may follow/],
  ["a colon alone", ":\n", 1, 1, /expected is a stanza's name/],
  ["an empty line between head and keys", "cluster:\n\n\tname = a\n", 3, 2, /'name' belongs to no stanza/],
  ["a line of blanks between them", "cluster:\n \t\n\tname = a\n", 3, 2, /belongs to no stanza/],
  ["a key before any stanza", " name = a\n", 1, 2, /'name' belongs to no stanza/],
  ["a dash in a key", `${BASE}\ta-b = c\n`, 4, 3, /'a'.*expected is '=' after/],
  ["a dot in a stanza's name", "clu.ster:\n", 1, 4, /letters, digits and underscores/],
  ["another letter in a key", `${BASE}\t\u00e4 = c\n`, 4, 2, /expected is a key/],
  ["a key without =", `${BASE}\tfoo\n`, 4, 5, /'foo' has no value/],
  ["a key without = at the end", `${BASE}\tfoo`, 4, 5, /'foo' has no value/],
  ["two words before =", `${BASE}\tfoo bar = c\n`, 4, 5, /'foo' has no value/],
  ["= alone", `${BASE}\t= c\n`, 4, 2, /expected is a key/],
  ["a key in column 1", "cluster:\nname = a\n", 2, 1, /'name' begins in column 1: expected is a tab/],
  ["an indented head", "\tcluster:\n", 1, 2, /stanza's name in column 1/],
  ["Windows line ends", BASE.replaceAll("\n", "\r\n"), 1, 9, /carriage return \(CR LF\)/],
  ["a Windows blank line", `${BASE}\r\n`, 4, 1, /carriage return/],
  ["a Windows blank line with blanks", `${BASE} \r\n`, 4, 2, /carriage return/],
  ["a byte-order mark", `\ufeff${BASE}`, 1, 1, /byte-order mark/],
  ["a form feed alone", `${BASE}\f\n`, 4, 1, /expected is a stanza's name/],
  ["a vertical tab before a key", "cluster:\n\vname = a\n", 2, 1, /expected is/],
  ["a vertical tab before =", `${BASE}\tfoo\v= a\n`, 4, 5, /expected is '='/],
  ["the line behind a continued value", named("a\\\\") + "\nx y\n", 5, 2, /expected is a colon/],
];

/** Where the C tool stops reading in silence, or crashes. */
const nul: [title: string, text: string, line: number, column: number][] = [
  ["at a line's begin", `${BASE}\0`, 4, 1],
  ["behind blanks", `${BASE}  \0\n`, 4, 3],
  ["as a comment's first character", `#\0x\n${BASE}`, 1, 2],
  ["behind a head", "cluster:\0\n\tname = a\n", 1, 9],
  ["before a key", "cluster:\n\t\0name = a\n", 2, 2],
  ["as a value's first character", named("\0b"), 3, 9],
  ["behind a value's backslash", named("a\\\0b"), 3, 11],
  ["as a continued value's first character", named("a\\\n\0b"), 4, 1],
];

const refusedBy = (t: ExecutionContext, text: string, title: string): O2cbError => {
  const error = t.throws(() => new ConfDocument(text, PATH), { instanceOf: O2cbError }, title);
  t.is(error.code, "O2CB_CONFIGURATION_ERROR", title);
  t.true(error.message.startsWith(`'${PATH}', line ${error.line}, column ${error.column}: `), error.message);
  t.truthy(error.remedy, title);
  return error;
};

test("what is read", (t) => {
  for (const [title, text, ...names] of accepted) {
    const document = new ConfDocument(text, PATH);
    t.is(document.text, text, title);
    t.deepEqual(
      clusterConfig(document).clusters.map(({ name }) => name),
      names,
      title,
    );
  }
});

test("what is refused, with the place, the key and what was expected", (t) => {
  for (const [title, text, line, column, words] of refused) {
    const error = refusedBy(t, text, title);
    t.deepEqual([error.line, error.column], [line, column], `${title}: ${error.message}`);
    t.regex(error.message, words, title);
  }
});

test("a NUL that would make the C tool lose the rest is refused", (t) => {
  for (const [title, text, line, column] of nul) {
    const error = refusedBy(t, text, title);
    t.deepEqual([error.line, error.column], [line, column], `${title}: ${error.message}`);
    t.regex(error.message, /NUL character/, title);
  }
});

test("the remedy for Windows line ends names the file", (t) => {
  t.is(refusedBy(t, "cluster:\r\n", "CR").remedy, `convert its line ends: sed -i 's/\\r$//' ${PATH}`);
});

test("columns count characters, and continued lines count as lines", (t) => {
  const error = refusedBy(t, "#\u{1f600}\nx\u{1f600}:\n", "in a head");
  t.deepEqual([error.line, error.column], [2, 2]);
  const [stanza] = new ConfDocument("cluster:\n\tname = a\\\nb\n\tnode_count = 0\n").stanzas;
  t.like(stanza?.attributes[1], { key: "node_count", line: 4, column: 2, valueAt: { line: 4, column: 15 } });
});

const title = (what: string): string => (tool === null ? `${what} [no C tool on this machine]` : what);

againstTool(title("the C tool reads and refuses the same"), async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "ocfs2-group-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "cluster.conf");
  const list = (text: string) => {
    writeFileSync(path, text);
    return runCTool(String(tool), [`--config-file=${path}`, "list-clusters"]);
  };
  for (const [title, text, ...names] of accepted) {
    t.deepEqual(
      await list(text),
      { status: 0, stdout: names.map((name) => `${name}\n`).join(""), stderr: "" },
      title,
    );
  }
  for (const [title, text] of refused) t.like(await list(text), { status: 1, stdout: "" }, title);
});
