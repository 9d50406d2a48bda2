// mount(2), remount and unmount on a userspace stack: what each errno of the kernel means there, and what a mount that waits tells.
import { constants } from "node:os";
import test from "ava";
import {
  DIRECTORY,
  DISK,
  userStack,
  type FakeKernel,
  type UserStackSettings,
} from "../helpers/fake-native.ts";
import { O2cbError } from "../../ts/errors.ts";
import { explainMountFailure } from "../../ts/mount/errno-guide.ts";
import { mountVolume } from "../../ts/mount/mount-volume.ts";
import { unmountVolume } from "../../ts/mount/unmount-volume.ts";
import type { Step } from "../../ts/steps.ts";

const at = { device: DISK, directory: DIRECTORY };

interface Row {
  title: string;
  settings?: UserStackSettings;
  /** what happens between begin and mount(2), where begin has seen nothing of it */
  between: (kernel: FakeKernel, uuid: string) => void;
  errno: string;
  cause: RegExp;
  remedy: RegExp;
}

const rows: readonly Row[] = [
  {
    title: "dlm_controld ended in order",
    between: ({ lockspaces }) => {
      lockspaces.settings = null;
    },
    errno: "ENOTCONN",
    cause: /lock manager of the stack 'pcmk' does not run/,
    remedy: /corosync and dlm_controld/,
  },
  {
    title: "dlm_controld died",
    between: ({ lockspaces }) => {
      lockspaces.isOrphaned = true;
    },
    errno: "EUNATCH",
    cause: /dlm_controld does not run any more/,
    remedy: /corosync and dlm_controld/,
  },
  {
    title: "dlm_controld began again without callbacks",
    between: ({ lockspaces }) => {
      lockspaces.settings = { clusterName: "", recoverCallbacks: 0 };
    },
    errno: "ESRCH",
    cause: /without recovery callbacks, and no control daemon/,
    remedy: /without --enable_fscontrol, or start ocfs2_controld/,
  },
  {
    title: "another cluster came up",
    between: ({ lockspaces }) => {
      lockspaces.settings = { clusterName: "other", recoverCallbacks: 1 };
    },
    errno: "EBADR",
    cause: /the cluster 'labpc', and 'other' is running/,
    remedy: /tunefs\.ocfs2 --update-cluster-stack '\/dev\/sdb'/,
  },
  {
    title: "the stack was changed",
    between: (kernel) => {
      kernel.stackLabel = "cman";
    },
    errno: "EBUSY",
    cause: /the stack 'cman' is active on this node, and the volume belongs to 'pcmk'/,
    remedy: /unmount the volumes of the active stack/,
  },
  {
    title: "a tool on this node has the volume",
    between: ({ lockspaces }, uuid) => void lockspaces.tools.set(uuid, "here"),
    errno: "EEXIST",
    cause: /tool on this node/,
    remedy: /wait until it has ended.*dlm_tool leave [0-9A-F]{32}/,
  },
  {
    title: "a tool on another node has the volume",
    between: ({ lockspaces }, uuid) => void lockspaces.tools.set(uuid, "elsewhere"),
    errno: "EPROTO",
    cause: /on another node an OCFS2 tool/,
    remedy: /wait until it has ended.*one version/,
  },
];

/** A mount that meets something just before mount(2), after begin has found all well. */
async function mountMeeting(
  kernel: FakeKernel,
  between: () => void,
  options = "",
): Promise<{ error: unknown; steps: Step[] }> {
  const steps: Step[] = [];
  const onStep = (step: Step): void => {
    steps.push(step);
    if (step.step === "mount") between();
  };
  const error = await mountVolume(kernel.process(), { ...at, options, onStep }).then(
    () => null,
    (reason: unknown) => reason,
  );
  return { error, steps };
}

