// Everything a join of a userspace stack looks at before mount(2): one code, one sentence with the cause and what to do, and nothing is held.
import test from "ava";
import {
  DIRECTORY,
  DISK,
  USER_CLUSTER,
  userStack,
  type FakeKernel,
  type UserStackSettings,
} from "../helpers/fake-native.ts";
import { O2cbError, type ErrorCode } from "../../ts/errors.ts";
import { mountVolume } from "../../ts/mount/mount-volume.ts";
import type { Step } from "../../ts/steps.ts";

interface Row {
  title: string;
  settings?: UserStackSettings;
  prepare?: (kernel: FakeKernel) => void;
  code: ErrorCode;
  message: RegExp;
  remedy: RegExp;
}

const rows: readonly Row[] = [
  {
    title: "no plugin of the stack, and none that could be loaded",
    settings: { modules: ["ocfs2"], availableModules: ["ocfs2"] },
    code: "O2CB_MODULE_NOT_LOADED",
    message: /no plugin for the cluster stack 'pcmk'/,
    remedy: /ocfs2_stack_user/,
  },
  {
    title: "a plugin without the DLM",
    prepare: ({ modules }) => void modules.delete("dlm"),
    code: "O2CB_MODULE_NOT_LOADED",
    message: /no DLM.*\/proc\/misc/,
    remedy: /modprobe dlm/,
  },
  {
    title: "the control device has no node",
    settings: { devices: [] },
    code: "O2CB_SERVICE_UNAVAILABLE",
    message: /neither at \/dev\/misc\/dlm-control nor at \/dev\/dlm-control/,
    remedy: /mknod -m 600 \/dev\/dlm-control c 10 61/,
  },
  {
    title: "the nodes are another device's, from an earlier boot",
    prepare: (kernel) => {
      for (const path of ["/dev/misc/dlm-control", "/dev/dlm-control"])
        kernel.root.put(path, { kind: "character", number: { major: 10, minor: 99 } });
    },
    code: "O2CB_SERVICE_UNAVAILABLE",
    message: /neither at/,
    remedy: /mknod/,
  },
  {
    title: "an old DLM",
    prepare: ({ services }) => {
      services.dlmDevices.set("/dev/misc/dlm-control", { major: 5, minor: 1, patch: 0 });
    },
    code: "O2CB_BAD_VERSION",
    message: /version 5\.1\.0.*6 is the first/,
    remedy: /newer kernel/,
  },
  {
    title: "configfs is not mounted",
    settings: { configfs: null },
    code: "O2CB_SERVICE_UNAVAILABLE",
    message: /configfs is mounted neither at/,
    remedy: /mount -t configfs.*dlm_controld/,
  },
  {
    title: "dlm_controld does not run",
    settings: { dlm: null },
    code: "O2CB_SERVICE_UNAVAILABLE",
    message: /dlm_controld does not run on this node/,
    remedy: /start corosync and dlm_controld/,
  },
  {
    title: "another cluster runs",
    settings: { clusterName: "other" },
    code: "O2CB_INVALID_CLUSTER_NAME",
    message: new RegExp(`'${USER_CLUSTER}', and 'other' is running`),
    remedy: /tunefs\.ocfs2 --update-cluster-stack '\/dev\/sdb'/,
  },
  {
    title: "the running cluster's name has no room on the disk",
    settings: { clusterName: "a-name-of-17-byte" },
    code: "O2CB_INVALID_CLUSTER_NAME",
    message: /'a-name-of-17-byte' is running/,
    remedy: /another cluster_name in corosync\.conf.*17 bytes/,
  },
  {
    title: "the volume names no cluster",
    settings: { volume: { cluster: "" } },
    code: "O2CB_INVALID_CLUSTER_NAME",
    message: /names no cluster, and 'labpc' is running/,
    remedy: /tunefs\.ocfs2/,
  },
];

const mount = (kernel: FakeKernel, steps: Step[] = []) =>
  mountVolume(kernel.process(), { device: DISK, directory: DIRECTORY, onStep: (step) => steps.push(step) });

for (const { title, settings, prepare, code, message, remedy } of rows) {
  test(`refused before mount(2): ${title}`, async (t) => {
    const { kernel, uuid } = userStack(settings);
    prepare?.(kernel);
    const steps: Step[] = [];
    const error = await t.throwsAsync(mount(kernel, steps), { instanceOf: O2cbError });
    t.is(error.code, code, error.message);
    t.regex(error.message, message);
    t.regex(error.remedy ?? "", remedy);
    if (!/plugin/.test(title)) t.is(error.region, uuid);
    t.is(error.clusterStack, "pcmk");
    t.false(steps.some(({ step }) => step === "mount"));
    t.deepEqual(kernel.leftovers(), []);
  });
}

test("what is missing is told in this order: plugin, DLM, device, version, configfs, dlm_controld, cluster", async (t) => {
  const { kernel } = userStack({
    modules: ["ocfs2"],
    availableModules: ["ocfs2"],
    devices: [],
    dlm: null,
    clusterName: "other",
  });
  const told: string[] = [];
  const next = async (): Promise<void> => {
    const error = await t.throwsAsync(mount(kernel), { instanceOf: O2cbError });
    told.push(
      /no plugin|no DLM|control device|version|dlm_controld|cluster/.exec(error.message)?.[0] ??
        error.message,
    );
  };
  await next();
  kernel.modules.add("ocfs2_stack_user");
  await next();
  kernel.modules.add("dlm");
  await next();
  kernel.root.put("/dev/dlm-control", { kind: "character", number: { major: 10, minor: 61 } });
  kernel.services.dlmDevices.set("/dev/dlm-control", { major: 4, minor: 0, patch: 0 });
  await next();
  kernel.services.dlmDevices.set("/dev/dlm-control", { major: 6, minor: 0, patch: 2 });
  await next();
  kernel.lockspaces.settings = { clusterName: "other", recoverCallbacks: 1 };
  await next();
  t.deepEqual(told, ["no plugin", "no DLM", "control device", "version", "dlm_controld", "cluster"]);
});

test("a machine that has loaded nothing: stack and plugin are made ready by the mount", async (t) => {
  const { kernel } = userStack({ modules: [], label: "o2cb" });
  const steps: Step[] = [];
  await mount(kernel, steps);
  t.is(kernel.stackLabel, "pcmk");
  t.true(kernel.hasModule("ocfs2_stack_user"));
});

test("without quorum begin says so and goes on; where corosync cannot be asked that is a warning", async (t) => {
  const lonely = userStack();
  lonely.kernel.services.corosync = { clusterName: USER_CLUSTER, isQuorate: false };
  const steps: Step[] = [];
  await mount(lonely.kernel, steps);
  const at = (name: string): number => steps.findIndex(({ step }) => step === name);
  t.true(at("wait-quorum") >= 0 && at("wait-quorum") < at("mount"));

  const silent = userStack();
  silent.kernel.services.corosync = null;
  const warned: Step[] = [];
  await mount(silent.kernel, warned);
  const warning = warned.find((step) => step.step === "warning");
  t.is(warning?.code, "O2CB_SERVICE_UNAVAILABLE");
  t.regex(warning?.message ?? "", /quorum.*corosync does not run.*inside the kernel/);
});
