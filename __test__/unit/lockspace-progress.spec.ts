// A mount on a userspace stack that waits inside the kernel: what it tells, how it is given up, and what is left when its process dies.
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import {
  DIRECTORY,
  DISK,
  USER_CLUSTER,
  userStack,
  type FakeKernel,
  type Machine,
} from "../helpers/fake-native.ts";
import { O2cbError } from "../../ts/errors.ts";
import { mountVolume } from "../../ts/mount/mount-volume.ts";
import { unmountVolume } from "../../ts/mount/unmount-volume.ts";
import type { LockspaceState } from "../../ts/native-types.ts";
import { DLM_QUESTIONS } from "../../ts/stack/dlm-status.ts";
import { tellLockspaceWaits } from "../../ts/stack/lockspace-progress.ts";
import type { Step } from "../../ts/steps.ts";

const at = { device: DISK, directory: DIRECTORY };

/** Steps as they come, and a promise of the next one of a name. */
function listener(): { onStep: (step: Step) => void; steps: Step[]; next: (name: string) => Promise<Step> } {
  const steps: Step[] = [];
  const waiting: { name: string; resolve: (step: Step) => void }[] = [];
  return {
    steps,
    onStep(step) {
      steps.push(step);
      for (const { name, resolve } of waiting) if (name === step.step) resolve(step);
    },
    next: (name) => new Promise((resolve) => waiting.push({ name, resolve })),
  };
}

/** A lockspace that waits, and quick looks at it. */
function watched(first: Partial<LockspaceState> | null): Machine &
  ReturnType<typeof listener> & {
    stop: () => void;
    set: (state: Partial<LockspaceState> | null) => void;
    looks: (count: number) => Promise<void>;
  } {
  const machine = userStack();
  const { kernel, uuid } = machine;
  const told = listener();
  const set = (state: Partial<LockspaceState> | null): void => {
    if (state === null) kernel.services.lockspaces?.delete(uuid);
    else
      kernel.services.lockspaces?.set(uuid, {
        name: uuid,
        isJoining: true,
        isLeaving: false,
        isStopped: true,
        isRegistered: false,
        waitsFor: null,
        members: [1, 2],
        fencing: [],
        ...state,
      });
  };
  set(first);
  const native = kernel.process();
  const stop = tellLockspaceWaits(native, uuid, { onStep: told.onStep, firstMs: 5, everyMs: 5 });
  const looks = async (count: number): Promise<void> => {
    for (const enough = native.calls.length + count; native.calls.length < enough;) await sleep(1);
  };
  return { ...machine, ...told, stop, set, looks };
}

test("each wait is told once, and again when it changes", async (t) => {
  const { steps, next, set, stop, uuid, kernel, looks } = watched({ waitsFor: "ring" });
  await next("wait-members");
  await looks(3);
  set({ waitsFor: "quorum" });
  await next("wait-quorum");
  set({ waitsFor: "fencing", fencing: [3] });
  await next("wait-fencing");
  set({ waitsFor: "fencing", fencing: [3, 4] });
  await next("wait-fencing");
  set({ waitsFor: "filesystem" });
  await next("wait-members");
  stop();
  const told = steps.length;
  set({ waitsFor: "quorum" });
  await sleep(30);
  t.is(steps.length, told);
  t.deepEqual(
    steps.map((step) => ("nodes" in step ? [step.step, ...(step.nodes ?? [])] : [step.step])),
    [
      ["wait-members", 1, 2],
      ["wait-quorum"],
      ["wait-fencing", 3],
      ["wait-fencing", 3, 4],
      ["wait-members", 1, 2],
    ],
  );
  t.true(steps.every((step) => "region" in step && step.region === uuid));
  t.deepEqual(kernel.leftovers(), []);
});

test("where dlm_controld has nothing to say, corosync is asked; a lockspace that runs is no wait", async (t) => {
  const lonely = watched(null);
  lonely.kernel.services.corosync = { clusterName: USER_CLUSTER, isQuorate: false };
  await lonely.next("wait-quorum");
  lonely.kernel.services.corosync = { clusterName: USER_CLUSTER, isQuorate: true };
  lonely.set({ isJoining: true });
  await lonely.next("wait-members");
  lonely.set({ isJoining: false });
  await lonely.looks(2);
  lonely.stop();
  t.is(lonely.steps.length, 2);
});

