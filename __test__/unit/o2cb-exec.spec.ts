// o2cb exec over a fake machine: what runs when, what it is given, which signals it gets, and what the status says. How the volume is
// locked is played here; that it is, and what a killed process leaves, is shown in the lab (e2e/exec.spec.ts).
import test, { type ExecutionContext } from "ava";
import { execCommands, type WithVolumeLocked } from "../../ts/cli/o2cb-exec-commands.ts";
import { O2cbError } from "../../ts/errors.ts";
import type { LockedVolume } from "../../ts/dlm/with-volume-locked.ts";
import { openVolume } from "../../ts/volume.ts";
import { classicLocal, CLUSTER, DISK, UUID, walkFaults, type FakeKernel } from "../helpers/fake-native.ts";
import { o2cb } from "../helpers/o2cb/run.ts";

/** Signals are this process's own, so one command at a time. */
const serial = test.serial;
// A signal that is on its way keeps no process running.
let alive: NodeJS.Timeout;
test.before(() => {
  alive = setInterval(() => {}, 60_000);
});
test.after.always(() => clearInterval(alive));

interface Played {
  kernel: FakeKernel;
  /** lock and unlock, in order, with what ran between */
  events: string[];
  run: (line: string | readonly string[]) => ReturnType<typeof o2cb>;
}

function played(settings: { by?: LockedVolume["by"]; lock?: Error; unlock?: Error } = {}): Played {
  const { kernel } = classicLocal();
  const events: string[] = [];
  const lock: WithVolumeLocked = async (native, { device = "", service, signal }, work) => {
    events.push(`lock ${device} for ${service}`);
    if (settings.lock !== undefined) throw settings.lock;
    signal?.throwIfAborted();
    const volume = { ...(await openVolume(native, device)), cluster: CLUSTER };
    try {
      return await work({ volume, by: settings.by ?? "cluster", dlm: null } as LockedVolume);
    } finally {
      events.push("unlock");
      // The work's failure stays the primary one, as in the real one.
      if (settings.unlock !== undefined) await Promise.reject(settings.unlock);
    }
  };
  kernel.installProgram("/usr/bin/tool", (args) => {
    events.push(`run ${args.join("|")}`);
    return 3;
  });
  return { kernel, events, run: (line) => o2cb(kernel, line, execCommands(lock)) };
}

const refusal = (code: "O2CB_VOLUME_IN_USE" | "O2CB_DLM_FAILED", message: string): O2cbError =>
  new O2cbError(code, message, { operation: "lock-volume" });

serial("the command runs while the volume is locked, and its status is handed on", async (t) => {
  const { kernel, events, run } = played();
  const { status, stdout, stderr } = await run(["exec", DISK, "--", "tool", "-x", "", "--json", "--", "a b"]);
  t.deepEqual([status, stdout, stderr], [3, [], []]);
  t.deepEqual(events, [`lock ${DISK} for tool`, "run -x||--json|--|a b", "unlock"]);
  t.deepEqual(kernel.started, [
    {
      file: "tool",
      args: ["-x", "", "--json", "--", "a b"],
      environment: {
        OCFS2_GROUP_DEVICE: DISK,
        OCFS2_GROUP_UUID: UUID,
        OCFS2_GROUP_CLUSTER: CLUSTER,
      },
      keepOpen: [UUID],
    },
  ]);
});

serial("a claim is kept open by the device's own path", async (t) => {
  const { kernel, run } = played({ by: "claim" });
  t.is((await run(`exec ${DISK} tool`)).status, 3);
  t.deepEqual(kernel.started[0]?.keepOpen, [DISK]);
});

serial("the service is the command's name where it can be one", async (t) => {
  const service = async (line: string): Promise<string | undefined> => {
    const { kernel, events, run } = played();
    for (const name of ["/opt/-odd", "/opt/ocfs2", "/opt/fsck.ocfs2"]) kernel.installProgram(name, () => 0);
    await run(line);
    return events[0]?.replace(/.* for /, "");
  };
  t.is(await service(`exec ${DISK} -- /opt/fsck.ocfs2`), "fsck.ocfs2");
  t.is(await service(`exec ${DISK} -- /opt/-odd`), "o2cb-exec");
  t.is(await service(`exec ${DISK} -- /opt/ocfs2`), "o2cb-exec", "that is a mount's");
  t.is(await service(`exec --service backup ${DISK} -- /opt/ocfs2`), "backup");
  for (const wrong of ["ocfs2", "a b", "", "/x"]) {
    const { events, run } = played();
    const { status, stderr } = await run(["exec", "--service", wrong, DISK, "--", "tool"]);
    t.is(status, 125, wrong);
    t.regex(stderr[0] ?? "", /cannot be the name of a service/);
    t.deepEqual(events, []);
  }
});

