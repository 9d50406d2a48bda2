// The commands around a library that is played: what they ask of it, what they print where, and how they end.
import { constants } from "node:os";
import { setImmediate } from "node:timers/promises";
import test from "ava";
import { Cli } from "clipanion";
import { statusOf } from "../../ts/cli/exit-status.ts";
import { failureLines } from "../../ts/cli/failure.ts";
import { helpOf } from "../../ts/cli/help.ts";
import { MountCommand } from "../../ts/cli/mount-command.ts";
import { mountJob, mountRequest } from "../../ts/cli/mount-job.ts";
import { reporter, stepLine } from "../../ts/cli/report.ts";
import { runCli } from "../../ts/cli/run-cli.ts";
import { watchSignals } from "../../ts/cli/signals.ts";
import type { Terminal } from "../../ts/cli/terminal.ts";
import { umountJob, unmountRequest } from "../../ts/cli/umount-job.ts";
import { errorCodes, type ErrorCode } from "../../ts/error-codes.ts";
import { O2cbError } from "../../ts/errors.ts";
import type { MountVolumeRequest, MountVolumeResult } from "../../ts/mount/mount-volume.ts";
import type { UnmountVolumeRequest, UnmountVolumeResult } from "../../ts/mount/unmount-volume.ts";
import type { Native } from "../../ts/native-types.ts";
import type { Step } from "../../ts/steps.ts";

// The tests run side by side in one process, and each command watches its signals.
process.setMaxListeners(0);

const native = {} as Native;
const load = async (): Promise<Native> => native;

interface Played extends Terminal {
  stdout: string[];
  stderr: string[];
}

function terminal(isWatched = false): Played {
  const stdout: string[] = [];
  const stderr: string[] = [];
  return {
    stdout,
    stderr,
    out: (line) => stdout.push(line),
    write: (bytes) => stdout.push(String(bytes)),
    err: (line) => stderr.push(line),
    isWatched: () => isWatched,
  };
}

const mounted: MountVolumeResult = {
  device: "/dev/sdb1",
  directory: "/vol",
  options: ["heartbeat=local"],
  readOnly: false,
  uuid: "00112233445566778899AABBCCDDEEFF",
  region: null,
  fake: false,
  remount: false,
};
const starting: Step = {
  step: "start-heartbeat",
  region: mounted.uuid,
  device: "/dev/sdb1",
  expectedMs: 6000,
  reason: "first region",
};

/** Runs mount.ocfs2 over a library that does `work`. */
async function mount(
  argv: string[],
  work: (request: MountVolumeRequest) => Promise<MountVolumeResult> | MountVolumeResult,
  to = terminal(),
) {
  const asked: MountVolumeRequest[] = [];
  const mountVolume = async (_: Native, request: MountVolumeRequest): Promise<MountVolumeResult> => {
    asked.push(request);
    return work(request);
  };
  const program = { job: mountJob(async () => ({ mountVolume })), check: mountRequest, help: () => "" };
  const status = await runCli(program, argv, to, load);
  return { status, asked, ...to };
}

async function umount(argv: string[], result: Partial<UnmountVolumeResult>, to = terminal()) {
  const asked: UnmountVolumeRequest[] = [];
  const unmountVolume = async (_: Native, request: UnmountVolumeRequest): Promise<UnmountVolumeResult> => {
    asked.push(request);
    return {
      directory: "/vol",
      device: "/dev/sdb1",
      outcome: "left",
      region: null,
      leaveError: null,
      ...result,
    };
  };
  const program = { job: umountJob(async () => ({ unmountVolume })), check: unmountRequest, help: () => "" };
  const status = await runCli(program, argv, to, load);
  return { status, asked, ...to };
}

test("mount.ocfs2 asks for what the command line says", async (t) => {
  const { status, asked, stdout, stderr } = await mount(
    "/dev/sdb1 /vol -s -f -n -o rw,acl -o commit=9 -t ocfs2.x -N 42".split(" "),
    () => mounted,
  );
  t.is(status, 0);
  t.like(asked[0], {
    device: "/dev/sdb1",
    directory: "/vol",
    options: "rw,acl,commit=9",
    fake: true,
    sloppy: true,
    namespace: "/proc/42/ns/mnt",
  });
  t.true(asked[0]?.signal instanceof AbortSignal);
  t.deepEqual([stdout, stderr], [[], []], "silent when all is well and nobody asked");
});

test("umount.ocfs2 asks for what the command line says", async (t) => {
  const { status, asked, stdout, stderr } = await umount("/vol -n -l -f -r -N /proc/7/fd/3".split(" "), {});
  t.is(status, 0);
  t.like(asked[0], {
    target: "/vol",
    lazy: true,
    force: true,
    readOnlyFallback: true,
    namespace: "/proc/7/fd/3",
  });
  t.deepEqual([stdout, stderr], [[], []]);
});