for (const { title, settings, between, errno, cause, remedy } of rows) {
  test(`${errno} from mount(2): ${title}`, async (t) => {
    const { kernel, uuid } = userStack(settings);
    const { error } = await mountMeeting(kernel, () => between(kernel, uuid));
    if (!(error instanceof O2cbError)) return t.fail(String(error));
    t.is(error.code, "O2CB_MOUNT_FAILED");
    t.regex(error.message, cause);
    t.regex(error.remedy ?? "", remedy);
    t.is(error.clusterStack, "pcmk");
    kernel.stackLabel = "pcmk";
    t.deepEqual(kernel.leftovers(), []);
  });
}

const facts = {
  ...at,
  stack: "pcmk",
  cluster: "labpc",
  isLocal: false,
  readOnlyDevice: false,
  readOnly: false,
  options: ["cluster_stack=pcmk"],
};

test("the directory has the volume already: EBUSY, in the same words as for the classic stack", async (t) => {
  const { kernel } = userStack();
  await mountVolume(kernel.process(), at);
  const error = await t.throwsAsync(mountVolume(kernel.process(), at), { instanceOf: O2cbError });
  t.is(error.errno, -constants.errno.EBUSY);
  t.regex(error.message, /mounted on '\/vol' already/);
});

for (const options of [
  "cluster_stack=o2cb",
  "cluster_stack=cman",
  "heartbeat=local",
  "heartbeat=global",
  "nocluster",
])
  test(`the option ${options} is refused before anything is begun`, async (t) => {
    const { kernel } = userStack();
    const native = kernel.process();
    const error = await t.throwsAsync(mountVolume(native, { ...at, options }), { instanceOf: O2cbError });
    t.is(error.code, "O2CB_BAD_MOUNT_OPTION");
    t.not(error.remedy, undefined);
    t.false(native.calls.some(({ name }) => name === "dlmVersion" || name === "mount"));
  });

test("an option that the kernel does not know, and a label that is too short, are named", async (t) => {
  const { kernel } = userStack();
  const { error } = await mountMeeting(kernel, () => undefined, "nonsense");
  t.regex((error as Error).message, /'nonsense'/);
  const short = await t.throwsAsync(mountVolume(kernel.process(), { ...at, options: "cluster_stack=abc" }), {
    instanceOf: O2cbError,
  });
  t.is(short.code, "O2CB_BAD_MOUNT_OPTION");
});

test("EINVAL without a word of the kernel's names what is left on a userspace stack", (t) => {
  const told = explainMountFailure({ errno: -constants.errno.EINVAL }, facts);
  t.regex(told.cause, /newer locking protocol/);
  const missing = explainMountFailure({ errno: -constants.errno.ENOENT }, facts);
  t.regex(missing.remedy ?? "", /ocfs2_stack_user/);
});

test("a remount repeats the stack's label and no heartbeat option; the kernel refuses that one", async (t) => {
  const { kernel } = userStack();
  await mountVolume(kernel.process(), at);
  const { options } = await mountVolume(kernel.process(), { ...at, options: "remount,ro" });
  t.true(options.includes("cluster_stack=pcmk"));
  t.false(options.some((option) => option.startsWith("heartbeat=")));
  const entry = (await kernel.process().mounts(null)).find(({ target }) => target === DIRECTORY);
  t.regex(entry?.superOptions ?? "", /^ro,/);
  for (const change of ["heartbeat=local", "cluster_stack=cman", "nocluster"])
    await t.throwsAsync(mountVolume(kernel.process(), { ...at, options: `remount,${change}` }), {
      code: "O2CB_BAD_MOUNT_OPTION",
    });
});

test("two mount points, unmounted one after the other: there is no group of ours to leave", async (t) => {
  const { kernel } = userStack();
  await mountVolume(kernel.process(), at);
  await mountVolume(kernel.process(), { ...at, directory: "/vol2" });
  for (const target of [DIRECTORY, "/vol2"]) {
    const { outcome, leaveError } = await unmountVolume(kernel.process(), { target });
    t.is(outcome, "no-group");
    t.is(leaveError, null);
  }
  t.deepEqual(kernel.leftovers(), []);
});
