// The services of a userspace stack through the real module, over stand-ins for the libraries that are compiled here (crates/sys/tests/stub). What
// groups and lockspaces do is in their names; crates/sys/tests has the whole of it.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import test from "ava";
import type * as binding from "../../native/index.d.ts";
import { askKernel } from "../../ts/controld-daemon/peer.ts";
import { loadNative } from "../../ts/native.ts";
import { scratch, sure, threads, until } from "./support.ts";

const native = loadNative();
const raw = createRequire(import.meta.url)("../../native/ocfs2-group.linux-x64-gnu.node") as typeof binding;
const directory = mkdtempSync(join(tmpdir(), "ocfs2-group-"));
const NODE = 0xffff_fff0;
const self = { node: NODE, pid: process.pid };
const joined = { kind: "change", members: [self], left: [], joined: [self] };

test.before(async (t) => {
  const source = (name: string): string =>
    fileURLToPath(new URL(`../../crates/sys/tests/stub/${name}.c`, import.meta.url));
  for (const [name, file] of [
    ["libcpg", "corosync"],
    ["libcmap", "libcmap"],
    ["libquorum", "corosync"],
    ["libdlmcontrol", "libdlmcontrol"],
  ] as const) {
    const library = join(directory, `${name}.so`);
    execFileSync("cc", ["-shared", "-fPIC", "-D_GNU_SOURCE", "-pthread", "-o", library, source(file)]);
    const missing = { code: "O2CB_SERVICE_UNAVAILABLE", message: new RegExp(`install the package ${name}`) };
    await t.throwsAsync(raw.onlyForTestsLibrary(name, "/nonexistent"), missing);
    await raw.onlyForTestsLibrary(name, library);
  }
});

test.after.always(() => rmSync(directory, { recursive: true }));

const descriptors = (): number => readdirSync("/proc/self/fd").length;

test.serial("the map and quorum of corosync", async (t) => {
  t.is(await native.readClusterMap("totem.cluster_name"), "labpc");
  t.is(await native.readClusterMap("an.int8"), "-7");
  t.is(await native.readClusterMap("not.set"), null);
  await t.throwsAsync(native.readClusterMap("a.double"), { message: /'a\.double' is neither/ });
  t.deepEqual([await native.isQuorate(), await native.isQuorate()], [false, true]);
});

test.serial("a group: its changes, its messages, its end", async (t) => {
  const group = await native.joinProcessGroup("plain");
  t.like(group, { name: "plain", localNode: NODE });
  t.deepEqual(await group.next(), [joined]);
  await group.send(new Uint8Array([1, 0, 255]));
  await group.send(new Uint8Array(0));
  t.deepEqual(await group.next(), [
    { kind: "message", from: self, bytes: new Uint8Array([1, 0, 255]) },
    { kind: "message", from: self, bytes: new Uint8Array(0) },
  ]);
  await group.leave();
  const left = [{ ...self, reason: "left" }];
  t.deepEqual(await group.next(), [{ kind: "change", members: [], left, joined: [] }]);
  group.close();
  group.close();
  await t.throwsAsync(group.next(), { code: "O2CB_ABORTED" });
  const others = await native.joinProcessGroup("departures");
  t.like((await others.next())[0], {
    left: [
      { node: 2, pid: 22, reason: "node-down" },
      { node: 3, pid: 33, reason: "process-down" },
    ],
  });
  others.close();
});

test.serial("one call of next at a time, which can be given up or closed under", async (t) => {
  const group = await native.joinProcessGroup("silent");
  const caller = new AbortController();
  const first = group.next({ signal: caller.signal });
  await t.throwsAsync(group.next(), { code: "O2CB_INTERNAL_FAILURE", message: /waits already/ });
  await until("it waits", () => threads("next-group-events") === 1);
  caller.abort();
  await t.throwsAsync(first, { code: "O2CB_ABORTED" });
  const second = group.next();
  group.close();
  await t.throwsAsync(second, { code: "O2CB_ABORTED", message: /group was closed/ });
});

test.serial("what corosync may do wrong has a code", async (t) => {
  for (const name of ["too-many", "wild-count", "long-name"]) {
    const group = await native.joinProcessGroup(name);
    await t.throwsAsync(group.next(), { code: "O2CB_BAD_MESSAGE" }, name);
    group.close();
  }
  const group = await native.joinProcessGroup("lost");
  t.deepEqual(await group.next(), [joined]);
  await t.throwsAsync(group.next(), { code: "O2CB_SERVICE_UNAVAILABLE" });
  group.close();
  await t.throwsAsync(native.joinProcessGroup("not-allowed"), { code: "O2CB_PERMISSION_DENIED" });
});

