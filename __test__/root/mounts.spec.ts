// Mounts, claims and namespaces with real file systems on loop devices, each test in a mount namespace of its own.
// Facts relied on: a superblock claims its device until it is really gone; a mount in a private namespace ends with its last process.
import { execFileSync, spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { child, scratch, start } from "../native/support.ts";

const works = (path: string, ...args: string[]): boolean => spawnSync(path, args).status === 0;
const missing = [
  process.geteuid?.() !== 0 && "needs root",
  !works("unshare", "-m", "true") && "needs mount namespaces",
  !works("losetup", "-f") && "needs loop devices",
  !works("mkfs.ext4", "-V") && "needs mkfs.ext4",
].filter(Boolean);
const rooted = missing.length === 0 ? test.serial : test.skip;
const why = missing.length === 0 ? "" : ` (${missing.join(", ")})`;

/** A loop device over a new image of 16 MiB, with ext4 on it where `format` says so. */
function loop(t: ExecutionContext, { format = true, sectorBytes = 512 } = {}): string {
  const image = join(scratch(t), "image");
  const file = openSync(image, "w");
  ftruncateSync(file, 16 * 1024 * 1024);
  closeSync(file);
  const device = execFileSync("losetup", ["-b", String(sectorBytes), "-f", "--show", image], {
    encoding: "utf8",
  }).trim();
  t.teardown(() => execFileSync("losetup", ["-d", device]));
  if (format) {
    execFileSync("mkfs.ext4", ["-q", device]);
  }
  return device;
}

/** Runs a script in a mount namespace of its own; what it `say`s, as JSON with bigints as strings and errors as their fields. */
async function inNamespace(t: ExecutionContext, script: string): Promise<unknown[]> {
  const prologue = `
    const said = [];
    const plain = (key, value) => typeof value === "bigint" ? String(value) : value;
    const say = (value) => said.push(value);
    const failure = (promise) => promise.then((value) => ({ succeeded: value }), (e) =>
      ({ code: e.code, errno: e.errno, syscall: e.syscall, path: e.path, kernelMessages: e.kernelMessages, message: e.message }));
    const request = { flags: 0, options: [], namespace: null };`;
  const one = child(
    t,
    `${prologue}\n${script}\nprint(JSON.stringify(said, plain));`,
    [],
    ["unshare", "-m", "--propagation", "private"],
  );
  const line = await one.line();
  await one.ended;
  return JSON.parse(line) as unknown[];
}

const text = JSON.stringify;

rooted(`fsopen: the kernel's own words are in the error${why}`, async (t) => {
  const device = loop(t);
  const target = scratch(t);
  const said = await inNamespace(
    t,
    `
    const ext4 = { ...request, source: ${text(device)}, target: ${text(target)}, type: "ext4", api: "fsopen" };
    say(await failure(native.mount({ ...ext4, options: ["data=bogus"] })));
    say(await failure(native.mount({ ...ext4, options: ["nonsense"] })));
    say(await failure(native.mount({ ...ext4, source: "/dev/null" })));
    say(await failure(native.mount({ ...ext4, type: "nosuchfs" })));
    say(await failure(native.mount({ ...ext4, target: "/nonexistent/directory" })));
    say(await failure(native.mount({ ...ext4, flags: 32 })));
    say((await native.mounts(null)).filter((entry) => entry.source === ${text(device)}).length);
    say(await failure(native.claimDevice(${text(device)}).then((claim) => claim !== null)));`,
  );
  t.like(said[0], { code: "O2CB_BAD_MOUNT_OPTION", errno: -22, syscall: "fsconfig", path: target });
  t.regex((said[0] as { kernelMessages: string[] }).kernelMessages.join(), /^ext4: Bad value for 'data'/);
  t.regex(
    (said[1] as { kernelMessages: string[] }).kernelMessages.join(),
    /^ext4: Unknown parameter 'nonsense'/,
  );
  t.like(said[2], { code: "O2CB_MOUNT_FAILED", errno: -15 });
  t.regex((said[2] as { kernelMessages: string[] }).kernelMessages.join(), /Can't lookup blockdev/);
  t.like(said[3], { code: "O2CB_MOUNT_FAILED", errno: -19, syscall: "fsopen" });
  t.like(said[4], { code: "O2CB_MOUNT_FAILED", errno: -2, syscall: "move_mount" });
  t.like(said[5], { code: "O2CB_INTERNAL_FAILURE" });
  t.deepEqual(said.slice(6), [0, { succeeded: true }], "what could not be attached is gone");
});

rooted(`mount(2): the errno and the target are in the error${why}`, async (t) => {
  const target = scratch(t);
  const said = await inNamespace(
    t,
    `
    const tmpfs = { ...request, source: "none", target: ${text(target)}, type: "tmpfs", api: "mount" };
    say(await failure(native.mount({ ...tmpfs, options: ["sizee=1"] })));
    say(await failure(native.mount({ ...tmpfs, target: "/nonexistent" })));
    say(await failure(native.unmount({ target: ${text(target)}, flags: 0, namespace: null })));`,
  );
  t.like(said[0], { code: "O2CB_MOUNT_FAILED", errno: -22, syscall: "mount", path: target });
  t.like(said[1], { code: "O2CB_MOUNT_FAILED", errno: -2, path: "/nonexistent" });
  t.like(said[2], { code: "O2CB_NOT_MOUNTED", errno: -22, syscall: "umount2", path: target });
});

for (const api of ["fsopen", "mount"] as const) {
  rooted(`${api}: flags and options reach the mount and the superblock${why}`, async (t) => {
    const device = loop(t);
    const target = scratch(t);
    // MS_RDONLY 1, MS_NOSUID 2, MS_NODEV 4, MS_NOEXEC 8, MS_NOATIME 1024, MS_NODIRATIME 2048
    const [entry, facts, parent, file] = (await inNamespace(
      t,
      `
      const options = ["commit=7", "user_xattr"];
      const source = ${text(device)}, target = ${text(target)};
      await native.mount({ ...request, source, target, type: "ext4", flags: 1 + 2 + 4 + 8 + 1024 + 2048, options, api: "${api}" });
      say((await native.mounts(null)).find((one) => one.target === target));
      say(await native.inspectPath(target, null));
      say(await native.inspectPath(target + "/..", null));
      say(await native.inspectPath(target + "/lost+found", null));
      await native.unmount({ target, flags: 0, namespace: null });`,
    )) as Record<string, unknown>[];
    t.like(entry, { type: "ext4", source: device, root: "/", target });
    t.deepEqual(String(entry?.["options"]).split(",").toSorted(), [
      "noatime",
      "nodev",
      "nodiratime",
      "noexec",
      "nosuid",
      "ro",
    ]);
    t.regex(String(entry?.["superOptions"]), /^ro,.*commit=7/);
    t.like(facts, {
      isMountRoot: true,
      mountId: entry?.["id"],
      device: entry?.["device"],
      filesystemMagic: 0xef53,
    });
    t.like(parent, { mountId: entry?.["parent"] });
    t.like(file, { isMountRoot: false, mountId: entry?.["id"] });
  });
}

rooted(`a claim is refused exactly while the superblock lives, and keeps mounts away${why}`, async (t) => {
  const device = loop(t);
  const [one, two] = [scratch(t), scratch(t)];
  const said = await inNamespace(
    t,
    `
    import { openSync, closeSync } from "node:fs";
    const source = ${text(device)}, ext4 = { ...request, source, target: ${text(one)}, type: "ext4", api: "mount" };
    const free = async () => { const claim = await native.claimDevice(source); claim?.release(); return claim !== null; };
    const end = (target, flags = 0) => native.unmount({ target, flags, namespace: null });
    say(await free());
    await native.mount(ext4);
    say(await free());
    await native.mount({ ...ext4, target: ${text(two)} });
    await end(${text(one)});
    say(await free());
    const open = openSync(${text(two)} + "/lost+found", "r");
    say(await failure(end(${text(two)})));
    await end(${text(two)}, 2);
    say(await free());
    closeSync(open);
    say(await free());
    const claim = await native.claimDevice(source);
    say(await failure(native.mount(ext4)));
    say(await free());
    claim.release(); claim.release();
    await native.mount(ext4);
    say(await free());
    await end(${text(one)});`,
  );
  const [before, mounted, twice, busy, detached, gone, refused, held, again] = said;
  t.deepEqual(
    [before, mounted, twice, detached, gone, held, again],
    [true, false, false, false, true, false, false],
  );
  t.like(busy, { code: "O2CB_UNMOUNT_FAILED", errno: -16, path: two });
  t.like(refused, { code: "O2CB_MOUNT_FAILED", errno: -16 });
});

for (const sectorBytes of [512, 4096]) {
  rooted(`a device with sectors of ${sectorBytes} bytes is read directly${why}`, async (t) => {
    const device = loop(t, { format: false, sectorBytes });
    const [slots, volume, small] = (await inNamespace(
      t,
      `
      say((await native.readHeartbeatSlots(${text(device)}, { startBlock: 8n, blockBytes: 512, blocks: 255 })).length);
      say(await failure(native.readVolume(${text(device)})));
      say(await failure(native.readHeartbeatSlots(${text(device)}, { startBlock: 32767n, blockBytes: 512, blocks: 2 })));`,
    )) as Record<string, unknown>[];
    t.is(slots as unknown, 255);
    t.like(volume, { code: "O2CB_BAD_SUPERBLOCK", path: device });
    t.like(small, { code: "O2CB_IO", path: device });
  });
}

for (const api of ["fsopen", "mount"] as const) {
  rooted(`${api}: another namespace is mounted in, looked at and unmounted in${why}`, async (t) => {
    const target = scratch(t);
    mkdirSync(join(target, "below"));
    const holder = start(t, "unshare", [
      "-m",
      "--propagation",
      "private",
      "sh",
      "-c",
      "echo up; exec sleep 1000",
    ]);
    t.is(await holder.line(), "up");
    const namespace = `/proc/${holder.process.pid}/ns/mnt`;
    const said = await inNamespace(
      t,
      `
      const target = ${text(target)}, namespace = ${text(namespace)};
      const there = async (where) => (await native.mounts(where)).filter((one) => one.target === target).length;
      await native.mount({ ...request, source: "here", target, type: "tmpfs", options: ["size=64k"], api: "${api}", namespace });
      say([await there(namespace), await there(null)]);
      say([(await native.inspectPath(target, namespace)).isMountRoot, (await native.inspectPath(target, null)).isMountRoot]);
      say(await failure(native.inspectPath(target + "/below", namespace)));
      say((await native.inspectPath(target + "/below", null)).kind);
      await native.unmount({ target, flags: 0, namespace });
      say([await there(namespace), await there(null)]);
      say(await failure(native.mounts("/proc/self/status")));
      say(await failure(native.mounts("/proc/self/ns/net")));`,
    );
    t.deepEqual(said.slice(0, 2), [
      [1, 0],
      [true, false],
    ]);
    t.like(said[2], { errno: -2 });
    t.deepEqual(said.slice(3, 5), ["directory", [0, 0]]);
    t.like(said[5], { errno: -22, syscall: "setns" });
    t.like(said[6], { errno: -22, syscall: "setns" });
  });
}

rooted(`the kernel log's lines of the call's time are in the error${why}`, async (t) => {
  const directory = scratch(t);
  execFileSync("mkfifo", [join(directory, "dev")]);
  const [error] = await inNamespace(
    t,
    `
    import { openSync, closeSync, writeFileSync, constants, readFileSync, readdirSync } from "node:fs";
    const directory = ${text(directory)};
    writeFileSync(directory + "/device", "");
    writeFileSync("/dev/kmsg", "o2hb: written before the call\\n");
    const full = openSync(directory + "/dev", constants.O_RDWR | constants.O_NONBLOCK);
    try { for (;;) writeSync(full, Buffer.alloc(4096)); } catch {}
    // A process apart writes, and blocks on a pipe that is full; killed, it is an error of input and output.
    const call = failure(native.startHeartbeat(directory, directory + "/device"));
    const read = (path) => { try { return readFileSync(path, "utf8"); } catch { return ""; } };
    const writer = () => readdirSync("/proc").find((pid) => /^\\d+$/.test(pid) && pid !== String(process.pid) &&
      read("/proc/" + pid + "/comm") === "start-heartbeat\\n" && read("/proc/" + pid + "/syscall").startsWith("1 ") &&
      read("/proc/" + pid + "/stat").includes(") S " + process.pid + " "));
    while (writer() === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
    writeFileSync("/dev/kmsg", "o2hb: a line of this test\\n");
    writeFileSync("/dev/kmsg", "something else of this test\\n");
    process.kill(Number(writer()), "SIGKILL");
    say(await call);
    closeSync(full);`,
  );
  t.like(error, { errno: -5, kernelMessages: ["o2hb: a line of this test"] });
});
