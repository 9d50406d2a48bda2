// What the doctor says of the kernel and of the host: each state of each check, from the files that decide it.
import test from "ava";
import { doctor, type FindingState } from "../../ts/cluster/doctor.ts";
import { findings, HEALTHY, RELEASE, says } from "../helpers/doctor.ts";
import { classicLocal, nothingLoaded, oldDriver12, type FakeKernel } from "../helpers/fake-native.ts";
import { seeing, type Sight } from "../helpers/seeing.ts";

type Row = [
  title: string,
  check: string,
  state: FindingState,
  evidence: RegExp,
  remedy: RegExp | null,
  sights: Record<string, Sight>,
  machine?: () => FakeKernel,
];

const KO = (release: string, names: readonly string[], place = "kernel/fs/ocfs2"): Record<string, Sight> =>
  Object.fromEntries(names.map((name) => [`/lib/modules/${release}/${place}/${name}.ko.xz`, ""]));
const ALL = ["ocfs2", "ocfs2_stack_o2cb", "ocfs2_stackglue", "cluster/ocfs2_nodemanager", "dlm/ocfs2_dlm"];
const bare = (): FakeKernel => nothingLoaded().kernel;
const os = (id: string, release: string, like = ""): Record<string, Sight> => ({
  "/etc/os-release": `PRETTY_NAME="The ${id} system"\nID="${id}"\nID_LIKE='${like}'\n`,
  "/proc/sys/kernel/osrelease": `${release}\n`,
  [`/lib/modules/${release}/modules.dep`]: "",
});

