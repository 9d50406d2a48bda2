// The fake machine's attribute trees: what the kernel takes, refuses and silently ignores (kernel-abi 1.1-1.5, 4).
import test from "ava";
import { classicGlobal, classicLocal, nothingLoaded, oldDriver12, UUID } from "../helpers/fake-native.ts";
import { refused } from "../helpers/refused.ts";

const CLUSTERS = "/sys/kernel/config/cluster";
const STACK = "/sys/fs/ocfs2/cluster_stack";

test("one cluster at most, and none goes while something is in it", async (t) => {
  const native = classicLocal().kernel.process();
  t.deepEqual(await native.listDirectories(CLUSTERS), ["lab"]);
  await refused(t, native.makeDirectory(`${CLUSTERS}/lab`), "EEXIST");
  await refused(t, native.makeDirectory(`${CLUSTERS}/other`), "ENOSPC");
  await refused(t, native.removeDirectory(`${CLUSTERS}/lab`), "ENOTEMPTY");
  await refused(t, native.removeDirectory(`${CLUSTERS}/lab/node`), "EPERM");
  await refused(t, native.removeDirectory(`${CLUSTERS}/lab/heartbeat`), "EPERM");
  await refused(t, native.removeDirectory(`${CLUSTERS}/none`), "ENOENT");
  for (const node of ["alpha", "beta"]) await native.removeDirectory(`${CLUSTERS}/lab/node/${node}`);
  await native.removeDirectory(`${CLUSTERS}/lab`);
  await native.makeDirectory(`${CLUSTERS}/other`);
  t.deepEqual(await native.listDirectories(CLUSTERS), ["other"]);
});

test("a node's attributes are set once and in their order", async (t) => {
  const native = classicLocal().kernel.process();
  const node = `${CLUSTERS}/lab/node/gamma`;
  await native.makeDirectory(node);
  await refused(t, native.writeAttribute(`${node}/num`, "2"), "EINVAL");
  await refused(t, native.writeAttribute(`${node}/local`, "1"), "EINVAL");
  await refused(t, native.writeAttribute(`${node}/ipv4_port`, "0"), "EINVAL");
  await refused(t, native.writeAttribute(`${node}/ipv4_port`, "65535"), "ERANGE");
  await native.writeAttribute(`${node}/ipv4_port`, "7777");
  await refused(t, native.writeAttribute(`${node}/ipv4_address`, "10.0.0"), "EINVAL");
  await refused(t, native.writeAttribute(`${node}/ipv4_address`, "10.0.0.256"), "ERANGE");
  await refused(t, native.writeAttribute(`${node}/ipv4_address`, "10.0.0.1"), "EEXIST");
  await native.writeAttribute(`${node}/ipv4_address`, "10.0.0.99 junk");
  await refused(t, native.writeAttribute(`${node}/num`, "255"), "ERANGE");
  await refused(t, native.writeAttribute(`${node}/num`, "1"), "EEXIST");
  await native.writeAttribute(`${node}/num`, "2\n");
  await refused(t, native.writeAttribute(`${node}/num`, "3"), "EBUSY");
  await refused(t, native.writeAttribute(`${node}/local`, "1"), "EBUSY");
  t.is(await native.readAttribute(`${node}/ipv4_address`), "10.0.0.99\n");
  t.is(await native.readAttribute(`${node}/num`), "2\n");
});

test("mode and dead_threshold ignore what they do not take, and stand still while a region exists", async (t) => {
  const native = classicLocal().kernel.process();
  const heartbeat = `${CLUSTERS}/lab/heartbeat`;
  await refused(t, native.writeAttribute(`${heartbeat}/mode`, "worldwide"), "EINVAL");
  await native.writeAttribute(`${heartbeat}/mode`, "GLO\n");
  t.is(await native.readAttribute(`${heartbeat}/mode`), "global\n");
  await native.writeAttribute(`${heartbeat}/dead_threshold`, "2");
  t.is(await native.readAttribute(`${heartbeat}/dead_threshold`), "31\n");
  await native.makeDirectory(`${heartbeat}/${UUID}`);
  await native.writeAttribute(`${heartbeat}/mode`, "local");
  await native.writeAttribute(`${heartbeat}/dead_threshold`, "61");
  t.is(await native.readAttribute(`${heartbeat}/mode`), "global\n");
  t.is(await native.readAttribute(`${heartbeat}/dead_threshold`), "31\n");
});