test("with -v one line names device, directory and options, and each step has its own on stderr", async (t) => {
  const { stdout, stderr } = await mount(
    ["/dev/sdb1", "/vol", "-v", "-o", "ro,noatime,frob", "-s"],
    ({ onStep }) => {
      onStep?.(starting);
      onStep?.({ step: "heartbeat", region: mounted.uuid, milliseconds: 5900 });
      return mounted;
    },
  );
  t.deepEqual(stdout, [
    "mount.ocfs2: left out, since OCFS2 does not know it: frob",
    "mount.ocfs2: '/dev/sdb1' mounted on '/vol' (ro,noatime,heartbeat=local)",
  ]);
  t.is(stderr.length, 2);
  t.regex(stderr[0] ?? "", /waiting about 6\.0 s for the heartbeat on '\/dev\/sdb1'.*first region/);
});

test("the line of a remount and of a mount that is only tried says so", async (t) => {
  for (const [more, line] of [
    [{ remount: true }, "'/dev/sdb1' remounted on '/vol' (ro,heartbeat=local)"],
    [{ fake: true }, "'/dev/sdb1' would be mounted on '/vol' (ro,heartbeat=local)"],
  ] as const) {
    const options = "remount" in more ? "remount,ro" : "ro";
    const { stdout } = await mount(["/dev/sdb1", "/vol", "-v", "-o", options], () => ({
      ...mounted,
      ...more,
    }));
    t.deepEqual(stdout, [`mount.ocfs2: ${line}`]);
  }
});

test("on a terminal only waits and warnings are told, elsewhere only warnings", async (t) => {
  const steps: Step[] = [
    { step: "read-volume", device: "/dev/sdb1" },
    starting,
    { step: "warning", code: "O2CB_IO", message: "something, ignoring" },
  ];
  for (const [isWatched, count] of [
    [true, 2],
    [false, 1],
  ] as const) {
    const to = terminal(isWatched);
    const tell = reporter({ name: "mount.ocfs2", verbose: false, json: false }, to);
    steps.forEach((step) => tell(step));
    t.is(to.stderr.length, count);
    t.regex(to.stderr.at(-1) ?? "", /warning: something/);
    t.deepEqual(to.stdout, []);
  }
});

test("a wait whose length nobody knows is told at once and then every ten seconds", (t) => {
  const told = Array.from({ length: 40 }, (_, index) => (index + 1) * 1000).filter((waitedMs) => {
    return stepLine({ step: "wait-region-lock", region: "R", holder: 7, waitedMs }) !== null;
  });
  t.deepEqual(told, [1000, 10_000, 20_000, 30_000, 40_000]);
});

test("a step that this version does not know is skipped", (t) => {
  t.is(stepLine({ step: "constructor" } as unknown as Step), null);
  t.is(stepLine({ step: "invented" } as unknown as Step), null);
});

test("--json: one object for each step, and the result with its status last", async (t) => {
  const leaveError = new O2cbError("O2CB_IO", "lost", { operation: "leave" });
  const done = await umount(["/vol", "--json"], { outcome: "leave-failed", leaveError });
  t.like(JSON.parse(done.stdout[0] ?? ""), {
    status: 0,
    result: { outcome: "leave-failed", leaveError: { code: "O2CB_IO" } },
  });

  const failed = await mount(["/dev/sdb1", "/vol", "--json"], ({ onStep }) => {
    onStep?.(starting);
    throw new O2cbError("O2CB_MOUNT_FAILED", "refused", {
      operation: "mount",
      errno: -constants.errno.EBUSY,
      kernelMessages: ["k"],
    });
  });
  const lines = failed.stdout.map((line) => JSON.parse(line) as object);
  t.deepEqual(lines[0], starting);
  t.like(lines[1], {
    status: 32,
    error: { code: "O2CB_MOUNT_FAILED", errnoName: "EBUSY", kernelMessages: ["k"], message: "refused" },
  });
  t.is(failed.status, 32);
  t.is(lines.length, 2);
});

