// The node's cluster stack: set as a volume's stamp wants it, with its plugin; and refused with the names of those who use another.
import test from "ava";
import type { O2cbError } from "../../ts/errors.ts";
import { beginGroupJoin } from "../../ts/membership.ts";
import { setupStack } from "../../ts/stack/setup.ts";
import type { Step } from "../../ts/steps.ts";
import { openVolume } from "../../ts/volume.ts";
import {
  classicGlobal,
  classicLocal,
  DIRECTORY,
  DISK,
  nothingLoaded,
  oldDriver12,
  UUID,
  userStack,
  type FakeKernel,
  type FakeNative,
} from "../helpers/fake-native.ts";
import { volume } from "../helpers/fake/device.ts";
import { refused } from "../helpers/refused.ts";
import { mount, start } from "../helpers/region-work.ts";

const OTHER = "/dev/sdc";

/** A second disk, whose volume is stamped otherwise than the one on DISK. */
function withOther(kernel: FakeKernel, stack: string, cluster: string): void {
  kernel.addDisk({ name: "sdc", number: { major: 8, minor: 32 }, volume: volume({ stack, cluster }) });
  kernel.markClean();
}

/** What a join of the other volume says, with the calls it made. */
async function joinOther(
  t: Parameters<typeof refused>[0],
  kernel: FakeKernel,
): Promise<[O2cbError, FakeNative]> {
  const native = kernel.process();
  const other = await openVolume(native, OTHER);
  const error = await refused(
    t,
    beginGroupJoin(native, { volume: other, service: "ocfs2" }),
    null,
    "O2CB_INVALID_STACK_NAME",
  );
  return [error, native];
}

test("a user stack on a kernel that has loaded nothing: driver, plugin, label, in this order", async (t) => {
  const { kernel } = nothingLoaded();
  const steps: Step[] = [];
  const running = await setupStack(kernel.process(), "pcmk", { onStep: (step) => steps.push(step) });
  t.like(running, { stack: "pcmk", hasStackFile: true });
  t.deepEqual(
    steps.map((step) => [step.step, "module" in step ? step.module : "stack" in step ? step.stack : ""]),
    [
      ["load-module", "ocfs2"],
      ["load-module", "ocfs2_stack_user"],
      ["set-stack", "pcmk"],
    ],
  );
  t.true(kernel.hasModule("ocfs2_stack_user"));
  t.is(kernel.stackLabel, "pcmk");
});

test("the wanted stack already there is a success that writes and loads nothing", async (t) => {
  const native = userStack().kernel.process();
  t.like(await setupStack(native, "pcmk"), { stack: "pcmk" });
  t.false(native.calls.some(({ name }) => ["writeAttribute", "runProgram"].includes(name)));
});

test("a plugin is loaded also where the label is there already", async (t) => {
  const user = userStack({ modules: ["ocfs2"] }).kernel;
  await setupStack(user.process(), "pcmk");
  t.true(user.hasModule("ocfs2_stack_user"));
  const { kernel } = nothingLoaded();
  kernel.loadModule("ocfs2");
  await setupStack(kernel.process(), "o2cb");
  t.true(kernel.hasModule("ocfs2_stack_o2cb"));
});

test("a plugin that is not to be had is named, and the label stays", async (t) => {
  const { kernel } = nothingLoaded({ availableModules: ["ocfs2", "ocfs2_stackglue"] });
  const error = await refused(t, setupStack(kernel.process(), "pcmk"), null, "O2CB_MODULE_NOT_LOADED");
  t.regex(error.message, /'pcmk': the module ocfs2_stack_user is not loaded/);
  t.is(kernel.stackLabel, "o2cb");
  const bare = nothingLoaded({ availableModules: [] }).kernel;
  await refused(t, setupStack(bare.process(), "pcmk"), null, "O2CB_MODULE_NOT_LOADED");
  const unloaded = userStack({ modules: ["ocfs2"] }).kernel.process();
  await refused(t, setupStack(unloaded, "pcmk", { loadModules: false }), null, "O2CB_MODULE_NOT_LOADED");
  t.false(unloaded.calls.some(({ name }) => name === "runProgram"));
});

test("a mount of another stack is named, with both stacks, both clusters and the commands, and nothing is joined", async (t) => {
  const { kernel } = classicLocal();
  withOther(kernel, "pcmk", "labpc");
  await mount(kernel);
  const before = kernel.leftovers();
  const [error, native] = await joinOther(t, kernel);
  for (const part of [
    "'/dev/sdc' belongs to the cluster 'labpc' of the cluster stack 'pcmk'",
    "runs the cluster stack 'o2cb', cluster 'lab'",
    `the mount of ${DISK} on '${DIRECTORY}'`,
  ])
    t.true(error.message.includes(part), error.message);
  t.like(error, { operation: "begin-join", clusterStack: "o2cb", cluster: "lab" });
  t.regex(error.remedy ?? "", /o2cb drain.*tunefs\.ocfs2 --update-cluster-stack \/dev\/sdc/);
  t.deepEqual(kernel.leftovers(), before);
  const changing = /^(write|make|remove|start|run|lock|open(Lock|Control)|join|connect)/;
  t.deepEqual(
    native.calls.filter(({ name }) => changing.test(name)),
    [],
  );
});

