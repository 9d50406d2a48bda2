// The commands of o2cb on a host of a userspace stack: load to unload, what is missing, status, set-stack, and the doctor.
import test, { type ExecutionContext } from "ava";
import { CONTROLD_SOCKET } from "../../ts/controld/connection.ts";
import { doctor, type Finding } from "../../ts/cluster/doctor.ts";
import { online } from "../../ts/cluster/service.ts";
import { setStack } from "../../ts/cluster/set-stack.ts";
import { ENABLED } from "../helpers/clusters.ts";
import { controldMachine } from "../helpers/controld-machine.ts";
import { runCorosync } from "../helpers/corosync.ts";
import { HEALTHY } from "../helpers/doctor.ts";
import { FakeControld } from "../helpers/fake-controld.ts";
import {
  classicLocal,
  DISK,
  nothingLoaded,
  USER_CLUSTER,
  UUID,
  userStack,
  type FakeKernel,
  type UserStackSettings,
} from "../helpers/fake-native.ts";
import { o2cb, o2cbJson } from "../helpers/o2cb/run.ts";
import { refused } from "../helpers/refused.ts";
import { mount, start } from "../helpers/region-work.ts";
import { seeing } from "../helpers/seeing.ts";

process.setMaxListeners(0);

const SETTINGS = "/etc/default/o2cb";

function host(settings: UserStackSettings = {}, stack = "pcmk"): FakeKernel {
  const { kernel } = userStack(settings);
  runCorosync(kernel);
  kernel.addFile(SETTINGS, `O2CB_ENABLED=true\nO2CB_STACK=${stack}\nO2CB_BOOTCLUSTER=ocfs2\n`);
  return kernel;
}

/** Before anything of OCFS2 is loaded; corosync and dlm_controld run. */
const booted = (stack?: string): FakeKernel => host({ label: "o2cb", modules: ["dlm"] }, stack);

test("from nothing to online and back; silent, and each can be repeated", async (t) => {
  const kernel = booted();
  for (const [line, label] of [
    ["load", "pcmk"],
    ["load", "pcmk"],
    ["online", "pcmk"],
    ["start", "pcmk"],
    ["offline", "o2cb"],
    ["offline", "o2cb"],
    ["online", "pcmk"],
    ["restart", "pcmk"],
    ["stop", "o2cb"],
    ["stop", "o2cb"],
  ] as const) {
    const { status, stdout, stderr } = await o2cb(kernel, line);
    t.deepEqual([status, stdout, stderr], [0, [], []], line);
    t.is(kernel.stackLabel, label, line);
  }
  t.false(kernel.hasModule("ocfs2_stack_user"), "stop has unloaded");
  t.false(kernel.hasModule("ocfs2_dlmfs"), "never loaded");
});

test("-v says what became of it, and a dry run lists the writes of the real one", async (t) => {
  // Without the driver a dry run cannot know of hb_ctl_path.
  const kernel = host({ label: "o2cb", modules: ["ocfs2", "dlm"] });
  const dry = await o2cbJson(t, "o2cb-writes", kernel, "online --dry-run");
  t.is(kernel.stackLabel, "o2cb");
  const wet = await o2cbJson(t, "o2cb-writes", kernel, "online");
  t.deepEqual(dry["writes"], wet["writes"]);
  const { stdout } = await o2cb(kernel, "online -v");
  t.true(
    stdout.some((line) =>
      line.includes(`cluster '${USER_CLUSTER}' of 'pcmk' is online, its volumes are joined inside mount(2)`),
    ),
  );
  const planned = await o2cbJson(t, "o2cb-writes", kernel, "offline --dry-run");
  t.is(kernel.stackLabel, "pcmk");
  const done = await o2cbJson(t, "o2cb-writes", kernel, "offline");
  t.deepEqual(planned["writes"], done["writes"]);
});

