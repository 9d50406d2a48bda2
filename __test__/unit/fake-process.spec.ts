// The fake processes: numbered calls, planned faults, death, and the walks over them.
import test from "ava";
import { isErrno } from "../../ts/errors.ts";
import type { MountRequest } from "../../ts/native-types.ts";
import {
  classicLocal,
  DISK,
  type FakeNative,
  ProcessKilled,
  shuffleTurns,
  UUID,
  walkAborts,
  walkFaults,
  walkKills,
  type Fault,
} from "../helpers/fake-native.ts";
import { refused } from "../helpers/refused.ts";

const MOUNT: MountRequest = {
  source: DISK,
  target: "/vol",
  type: "ocfs2",
  flags: 0,
  options: ["heartbeat=local"],
  api: "fsopen",
  namespace: null,
};

/** A small sequence that makes, holds and undoes. */
async function sequence(native: FakeNative): Promise<string> {
  const { regionDirectory } = PATHS;
  const lock = await native.lockRegion(UUID, true, 1000);
  await native.makeDirectory(regionDirectory);
  try {
    lock?.take(true);
    lock?.drop(true);
  } finally {
    await native.removeDirectory(regionDirectory);
    lock?.destroy();
    lock?.release();
  }
  return "done";
}
const PATHS = classicLocal();

test("calls are logged with their arguments, those of what is held too", async (t) => {
  const native = classicLocal().kernel.process();
  t.is(await sequence(native), "done");
  t.deepEqual(
    native.calls.map(({ n, name }) => `${n} ${name}`),
    [
      "1 lockRegion",
      "2 makeDirectory",
      "3 RegionLock.take",
      "4 RegionLock.drop",
      "5 removeDirectory",
      "6 RegionLock.destroy",
    ],
  );
  t.deepEqual(native.calls[2]?.args, [UUID, true]);
});

test("a planned failure has the real module's shape, happens once and has no effect", async (t) => {
  const { kernel, regionDirectory } = classicLocal();
  const native = kernel.process();
  native.failCall(1, { errno: "EACCES", kernelMessages: ["because"] });
  const error = await refused(t, native.makeDirectory(regionDirectory), "EACCES", "O2CB_PERMISSION_DENIED");
  t.like(error, {
    syscall: "mkdir",
    path: regionDirectory,
    operation: "make-directory",
    kernelMessages: ["because"],
  });
  t.is(error.message, `make-directory '${regionDirectory}': permission denied (mkdir: errno 13)`);
  t.deepEqual(kernel.leftovers(), []);
  await native.makeDirectory(regionDirectory);
});

test("faults by name, by turn, by arguments", async (t) => {
  const native = classicLocal().kernel.process();
  native.failCall("readAttribute", { errno: "EIO" });
  native.failCall(
    { name: "readAttribute", nth: 2, where: ([path]) => path === "/etc/hostname" },
    { errno: "ENOMEM" },
  );
  await refused(t, native.readAttribute("/etc/hostname"), "EIO", "O2CB_IO");
  await native.readAttribute("/proc/sys/fs/ocfs2/nm/hb_ctl_path");
  await refused(t, native.readAttribute("/etc/hostname"), "ENOMEM", "O2CB_NO_MEMORY");
  t.deepEqual(
    native.fired.map(({ n }) => n),
    [1, 3],
  );
});

test("a failure without an errno", async (t) => {
  const native = classicLocal().kernel.process();
  native.failCall("readVolume", { code: "O2CB_BAD_DIRECTORY", detail: "it is full of holes" });
  const error = await refused(t, native.readVolume(DISK), null, "O2CB_BAD_DIRECTORY");
  t.regex(error.message, /full of holes/);
});

test("errnos that are answers are answers", async (t) => {
  const native = classicLocal().kernel.process();
  t.is(await native.failCall("claimDevice", { errno: "EBUSY" }).claimDevice(DISK), null);
  t.is(await native.failCall("regionSemaphores", { errno: "EIDRM" }).regionSemaphores(UUID), null);
});

test("what cannot be is refused when it is planned", (t) => {
  const native = classicLocal().kernel.process();
  const refusedPlan = (which: "Held.release" | "makeDirectory", fault: Fault): void =>
    void t.throws(() => native.failCall(which, fault), { instanceOf: TypeError });
  refusedPlan("Held.release", { errno: "EIO" });
  refusedPlan("makeDirectory", { errno: "EIO", late: true });
  refusedPlan("makeDirectory", { errno: "ENOSUCHTHING" });
});

