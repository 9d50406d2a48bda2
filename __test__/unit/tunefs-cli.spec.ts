// The command line of tunefs.ocfs2: what it asks the library for, questions, lines, statuses, and what is refused by name.
import { readFileSync } from "node:fs";
import test from "ava";
import { Ajv2020 } from "ajv/dist/2020.js";
import { O2cbError, type ErrorCode } from "../../ts/errors.ts";
import { helpOf } from "../../ts/cli/help.ts";
import { parseArguments } from "../../ts/cli/argv.ts";
import { runCli } from "../../ts/cli/run-cli.ts";
import { checkTunefs, tunefsJob } from "../../ts/cli/tunefs-job.ts";
import type { TunefsLibrary } from "../../ts/cli/tunefs-library.ts";
import { tunefsSyntax } from "../../ts/cli/tunefs-syntax.ts";
import type { Native } from "../../ts/native-types.ts";
import type { TuneVolumeRequest } from "../../ts/tune/request.ts";
import type { TuneVolumeResult } from "../../ts/tune/tune-volume.ts";
import type { UndoRequest } from "../../ts/tune/undo.ts";
import type { VolumeQuery } from "../../ts/tune/query.ts";

const UUID = "2A4D1C581FAA42A1A41D26EFC90C1315";
const OLD = "77D95EF51C0149D2823674FCC162CF8B";

const query: VolumeQuery = {
  ...{
    device: "/dev/sdb",
    uuid: UUID,
    label: "one",
    labelBytes: Uint8Array.of(0xff, 0x6f),
    blockBytes: 4096,
  },
  ...{ clusterBytes: 4096, slots: 4, rootBlock: 5, systemBlock: 6, firstGroupBlock: 3 },
  ...{ compat: [], incompat: [], roCompat: [], differingBackups: [] },
};
const changed: TuneVolumeResult = {
  ...{ device: "/dev/sdb", outcome: "changed", uuid: { old: OLD, new: UUID }, undoFile: "/undo" },
  writes: [
    {
      ...{ offset: 8192, isBackup: false },
      fields: [
        { field: "check", offset: 8320, old: "0102", new: "0304" },
        { field: "label", offset: 8464, old: "6f6e650000", new: "0000" },
        { field: "uuid", offset: 8528, old: OLD, new: UUID },
      ],
    },
    {
      offset: 2 ** 30,
      isBackup: true,
      fields: [{ field: "label", offset: 2 ** 30 + 272, old: "61", new: "62" }],
    },
  ],
};

interface Ran {
  status: number;
  stdout: string[];
  stderr: string[];
  raw: Buffer[];
  /** requests, in order */
  asked: (Partial<TuneVolumeRequest> & Partial<UndoRequest>)[];
  questions: string[];
}

interface Play {
  result?: TuneVolumeResult;
  error?: Error;
  answer?: boolean;
  query?: Partial<VolumeQuery>;
}

/** Runs a command line; the library answers what it is told to, and asks `confirm` where the request has one. */
async function run(line: string | readonly string[], play: Play = {}): Promise<Ran> {
  const ran: Ran = { status: 0, stdout: [], stderr: [], raw: [], asked: [], questions: [] };
  const library: TunefsLibrary = {
    async tuneVolume(_native, request) {
      ran.asked.push(request);
      if (play.error !== undefined) throw play.error;
      const { confirm, device } = request;
      const question = request.updateClusterStack
        ? ({ about: "cluster-stack", device, from: "here", to: "there" } as const)
        : ({ about: "uuid", device, uuid: UUID } as const);
      const isDangerous = request.updateClusterStack || (request.uuid ?? "random") !== "random";
      if (isDangerous && confirm !== true && !(await confirm?.(question)))
        return { ...changed, outcome: "declined" };
      return play.result ?? changed;
    },
    async undoTune(_native, request) {
      ran.asked.push(request);
      return {
        device: request.device,
        outcome: request.dryRun ? "planned" : "undone",
        uuid: { old: UUID, new: OLD },
        offsets: [8192],
      };
    },
    async queryVolume() {
      return { ...query, ...play.query };
    },
  };
  const ask = async (question: string): Promise<boolean> => {
    ran.questions.push(question);
    return play.answer ?? false;
  };
  const terminal = {
    out: (text: string) => void ran.stdout.push(text),
    err: (text: string) => void ran.stderr.push(text),
    write: (bytes: Uint8Array) => void ran.raw.push(Buffer.from(bytes)),
    isWatched: () => false,
  };
  const program = { job: tunefsJob(library, ask), check: checkTunefs, help: () => helpOf("tunefs.ocfs2") };
  const argv = typeof line === "string" ? line.split(" ").filter(Boolean) : line;
  ran.status = await runCli(program, argv, terminal, async () => ({}) as Native);
  return ran;
}