test("mode and dead_threshold outlive the cluster", async (t) => {
  const native = classicLocal().kernel.process();
  await native.writeAttribute(`${CLUSTERS}/lab/heartbeat/mode`, "global");
  for (const node of ["alpha", "beta"]) await native.removeDirectory(`${CLUSTERS}/lab/node/${node}`);
  await native.removeDirectory(`${CLUSTERS}/lab`);
  await native.makeDirectory(`${CLUSTERS}/other`);
  t.is(await native.readAttribute(`${CLUSTERS}/other/heartbeat/mode`), "global\n");
});

test("timeouts keep their order, and fence_method wants its newline", async (t) => {
  const native = classicLocal().kernel.process();
  const cluster = `${CLUSTERS}/lab`;
  await refused(t, native.writeAttribute(`${cluster}/keepalive_delay_ms`, "30000"), "EINVAL");
  await refused(t, native.writeAttribute(`${cluster}/idle_timeout_ms`, "0"), "EINVAL");
  await refused(t, native.writeAttribute(`${cluster}/reconnect_delay_ms`, "4294967295"), "ERANGE");
  await native.writeAttribute(`${cluster}/idle_timeout_ms`, "60000\n");
  await native.writeAttribute(`${cluster}/keepalive_delay_ms`, "0x7530");
  t.is(await native.readAttribute(`${cluster}/keepalive_delay_ms`), "30000\n");
  await refused(t, native.writeAttribute(`${cluster}/fence_method`, "panic"), "EINVAL");
  await native.writeAttribute(`${cluster}/fence_method`, "Panic\n");
  t.is(await native.readAttribute(`${cluster}/fence_method`), "panic\n");
});

test("a region's attributes: ranges, numbers, names", async (t) => {
  const native = classicLocal().kernel.process();
  const heartbeat = `${CLUSTERS}/lab/heartbeat`;
  const region = `${heartbeat}/${UUID}`;
  await refused(t, native.makeDirectory(`${heartbeat}/${"A".repeat(33)}`), "ENAMETOOLONG");
  await native.makeDirectory(region);
  await refused(t, native.makeDirectory(region), "EEXIST");
  await refused(t, native.makeDirectory(`${region}/x`), "EPERM");
  for (const [name, value, errno] of [
    ["block_bytes", "256", "ERANGE"],
    ["block_bytes", "8192", "ERANGE"],
    ["block_bytes", "1000", "EINVAL"],
    ["block_bytes", " 512", "EINVAL"],
    ["start_block", "-1", "EINVAL"],
    ["blocks", "0", "ERANGE"],
    ["blocks", "256", "ERANGE"],
    ["dev", "3", "EINVAL"],
  ] as const) {
    await refused(t, native.writeAttribute(`${region}/${name}`, value), errno);
  }
  const closed = await refused(
    t,
    native.writeAttribute(`${region}/pid`, "1"),
    "EACCES",
    "O2CB_PERMISSION_DENIED",
  );
  t.is(closed.syscall, "open");
  await native.writeAttribute(`${region}/block_bytes`, "512\n");
  t.is(await native.readAttribute(`${region}/block_bytes`), "512\n");
  t.is(await native.readAttribute(`${region}/dev`), "");
  t.is(await native.readAttribute(`${region}/pid`), "");
  await refused(t, native.removeDirectory(`${region}/dev`), "ENOTDIR");
  await native.removeDirectory(region);
});

test("global mode has room for 32 regions", async (t) => {
  const native = classicGlobal().kernel.process();
  const heartbeat = `${CLUSTERS}/lab/heartbeat`;
  for (let number = 1; number < 32; number += 1) await native.makeDirectory(`${heartbeat}/${number}`);
  await refused(t, native.makeDirectory(`${heartbeat}/32`), "EFBIG");
});