test("what does not run: load tells it, online fails with it, and the stack is set all the same", async (t) => {
  for (const [what, break_, message] of [
    [
      "dlm_controld",
      // With corosync alone, online would wait for dlm_controld.
      (kernel: FakeKernel) => {
        kernel.lockspaces.settings = null;
        kernel.services.corosync = null;
        kernel.services.lockspaces = null;
      },
      /dlm_controld does not run/,
    ],
    [
      "dlm_controld that has died",
      (kernel: FakeKernel) => {
        kernel.services.corosync = null;
        kernel.services.lockspaces = null;
      },
      /dlm_controld does not answer on this node, though/,
    ],
    [
      "one name",
      (kernel: FakeKernel) => runCorosync(kernel, [], { clusterName: "other" }),
      /'other' in corosync, and 'labpc'/,
    ],
  ] as const) {
    const kernel = booted();
    break_(kernel);
    const load = await o2cb(kernel, "load");
    t.is(load.status, 0, what);
    t.regex(load.stderr.join(), message, what);
    const online = await o2cb(kernel, "online");
    t.is(online.status, 1, what);
    t.regex(online.stderr.join(), message, what);
    t.is(kernel.stackLabel, "pcmk", what);
    t.is((await o2cb(kernel, "online-status")).status, what === "one name" ? 0 : 1, what);
  }
});

test("dlm_controld that is just starting is waited for, and not for ever", async (t) => {
  const sysconfig = { ...ENABLED, stack: "pcmk" };
  const kernel = booted();
  const settings = kernel.lockspaces.settings;
  kernel.lockspaces.settings = null;
  const native = kernel.process();
  let looks = 0;
  native.beforeCall = ({ name, args }) => {
    if (name !== "readAttribute" || !String(args[0]).endsWith("/dlm/cluster/cluster_name")) return;
    if ((looks += 1) === 4) kernel.lockspaces.settings = settings;
  };
  t.like((await online(native, { sysconfig, clusters: [] })).user, { cluster: USER_CLUSTER });
  t.true(looks >= 4);
  kernel.lockspaces.settings = null;
  const late = online(kernel.process(), { sysconfig, clusters: [], patienceMs: 1 });
  t.regex(
    (await refused(t, late, null, "O2CB_SERVICE_UNAVAILABLE")).message,
    /runs on this node, and has not set up/,
  );
});

test("a node without quorum is online, and is told that mounts wait", async (t) => {
  const kernel = booted();
  runCorosync(kernel, undefined, { isQuorate: false });
  const { status, stderr } = await o2cb(kernel, "online");
  t.is(status, 0);
  t.regex(stderr.join(), /no quorum: mounts wait/);
});

test("where a control daemon is needed its absence is told, since it starts after the stack is set", async (t) => {
  for (const [stack, break_] of [
    ["cman", () => undefined],
    [
      "pcmk",
      (kernel: FakeKernel) => void (kernel.lockspaces.settings = { clusterName: "", recoverCallbacks: 0 }),
    ],
  ] as const) {
    const kernel = booted(stack);
    break_(kernel);
    for (const line of ["load", "online", `set-stack ${stack}`]) {
      const { status, stderr } = await o2cb(kernel, line);
      t.is(status, 0, line);
      t.regex(stderr.join(), /no ocfs2_controld answers on this node.*systemctl start ocfs2-controld/, line);
    }
    t.is(kernel.stackLabel, stack);
    t.is((await o2cb(kernel, "online-status")).status, 1, "nothing can be mounted yet");
    kernel.abstractSockets.set(CONTROLD_SOCKET, new FakeControld().listener);
    const { stdout, stderr } = await o2cb(kernel, "online -v");
    t.regex(stdout.join(), /joined through ocfs2_controld/);
    t.false(stderr.some((line) => line.includes("no ocfs2_controld")));
    t.is((await o2cb(kernel, "online-status")).status, 0);
  }
});