serial("o2cb's own failures are 125, and the command is not started", async (t) => {
  const busy = refusal("O2CB_VOLUME_IN_USE", "the volume is mounted on node 'beta'");
  const { kernel, run } = played({ lock: busy });
  const { status, stdout, stderr } = await run(`exec ${DISK} -- tool`);
  t.is(status, 125);
  t.deepEqual(stdout, []);
  t.regex(stderr.join("\n"), /mounted on node 'beta'/);
  t.deepEqual(kernel.started, []);
  for (const line of ["exec", `exec ${DISK}`, `exec --nothing ${DISK} -- tool`, `exec ${DISK} tool -x`])
    t.is((await run(line)).status, 125, line);
});

serial(
  "a command that is not there is 127, one that cannot be run 126, and the lock is given up",
  async (t) => {
    const { events, run } = played();
    const { status, stderr } = await run(`exec ${DISK} -- no-such-tool`);
    t.is(status, 127);
    t.regex(stderr[0] ?? "", /no-such-tool/);
    t.deepEqual(events, [`lock ${DISK} for no-such-tool`, "unlock"]);

    const { kernel } = classicLocal();
    const native = kernel.process();
    native.failCall("startProgram", { errno: "EACCES" });
    const lock: WithVolumeLocked = async (_native, _request, work) =>
      work({ volume: await openVolume(native, DISK), by: "cluster" } as LockedVolume);
    t.is((await o2cb(native, `exec ${DISK} -- tool`, execCommands(lock))).status, 126);
  },
);

serial("a lock that cannot be given up is 125, and the command's status is told", async (t) => {
  const { run } = played({ unlock: refusal("O2CB_DLM_FAILED", "the domain cannot be left") });
  const { status, stderr } = await run(`exec ${DISK} -- tool`);
  t.is(status, 125);
  t.regex(stderr.join("\n"), /'tool' had ended with status 3/);
  t.regex(stderr.join("\n"), /the domain cannot be left/);
});

serial("--json writes to standard error, which is not the command's output", async (t) => {
  const { run } = played();
  const { status, stdout, stderr } = await run(`exec --json ${DISK} -- tool a`);
  t.deepEqual([status, stdout], [3, []]);
  const lines = stderr.map((line) => JSON.parse(line) as object);
  t.deepEqual(lines.at(-1), {
    result: { device: DISK, uuid: UUID, by: "cluster", service: "tool", command: ["tool", "a"] },
    status: 3,
  });
  const failed = await played({ lock: refusal("O2CB_VOLUME_IN_USE", "busy") }).run(
    `exec --json ${DISK} -- tool`,
  );
  t.deepEqual(failed.stdout, []);
  t.like(JSON.parse(failed.stderr.at(-1) ?? ""), { error: { code: "O2CB_VOLUME_IN_USE" }, status: 125 });
});

/** Runs a command that ends when it is told to, sends this process `signals` meanwhile, and returns which of them it got. */
async function passed(
  t: ExecutionContext,
  signals: readonly NodeJS.Signals[],
  { terminal = false } = {},
): Promise<{ got: number[]; status: number; stderr: string[] }> {
  const { kernel, events } = played();
  const native = kernel.process({ terminal });
  let end = (_status: number): void => {};
  kernel.installProgram("/usr/bin/waits", () => {
    setImmediate(() => {
      for (const name of signals) process.kill(process.pid, name);
    });
    return new Promise<number>((resolve) => {
      end = resolve;
    });
  });
  kernel.onSignal = (number) => {
    if (number === 15) end(128 + number);
  };
  const lock: WithVolumeLocked = async (_native, _request, work) => {
    const result = await work({ volume: await openVolume(native, DISK), by: "cluster" } as LockedVolume);
    events.push("unlock");
    return result;
  };
  const { status, stderr } = await o2cb(native, `exec ${DISK} -- waits`, execCommands(lock));
  t.deepEqual(events, ["unlock"]);
  return { got: kernel.signals.toSorted((a, b) => a - b), status, stderr };
}