test("a lockspace that waits for the fence of a node that is none of its own: dlm_controld names it", async (t) => {
  const { kernel, steps, stop, set, next } = watched(null);
  const record = Buffer.alloc(28 + 16);
  for (const [index, word] of [2, 0, 7, 0, 0, 16].entries()) record.writeUInt32LE(word, 4 * index);
  record.write("need_fencing=1 ", 28);
  kernel.abstractSockets.set(DLM_QUESTIONS, (client) => ({
    data() {
      client.send(record);
      client.end();
    },
    end() {},
  }));
  set({ waitsFor: "fencing", fencing: [] });
  await next("wait-fencing");
  stop();
  t.like(steps[0], { step: "wait-fencing", nodes: [7] });
});

test("services that cannot be asked tell nothing, and end nothing", async (t) => {
  const { kernel, steps, stop, set, next, looks } = watched(null);
  kernel.services.lockspaces = null;
  kernel.services.corosync = null;
  await looks(4);
  t.deepEqual(steps, []);
  kernel.services.lockspaces = new Map();
  set({ waitsFor: "quorum" });
  await next("wait-quorum");
  stop();
});

/** A mount that waits inside the kernel for quorum. */
async function waitingMount(
  kernel: FakeKernel,
  signal?: AbortSignal,
): Promise<ReturnType<typeof listener> & { mounting: Promise<unknown> }> {
  kernel.lockspaces.block({ waitsFor: "quorum" });
  const told = listener();
  const mounting = mountVolume(kernel.process(), { ...at, ...told, signal, abortGraceMs: 20 });
  mounting.catch(() => undefined);
  await told.next("wait-quorum");
  return { ...told, mounting };
}

test("a mount without quorum says so after a second, and completes when the others come", async (t) => {
  const { kernel, uuid } = userStack();
  const { mounting, steps } = await waitingMount(kernel);
  t.true(kernel.lockspaces.waiting.has(uuid));
  kernel.lockspaces.block({ waitsFor: "fencing", fencing: [2] });
  kernel.lockspaces.unblock();
  await mounting;
  t.is(steps.at(-1)?.step, "complete");
  t.is((await unmountVolume(kernel.process(), { target: DIRECTORY })).outcome, "no-group");
  t.deepEqual(kernel.leftovers(), []);
});

test("given up while it waits: the caller hears at once, and it is undone when the kernel answers", async (t) => {
  const { kernel } = userStack();
  const controller = new AbortController();
  const { mounting, steps } = await waitingMount(kernel, controller.signal);
  controller.abort();
  const error = await t.throwsAsync(mounting, { instanceOf: O2cbError });
  t.is(error.code, "O2CB_ABORTED");
  t.is(error.outcome, "in-kernel");
  const said = steps.find((step) => step.step === "waiting-for-kernel");
  t.regex(said?.step === "waiting-for-kernel" ? said.reason : "", /lock manager, where no signal reaches it/);
  kernel.lockspaces.unblock();
  await error.settled;
  t.deepEqual(kernel.leftovers(), []);
});

test("killed while it waits: the mount stands when the kernel lets it in, and unmounts like any other", async (t) => {
  const { kernel } = userStack();
  kernel.lockspaces.block({ waitsFor: "quorum" });
  const told = listener();
  const native = kernel.process();
  void mountVolume(native, { ...at, ...told }).catch(() => undefined);
  await told.next("wait-quorum");
  native.kill();
  kernel.lockspaces.unblock();
  await kernel.idle();
  await kernel.idle();
  t.is((await unmountVolume(kernel.process(), { target: DIRECTORY })).outcome, "no-group");
  t.deepEqual(kernel.leftovers(), []);
});

test("a second mount of the volume waits for the first outside the kernel, where it can be given up", async (t) => {
  const { kernel } = userStack();
  const { mounting } = await waitingMount(kernel);
  const controller = new AbortController();
  const second = listener();
  const native = kernel.process();
  const other = mountVolume(native, { ...at, directory: "/vol2", ...second, signal: controller.signal });
  const waits = second.next("wait-volume-lock");
  await kernel.idle();
  kernel.clock.advance(1000);
  await waits;
  controller.abort();
  const error = await t.throwsAsync(other, { instanceOf: O2cbError });
  t.is(error.outcome, "rolled-back");
  t.false(native.calls.some(({ name }) => name === "mount"));
  kernel.lockspaces.unblock();
  await mounting;
  await unmountVolume(kernel.process(), { target: DIRECTORY });
  t.deepEqual(kernel.leftovers(), []);
});