test("a heartbeat alone holds the stack, though the kernel would give it away", async (t) => {
  for (const [machine, region] of [
    [classicLocal(), UUID],
    [classicGlobal(), null],
  ] as const) {
    const { kernel } = machine;
    withOther(kernel, "pcmk", "labpc");
    if (region !== null) await start(kernel, "backup");
    const [error] = await joinOther(t, kernel);
    t.regex(
      error.message,
      region === null ? /heartbeat region [0-9A-F]{32} on sdq/ : new RegExp(`${region} on sdb`),
    );
    t.regex(error.remedy ?? "", /o2cb offline lab/);
    t.is(kernel.stackLabel, "o2cb");
    // The kernel itself does not object.
    await kernel.process().writeAttribute("/sys/fs/ocfs2/cluster_stack", "pcmk");
  }
});

test("a registered cluster holds the stack, though nothing of it beats yet", async (t) => {
  const { kernel } = classicLocal();
  withOther(kernel, "pcmk", "labpc");
  const [error] = await joinOther(t, kernel);
  t.regex(error.message, /in use by its cluster 'lab', which is registered$/);
  t.regex(error.remedy ?? "", /o2cb offline lab/);
  t.is(kernel.stackLabel, "o2cb");
});

test("a DLM domain of a program is named", async (t) => {
  const { kernel } = classicLocal({ dlmfs: "/dlm" });
  withOther(kernel, "pcmk", "labpc");
  kernel.joinDomain("BACKUP");
  const [error] = await joinOther(t, kernel);
  t.regex(error.message, /the DLM domain 'BACKUP' \(\/dlm\/BACKUP\)/);
});

test("a user stack is not taken away from its mounts either, whichever label is wanted", async (t) => {
  for (const wanted of ["o2cb", "cman"]) {
    const { kernel } = userStack();
    withOther(kernel, wanted, "lab");
    await mount(kernel);
    const [error] = await joinOther(t, kernel);
    t.regex(
      error.message,
      new RegExp(
        `'${wanted}', and this node runs the cluster stack 'pcmk', cluster 'labpc': .*'${DIRECTORY}'`,
      ),
    );
    t.regex(error.remedy ?? "", /umount '\/vol'/);
    t.is(kernel.stackLabel, "pcmk");
  }
});

test("without a volume the sentence is of the node", async (t) => {
  const { kernel } = userStack();
  await mount(kernel);
  const error = await refused(
    t,
    setupStack(kernel.process(), "o2cb", { operation: "online" }),
    null,
    "O2CB_INVALID_STACK_NAME",
  );
  t.regex(
    error.message,
    /^this node's cluster stack cannot become 'o2cb': it is 'pcmk', cluster 'labpc', and it is in use by the mount/,
  );
  t.is(error.operation, "online");
});

test("who was faster is told as the kernel says it, and a write that it ignores is no success", async (t) => {
  const { kernel } = nothingLoaded();
  const native = kernel.process();
  native.failCall("writeAttribute", { errno: "EBUSY" });
  const error = await refused(t, setupStack(native, "pcmk"), null, "O2CB_INVALID_STACK_NAME");
  t.regex(error.message, /in use by something that cannot be seen from here/);
  kernel.ignoresWrite = (path) => path.endsWith("/cluster_stack");
  const ignored = await refused(t, setupStack(kernel.process(), "pcmk"), null, "O2CB_INVALID_STACK_NAME");
  t.regex(ignored.message, /the kernel did not take the change/);
});

test("a driver without stacks has one", async (t) => {
  const { kernel } = oldDriver12();
  t.like(await setupStack(kernel.process(), "o2cb"), { stack: "o2cb", hasStackFile: false });
  const error = await refused(t, setupStack(kernel.process(), "pcmk"), null, "O2CB_INVALID_STACK_NAME");
  t.regex(error.message, /older than the choice of stacks/);
});

test("what cannot be looked at makes a shorter sentence, not another error", async (t) => {
  const { kernel } = classicLocal();
  withOther(kernel, "pcmk", "labpc");
  await mount(kernel);
  const native = kernel.process();
  const other = await openVolume(native, OTHER);
  native.failCall("mounts", { errno: "EACCES" });
  const error = await refused(
    t,
    beginGroupJoin(native, { volume: other, service: "ocfs2" }),
    null,
    "O2CB_INVALID_STACK_NAME",
  );
  t.regex(error.message, /the DLM domain|the heartbeat region/);
});