serial("signals are the command's while it runs, and its end is the status", async (t) => {
  const all = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGTERM"] as const;
  const { got, status, stderr } = await passed(t, all);
  t.deepEqual(got, [1, 2, 3, 10, 12, 15, 28]);
  t.is(status, 143);
  t.deepEqual(stderr, []);
});

serial("what a terminal sends to both is not passed on", async (t) => {
  const all = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGWINCH", "SIGTERM"] as const;
  t.deepEqual((await passed(t, all, { terminal: true })).got, [1, 15]);
});

serial("a signal before the command starts gives it up", async (t) => {
  const { kernel, events } = played();
  const lock: WithVolumeLocked = async (native, { signal }, work) => {
    const aborted = new Promise((resolve) => signal?.addEventListener("abort", resolve));
    process.kill(process.pid, "SIGTERM");
    await aborted;
    try {
      return await work({ volume: await openVolume(native, DISK), by: "cluster" } as LockedVolume);
    } finally {
      events.push("unlock");
    }
  };
  const { status, stderr } = await o2cb(kernel, `exec ${DISK} -- tool`, execCommands(lock));
  t.is(status, 125);
  t.regex(stderr[0] ?? "", /SIGTERM: giving up/);
  t.deepEqual(events, ["unlock"]);
  t.deepEqual(kernel.started, []);
});

/** A machine on which volumes can be locked, with the command `tool` on it. */
function lockable(): FakeKernel {
  const { kernel } = classicLocal({ dlmfs: "/dlm" });
  kernel.installProgram("/usr/bin/tool", () => {
    // Nobody else gets the volume meanwhile.
    if (kernel.domains.size !== 1) kernel.disasters.push("the command runs without the volume's domain");
    return 3;
  });
  kernel.markClean();
  return kernel;
}

serial("over the real lock the command runs within the domain, and nothing is left", async (t) => {
  const kernel = lockable();
  const { status, stderr } = await o2cb(kernel, `exec ${DISK} -- tool`);
  t.deepEqual([status, stderr], [3, []]);
  t.deepEqual([kernel.leftovers(), kernel.disasters], [[], []]);
});

serial("a command that was killed is cleared up after by the next", async (t) => {
  const kernel = lockable();
  const first = kernel.process();
  const held = new Promise<void>((resolve) => {
    kernel.installProgram("/usr/bin/waits", () => {
      resolve();
      return new Promise(() => {});
    });
  });
  void o2cb(first, `exec ${DISK} -- waits`);
  await held;
  const busy = await o2cb(kernel, `exec ${DISK} -- tool`);
  t.is(busy.status, 125);
  t.regex(busy.stderr[0] ?? "", /in use/);
  first.kill();
  t.false(
    kernel.tasks().some(({ name }) => name === "waits"),
    "it ends with the process",
  );
  t.is((await o2cb(kernel, `exec ${DISK} -- tool`)).status, 3);
  // Its note means nothing any more; the monitor or a reap takes it away.
  const left = kernel.leftovers().filter((one) => !one.startsWith(`record ${UUID}.waits.`));
  t.deepEqual([left, kernel.disasters], [[], []]);
});

serial("whichever call fails: the status says so, and the command never runs unlocked", async (t) => {
  const runs = await walkFaults(
    async (native) => {
      const { status, stderr } = await o2cb(native, `exec ${DISK} -- tool`);
      if (status !== 3) throw new Error(`${status}: ${stderr.join("\n")}`);
    },
    {
      setup: lockable,
      errnos: ["EIO"],
      check({ kernel, outcome, title }) {
        t.deepEqual(kernel.disasters, [], title);
        if (outcome.status === "failed") t.regex(String(outcome.error), /Error: 12[56]:/, title);
        else t.is(outcome.status, "ok", title);
      },
    },
  );
  t.true(runs > 30, String(runs));
});
