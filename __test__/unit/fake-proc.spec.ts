// /proc of the fake machine: processes and kernel threads, namespaces, the boot.
import test from "ava";
import {
  classicLocal,
  DISK,
  type FakeNative,
  INITIAL_IPC,
  INITIAL_PID,
  UUID,
} from "../helpers/fake-native.ts";
import { refused } from "../helpers/refused.ts";

const KERNEL_THREAD = 0x200000;

interface Stat {
  name: string;
  parent: number;
  terminal: number;
  flags: number;
  startTime: number;
  count: number;
}

async function stat(native: FakeNative, pid: number | "self"): Promise<Stat> {
  const text = await native.readAttribute(`/proc/${pid}/stat`);
  const end = text.lastIndexOf(")");
  // From the third field on.
  const rest = text
    .slice(end + 2)
    .trim()
    .split(" ");
  const field = (number: number): number => Number(rest[number - 3]);
  return {
    name: text.slice(text.indexOf("(") + 1, end),
    parent: field(4),
    terminal: field(7),
    flags: field(9),
    startTime: field(22),
    count: rest.length + 2,
  };
}

test("stat of a process: name, parent, terminal, flags, start time", async (t) => {
  const { kernel } = classicLocal();
  const native = kernel.process({ name: "/usr/bin/a) (b", terminal: true });
  const own = await stat(native, "self");
  t.like(own, { name: "a) (b", parent: 1, count: 52 });
  t.not(own.terminal, 0);
  t.is(own.flags & KERNEL_THREAD, 0);
  const child = kernel.process({ parent: native.task });
  t.like(await stat(child, "self"), { name: "node", parent: native.pid, terminal: 0 });
  native.kill();
  t.is((await stat(child, "self")).parent, 1);
  await refused(t, child.readAttribute(`/proc/${native.pid}/stat`), "ENOENT");
  t.is(await child.readAttribute("/proc/1/comm"), "init\n");
});

test("a number that is used again has another start time", async (t) => {
  const { kernel } = classicLocal();
  const first = kernel.process();
  const { pid } = first;
  t.throws(() => kernel.task({ pid }), { instanceOf: TypeError });
  const before = await stat(first, "self");
  first.exit();
  const second = kernel.process({ pid });
  t.is(second.pid, pid);
  t.true((await stat(second, "self")).startTime > before.startTime);
});

test("a region's thread comes with its heartbeat and ends with it", async (t) => {
  const { kernel, regionDirectory } = classicLocal();
  await kernel.cTool.hbCtlStart(UUID);
  const native = kernel.process();
  const pid = Number(await native.readAttribute(`${regionDirectory}/pid`));
  const thread = await stat(native, pid);
  t.like(thread, { name: `o2hb-${UUID.slice(0, 10)}`, parent: 2, flags: KERNEL_THREAD });
  t.is(await native.readAttribute(`/proc/${pid}/comm`), `o2hb-${UUID.slice(0, 10)}\n`);
  await kernel.cTool.hbCtlStop(UUID);
  await refused(t, native.readAttribute(`/proc/${pid}/stat`), "ENOENT");
  await kernel.cTool.hbCtlStart(UUID);
  const next = Number(await native.readAttribute(`${regionDirectory}/pid`));
  t.not((await stat(native, next)).startTime, thread.startTime);
  const recent = classicLocal({ features: { fullThreadNames: true } });
  await recent.kernel.cTool.hbCtlStart(UUID);
  const full = recent.kernel.process();
  const own = Number(await full.readAttribute(`${recent.regionDirectory}/pid`));
  t.is((await stat(full, own)).name, `o2hb-${UUID}`);
});