const requests: Record<string, Partial<TuneVolumeRequest>> = {
  "-L new /dev/sdb": { label: "new" },
  "-Lnew -n /dev/sdb": { label: "new" },
  "-U /dev/sdb": { uuid: "random" },
  "/dev/sdb --uuid-reset": { uuid: "random" },
  [`-y -U${UUID} /dev/sdb`]: { uuid: UUID },
  [`-y --uuid-reset=${UUID} /dev/sdb -M local`]: { uuid: UUID, mount: "local" },
  "-M cluster --no-undo /dev/sdb": { mount: "cluster", undoFile: null },
  "--update-cluster-stack -y --undo-file /u /dev/sdb": { updateClusterStack: true, undoFile: "/u" },
  "-p -q -v -L new --dry-run /dev/sdb": { label: "new", dryRun: true },
};
for (const [line, expected] of Object.entries(requests))
  test.serial(`tunefs.ocfs2 ${line}`, async (t) => {
    const { status, asked, stderr } = await run(line);
    t.is(status, 0, stderr.join());
    t.like(asked[0], { device: "/dev/sdb", ...expected });
    t.is(asked[0] !== undefined && "undoFile" in asked[0], "undoFile" in expected);
  });

test.serial("an empty label is a label", async (t) => {
  t.is((await run(["-L", "", "/dev/sdb"])).asked[0]?.label, "");
});

test.serial("a change tells what, the way back, and the new UUID; quiet, nothing", async (t) => {
  const { stdout } = await run("-L new /dev/sdb");
  t.deepEqual(stdout, [
    `'/dev/sdb' changed: label, uuid; its UUID is ${UUID}`,
    "the way back: tunefs.ocfs2 --undo /undo /dev/sdb",
  ]);
  t.deepEqual((await run("-q -L new /dev/sdb")).stdout, []);
  const unchanged = await run("-L new /dev/sdb", { result: { ...changed, outcome: "unchanged" } });
  t.regex(unchanged.stdout.join(), /as wanted already: nothing was written/);
  t.is(unchanged.status, 0);
});

test.serial("a dry run tells each write: where, what, and the bytes", async (t) => {
  const { stdout } = await run("-L new --dry-run /dev/sdb", { result: { ...changed, outcome: "planned" } });
  t.is(stdout.length, 4);
  t.is(stdout[1], "would write label at byte 8464 of '/dev/sdb' (superblock at 8192): 6f6e65 -> 00");
  t.is(stdout[3], "would write label at byte 1073742096 of '/dev/sdb' (backup at 1073741824): 61 -> 62");
});

test.serial("--json writes the result alone", async (t) => {
  const { stdout } = await run("-L new --json /dev/sdb");
  t.deepEqual(JSON.parse(stdout.join("\n")), { result: changed, status: 0 });
  const asked = JSON.parse((await run("-Q x --json /dev/sdb")).stdout.join("\n")) as { result: object };
  t.like(asked.result, { label: "one", slots: 4 });
  t.false("labelBytes" in asked.result);
  const schema = readFileSync(new URL("../../docs/schemas/tunefs.json", import.meta.url), "utf8");
  const fits = new Ajv2020({ strict: true, strictTypes: false }).compile(JSON.parse(schema) as object);
  for (const line of ["-L new --json", "-Q x --json", "--undo /undo --json", "-L new --dry-run --json"]) {
    const printed = JSON.parse((await run(`${line} /dev/sdb`)).stdout.join("\n")) as object;
    t.true(fits(printed), `${line}: ${JSON.stringify(fits.errors)}`);
  }
});

test.serial(
  "a question goes to the person, or is answered by -y or -n, the last of which counts",
  async (t) => {
    const line = `-U${UUID} /dev/sdb`;
    const [no, yes] = [await run(line), await run(line, { answer: true })];
    t.deepEqual([no.status, no.stdout], [0, ["'/dev/sdb' was not changed"]]);
    t.regex(yes.stdout.join(), /changed: label/);
    t.regex(
      yes.questions.join(),
      new RegExp(`Give '/dev/sdb' the UUID ${UUID}, which no other volume has\\?`),
    );
    for (const [answer, expected] of [
      ["-y", /changed: /],
      ["-n", /not changed/],
      ["-n -y", /changed: /],
      ["-y -n", /not changed/],
    ] as const) {
      const answered = await run(`${answer} ${line}`);
      t.deepEqual(answered.questions, []);
      t.regex(answered.stdout.join(), expected, answer);
    }
    t.regex(
      (await run("--update-cluster-stack /dev/sdb")).questions.join(),
      /mounted nowhere, and shall it go from here to there/,
    );
  },
);