test("the stack file takes four bytes, and no other label while a stack is in use", async (t) => {
  const { kernel } = classicLocal();
  const native = kernel.process();
  t.is(await native.readAttribute(STACK), "o2cb\n");
  await refused(t, native.writeAttribute(STACK, "o2c"), "EINVAL");
  await native.writeAttribute(STACK, "pcmk\n");
  t.is(await native.readAttribute(STACK), "pcmk\n");
  await native.writeAttribute(STACK, "o2cb");
  const leave = kernel.joinDomain("some");
  t.is(await native.readAttribute("/sys/fs/ocfs2/active_cluster_plugin"), "o2cb\n");
  await native.writeAttribute(STACK, "o2cb");
  await refused(t, native.writeAttribute(STACK, "pcmk"), "EBUSY");
  leave();
  t.is(await native.readAttribute("/sys/fs/ocfs2/active_cluster_plugin"), "");
});

test("modules bring their files", async (t) => {
  const native = nothingLoaded().kernel.process();
  await refused(t, native.readAttribute(STACK), "ENOENT", "O2CB_SERVICE_UNAVAILABLE");
  await refused(t, native.listDirectories(CLUSTERS), "ENOENT");
  t.is(await native.runProgram("/sbin/modprobe", ["-q", "ocfs2_stack_o2cb"]), 0);
  t.is(await native.runProgram("/sbin/modprobe", ["-q", "ocfs3"]), 1);
  t.is(await native.readAttribute(STACK), "o2cb\n");
  t.is(await native.readAttribute("/sys/fs/o2cb/interface_revision"), "5\n");
  t.is((await native.inspectPath("/sys/module/ocfs2_stack_o2cb", null)).kind, "directory");
  t.deepEqual(await native.listDirectories(CLUSTERS), []);
});

test("a driver of the 1.2 era has its own paths and lacks the rest", async (t) => {
  const native = oldDriver12().kernel.process();
  t.is(await native.readAttribute("/proc/fs/ocfs2_nodemanager/interface_revision"), "5\n");
  await refused(t, native.readAttribute("/sys/fs/o2cb/interface_revision"), "ENOENT");
  await refused(t, native.readAttribute(STACK), "ENOENT");
  t.deepEqual(await native.listDirectories("/config/cluster"), ["lab"]);
  await refused(t, native.readAttribute("/config/cluster/lab/heartbeat/mode"), "ENOENT");
  t.is((await native.inspectPath("/config", null)).filesystemMagic, 0x62656570);
  t.not((await native.inspectPath("/sys/kernel/config", null)).filesystemMagic, 0x62656570);
});

test("paths: links, mount roots, absent parts", async (t) => {
  const native = classicLocal().kernel.process();
  const disk = await native.inspectPath("/dev/block/8:16", null);
  t.like(disk, {
    realPath: "/dev/sdb",
    kind: "block",
    represents: { major: 8, minor: 16 },
    isMountRoot: false,
  });
  t.like(await native.inspectPath("/sys/../sys/kernel/config/", null), {
    realPath: "/sys/kernel/config",
    isMountRoot: true,
    kind: "directory",
  });
  await refused(t, native.inspectPath("/etc/hostname/x", null), "ENOTDIR");
  await refused(t, native.inspectPath("/nowhere/x", null), "ENOENT");
  await refused(t, native.inspectPath(`/${"x".repeat(256)}`, null), "ENAMETOOLONG");
  t.is(await native.readLink("/sys/dev/block/8:16"), "../../devices/virtual/block/sdb");
  t.is(await native.readLink("/proc/self/ns/ipc"), await native.readLink("/proc/1/ns/ipc"));
  t.is(await native.readAttribute("/proc/sys/fs/ocfs2/nm/hb_ctl_path"), "/bin/true\n");
});

test("a write is one store of 1 to 4095 bytes", async (t) => {
  const native = classicLocal().kernel.process();
  await refused(t, native.writeAttribute(STACK, ""), null, "O2CB_INTERNAL_FAILURE");
  await refused(t, native.writeAttribute(STACK, "x".repeat(4096)), null, "O2CB_INTERNAL_FAILURE");
});
