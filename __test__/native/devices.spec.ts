// Reading images directly: heartbeat slots at both block sizes, and what is no volume.
import { execFileSync } from "node:child_process";
import {
  closeSync,
  constants,
  ftruncateSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import test from "ava";
import { O2cbError } from "../../ts/errors.ts";
import { loadNative } from "../../ts/native.ts";
import { scratch, threads, until } from "./support.ts";

const native = loadNative();

/** A heartbeat block that a kernel wrote (kernel-abi specification, 2.2): node 1, left cleanly, 62000 ms; valid at 512 bytes. */
const written = Buffer.from("c059046b000000000100000021002cfa000000000000000030f20000", "hex");

for (const blockBytes of [512, 4096]) {
  test(`heartbeat slots of ${blockBytes} bytes`, async (t) => {
    const path = join(scratch(t), "image");
    const image = Buffer.alloc(blockBytes * 260, 0xee);
    image.fill(0, blockBytes * 3, blockBytes * 258);
    written.copy(image, blockBytes * 4);
    writeFileSync(path, image);
    const slots = await native.readHeartbeatSlots(path, { startBlock: 3n, blockBytes, blocks: 255 });
    t.is(slots.length, 255);
    t.deepEqual(slots[1], {
      slot: 1,
      valid: blockBytes === 512,
      sequence: 0x6b0459c0n,
      node: 1,
      generation: 0n,
      deadMs: 62_000,
    });
    t.like(slots[254], { slot: 254, valid: true, sequence: 0n, generation: 0n });
    const beyond = await native.readHeartbeatSlots(path, { startBlock: 257n, blockBytes, blocks: 2 });
    t.deepEqual(
      beyond.map((slot) => slot.valid),
      [true, false],
    );
    t.true(readFileSync(path).equals(image), "reading changes nothing");
  });
}

test("a geometry that no region has, and one beyond the end, are refused", async (t) => {
  const path = join(scratch(t), "image");
  writeFileSync(path, Buffer.alloc(512 * 10));
  const refused = [
    [{ startBlock: 1n, blockBytes: 513, blocks: 1 }, "O2CB_INVALID_BLOCK_SIZE"],
    [{ startBlock: 1n, blockBytes: 512, blocks: 256 }, "O2CB_INVALID_BLOCK_COUNT"],
    [{ startBlock: 0n, blockBytes: 512, blocks: 1 }, "O2CB_BAD_HEARTBEAT_FILE"],
    [{ startBlock: 9n, blockBytes: 512, blocks: 2 }, "O2CB_IO"],
  ] as const;
  for (const [geometry, code] of refused) {
    const error = (await t.throwsAsync(native.readHeartbeatSlots(path, geometry), {
      instanceOf: O2cbError,
      code,
    })) as O2cbError;
    t.is(error.path, path);
  }
  for (const startBlock of [-1n, 2n ** 64n]) {
    await t.throwsAsync(native.readHeartbeatSlots(path, { startBlock, blockBytes: 512, blocks: 1 }), {
      instanceOf: TypeError,
    });
  }
});

test("what is no volume is a coded error with the path", async (t) => {
  const root = scratch(t);
  const zeros = join(root, "zeros");
  const file = openSync(zeros, "w");
  ftruncateSync(file, 16 * 1024 * 1024);
  closeSync(file);
  const empty = join(root, "empty");
  writeFileSync(empty, "");
  const odd = join(root, "odd");
  writeFileSync(odd, Buffer.alloc(1234, "OCFSV2"));
  for (const [path, code] of [
    [zeros, "O2CB_BAD_SUPERBLOCK"],
    [empty, "O2CB_BAD_SUPERBLOCK"],
    [odd, "O2CB_BAD_SUPERBLOCK"],
    [root, "O2CB_BAD_DEVICE"],
    ["/dev/null", "O2CB_BAD_DEVICE"],
    [join(root, "none"), "O2CB_BAD_DEVICE"],
  ] as const) {
    const error = (await t.throwsAsync(native.readVolume(path), {
      instanceOf: O2cbError,
      code,
    })) as O2cbError;
    t.is(error.path, path);
  }
});

test("only a block device can be claimed", async (t) => {
  for (const path of [scratch(t), "/dev/null", "/dev/nonexistent"]) {
    await t.throwsAsync(native.claimDevice(path), { instanceOf: O2cbError, code: "O2CB_BAD_DEVICE" });
  }
});

test("a heartbeat is started on nothing but a device", async (t) => {
  const root = scratch(t);
  const device = await t.throwsAsync(native.startHeartbeat(root, join(root, "none")), {
    code: "O2CB_BAD_DEVICE",
  });
  t.is((device as O2cbError).path, join(root, "none"));
  writeFileSync(join(root, "image"), "");
  const attribute = (await t.throwsAsync(native.startHeartbeat(root, join(root, "image")))) as O2cbError;
  t.like(attribute, { errno: -2, path: join(root, "dev") });
});

test("a start that is given up while the kernel waits is an abort, and no stray signal is", async (t) => {
  const root = scratch(t);
  execFileSync("mkfifo", [join(root, "dev")]);
  writeFileSync(join(root, "device"), "");
  const full = openSync(join(root, "dev"), constants.O_RDWR | constants.O_NONBLOCK);
  t.teardown(() => closeSync(full));
  const fill = (): void => {
    for (;;) {
      writeSync(full, Buffer.alloc(4096));
    }
  };
  t.throws(fill, { code: "EAGAIN" });
  let settled = false;
  const caller = new AbortController();
  const call = native
    .startHeartbeat(root, join(root, "device"), { signal: caller.signal })
    .finally(() => (settled = true));
  await until("it is blocked", () => threads("start-heartbeat") === 1);
  let seen = 0;
  const count = (): void => void seen++;
  process.on("SIGWINCH", count);
  const timer = setInterval(() => process.kill(process.pid, "SIGWINCH"), 2);
  await until("50 signals have arrived", () => seen >= 50);
  clearInterval(timer);
  process.off("SIGWINCH", count);
  t.false(settled);
  caller.abort();
  const error = await t.throwsAsync(call, { instanceOf: O2cbError, code: "O2CB_ABORTED" });
  t.like(error, { errno: -4, syscall: "write", path: join(root, "dev") });
});

test("block devices are listed, and a scan answers for each device in its place", async (t) => {
  const listed = await native.listBlockDevices();
  t.true(listed.every(({ name, bytes }) => name !== "" && typeof bytes === "bigint"));
  const root = scratch(t);
  const [none, empty] = [join(root, "none"), join(root, "empty")];
  writeFileSync(empty, Buffer.alloc(16_384));
  // The signature and no more: a volume for a scan, with the reason why it is none that can be used.
  const signed = join(root, "signed");
  const image = Buffer.alloc(16_384);
  image.write("OCFSV2", 2048);
  image.write("\u00e9\u00ff", 2048 + 0x110, "latin1");
  writeFileSync(signed, image);
  for (const threads of [1, 8]) {
    const [first, second, third] = await native.scanVolumes([none, signed, empty], true, threads);
    t.like(first, { device: none, volume: null, code: "O2CB_BAD_DEVICE" });
    t.regex(first?.failure ?? "", /none/);
    t.like(second, { device: signed, code: null, failure: null });
    t.like(second?.volume, { label: "\u00e9\u00ff", uuid: "0".repeat(32), stackLabel: null, slotMap: null });
    t.regex(second?.volume?.problem ?? "", /it names a block size of/);
    t.deepEqual(third, { device: empty, volume: null, code: null, failure: null });
  }
  t.deepEqual(await native.scanVolumes([], true, 8), []);
  await t.throwsAsync(native.scanVolumes([empty], true, -1), { instanceOf: RangeError });
  const signal = AbortSignal.abort();
  await t.throwsAsync(native.scanVolumes([empty], true, 1, { signal }), { code: "O2CB_ABORTED" });
});

test("what is no volume cannot be inspected", async (t) => {
  const empty = join(scratch(t), "empty");
  writeFileSync(empty, Buffer.alloc(16_384));
  await t.throwsAsync(native.inspectVolume(empty), { instanceOf: O2cbError, code: "O2CB_BAD_SUPERBLOCK" });
  await t.throwsAsync(native.inspectVolume(`${empty}x`), { instanceOf: O2cbError, code: "O2CB_BAD_DEVICE" });
});
