// The settings of the service: what a shell would make of the file, what is only said not to be understood, and edits in place.
import { execFileSync } from "node:child_process";
import test from "ava";
import * as fc from "fast-check";
import { FakeKernel } from "../helpers/fake-native.ts";
import { parseShell, quoteWord } from "../../ts/config/shell-words.ts";
import {
  changeSysconfig,
  editSysconfig,
  parseSysconfig,
  readSysconfig,
  SYSCONFIG_DEFAULTS,
  sysconfigPath,
} from "../../ts/config/sysconfig.ts";

const PATH = "/etc/default/o2cb";
const values = (text: string): Record<string, string | null> =>
  Object.fromEntries(parseShell(text).assignments.map(({ name, value }) => [name, value]));
const found = (text: string): string[] =>
  parseSysconfig(text).findings.map(
    (one) => `${one.severity} ${one.line}:${one.column} ${one.key}: ${one.message}`,
  );

test("an empty or missing file is all defaults", async (t) => {
  const expected = { values: SYSCONFIG_DEFAULTS, given: [], findings: [] };
  t.deepEqual(parseSysconfig(""), expected);
  const kernel = new FakeKernel();
  kernel.addDirectory("/etc");
  t.deepEqual(await readSysconfig(kernel.process()), { path: PATH, exists: false, ...expected });
});

test("the file of the distribution is the one that counts", async (t) => {
  const path = (...files: string[]): Promise<string> => {
    const kernel = new FakeKernel();
    kernel.addDirectory("/etc");
    for (const file of files) {
      if (file.endsWith("/")) kernel.addDirectory(file.slice(0, -1));
      else kernel.addFile(file);
    }
    return sysconfigPath(kernel.process());
  };
  t.is(await path("/etc/sysconfig/o2cb", PATH), "/etc/sysconfig/o2cb");
  t.is(await path("/etc/sysconfig/", PATH), PATH);
  t.is(await path("/etc/sysconfig/"), "/etc/sysconfig/o2cb");
  t.is(await path(), PATH);
});

test("all variables are read", (t) => {
  const text = `# a comment
export O2CB_ENABLED=true   # with another
O2CB_STACK='pcmk'
O2CB_BOOTCLUSTER="web"; O2CB_HEARTBEAT_THRESHOLD=7 O2CB_IDLE_TIMEOUT_MS=10000
  O2CB_KEEPALIVE_DELAY_MS=1\\000
O2CB_RECONNECT_DELAY_MS=20\\
00
O2CB_LEAVE=umount
O2CB_LEAVE=kernel
O2CB_FENCE_METHOD=panic
OTHER="it's"`;
  const { values, given, findings } = parseSysconfig(text);
  t.deepEqual(findings, []);
  t.deepEqual(values, {
    ...{ enabled: true, stack: "pcmk", bootCluster: "web", heartbeatThreshold: 7, idleTimeoutMs: 10_000 },
    ...{ keepaliveDelayMs: 1000, reconnectDelayMs: 2000, leave: "kernel", fenceMethod: "panic" },
  });
  t.is(given.length, 9);
});

test("empty is as good as not set", (t) => {
  const { values, given } = parseSysconfig("O2CB_ENABLED=\nO2CB_STACK=''\nO2CB_IDLE_TIMEOUT_MS=\"\"\n");
  t.deepEqual([values, given], [SYSCONFIG_DEFAULTS, []]);
});