test("offline, unload and load of another stack are refused with the names while volumes are mounted; drain unmounts them", async (t) => {
  const kernel = host();
  await mount(kernel);
  for (const line of ["offline", "unload", "stop", "set-stack o2cb"]) {
    const { status, stderr } = await o2cb(kernel, line);
    t.is(status, 1, line);
    t.regex(stderr.join(), /'pcmk'.*the mount of \/dev\/sdb on '\/vol'/, line);
    t.is(kernel.stackLabel, "pcmk", line);
  }
  const { status, stdout } = await o2cb(kernel, "drain -v");
  t.is(status, 0);
  t.true(
    stdout.some((line) => line.includes("the stack 'pcmk' is no longer this node's")),
    stdout.join(),
  );
  t.is(kernel.superblocks.size, 0);
  t.is(kernel.stackLabel, "o2cb");
});

test("status shows the stack, its cluster, quorum, mode and who holds it", async (t) => {
  const kernel = host();
  await mount(kernel);
  const { status, stdout } = await o2cb(kernel, "status");
  t.is(status, 0);
  for (const line of [
    "stack: pcmk, interface revision 5",
    "stack in use: plugin 'user', by the mount of /dev/sdb on '/vol'",
    `cluster '${USER_CLUSTER}' of 'pcmk': online, joined inside mount(2)`,
    `  corosync: runs, cluster '${USER_CLUSTER}', quorate`,
    "  node 1 n1: member",
    `  dlm_controld: cluster '${USER_CLUSTER}', with recovery callbacks`,
    "  control daemon: does not answer, and is not needed",
    `  DLM lockspace ${UUID}`,
  ])
    t.true(stdout.includes(line), `${line}\n${stdout.join("\n")}`);
  const data = await o2cbJson(t, "o2cb-status", kernel, "status");
  t.like(data, {
    stack: "pcmk",
    activePlugin: "user",
    cluster: USER_CLUSTER,
    isOnline: true,
    isRegistered: false,
  });
  t.like(data["user"], {
    transport: "kernel",
    corosync: { isQuorate: true },
    dlm: { recoverCallbacks: true },
  });
  t.like(await o2cbJson(t, "o2cb-status", kernel, "online-status"), {
    state: "online",
    cluster: USER_CLUSTER,
  });
  t.is((await o2cb(kernel, "cluster-status other")).status, 1);
  t.is((await o2cb(kernel, `cluster-status ${USER_CLUSTER}`)).status, 0);
});

test("status of a host where nothing of it runs, and of one with a control daemon", async (t) => {
  const bare = host({ dlm: null });
  bare.services.corosync = null;
  const { status, stdout } = await o2cb(bare, "status");
  t.is(status, 1);
  t.true(
    stdout.some((line) => /corosync does not run/.test(line)),
    stdout.join("\n"),
  );
  t.true(stdout.includes("  dlm_controld: does not run on this node"), stdout.join("\n"));
  await o2cbJson(t, "o2cb-status", bare, "status");
  const { kernel } = controldMachine();
  const data = await o2cbJson(t, "o2cb-status", kernel, "status");
  t.like(data["user"], {
    transport: "controld",
    hasControlDaemon: true,
    dlm: { recoverCallbacks: false, cluster: null },
  });
  t.is(data["isOnline"], true);
});

test("set-stack by a label and by a volume, with what is missing", async (t) => {
  const kernel = booted();
  const json = (line: string) => o2cbJson(t, "o2cb-set-stack", kernel, line);
  const dry = await json("set-stack --dry-run pcmk");
  t.is(kernel.stackLabel, "o2cb");
  const wet = await json("set-stack pcmk");
  t.like(wet, { stack: "pcmk", previous: null, cluster: USER_CLUSTER, missing: [] });
  t.deepEqual(dry["writes"], wet["writes"]);
  t.is(kernel.stackLabel, "pcmk");
  t.deepEqual((await json("set-stack pcmk"))["writes"], []);
  t.like(await json("set-stack o2cb"), { previous: "pcmk", missing: [{ code: "O2CB_SERVICE_UNAVAILABLE" }] });
  t.like(await json(`set-stack ${DISK}`), { stack: "pcmk", missing: [] });
  t.deepEqual((await o2cb(kernel, `set-stack ${DISK}`)).stdout, []);
  runCorosync(kernel, [], { clusterName: "moved" });
  kernel.lockspaces.settings = { clusterName: "moved", recoverCallbacks: 1 };
  const moved = await o2cb(kernel, `set-stack ${DISK}`);
  t.is(moved.status, 0);
  t.regex(
    moved.stderr.join(),
    /belongs to the cluster 'labpc', and 'moved' is running here.*--update-cluster-stack/,
  );
});