test("late failures leave what the kernel leaves", async (t) => {
  const { kernel } = classicLocal({ leave: "kernel" });
  const native = kernel.process();
  native.failCall("lockRegion", { errno: "ENOMEM", late: true });
  await refused(t, native.lockRegion(UUID, true, 10), "ENOMEM");
  t.deepEqual(kernel.leftovers(), [`semaphore set of ${UUID} (references 0)`]);
  await kernel.cTool.hbCtlStart(UUID);
  native.failCall("mount", { errno: "ENOENT", late: true });
  await refused(t, native.mount(MOUNT), "ENOENT", "O2CB_MOUNT_FAILED");
  t.deepEqual(
    kernel.callOuts.map(({ status }) => status),
    [0],
    "the superblock was made and died: the kernel left",
  );
  t.deepEqual(kernel.leftovers(), []);
});

test("a dead process hears nothing any more, and what it held is gone", async (t) => {
  const { kernel } = classicLocal();
  const native = kernel.process();
  const lock = await native.lockRegion(UUID, true, 1000);
  const claim = await native.claimDevice(DISK);
  lock?.take(true);
  let heard = false;
  native.readAttribute("/etc/hostname").finally(() => (heard = true));
  native.kill();
  t.deepEqual(kernel.leftovers(), [`semaphore set of ${UUID} (references 0)`]);
  native.readAttribute("/etc/hostname").finally(() => (heard = true));
  await kernel.idle();
  t.false(heard);
  t.throws(() => lock?.references(), { instanceOf: ProcessKilled });
  lock?.release();
  claim?.release();
  t.false(native.alive);
});

test("a kill comes before the call or after its effect", async (t) => {
  for (const [kill, left] of [
    ["before", []],
    ["after", [`region ${UUID} (half made)`]],
  ] as const) {
    const { kernel, regionDirectory } = classicLocal();
    const native = kernel.process().failCall("makeDirectory", { kill });
    void native.makeDirectory(regionDirectory);
    await kernel.idle();
    t.false(native.alive);
    t.deepEqual(kernel.leftovers(), [...left]);
  }
});

test("a call that was given up before it began does nothing", async (t) => {
  const { kernel, regionDirectory } = classicLocal();
  const error = await refused(
    t,
    kernel.process().makeDirectory(regionDirectory, { signal: AbortSignal.abort() }),
    "EINTR",
    "O2CB_ABORTED",
  );
  t.is(error.syscall, "mkdir");
  t.deepEqual(kernel.leftovers(), []);
});

test("a walk fails every call but releases, with each errno, on a machine of its own", async (t) => {
  const seen = new Set<string>();
  const runs = await walkFaults(sequence, {
    setup: classicLocal,
    check({ call, errno, outcome, kernel, n, title }) {
      seen.add(`${n} ${call.name} ${errno}`);
      t.is(outcome.status, "failed", title);
      if (outcome.status === "failed") t.true(isErrno(outcome.error, errno ?? ""), title);
      // This sequence does not undo everything: what a failed rmdir or IPC_RMID leaves is there.
      if (call.name === "removeDirectory")
        t.true(kernel.leftovers().includes(`region ${UUID} (half made)`), title);
    },
  });
  t.is(runs, seen.size);
  t.true(seen.has("5 removeDirectory EBUSY"));
  t.true(seen.has("3 RegionLock.take ERANGE"));
});

test("a walk of kills ends with dead processes and the kernel's undo", async (t) => {
  const runs = await walkKills(sequence, {
    setup: classicLocal,
    check({ kernel, native, outcome, title }) {
      t.is(outcome.status, "killed", title);
      t.false(native.alive);
      t.false(
        kernel.leftovers().some((what) => /mutex held|references [^0]/.test(what)),
        title,
      );
    },
  });
  t.is(runs, 12);
});

test("a walk of aborts fires the signal at each call", async (t) => {
  const scenario = async (
    native: FakeNative,
    _: unknown,
    { signal }: { signal: AbortSignal },
  ): Promise<void> => {
    await native.readAttribute("/etc/hostname", { signal });
    await native.readVolume(DISK, { signal });
  };
  const runs = await walkAborts(scenario, {
    setup: classicLocal,
    check: ({ outcome, title }) =>
      t.like(outcome, { status: "failed", error: { code: "O2CB_ABORTED" } }, title),
  });
  t.is(runs, 2);
});

