// Programs that lock a volume of a userspace stack: what each refusal of its lockspace says, and that nothing is left of it.
import test, { type ExecutionContext } from "ava";
import { FsdlmTransport } from "../../ts/dlm/fsdlm-transport.ts";
import { initializeDlm } from "../../ts/dlm/initialize.ts";
import { withVolumeLocked } from "../../ts/dlm/with-volume-locked.ts";
import type { ErrorCode, O2cbError } from "../../ts/errors.ts";
import type { Step } from "../../ts/steps.ts";
import { openVolume } from "../../ts/volume.ts";
import { runCorosync } from "../helpers/corosync.ts";
import { DISK, Fsdlm, userStack, UUID, type FakeNative, type Machine } from "../helpers/fake-native.ts";
import { refused } from "../helpers/refused.ts";
import { mount } from "../helpers/region-work.ts";

function machine(dlm: Fsdlm = new Fsdlm()): Machine {
  const made = userStack();
  made.kernel.fsdlm = dlm;
  runCorosync(made.kernel);
  return made;
}

const lock = (native: FakeNative, work: () => Promise<unknown> = async () => undefined): Promise<unknown> =>
  withVolumeLocked(native, { device: DISK, service: "fsck.ocfs2" }, work);

const inUse = (
  t: ExecutionContext,
  call: Promise<unknown>,
  errno: string | null = null,
): Promise<O2cbError> => refused(t, call, errno, "O2CB_VOLUME_IN_USE");

test("the volume is locked through the lockspace of its UUID, and all is given back", async (t) => {
  const { kernel } = machine();
  await lock(kernel.process(), async () => t.deepEqual(kernel.fsdlm?.members.length, 1));
  t.deepEqual(kernel.leftovers(), []);
});

test("mounted here: the lockspace is the mount's, and its locks are refused, with the place", async (t) => {
  const { kernel } = machine();
  await mount(kernel);
  const before = kernel.leftovers();
  const error = await inUse(t, lock(kernel.process()));
  t.regex(error.message, /^the volume is in use: '\/dev\/sdb' is mounted on '\/vol' of this node$/);
  t.deepEqual(kernel.leftovers(), before);
});

test("mounted elsewhere: the lockspace itself is refused, with the nodes in the slot map", async (t) => {
  const { kernel, disk } = machine();
  kernel.fsdlm?.mountedElsewhere.add(UUID);
  const nameless = await inUse(t, lock(kernel.process()), "EPROTO");
  t.regex(nameless.message, /another node has it for a mount/);
  disk.slotState.owners.set(0, 2);
  const error = await inUse(t, lock(kernel.process()), "EPROTO");
  t.is(error.message, "the volume is in use: '/dev/sdb' is mounted on 'n2' (node 2)");
  t.regex(error.remedy ?? "", /unmount/);
  t.deepEqual(kernel.leftovers(), []);
});

test("another program, on this node or another", async (t) => {
  const { kernel } = machine();
  await lock(kernel.process(), async () => {
    const error = await inUse(t, lock(kernel.process()));
    t.regex(error.message, /a program on this node or another is at work on it/);
    const other = machine(kernel.fsdlm ?? undefined);
    await inUse(t, lock(other.kernel.process()));
  });
  await lock(kernel.process());
});

test("every refusal of a lockspace has its code, its sentence and a remedy", async (t) => {
  const rows: [errno: string, code: ErrorCode, message: RegExp, remedy: RegExp][] = [
    ["EPROTO", "O2CB_VOLUME_IN_USE", /another node has it for a mount/, /unmount/],
    ["EEXIST", "O2CB_DOMAIN_IN_USE", /this node's kernel has it/, /dlm_tool ls/],
    ["EBADR", "O2CB_INVALID_CLUSTER_NAME", /not the one that the kernel's DLM has/, /corosync\.conf/],
    ["ESRCH", "O2CB_SERVICE_UNAVAILABLE", /control daemon/, /--enable_fscontrol/],
    ["ENOTCONN", "O2CB_DLM_UNAVAILABLE", /dlm_controld does not run/, /systemctl start corosync dlm/],
    ["EUNATCH", "O2CB_DLM_UNAVAILABLE", /dlm_controld does not run/, /systemctl start corosync dlm/],
  ];
  for (const [errno, code, message, remedy] of rows) {
    const { kernel } = machine();
    const native = kernel.process();
    native.failCall("openLockspace", { errno });
    const error = await refused(t, FsdlmTransport.join(native, UUID), errno, code);
    t.regex(error.message, message);
    t.regex(error.remedy ?? "", remedy);
  }
});

test("a join of the domain that fails leaves nothing", async (t) => {
  for (const errno of ["EPROTO", "ENOTCONN", "EIO"]) {
    const { kernel } = machine();
    const native = kernel.process();
    native.failCall("openLockspace", { errno });
    const volume = await openVolume(native, DISK);
    await refused(t, initializeDlm(native, volume, { service: "fsck.ocfs2" }), errno);
    t.deepEqual(kernel.leftovers(), []);
  }
});

test("what the kernel waits for in the join is told, and that a signal does not reach it", async (t) => {
  const { kernel } = machine();
  const native = kernel.process();
  const state = { isJoining: true, isLeaving: false, isStopped: true, isRegistered: false, members: [1, 2] };
  kernel.services.lockspaces?.set(UUID, { ...state, name: UUID, waitsFor: "fencing", fencing: [2] });
  const join = native.openLockspace.bind(native);
  let answer: () => void = () => {};
  native.openLockspace = async (name) => {
    await new Promise<void>((resolve) => {
      answer = resolve;
    });
    // The kernel answers what it was asked, whoever has given up.
    return join(name);
  };
  const controller = new AbortController();
  const steps: Step[] = [];
  const onStep = (step: Step): void => {
    steps.push(step);
    if (step.step === "wait-fencing") controller.abort();
    if (step.step === "waiting-for-kernel") answer();
  };
  const request = { device: DISK, service: "fsck.ocfs2", onStep, signal: controller.signal };
  await refused(
    t,
    withVolumeLocked(native, request, async () => t.fail("it was given up")),
    null,
    "O2CB_ABORTED",
  );
  const told = steps.filter(({ step }) => step.startsWith("wait"));
  t.deepEqual(told, [
    { step: "wait-fencing", region: UUID, nodes: [2] },
    {
      step: "waiting-for-kernel",
      operation: "join",
      reason: "the lock manager joins the volume's lock space, where no signal reaches it",
    },
  ]);
  t.deepEqual(kernel.leftovers(), []);
});