test("a failure is a sentence, then what to do; with -v also code, errno and the kernel's words", async (t) => {
  const refuse = (): never => {
    throw new O2cbError("O2CB_MOUNT_FAILED", "the kernel refused it", {
      operation: "mount",
      errno: -constants.errno.EINVAL,
      syscall: "mount",
      remedy: "try something else",
      kernelMessages: ["ocfs2: one", "ocfs2: two"],
    });
  };
  const short = await mount(["/dev/sdb1", "/vol"], refuse);
  t.is(short.status, 32);
  t.deepEqual(short.stderr, ["mount.ocfs2: the kernel refused it", "  what to do: try something else"]);
  t.deepEqual(short.stdout, []);
  const long = await mount(["/dev/sdb1", "/vol", "-v"], refuse);
  t.deepEqual(long.stderr.slice(2), [
    "  O2CB_MOUNT_FAILED, EINVAL from mount, during mount",
    "  kernel: ocfs2: one",
    "  kernel: ocfs2: two",
  ]);
});

test("a rollback that failed is told without -v, a stack trace only for debugging", (t) => {
  const error = new O2cbError("O2CB_IO", "no", { operation: "mount", cause: new Error("below") });
  error.rollbackError = new Error("cannot undo");
  const style = { name: "mount.ocfs2", verbose: false, json: false };
  t.true(failureLines(error, style, false).includes("  undoing it failed, too: cannot undo"));
  t.false(failureLines(error, style, false).some((line) => line.includes("    at ")));
  const debugged = failureLines(error, style, true).join("\n");
  t.regex(debugged, /O2cbError: no\n {6,}at /);
  t.regex(debugged, /Error: below/);
});

test("a failure that is no coded error is an internal one", async (t) => {
  const { status, stderr } = await mount(["/dev/sdb1", "/vol"], () => {
    throw new RangeError("surprise");
  });
  t.is(status, 4);
  t.regex(stderr[0] ?? "", /^mount\.ocfs2: unexpected failure: surprise$/);
  t.regex(stderr[1] ?? "", /OCFS2_GROUP_DEBUG=1/);
});