test("set-stack for a classic volume compares cluster and heartbeat", async (t) => {
  const missing = async (volume: object): Promise<unknown> => {
    const { kernel } = classicLocal({ volume });
    return (await setStack(kernel.process(), { device: DISK })).missing.map(({ code }) => code);
  };
  t.deepEqual(await missing({}), []);
  t.deepEqual(await missing({ stack: null }), []);
  t.deepEqual(await missing({ cluster: "other" }), ["O2CB_INVALID_CLUSTER_NAME"]);
  t.deepEqual(await missing({ global: true }), ["O2CB_INVALID_HEARTBEAT_MODE"]);
  const local = classicLocal({ volume: { local: true, stack: null } }).kernel;
  await refused(t, setStack(local.process(), { device: DISK }), null, "O2CB_BAD_DEVICE");
  for (const wrong of [
    {},
    { stack: "pcmk", device: DISK },
    { stack: "pcm" },
    { stack: "a/bc" },
    { stack: "pämk" },
  ])
    await t.throwsAsync(setStack(local.process(), wrong), { instanceOf: TypeError });
  const typed = await o2cb(local, "set-stack pacemaker");
  t.is(typed.status, 1);
  t.regex(typed.stderr.join(), /neither a stack's label/);
});

test("set-stack refuses while a heartbeat of o2cb is on", async (t) => {
  const { kernel } = classicLocal();
  await start(kernel, "backup");
  const { status, stderr } = await o2cb(kernel, "set-stack pcmk");
  t.is(status, 1);
  t.regex(stderr.join(), new RegExp(`the heartbeat region ${UUID} on sdb`));
});

async function examined(kernel: FakeKernel, devices: string[] = []): Promise<Finding[]> {
  const native = kernel.process();
  const sights = { ...HEALTHY, "/lib/modules": null };
  return doctor(seeing(native, sights), { device: devices, pause: () => Promise.resolve() });
}

function says(
  t: ExecutionContext,
  found: Finding[],
  check: string,
  state: Finding["state"],
  evidence: RegExp,
): void {
  const one = found.find((finding) => finding.check === check);
  t.is(one?.state, state, `${check}: ${one?.evidence ?? JSON.stringify(found.map((f) => f.check))}`);
  t.regex(one?.evidence ?? "", evidence);
  if (state === "failure") t.truthy(one?.remedy, check);
}

test("the doctor finds a host of a user stack in order, and asks nothing about o2cb's cluster", async (t) => {
  const kernel = host();
  const found = await examined(kernel, [DISK]);
  for (const [check, evidence] of [
    ["stack", /'pcmk'/],
    ["kernel-modules", /ocfs2_stack_user/],
    ["stack-plugin", /'pcmk'/],
    ["control-device", /\/dev\/misc\/dlm-control/],
    ["corosync", /'labpc' with 2 nodes/],
    ["quorum", /has quorum/],
    ["dlm-controld", /with recovery callbacks/],
    ["cluster-name", /'labpc'/],
    ["volume-stamp", /cluster 'labpc', as runs here/],
  ] as const)
    says(t, found, check, "good", evidence);
  const checks = new Set(found.map(({ check }) => check));
  for (const classic of [
    "cluster-conf",
    "host-name",
    "node-registered",
    "timeouts",
    "heartbeat-area",
    "device-timeouts",
  ])
    t.false(checks.has(classic), classic);
  t.false(checks.has("control-daemon"));
});

test("the doctor of a classic host says nothing of user stacks, unless a volume is one's", async (t) => {
  const { kernel } = classicLocal();
  const checks = (await examined(kernel)).map(({ check }) => check);
  t.false(checks.includes("corosync"));
  t.true(checks.includes("cluster-conf"));
  const named = classicLocal({ volume: { stack: "pcmk" } }).kernel;
  const found = await examined(named, [DISK]);
  says(t, found, "corosync", "failure", /corosync does not run/);
  says(t, found, "volume-stamp", "failure", /stack 'pcmk'.*stack 'o2cb' runs here/);
});

for (const [title, setup, check, state, evidence] of [
  [
    "no quorum",
    () => {
      const kernel = host();
      runCorosync(kernel, undefined, { isQuorate: false });
      return kernel;
    },
    "quorum",
    "failure",
    /no quorum/,
  ],
  [
    "a node that is gone",
    () => {
      const kernel = host();
      runCorosync(kernel, [
        { id: 1, name: "n1" },
        { id: 2, name: "n2", isMember: false },
      ]);
      return kernel;
    },
    "quorum",
    "warning",
    /n2 is no member/,
  ],
  [
    "no name",
    () => {
      const kernel = host({ dlm: null });
      runCorosync(kernel, [], { clusterName: null });
      return kernel;
    },
    "corosync",
    "failure",
    /has no name/,
  ],
  ["no dlm_controld", () => host({ dlm: null }), "dlm-controld", "failure", /does not run/],
  [
    "the mode without callbacks",
    () => host({ dlm: "controld" }),
    "dlm-controld",
    "warning",
    /CONFIG_FORTIFY_SOURCE/,
  ],
  [
    "no control daemon",
    () => host({ dlm: "controld" }),
    "control-daemon",
    "failure",
    /no ocfs2_controld answers/,
  ],
  [
    "two names",
    () => {
      const kernel = host();
      runCorosync(kernel, [], { clusterName: "other" });
      return kernel;
    },
    "cluster-name",
    "failure",
    /'other' in corosync, and 'labpc'/,
  ],
  [
    "a long name",
    () => {
      const kernel = host({ clusterName: "a-name-of-17bytes" });
      runCorosync(kernel, [], { clusterName: "a-name-of-17bytes" });
      return kernel;
    },
    "cluster-name",
    "failure",
    /17 bytes/,
  ],
  [
    "no link",
    () => host({ devices: ["/dev/dlm-control"] }),
    "control-device",
    "warning",
    /C tools wait 10 s/,
  ],
  [
    "a device node of another boot",
    () => {
      const kernel = host({ devices: [] });
      kernel.root.put("/dev/misc/dlm-control", { kind: "character", number: { major: 10, minor: 7 } });
      return kernel;
    },
    "control-device",
    "failure",
    /neither at/,
  ],
  ["no device", () => host({ devices: [] }), "control-device", "failure", /neither at/],
  [
    "no plugin",
    () => host({ modules: ["ocfs2", "dlm"] }),
    "stack-plugin",
    "warning",
    /not loaded the plugin/,
  ],
  [
    "dlmfs",
    () => {
      const kernel = host();
      kernel.loadModule("ocfs2_dlmfs");
      return kernel;
    },
    "dlmfs-loaded",
    "warning",
    /C tools/,
  ],
  [
    "another cluster's volume",
    () => host({ volume: { cluster: "other" } }),
    "volume-stamp",
    "failure",
    /cluster 'other', and cluster 'labpc' runs here/,
  ],
  [
    "settings of another stack",
    () => {
      const kernel = host();
      kernel.addFile(SETTINGS, "O2CB_ENABLED=true\n");
      return kernel;
    },
    "stack",
    "warning",
    /O2CB_STACK\) say 'o2cb'/,
  ],
  [
    "settings of a stack that does not run yet",
    () => {
      const { kernel } = nothingLoaded();
      kernel.addFile(SETTINGS, "O2CB_STACK=pcmk\n");
      return kernel;
    },
    "stack-plugin",
    "warning",
    /'pcmk'/,
  ],
] as const)
  test(`the doctor: ${title}`, async (t) => {
    says(t, await examined(setup(), [DISK]), check, state, evidence);
  });