test("the call-out is a child of a kernel thread, a command is not", async (t) => {
  const { kernel } = classicLocal({ leave: "kernel" });
  const seen: Stat[] = [];
  kernel.callOutHook = async (_program, _args, task) => {
    const native = kernel.processOf(task);
    const self = await stat(native, "self");
    seen.push(self, await stat(native, self.parent));
    return 0;
  };
  await kernel.cTool.mount(DISK, "/vol");
  await kernel.cTool.umount("/vol");
  t.deepEqual(
    seen.map(({ name, flags }) => [name, flags & KERNEL_THREAD]),
    [
      ["ocfs2_hb_ctl", 0],
      ["kworker/u8:1", KERNEL_THREAD],
    ],
  );
  const command = kernel.process();
  t.is((await stat(command, (await stat(command, "self")).parent)).flags & KERNEL_THREAD, 0);
});

test("links tell the namespaces", async (t) => {
  const { kernel } = classicLocal();
  const native = kernel.process();
  t.is(await native.readLink("/proc/self"), String(native.pid));
  t.is(await native.readLink("/proc/self/ns/pid"), `pid:[${INITIAL_PID}]`);
  t.is(await native.readLink("/proc/self/ns/ipc"), `ipc:[${INITIAL_IPC}]`);
  const inside = kernel.process({ pidNamespace: 4_026_533_000, namespace: kernel.unshare() });
  t.is(await inside.readLink("/proc/self/ns/pid"), "pid:[4026533000]");
  t.not(await inside.readLink("/proc/self/ns/mnt"), await native.readLink("/proc/self/ns/mnt"));
  t.is(await inside.readLink("/proc/1/ns/mnt"), await native.readLink("/proc/self/ns/mnt"));
  const old = classicLocal({ features: { namespaceLinks: false } }).kernel.process();
  await refused(t, old.readLink("/proc/self/ns/pid"), "ENOENT");
  await refused(t, old.mountNamespaces(), "ENOENT");
});

test("namespaces with a live process are listed, this one first", async (t) => {
  const { kernel } = classicLocal();
  const native = kernel.process();
  kernel.addNamespace("/run/nobody-inside");
  const namespace = kernel.unshare();
  const inside = kernel.process({ namespace });
  kernel.process({ namespace });
  await kernel.cTool.hbCtlStart(UUID);
  const inode = async (pid: number): Promise<string> =>
    /\d+/.exec(await native.readLink(`/proc/${pid}/ns/mnt`))?.[0] ?? "";
  t.deepEqual(await native.mountNamespaces(), [
    { inode: await inode(1), pid: native.pid },
    { inode: await inode(inside.pid), pid: inside.pid },
  ]);
  t.deepEqual(
    (await inside.mountNamespaces()).map(({ pid }) => pid),
    [inside.pid, 1],
  );
  await kernel.cTool.mount(DISK, "/vol");
  const path = `/proc/${inside.pid}/ns/mnt`;
  const mounted = async (namespacePath: string | null): Promise<number> =>
    (await native.mounts(namespacePath)).filter(({ type }) => type === "ocfs2").length;
  t.deepEqual([await mounted(null), await mounted(path)], [1, 0]);
  t.true((await inside.inspectPath("/proc/1/root/vol", null)).isMountRoot);
  t.false((await native.inspectPath(`/proc/${inside.pid}/root/vol`, null)).isMountRoot);
});

test("absolute links behind another root lead to the one who follows", async (t) => {
  const { kernel } = classicLocal();
  const inside = kernel.process({ namespace: kernel.unshare({ ownRun: true }) });
  await inside.replaceFile("/run/name", "inside", 0o600);
  await kernel.process().replaceFile("/run/name", "host", 0o600);
  kernel.root.put("/etc/link", { kind: "link", target: "/run/name" });
  t.is(await inside.readAttribute("/proc/1/root/run/name"), "host");
  t.is(await inside.readAttribute("/proc/1/root/etc/link"), "inside");
});

test("the boot has a name", async (t) => {
  const { kernel } = classicLocal();
  const path = "/proc/sys/kernel/random/boot_id";
  t.regex(await kernel.process().readAttribute(path), /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n$/);
  kernel.bootId = "another";
  t.is(await kernel.process().readAttribute(path), "another\n");
});