test("a walk tells where a check failed, when a scenario is not to be relied on, and when it hangs", async (t) => {
  const check = (): never => {
    throw new Error("nothing fits");
  };
  await t.throwsAsync(walkFaults(sequence, { setup: classicLocal, check }), {
    message: `call 1 (lockRegion ${UUID} true 1000) fails with EACCES: nothing fits`,
  });
  let turn = 0;
  const fickle = async (native: FakeNative): Promise<void> => {
    turn += 1;
    await (turn === 1 ? native.readLink("/proc/self") : native.readVolume(DISK));
  };
  await t.throwsAsync(walkFaults(fickle, { setup: classicLocal, check: () => undefined }), {
    message: /not deterministic/,
  });
  await t.throwsAsync(
    walkFaults(() => Promise.reject(new Error("no")), { setup: classicLocal, check: () => undefined }),
    { message: /fails undisturbed/ },
  );
  const hanging = async (native: FakeNative): Promise<void> => {
    await native.readVolume(DISK).catch(() => new Promise(() => undefined));
  };
  await walkFaults(hanging, {
    setup: classicLocal,
    limitMs: 5,
    errnos: ["EIO"],
    check: ({ outcome }) => t.is(outcome.status, "hung"),
  });
});

test("a prelude is neither counted nor disturbed", async (t) => {
  const runs = await walkFaults(
    async (
      _native,
      _kernel,
      { prelude }: { prelude: { release(): void; take(undo: boolean): number } | null },
    ) => {
      prelude?.take(true);
    },
    {
      setup: classicLocal,
      prelude: (native) => native.lockRegion(UUID, true, 10),
      errnos: ["EACCES"],
      check: ({ n, call }) => t.deepEqual([n, call.name], [1, "RegionLock.take"]),
    },
  );
  t.is(runs, 1);
});

test("interleavings follow their seed", async (t) => {
  const order = async (seed: number): Promise<string> => {
    const { kernel } = classicLocal();
    shuffleTurns(kernel, seed);
    const done: string[] = [];
    await Promise.all(
      ["a", "b", "c", "d", "e"].map((name) =>
        kernel
          .process()
          .readAttribute("/etc/hostname")
          .then(() => done.push(name)),
      ),
    );
    return done.join("");
  };
  t.is(await order(7), await order(7));
  const orders = await Promise.all([1, 2, 3, 4, 5].map(order));
  t.true(new Set(orders).size > 1, orders.join());
});

test("programs, priorities, abstract sockets", async (t) => {
  const { kernel } = classicLocal();
  const native = kernel.process();
  t.is(await native.runProgram("/bin/false", []), 1);
  await refused(t, native.runProgram("/bin/none", []), "ENOENT");
  await refused(t, native.runProgram("true", []), null, "O2CB_INTERNAL_FAILURE");
  await native.setIoPriority(native.pid, 1, 0);
  t.deepEqual(kernel.ioPriorities.get(native.pid), { ioClass: 1, level: 0 });
  await refused(t, native.setIoPriority(999_999, 1, 0), "ESRCH");
  await refused(t, native.setIoPriority(0, 1, 0), null);
  await refused(t, native.connectAbstract("ocfs2_controld"), "ECONNREFUSED");
  const heard: string[] = [];
  kernel.abstractSockets.set("ocfs2_controld", (client) => ({
    data: (bytes) => {
      heard.push(String(Buffer.from(bytes)));
      client.send(Buffer.from("answer"));
    },
    end: () => void heard.push("end"),
  }));
  const channel = await native.connectAbstract("ocfs2_controld");
  await channel.write(Buffer.from("question"));
  t.is(channel.buffered, 6);
  t.is(String(Buffer.from(await channel.read(4))) + String(Buffer.from(await channel.read(4))), "answer");
  t.deepEqual(kernel.leftovers(), ["connection to @ocfs2_controld"]);
  const waiting = channel.read(1);
  channel.close();
  await t.throwsAsync(waiting, { code: "O2CB_ABORTED" });
  t.deepEqual(heard, ["question", "end"]);
  t.deepEqual(kernel.leftovers(), []);
});