test.serial("dlm_controld's states and answers", async (t) => {
  t.is(await native.lockspaceState("unknown"), null);
  t.deepEqual(await native.lockspaceState("waits3"), {
    name: "waits3",
    isJoining: false,
    isLeaving: true,
    isStopped: false,
    isRegistered: true,
    waitsFor: "fencing",
    members: [1, 0xffff_fffe],
    fencing: [2],
  });
  t.is(sure(await native.lockspaceState("plain")).waitsFor, null);
  const refused = { code: "O2CB_DAEMON_REFUSED", message: /EACCES from dlmc_lockspace_info/ };
  await t.throwsAsync(native.lockspaceState("denied"), refused);
  const control = await native.connectDlmControl();
  await control.register("plain");
  await control.register("refused");
  await control.notified("not-yet", 0xffff_ffff);
  await control.unregister("plain");
  t.deepEqual(await control.next(), { kind: "registered", name: "plain", status: 0 });
  t.deepEqual(await control.next(), { kind: "registered", name: "refused", status: 95 });
  t.deepEqual(await control.next(), { kind: "notified", name: "not-yet", node: 0xffff_ffff, status: 11 });
  await t.throwsAsync(async () => control.notified("plain", -1), { instanceOf: RangeError });
  const waiting = control.next();
  control.release();
  await t.throwsAsync(waiting, { code: "O2CB_ABORTED" });
  await t.throwsAsync(control.register("plain"), { code: "O2CB_ABORTED" });
});

test.serial("200 connections leave nothing, closed or forgotten", async (t) => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  (await native.joinProcessGroup("plain")).close();
  await until("threads have ended", () => threads("close") === 0);
  const before = descriptors();
  for (let turn = 0; turn < 200; turn++) {
    const group = await native.joinProcessGroup("plain");
    const control = await native.connectDlmControl();
    if (turn % 2 === 0) continue;
    group.close();
    control.release();
  }
  await until("all are closed", () => (collect(), descriptors() <= before));
  t.pass();
});

test("the version of the DLM has 12 bytes", async (t) => {
  const path = join(scratch(t), "dlm-control");
  writeFileSync(path, new Uint8Array(new Uint32Array([6, 0, 2]).buffer));
  t.deepEqual(await native.dlmVersion(path), { major: 6, minor: 0, patch: 2 });
  writeFileSync(path, "6.0.2\n");
  await t.throwsAsync(native.dlmVersion(path), { code: "O2CB_BAD_VERSION" });
  await t.throwsAsync(native.dlmVersion(`${path}-not`), { code: "O2CB_SERVICE_UNAVAILABLE" });
});

test("the handshake of the control device, a node's death, and that only a release closes it", async (t) => {
  const path = join(scratch(t), "ocfs2_control");
  const version = { major: 1, minor: 0 };
  writeFileSync(path, "T02\n");
  await t.throwsAsync(native.openControlDevice(path, 1, version), { code: "O2CB_BAD_VERSION" });
  writeFileSync(path, "T01\n");
  await t.throwsAsync(async () => native.openControlDevice(path, 1, { major: 256, minor: 0 }), {
    instanceOf: RangeError,
  });
  const device = await native.openControlDevice(path, 0xabc, version);
  await device.nodeDown("0123456789ABCDEF0123456789ABCDEF", 2);
  await t.throwsAsync(device.nodeDown("0123", 2), { code: "O2CB_INVALID_REGION_NAME" });
  const down = "DOWN 0123456789ABCDEF0123456789ABCDEF 00000002\n";
  t.is(readFileSync(path, "utf8"), `T01\nT01\nSETN 00000ABC\nSETV 01 00\n${down}`);
  device.release();
  device.release();
  await t.throwsAsync(device.nodeDown("0123456789ABCDEF0123456789ABCDEF", 2), { code: "O2CB_ABORTED" });
});

const asRoot = process.geteuid?.() === 0 ? test : test.skip;

asRoot("a service that another user runs is not taken for the system's (needs root)", async (t) => {
  // Node ends the name with zero bytes up to this length, so that this one is exact.
  const name = `ocfs2-group-${process.pid}-`.padEnd(107, "x");
  const program = `require("node:net").createServer().listen("\\0${name}", () => console.log("listens"))`;
  const server = spawn(process.execPath, ["--eval", program], { cwd: "/", uid: 65_534, gid: 65_534 });
  const ended = new Promise((resolve) => server.once("exit", resolve));
  await new Promise((resolve) => server.stdout.once("data", resolve));
  await t.throwsAsync(native.connectAbstract(name), {
    code: "O2CB_SERVICE_UNAVAILABLE",
    message: /user 65534 serves it/,
  });
  server.kill();
  await ended;
});

test("a server on an abstract name", async (t) => {
  const name = `ocfs2-group-test-${process.pid}`;
  const fd = await native.listenAbstract(name, 5);
  await t.throwsAsync(native.listenAbstract(name, 5), { message: /EADDRINUSE from bind/ });
  const users: (number | null)[] = [];
  const server = createServer((client) => {
    users.push(askKernel(native)(client));
    client.end("hello");
  });
  await new Promise<void>((resolve) => server.listen({ fd }, resolve));
  const client = await native.connectAbstract(name);
  t.is(Buffer.from(await client.read(64)).toString(), "hello");
  t.is((await client.read(64)).length, 0);
  client.close();
  t.deepEqual(users, [process.geteuid?.()]);
  t.throws(() => native.peerUser(0x7fff_ffff), { message: /EBADF from getsockopt/ });
  t.throws(() => native.peerUser(-1), { instanceOf: RangeError });
  await new Promise((resolve) => server.close(resolve));
  await t.throwsAsync(native.connectAbstract(name), { message: /ECONNREFUSED/ });
  await t.throwsAsync(native.listenAbstract("x".repeat(108), 5), { message: /1 to 107 bytes/ });
  await t.throwsAsync(async () => native.listenAbstract(name, -1), { instanceOf: RangeError });
});