test("a mount given up while the kernel is at work on it ends when the kernel has answered", async (t) => {
  let answer = (): void => {};
  const settled = new Promise<void>((resolve) => {
    answer = resolve;
  });
  let isOver = false;
  const run = mount(["/dev/sdb1", "/vol"], () => {
    throw new O2cbError("O2CB_ABORTED", "given up", { operation: "mount", outcome: "in-kernel", settled });
  }).finally(() => {
    isOver = true;
  });
  for (let turn = 0; turn < 20; turn++) await setImmediate();
  t.false(isOver);
  answer();
  const { status, stderr } = await run;
  t.is(status, 8);
  t.regex(stderr.at(-1) ?? "", /waiting for the kernel's answer/);
});

test("undoing that fails after the kernel's answer is told", async (t) => {
  const settled = Promise.reject(new Error("cannot unmount"));
  settled.catch(() => {});
  const { status, stderr } = await mount(["/dev/sdb1", "/vol"], () => {
    throw new O2cbError("O2CB_ABORTED", "given up", { operation: "mount", outcome: "in-kernel", settled });
  });
  t.is(status, 8);
  t.regex(stderr.at(-1) ?? "", /undoing it failed: cannot unmount/);
});

test.serial(
  "the first signal gives the command up, the second is told so, and both lose their meaning afterwards",
  async (t) => {
    const before = process.listenerCount("SIGTERM");
    const run = await mount(["/dev/sdb1", "/vol"], async ({ signal }) => {
      process.emit("SIGTERM", "SIGTERM");
      process.emit("SIGINT", "SIGINT");
      t.true(signal?.aborted);
      throw new O2cbError("O2CB_ABORTED", "given up; what had been begun is undone", {
        operation: "mount",
        outcome: "rolled-back",
      });
    });
    t.is(run.status, 8);
    t.regex(run.stderr[0] ?? "", /SIGTERM: giving up/);
    t.regex(run.stderr[1] ?? "", /SIGINT changes nothing: SIGTERM is being handled/);
    t.is(run.stderr.length, 3);
    t.is(process.listenerCount("SIGTERM"), before);
  },
);

test.serial("all four signals are watched", (t) => {
  for (const name of ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"] as const) {
    const watch = watchSignals(() => {});
    process.emit(name, name);
    watch.release();
    t.true(watch.signal.aborted, name);
  }
});

test("umount.ocfs2 succeeds once the volume is unmounted; read-only instead is told without -v", async (t) => {
  for (const outcome of ["left", "kernel-leaves", "still-in-use", "no-group", "leave-failed"] as const) {
    const { status, stdout, stderr } = await umount(["/vol", "-v"], { outcome });
    t.is(status, 0);
    t.regex(stdout.join(), /^umount\.ocfs2: '\/vol' \(\/dev\/sdb1\) unmounted/);
    t.deepEqual(stderr, []);
  }
  const { status, stderr } = await umount(["/vol", "-r"], { outcome: "read-only" });
  t.is(status, 0);
  t.regex(stderr.join(), /read-only instead/);
});

for (const [argv, message] of [
  [[], /DEVICE and DIRECTORY are missing/],
  [["/dev/sdb1", "/vol", "-t", "ext4"], /the type is 'ext4'/],
  [["/dev/sdb1", "/vol", "-t", "ocfs2x"], /the type is 'ocfs2x'/],
  [["/dev/sdb1", "/vol", "-N", ""], /-N needs/],
  [["/dev/sdb1", "/vol", "-x"], /no option '-x'/],
] as [string[], RegExp][]) {
  test(`wrong usage ends at once, with status 1 and one line: ${argv.join(" ") || "(nothing)"}`, async (t) => {
    const to = terminal();
    const program = { job: mountJob(), check: mountRequest, help: () => "" };
    t.is(
      runCli(program, argv, to, () => Promise.reject(new Error("loaded"))),
      1,
    );
    t.is(to.stderr.length, 1);
    t.regex(to.stderr[0] ?? "", message);
    t.regex(to.stderr[0] ?? "", /see mount\.ocfs2 --help$/);
  });
}

test("the version and the help need nothing, and go to stdout", async (t) => {
  const to = terminal();
  const program = { job: mountJob(), check: mountRequest, help: () => helpOf("mount.ocfs2") };
  t.is(runCli(program, ["--version"], to), 0);
  t.regex(to.stdout[0] ?? "", /^mount\.ocfs2 \(ocfs2-group\) /);
  t.is(await runCli(program, ["--help"], to), 0);
  for (const word of ["DEVICE", "DIRECTORY", "-o,--options", "-f,--fake", "-s", "--json", "-N,--namespace"]) {
    t.true(to.stdout[1]?.includes(word), word);
  }
  t.deepEqual(to.stderr, []);
});

test("a native module that is missing is a system error", async (t) => {
  const to = terminal();
  const missing = async (): Promise<Native> => {
    throw new O2cbError("O2CB_NATIVE_MISSING", "not there", { operation: "load-native" });
  };
  t.is(await runCli({ job: umountJob(), check: unmountRequest, help: () => "" }, ["/vol"], to, missing), 2);
  t.regex(to.stderr[1] ?? "", /what to do: /);
});

test("statuses are those of mount(8)", (t) => {
  const of = (code: ErrorCode, errno?: keyof typeof constants.errno): number => {
    return statusOf(
      new O2cbError(code, "x", {
        operation: "mount",
        errno: errno === undefined ? undefined : -constants.errno[errno],
      }),
    );
  };
  t.is(of("O2CB_BAD_MOUNT_OPTION"), 1);
  t.is(of("O2CB_PERMISSION_DENIED", "EPERM"), 1);
  t.is(of("O2CB_PERMISSION_DENIED", "EROFS"), 32);
  t.is(of("O2CB_NO_MEMORY"), 2);
  t.is(of("O2CB_MOUNT_FAILED", "ENOMEM"), 2);
  t.is(of("O2CB_MOUNT_FAILED", "EINVAL"), 32);
  t.is(of("O2CB_INTERNAL_FAILURE"), 4);
  t.is(of("O2CB_INTERNAL_FAILURE", "ENXIO"), 32);
  t.is(of("O2CB_ABORTED", "EINTR"), 8);
  t.is(of("O2CB_NOT_MOUNTED"), 32);
  for (const code of Object.keys(errorCodes) as ErrorCode[])
    t.true([1, 2, 4, 8, 32].includes(of(code)), code);
});

test("as a clipanion command it ends with the same status and the same lines", async (t) => {
  const written: string[] = [];
  const stream = { write: (text: string) => written.push(text) } as unknown as NodeJS.WriteStream;
  const refused = mountJob(async () => ({
    mountVolume: async (_: Native, { device }: MountVolumeRequest): Promise<MountVolumeResult> => {
      throw new O2cbError("O2CB_BAD_DEVICE", `'${device}' will not do`, { operation: "mount" });
    },
  }));
  class Refused extends MountCommand {
    constructor() {
      super(refused, load);
    }
  }
  const cli = Cli.from(Refused);
  const context = { stdin: process.stdin, stdout: stream, stderr: stream, env: {}, colorDepth: 1 };
  t.is(await cli.run(cli.process(["/dev/x", "/vol"]), context), 32);
  t.deepEqual(written, ["mount.ocfs2: '/dev/x' will not do\n"]);
  written.length = 0;
  t.is(await cli.run(cli.process(["/dev/x", "/vol", "-t=ext4"]), context), 1);
  t.regex(written.join(), /the type is 'ext4'.*--help\n$/);
});
