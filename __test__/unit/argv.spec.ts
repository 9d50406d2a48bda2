// Command lines in getopt's manner, and that clipanion reads the rewritten ones alike.
import { deepStrictEqual } from "node:assert/strict";
import test from "ava";
import { Cli } from "clipanion";
import * as fc from "fast-check";
import { canonical, parseArguments, UsageError, type Arguments } from "../../ts/cli/argv.ts";
import { commandOf, type BaseCommand } from "../../ts/cli/base-command.ts";
import { hbCtlJob } from "../../ts/cli/hb-ctl-job.ts";
import { hbCtlSyntax } from "../../ts/cli/hb-ctl-syntax.ts";
import { MountCommand } from "../../ts/cli/mount-command.ts";
import { mountSyntax, umountSyntax } from "../../ts/cli/syntax.ts";
import { UmountCommand } from "../../ts/cli/umount-command.ts";

const mount = (...argv: string[]): Arguments => parseArguments(mountSyntax, argv);
const facts = (args: Arguments) => ({
  device: args.operand("device"),
  directory: args.operand("directory"),
  options: args.values("options"),
  flags: ["fake", "sloppy", "noMtab", "json"].filter((key) => args.flag(key)),
  verbose: args.count("verbose"),
  type: args.value("type"),
  namespace: args.value("namespace"),
});

test("what mount(8) passes, in its order", (t) => {
  const line = "/dev/sdb1 /vol -s -f -n -v -o rw,noatime -t ocfs2.x -N /proc/7/fd/3";
  t.deepEqual(facts(mount(...line.split(" "))), {
    device: "/dev/sdb1",
    directory: "/vol",
    options: ["rw,noatime"],
    flags: ["fake", "sloppy", "noMtab"],
    verbose: 1,
    type: "ocfs2.x",
    namespace: "/proc/7/fd/3",
  });
});

test("what umount(8) passes", (t) => {
  const args = parseArguments(umountSyntax, "/vol -n -l -f -v -r -t ocfs2.x -N 7".split(" "));
  t.is(args.operand("target"), "/vol");
  t.true(["noMtab", "lazy", "force", "verbose", "readOnly"].every((key) => args.flag(key)));
});

for (const [title, argv, expected] of [
  [
    "grouped letters, the last with a value",
    ["-nvo", "a,b"],
    { options: ["a,b"], flags: ["noMtab"], verbose: 1 },
  ],
  ["a value in the same word", ["-odata=ordered"], { options: ["data=ordered"] }],
  ["a value that begins with =", ["-o=ro"], { options: ["=ro"] }],
  ["a value that begins with a dash", ["-o", "-x"], { options: ["-x"] }],
  ["a value that is --", ["-o", "--"], { options: ["--"] }],
  ["long options", ["--options=ro", "--options", "rw", "--verbose"], { options: ["ro", "rw"], verbose: 1 }],
  ["repeated letters", ["-vvv", "-v"], { verbose: 4 }],
  ["the last of a value given twice", ["-t", "a", "-tb"], { type: "b" }],
  ["an empty value", ["-o", ""], { options: [""] }],
] as const) {
  test(`getopt's manner: ${title}`, (t) => {
    const args = facts(mount(...argv, "dev", "dir"));
    t.like(args, expected as object);
    t.deepEqual(facts(mount("dev", ...argv, "dir")), args, "options between operands");
    t.deepEqual(facts(mount("dev", "dir", ...argv)), args, "options after operands");
  });
}

test("after -- everything is an operand, and a lone dash always is", (t) => {
  t.is(mount("-v", "--", "-dev", "-o").operand("directory"), "-o");
  t.is(mount("-", "dir").operand("device"), "-");
});

for (const [argv, message] of [
  [[], /^DEVICE and DIRECTORY are missing$/],
  [["dev"], /^DIRECTORY is missing$/],
  [["dev", ""], /^DIRECTORY is empty$/],
  [["dev", "dir", "more"], /'more' is one argument too many/],
  [["dev", "dir", "-x"], /no option '-x'/],
  [["dev", "dir", "-vx"], /no option '-x'/],
  [["dev", "dir", "--frob=1"], /no option '--frob'/],
  [["dev", "dir", "--opt", "a"], /no option '--opt'/],
  [["dev", "dir", "-o"], /option -o needs a value/],
  [["dev", "dir", "--options"], /option --options needs a value/],
  [["dev", "dir", "--fake=1"], /option --fake takes no value/],
  [["de\uFFFDv", "dir"], /not valid UTF-8/],
  [["dev", "dir", "-o", "a\uFFFD"], /not valid UTF-8/],
  [["dev", "dir", "\u001b[2Jx\n"], /^'\\u\{1b\}\[2Jx\\u\{a\}' is one/],
  [["dev", "dir", "-\u{1F600}"], /no option/],
] as const) {
  test(`a wrong command line: ${JSON.stringify(argv)}`, (t) => {
    t.throws(() => mount(...argv), { instanceOf: UsageError, message });
  });
}

// -- any command line, and clipanion as the second opinion ------------------------------------------------------------

const commands = [
  { syntax: mountSyntax, command: MountCommand },
  { syntax: umountSyntax, command: UmountCommand },
  { syntax: hbCtlSyntax, command: commandOf(hbCtlJob()) },
];
const word = fc.oneof(
  fc.constantFrom(
    "-v",
    "-nv",
    "-vvo",
    "-o",
    "-oro",
    "-o=x",
    "-t",
    "-tocfs2",
    "-N",
    "7",
    "-s",
    "-f",
    "-l",
    "-r",
    "-K",
    "-SI",
    "-uX",
    "--",
    "-",
  ),
  fc.constantFrom(
    "--json",
    "--options=a=b",
    "--options",
    "--lazy",
    "--no-mtab",
    "--verbose",
    "--help",
    "--version",
    "-h",
  ),
  fc.constantFrom("/dev/sdb1", "/vol", "ro,noatime", "", "=", "--=", "-="),
  fc.string({ maxLength: 4 }),
);

for (const { syntax, command } of commands) {
  test(`${syntax.name}: any command line is read, or refused in one line; clipanion reads it alike`, (t) => {
    const cli = Cli.from(command);
    let compared = 0;
    const compare = (argv: string[]): void => {
      let args: Arguments;
      try {
        args = parseArguments(syntax, argv);
      } catch (error) {
        if (!(error instanceof UsageError) || /[\p{Cc}]/u.test(error.message)) throw error;
        return;
      }
      // clipanion has an answer of its own to --help.
      if (args.flag("help")) return;
      const read = (cli.process(canonical(syntax, argv)) as BaseCommand).arguments();
      for (const { key } of syntax.operands) deepStrictEqual(read.operands(key), args.operands(key));
      for (const { key, kind } of syntax.options) {
        const seen = ({ flag, count, values, value }: Arguments): unknown => {
          if (kind === "flag") return flag(key);
          if (kind === "count") return count(key);
          return kind === "list" ? values(key) : value(key);
        };
        deepStrictEqual(seen(read), seen(args), key);
      }
      compared += 1;
    };
    const operands = syntax.operands.map(({ label }) => `/${label}`);
    fc.assert(
      fc.property(fc.array(word, { maxLength: 8 }), fc.nat(), (words, at) => {
        compare(words);
        compare([...words.slice(0, at % 9), ...operands, ...words.slice(at % 9)]);
      }),
      { numRuns: 600 },
    );
    t.true(compared > 100, `${compared} were comparable`);
  });
}