const rows: Row[] = [
  ["modules are loaded", "kernel-modules", "good", /are loaded/, null, {}],
  [
    "modules of the 1.2 era are loaded",
    "kernel-modules",
    "good",
    /without stacks/,
    null,
    {},
    () => oldDriver12().kernel,
  ],
  [
    "modules are installed",
    "kernel-modules",
    "good",
    /installed for kernel 6\.1/,
    null,
    KO(RELEASE, ALL),
    bare,
  ],
  [
    "modules are in a package for this kernel",
    "kernel-modules",
    "good",
    /installed for kernel/,
    null,
    KO(RELEASE, ALL, "updates/fs/ocfs2"),
    bare,
  ],
  [
    "modules are in the kernel itself",
    "kernel-modules",
    "good",
    /installed for kernel/,
    null,
    {
      [`/lib/modules/${RELEASE}/modules.builtin`]: [
        "kernel/fs/ocfs2/ocfs2.ko",
        "kernel/fs/ocfs2/ocfs2_stack_o2cb.ko",
        "kernel/fs/ocfs2/cluster/ocfs2_nodemanager.ko",
      ].join("\n"),
    },
    bare,
  ],
  [
    "one module is missing",
    "kernel-modules",
    "failure",
    /has no module ocfs2_stack_o2cb in/,
    /linux-image-6\.1\.0-28-amd64/,
    { ...os("debian", RELEASE), ...KO(RELEASE, ["ocfs2", "cluster/ocfs2_nodemanager"]) },
    bare,
  ],
  [
    "the kernel's directory is gone",
    "kernel-modules",
    "failure",
    /no \/lib\/modules\/6\.1/,
    /boot a kernel/,
    {},
    bare,
  ],
  [
    "the release cannot be read",
    "kernel-modules",
    "warning",
    /which kernel runs cannot be read/,
    /\/proc/,
    { "/proc/sys/kernel/osrelease": null },
    bare,
  ],
  ...(
    [
      [
        "ubuntu",
        "6.8.0-49-generic",
        "debian",
        /^install the package linux-modules-extra-6\.8\.0-49-generic$/,
      ],
      ["debian", "6.1.0-28-amd64", "", /linux-image-6\.1\.0-28-amd64/],
      ["sles", "6.4.0-150600.21-default", "suse", /ocfs2-kmp-default/],
      ["ol", "5.15.0-302.167.6.el9uek.x86_64", "fedora", /kernel-uek-modules-5\.15/],
      ["ol", "5.14.0-503.el9_5.x86_64", "fedora", /Unbreakable Enterprise Kernel/],
      ["rocky", "5.14.0-503.el9_5.x86_64", "rhel centos fedora", /built without ocfs2/],
      ["fedora", "6.11.4-301.fc41.x86_64", "", /kernel-modules-extra-6\.11/],
      ["alpine", "6.12.1-0-lts", "", /kernel's package/],
      ["strange", "9.9.9", "", /package that holds the modules/],
    ] as const
  ).map(([id, release, like, remedy]): Row => [
    `no modules on ${id} ${release}`,
    "kernel-modules",
    "failure",
    /has no module ocfs2_nodemanager, ocfs2_stack_o2cb, ocfs2/,
    remedy,
    os(id, release, like),
    bare,
  ]),
  ["configfs is mounted", "configfs", "good", /at \/sys\/kernel\/config$/, null, {}],
  ["configfs of old", "configfs", "good", /at \/config$/, null, {}, () => oldDriver12().kernel],
  [
    "configfs is not mounted",
    "configfs",
    "failure",
    /neither at \/sys\/kernel\/config nor at \/config/,
    /mount -t configfs/,
    {},
    () => classicLocal({ configfs: null, unregistered: true }).kernel,
  ],
  ["debugfs is mounted", "debugfs", "good", /is mounted/, null, {}],
  [
    "debugfs is not mounted",
    "debugfs",
    "warning",
    /not mounted/,
    /mount -t debugfs/,
    {},
    () => classicLocal({ features: { debugfs: false } }).kernel,
  ],
  ["the stack is ours", "stack", "good", /'o2cb'/, null, {}],
  ["no stack runs", "stack", "warning", /no module of ocfs2 is loaded/, /o2cb load/, {}, bare],
  ["a driver without stacks", "stack", "good", /classic stack only/, null, {}, () => oldDriver12().kernel],
  [
    "another stack",
    "stack",
    "warning",
    /'pcmk', and the cluster 'lab' of o2cb is registered/,
    /o2cb online/,
    { "/sys/fs/ocfs2/cluster_stack": "pcmk\n" },
  ],
  [
    "another stack, in use",
    "stack",
    "warning",
    /in use by a mount/,
    /unmount/,
    { "/sys/fs/ocfs2/cluster_stack": "pcmk\n", "/sys/fs/ocfs2/active_cluster_plugin": "user\n" },
  ],
  [
    "a label of the wrong length",
    "stack",
    "failure",
    /where 4 bytes are expected/,
    /o2cb online/,
    { "/sys/fs/ocfs2/cluster_stack": "o2\n" },
  ],
  ["the revision is known", "interface-revision", "good", /revision 5/, null, {}],
  [
    "the revision is too new",
    "interface-revision",
    "failure",
    /revision is '9'/,
    /release of this package/,
    { "/sys/fs/o2cb/interface_revision": "9\n" },
  ],
  ["no revision", "interface-revision", "warning", /no o2cb cluster stack/, /o2cb load/, {}, bare],
  [
    "no revision of a user stack",
    "interface-revision",
    "good",
    /has no interface revision/,
    null,
    { "/sys/fs/ocfs2/cluster_stack": "pcmk\n", "/sys/fs/o2cb/interface_revision": null },
  ],
  ["panic_on_oops is set", "panic-on-oops", "good", /is 1/, null, {}],
  [
    "panic_on_oops is not set",
    "panic-on-oops",
    "failure",
    /is 0/,
    /sysctl kernel\.panic_on_oops=1/,
    { "/proc/sys/kernel/panic_on_oops": "0\n" },
  ],
  [
    "panic_on_oops cannot be read",
    "panic-on-oops",
    "warning",
    /could not be looked at/,
    /./,
    { "/proc/sys/kernel/panic_on_oops": null },
  ],
  ["panic restarts", "panic-restart", "good", /after 30 seconds/, null, {}],
  ["panic restarts at once", "panic-restart", "good", /at once/, null, { "/proc/sys/kernel/panic": "-1\n" }],
  [
    "panic waits for ever",
    "panic-restart",
    "failure",
    /is 0: after a panic/,
    /sysctl kernel\.panic=30/,
    { "/proc/sys/kernel/panic": "0\n" },
  ],
  ["a kernel that negotiates", "heartbeat-negotiation", "good", /half of the dead time/, null, {}],
  [
    "a kernel that does not",
    "heartbeat-negotiation",
    "warning",
    /older than 4\.8/,
    /newer kernel/,
    { "/proc/sys/kernel/osrelease": "4.4.0-21-generic\n" },
  ],
  [
    "a program leaves",
    "hb-ctl-path",
    "good",
    /\/sbin\/ocfs2_hb_ctl \(of other tools\)/,
    null,
    {},
    () => classicLocal({ leave: "kernel" }).kernel,
  ],
  [
    "the program that leaves is missing",
    "hb-ctl-path",
    "failure",
    /no such program/,
    /install-helpers/,
    { "/proc/sys/fs/ocfs2/nm/hb_ctl_path": "/opt/gone/ocfs2_hb_ctl\n", "/opt/gone/ocfs2_hb_ctl": null },
  ],
  ["nobody leaves", "hb-ctl-path", "warning", /heartbeats stay after unmounts/, /install-helpers/, {}],
  [
    "umount.ocfs2 of ours leaves",
    "hb-ctl-path",
    "good",
    /umount\.ocfs2 and the monitor/,
    null,
    { "/sbin/umount.ocfs2": { leadsTo: "/usr/lib/ocfs2-group/launcher" } },
  ],
  ["no driver, no path", "hb-ctl-path", "warning", /no driver/, /o2cb load/, {}, bare],
  ["on the host", "namespaces", "good", /host's own/, null, {}],
  ["in the host's network", "network-namespace", "good", /host's own network/, null, {}],
  [
    "in a network of its own",
    "network-namespace",
    "failure",
    /network of its own/,
    /nsenter/,
    {
      "/proc/1/ns/net": { leadsTo: "net:[4026531840]" },
      "/proc/self/ns/net": { leadsTo: "net:[4026532999]" },
    },
  ],
  ["no fstab", "fstab", "good", /no ocfs2 volume/, null, {}],
  [
    "an fstab without ocfs2",
    "fstab",
    "good",
    /no ocfs2 volume/,
    null,
    { "/etc/fstab": "/dev/sda1 / ext4 defaults 0 1\n" },
  ],
  [
    "a good line",
    "fstab",
    "good",
    /nothing is wrong with the 1 line/,
    null,
    { "/etc/fstab": "LABEL=vol /vol ocfs2 _netdev,x-systemd.requires=o2cb.service 0 0\n" },
  ],
  [
    "no _netdev",
    "fstab",
    "warning",
    /^line 2, column \d+: without _netdev/,
    /add the option _netdev/,
    { "/etc/fstab": "# volumes\nLABEL=vol /vol ocfs2 x-systemd.requires=o2cb.service 0 0\n" },
  ],
  [
    "fsck at boot",
    "fstab",
    "failure",
    /^line 1, .*fsck would run/,
    /write 0/,
    { "/etc/fstab": "LABEL=vol /vol ocfs2 _netdev,x-systemd.requires=o2cb.service 0 2\n" },
  ],
  ["SELinux is off", "selinux", "good", /not active/, null, {}],
  ["SELinux reports", "selinux", "good", /permissive/, null, { "/sys/fs/selinux/enforce": "0" }],
  ["SELinux enforces", "selinux", "warning", /enforcing/, /ausearch/, { "/sys/fs/selinux/enforce": "1" }],
  [
    "the boot line says nothing of writers",
    "write-mounted",
    "good",
    /boot line/,
    null,
    { "/proc/sys/kernel/osrelease": "6.12.1\n" },
  ],
  ["a kernel before that policy", "write-mounted", "good", /lets a heartbeat write/, null, {}],
  [
    "the boot line keeps writers away",
    "write-mounted",
    "failure",
    /bdev_allow_write_mounted=0/,
    /boot line/,
    { "/proc/cmdline": "quiet bdev_allow_write_mounted=0 ro\n" },
  ],
];

for (const [title, check, state, evidence, remedy, sights, machine] of rows) {
  test(`${check}: ${title}`, async (t) => {
    const kernel = (machine ?? (() => classicLocal().kernel))();
    await says(t, check, state, evidence, remedy, findings(kernel, sights));
  });
}

test("namespaces: a container", async (t) => {
  const { kernel } = classicLocal();
  const native = kernel.process({ ipc: 4_026_532_999 });
  const found = doctor(seeing(native, HEALTHY));
  await says(t, "namespaces", "failure", /IPC namespace of its own/, /nsenter/, found);
});