const odd: [title: string, text: string, finding: RegExp][] = [
  ["a variable", "\nO2CB_STACK=$STACK\n", /^error 2:1 O2CB_STACK: .*never executed/],
  ["one within quotes", 'O2CB_STACK="x${STACK:-"a b"}"\n', /^error 1:1 O2CB_STACK: /],
  ["a command", "O2CB_STACK=$(touch /tmp/x; echo ')')\n", /^error 1:1 O2CB_STACK: /],
  ["the old form", "O2CB_STACK=`touch /tmp/x`\n", /^error 1:1 O2CB_STACK: /],
  ["a home directory", "O2CB_STACK=~\n", /^error 1:1 O2CB_STACK: /],
  ["another's variable", "OTHER=$HOME\n", /^warning 1:1 OTHER: /],
  ["another file", ". /etc/other\n", /^warning 1:1 null: .*no plain assignment/],
  [
    "a condition",
    "if true; then\n  O2CB_ENABLED=true\nfi\n",
    /^error 2:3 O2CB_ENABLED: .*O2CB_ENABLED is not known/,
  ],
  ["a condition in one line", "[ -f /x ] && O2CB_ENABLED=true\n", /^error 1:1 O2CB_ENABLED: /],
  ["a loop", "for x in a; do O2CB_ENABLED=true; done\n", /^error 1:13 O2CB_ENABLED: /],
  ["a case", "case $x in\n  a) O2CB_ENABLED=true ;;\nesac\n", /^error \d:\d O2CB_ENABLED: /],
  ["a function", "f() {\n  O2CB_ENABLED=true\n}\n", /^error 2:3 O2CB_ENABLED: /],
  ["a group", "{\n O2CB_ENABLED=true\n}\n", /^error 2:2 O2CB_ENABLED: /],
  ["a subshell", "(\n O2CB_ENABLED=true\n)\n", /^error \d:\d O2CB_ENABLED: /],
  ["only for a command", "O2CB_ENABLED=true foo\n", /^error 1:1 O2CB_ENABLED: /],
  ["added to", "O2CB_BOOTCLUSTER+=x\n", /^error 1:1 O2CB_BOOTCLUSTER: /],
  ["a here-document", "cat <<X\nO2CB_ENABLED=true\nX\n", /^error 2:1 O2CB_ENABLED: /],
  ["a quote without end", "O2CB_STACK='o2cb\n", /^error 1:1 null: a quote.*no end/],
  ["an expansion without end", "O2CB_STACK=$(x\n", /^error 1:1 null: /],
  [
    "neither true nor false",
    "O2CB_ENABLED=yes\n",
    /^error 1:1 O2CB_ENABLED: .*"yes"; expected is true or false/,
  ],
  ["Windows line ends", "O2CB_ENABLED=true\r\n", /^error 1:1 O2CB_ENABLED: .*"true\\r"/],
  ["a stack's name", "O2CB_STACK=o2\n", /^error 1:1 O2CB_STACK: .*four characters/],
  ["a cluster's name", "O2CB_BOOTCLUSTER=a-b\n", /^error 1:1 O2CB_BOOTCLUSTER: .*1 to 16 letters/],
  ["who leaves", "O2CB_LEAVE=nobody\n", /^error 1:1 O2CB_LEAVE: .*umount or kernel/],
  [
    "no number",
    "O2CB_IDLE_TIMEOUT_MS=30s\n",
    /^error 1:1 O2CB_IDLE_TIMEOUT_MS: .*"30s"; expected is a number/,
  ],
  [
    "what the kernel ignores",
    "O2CB_HEARTBEAT_THRESHOLD=2\n",
    /^error 1:1 O2CB_HEARTBEAT_THRESHOLD: .*from 3/,
  ],
  ["more than 32 bits", "O2CB_RECONNECT_DELAY_MS=4294967295\n", /^error 1:1 O2CB_RECONNECT_DELAY_MS: /],
];

for (const [title, text, finding] of odd)
  test(`not taken, and said so: ${title}`, (t) => {
    t.true(
      found(text).some((one) => finding.test(one)),
      found(text).join("\n"),
    );
    t.deepEqual([parseSysconfig(text).values, parseSysconfig(text).given], [SYSCONFIG_DEFAULTS, []]);
  });

test("what comes after a block counts again", (t) => {
  const text = "if a; then\n if b; then c; fi\nelse { d; }\nfi\nf() { e; }\nO2CB_ENABLED=true\n";
  t.true(parseSysconfig(text).values.enabled, found(text).join("\n"));
});

test("less than the safe minimum is taken, with a warning", (t) => {
  for (const [name, value, field] of [
    ["O2CB_HEARTBEAT_THRESHOLD", 6, "heartbeatThreshold"],
    ["O2CB_IDLE_TIMEOUT_MS", 4999, "idleTimeoutMs"],
    ["O2CB_KEEPALIVE_DELAY_MS", 999, "keepaliveDelayMs"],
    ["O2CB_RECONNECT_DELAY_MS", 1999, "reconnectDelayMs"],
  ] as const) {
    const low = parseSysconfig(`${name}=${value}`);
    t.is(low.values[field], value);
    t.like(low.findings, [{ severity: "warning", line: 1, key: name }]);
    t.deepEqual(parseSysconfig(`${name}=${value + 1}`).findings, [], name);
  }
});

test("an idle timeout that is not longer than the keepalive delay is an error", (t) => {
  t.regex(
    found("\nO2CB_KEEPALIVE_DELAY_MS=30000\n").join("\n"),
    /^error 2:1 O2CB_KEEPALIVE_DELAY_MS: .*not longer/,
  );
  t.regex(
    found("O2CB_KEEPALIVE_DELAY_MS=6000\nO2CB_IDLE_TIMEOUT_MS=6000").join("\n"),
    /^error 2:1 O2CB_IDLE_TIMEOUT_MS/,
  );
});

test("an edit changes one word and nothing else", (t) => {
  const text = `# O2CB_ENABLED=false\nO2CB_ENABLED=false\nexport O2CB_ENABLED='fa'lse # why\n\tO2CB_STACK=o2cb; X=$Y`;
  const after = text.replace("'fa'lse", "true");
  t.is(editSysconfig(text, PATH, { O2CB_ENABLED: "true" }), after);
  t.is(editSysconfig(text, PATH, { O2CB_ENABLED: "false", O2CB_STACK: "o2cb" }), text);
  t.is(editSysconfig(text, PATH, { O2CB_BOOTCLUSTER: "a b" }), `${text}\nO2CB_BOOTCLUSTER='a b'\n`);
  t.is(
    editSysconfig("", PATH, { O2CB_LEAVE: "kernel", O2CB_BOOTCLUSTER: "" }),
    "O2CB_LEAVE=kernel\nO2CB_BOOTCLUSTER=\n",
  );
});