test.serial("-Q writes the format's bytes as they are, and tells of backups apart", async (t) => {
  const { raw, stdout, stderr, status } = await run(["-Q", "%V|%N\\n", "/dev/sdb"]);
  t.deepEqual([raw, stdout, stderr, status], [[Buffer.from([0xff, 0x6f, 0x7c, 0x34, 0x0a])], [], [], 0]);
  const differing = await run("-Q x /dev/sdb", { query: { differingBackups: [2 ** 30] } });
  t.regex(differing.stderr.join(), /byte 1073741824 say something else/);
  t.is(differing.raw.join(), "x");
});

test.serial("--undo puts back, or tells what it would", async (t) => {
  const { asked, stdout } = await run("--undo /file -y /dev/sdb");
  t.like(asked[0], { device: "/dev/sdb", file: "/file", dryRun: false });
  t.deepEqual(stdout, ["'/dev/sdb' is what it was before; written at byte 8192"]);
  t.regex((await run("--undo /file --dry-run /dev/sdb")).stdout.join(), /would put back/);
});

const statuses: Partial<Record<ErrorCode, number>> = {
  O2CB_VOLUME_IN_USE: 25,
  O2CB_INVALID_HEARTBEAT_MODE: 21,
  O2CB_INVALID_STACK_NAME: 19,
  O2CB_BAD_SUPERBLOCK: 8,
  O2CB_IO: 2,
  O2CB_INVALID_CLUSTER_NAME: 1,
  O2CB_BAD_DEVICE: 1,
  O2CB_ABORTED: 1,
};
for (const [code, expected] of Object.entries(statuses))
  test.serial(`the status of ${code} is ${expected}`, async (t) => {
    const error = new O2cbError(code as ErrorCode, "on purpose", { operation: "test" });
    const { status, stderr } = await run("-L new /dev/sdb", { error });
    t.is(status, expected);
    t.is(stderr[0], "tunefs.ocfs2: on purpose");
  });

const wrong: Record<string, RegExp> = {
  "": /DEVICE is missing/,
  "/dev/sdb": /nothing to change/,
  "-L new": /DEVICE is missing/,
  "-L new /dev/sdb 4096": /one argument too many/,
  "-N 4 /dev/sdb": /option -N \(more or fewer slots\) is none of this command's.*ocfs2-tools/,
  "-S /dev/sdb": /option -S/,
  "-J size=4M /dev/sdb": /option -J/,
  "--fs-features=nosparse /dev/sdb": /option --fs-features \(other features\)/,
  "--cloned-volume=x /dev/sdb": /option --cloned-volume/,
  "--list-sparse /dev/sdb": /option --list-sparse/,
  "--backup-super /dev/sdb": /option --backup-super/,
  "--usrquota-sync-interval=5 /dev/sdb": /quotas/,
  "-vi -L x /dev/sdb": /option -i/,
  "-Uxyz /dev/sdb": /not a volume's UUID/,
  "--uuid-reset= /dev/sdb": /option --uuid-reset has an empty value/,
  [`-U ${UUID} /dev/sdb`]: /one argument too many/,
  [`-U${"0".repeat(32)} /dev/sdb`]: /UUID of zeros/,
  [`-L ${"x".repeat(65)} /dev/sdb`]: /at most 64 bytes, and this one 65/,
  "-M both /dev/sdb": /'local' or 'cluster'/,
  "-M local --update-cluster-stack /dev/sdb": /no cluster stack/,
  "-Q %q /dev/sdb": /no conversion '%q'/,
  "-Q x -L new /dev/sdb": /--query and --label exclude/,
  "--undo /u -U /dev/sdb": /--undo and --uuid-reset exclude/,
  "--no-undo --undo-file /u -L x /dev/sdb": /--no-undo and --undo-file exclude/,
};
for (const [line, expected] of Object.entries(wrong))
  test.serial(`refused: tunefs.ocfs2 ${line}`, async (t) => {
    const { status, stderr, asked } = await run(line);
    t.is(status, 1);
    t.regex(stderr.join("\n"), expected);
    t.deepEqual(asked, []);
  });

test.serial("the help names every option but those that are refused", (t) => {
  const help = helpOf("tunefs.ocfs2");
  for (const { long, refused } of tunefsSyntax.options) {
    if (long === "help") continue;
    t.is(help.includes(`--${long}`), refused === undefined, `--${long}`);
  }
  t.notThrows(() => parseArguments(tunefsSyntax, ["-U", "/dev/sdb"]));
});