test("an expansion is replaced; what a condition may set again is set behind it", (t) => {
  t.is(editSysconfig('O2CB_STACK="$(x "y")" # z\n', PATH, { O2CB_STACK: "o2cb" }), "O2CB_STACK=o2cb # z\n");
  const text = "O2CB_ENABLED=false\nif x; then O2CB_ENABLED=false; fi\n";
  t.is(editSysconfig(text, PATH, { O2CB_ENABLED: "true" }), `${text}O2CB_ENABLED=true\n`);
});

test("an edit that would not count is refused", (t) => {
  for (const text of ["X='a\n", "if x; then\n", "X=a\\", "cat <<E\n"]) {
    const error = t.throws(() => editSysconfig(text, PATH, { O2CB_ENABLED: "true" }));
    t.like(error, { code: "O2CB_CONFIGURATION_ERROR", path: PATH }, text);
  }
  t.throws(() => editSysconfig("", PATH, { O2CB_STACK: "a\nb" }), { code: "O2CB_CONFIGURATION_ERROR" });
});

test("a change is written to the file", async (t) => {
  const kernel = new FakeKernel();
  kernel.addDirectory("/etc");
  kernel.addFile(PATH, "# ours\nO2CB_ENABLED=false\n");
  const dry = await changeSysconfig(kernel.process(), PATH, { O2CB_ENABLED: "true" }, { dryRun: true });
  t.like(dry, { written: false, after: "# ours\nO2CB_ENABLED=true\n" });
  t.false((await readSysconfig(kernel.process())).values.enabled);
  await changeSysconfig(kernel.process(), PATH, { O2CB_ENABLED: "true" });
  t.true((await readSysconfig(kernel.process())).values.enabled);
});

test("what is understood is what sh understands", (t) => {
  let understood = 0;
  const piece = fc.constantFrom(
    ...[
      "a",
      "b c",
      "'x y'",
      '"x y"',
      "'a\"b'",
      '"a\'b"',
      "\\ ",
      "\\'",
      '\\"',
      '"\\$x"',
      '"\\a"',
      "#",
      "'#'",
      "\\\n",
      "=",
      "''",
      '"\\\\"',
      "\\\\",
    ],
  );
  const word = fc.array(piece, { maxLength: 5 }).map((pieces) => pieces.join(""));
  const end = fc.constantFrom("\n", " # c\n", ";", "; ", " B=1\n", "\t\n\n");
  const line = fc.tuple(fc.constantFrom("", "export ", " "), fc.constantFrom("A", "B"), word, end);
  const file = fc.array(
    line.map(([before, name, value, after]) => `${before}${name}=${value}${after}`),
    { maxLength: 4 },
  );
  const run = fc.check(
    fc.property(file, (lines) => {
      const text = lines.join("");
      const { odd, unclosed } = parseShell(text);
      if (odd.length > 0 || unclosed !== null) return true;
      understood += 1;
      const shown = execFileSync("/bin/sh", ["-c", `A= B=\n${text}\nprintf '%s\\0%s' "$A" "$B"`], {
        encoding: "utf8",
        env: {},
      });
      const { A = "", B = "" } = values(text);
      return shown === `${A}\0${B}`;
    }),
    { numRuns: 300 },
  );
  t.false(run.failed, `seed ${run.seed}, counterexample ${JSON.stringify(run.counterexample)}`);
  t.true(understood > 100, `only ${understood} texts were understood`);
});

test("a quoted word is read back, by sh too", (t) => {
  const run = fc.check(
    fc.property(fc.string({ unit: fc.constantFrom(..."ab '\"\\$`#;~=!*\n|&\u00e4") }), (value) => {
      const text = `A=${quoteWord(value)}\n`;
      const shown = execFileSync("/bin/sh", ["-c", `${text}printf %s "$A"`], { encoding: "utf8", env: {} });
      return values(text)["A"] === value && shown === value;
    }),
    { numRuns: 100 },
  );
  t.false(run.failed, `seed ${run.seed}, counterexample ${JSON.stringify(run.counterexample)}`);
});

test("no text makes the parser fail or hang", (t) => {
  const run = fc.check(
    fc.property(fc.string({ unit: fc.constantFrom(..."A=1 '\"\\$`(){}#;<&|\n"), maxLength: 40 }), (text) => {
      parseSysconfig(text);
      return parseShell(text).assignments.every(({ start, end }) => start <= end && end <= text.length);
    }),
    { numRuns: 3000 },
  );
  t.false(run.failed, `seed ${run.seed}, counterexample ${JSON.stringify(run.counterexample)}`);
});
