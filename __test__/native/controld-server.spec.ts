// The control daemon at a real abstract socket, with real clients: many at once, frames in pieces, bytes of any kind, clients that do not
// read. Its cluster is the fake one.
import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { createServer } from "node:net";
import test, { type ExecutionContext } from "ava";
import { ControldClient } from "../../ts/controld/client.ts";
import { CONTROLD_SOCKET } from "../../ts/controld/connection.ts";
import { decodeFrame, encodeFrame, FRAME_BYTES } from "../../ts/controld/frame.ts";
import type { Message } from "../../ts/controld/messages.ts";
import type { ServerTimes } from "../../ts/controld-daemon/server.ts";
import { listen } from "../../ts/controld-daemon/opening.ts";
import { isCode } from "../../ts/errors.ts";
import type { ByteChannel } from "../../ts/native-types.ts";
import { loadNative } from "../../ts/native.ts";
import { FakeCorosync } from "../helpers/fake/corosync.ts";
import { USER_CLUSTER } from "../helpers/fake/user-setup.ts";
import { DISK } from "../helpers/fake-native.ts";
import { addNode, RunningDaemon } from "../helpers/running-daemon.ts";
import { until } from "./support.ts";

const native = loadNative();
const uuidOf = (number: number): string => number.toString(16).toUpperCase().padStart(32, "0");
const never = new AbortController().signal;
const descriptors = (): number => readdirSync("/proc/self/fd").length;

/** A daemon at an abstract socket of its own name. */
async function serve(t: ExecutionContext, serverTimes: Partial<ServerTimes> = {}) {
  const socket = `${CONTROLD_SOCKET}-${randomBytes(6).toString("hex")}`;
  const named = {
    ...native,
    listenAbstract: (_name: string, ...rest: [number]) => native.listenAbstract(socket, ...rest),
  };
  const node = addNode(new FakeCorosync(), 1);
  const running = await RunningDaemon.start(node, {
    withoutRecovery: true,
    serverTimes,
    listen: (server) => listen(named, server, never, undefined),
  });
  t.teardown(() => running.native.kill());
  const raw = async (reads = true): Promise<RawClient> => {
    const client = new RawClient(await native.connectAbstract(socket), reads);
    t.teardown(() => client.end());
    return client;
  };
  return { running, named, socket, raw, client: new ControldClient(native, { socket }) };
}

/** Writes whatever it likes, and reads only while it is told to. */
class RawClient {
  readonly #channel: ByteChannel;
  bytes: Buffer = Buffer.alloc(0);
  isEnded = false;

  constructor(channel: ByteChannel, reads: boolean) {
    this.#channel = channel;
    if (reads) void this.#read();
  }

  write(bytes: Uint8Array | string): void {
    this.#channel.write(Buffer.from(bytes)).catch(() => {
      this.isEnded = true;
    });
  }

  /** One after the other. */
  async writeAll(parts: readonly Uint8Array[]): Promise<void> {
    for (const part of parts) await this.#channel.write(part);
  }

  end(): void {
    this.#channel.close();
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const more = await this.#channel.read(65_536);
        if (more.length === 0) break;
        this.bytes = Buffer.concat([this.bytes, more]);
      }
    } catch {
      // It was closed, here or there.
    }
    this.isEnded = true;
  }

  get frames(): Message[] {
    return Array.from({ length: Math.floor(this.bytes.length / FRAME_BYTES) }, (_, at) =>
      decodeFrame(this.bytes.subarray(at * FRAME_BYTES, (at + 1) * FRAME_BYTES)),
    );
  }

  async answer(what: string): Promise<Message> {
    await until(what, () => this.bytes.length >= FRAME_BYTES);
    const [first] = this.frames;
    this.bytes = this.bytes.subarray(FRAME_BYTES);
    return first as Message;
  }
}

const clusters = encodeFrame({ keyword: "LISTCLUSTERS" });

test("200 clients at once mount, list, and unmount; no descriptor is left", async (t) => {
  const { running, client } = await serve(t);
  const before = descriptors();
  const numbers = Array.from({ length: 200 }, (_, index) => index);
  const names = (number: number) => ({
    uuid: uuidOf(number),
    cluster: USER_CLUSTER,
    device: DISK,
    service: "ocfs2",
  });
  const mounting = await Promise.all(
    numbers.map(async (number) => {
      const connection = await client.connect("mount");
      t.is(await client.mount(connection, names(number)), "first");
      return connection;
    }),
  );
  t.is((await client.listFilesystems(USER_CLUSTER)).length, 200);
  await Promise.all(
    mounting.map(async (connection, number) => {
      t.is((await client.mountResult(connection, names(number), 0)).number, 0);
      connection.close();
    }),
  );
  const dumps = await Promise.all(numbers.slice(0, 50).map(() => client.dump()));
  t.true(dumps.every((text) => text.includes("live, for ocfs2")));
  await Promise.all(
    numbers.map(async (number) => t.is((await client.unmount("unmount", names(number))).number, 0)),
  );
  t.deepEqual(running.view, []);
  await until("every descriptor is closed", () => descriptors() <= before);
  await running.stop();
});

test("a frame in pieces is one frame, stalls nobody, and has some time only", async (t) => {
  const { raw, running } = await serve(t, { frameMs: 3000 });
  const slow = await raw();
  for (const [from, to] of [
    [0, 1],
    [1, 200],
    [200, 255],
  ] as const) {
    slow.write(clusters.subarray(from, to));
    const other = await raw();
    other.write(clusters);
    t.like(await other.answer("another is served"), { keyword: "ITEMCOUNT" });
    other.end();
  }
  slow.write(clusters.subarray(255));
  t.like(await slow.answer("the frame is whole"), { keyword: "ITEMCOUNT" });

  const cut = await raw();
  cut.write(clusters.subarray(0, 255));
  await until("it is cut off", () => cut.isEnded);
  const drip = await raw();
  const drops = setInterval(() => drip.write("M"), 20);
  t.teardown(() => clearInterval(drops));
  await until("drops do not win time", () => drip.isEnded);
  await running.stop();
});

test("a client that does not read its replies, and one that asks for nothing, are cut off; one that mounts is not", async (t) => {
  const { raw, running } = await serve(t, { replyMs: 300, idleMs: 300 });
  for (let line = 0; line < 40; line += 1) {
    const noisy = await raw();
    noisy.write(Buffer.alloc(8 * FRAME_BYTES, "x"));
    await until("all are refused", () => noisy.frames.length === 8);
    noisy.end();
  }
  const mounter = await raw();
  mounter.write(
    encodeFrame({
      keyword: "MOUNT",
      fstype: "ocfs2",
      uuid: uuidOf(1),
      cluster: USER_CLUSTER,
      device: DISK,
      service: "ocfs2",
    }),
  );
  t.like(await mounter.answer("mounted"), { number: "0" });
  const deaf = await raw(false);
  deaf.write(Buffer.concat(Array.from({ length: 30 }, () => encodeFrame({ keyword: "DUMP" }))));
  const idle = await raw();
  await until("the idle one is cut off", () => idle.isEnded);
  await until("and the deaf one", () =>
    running.of("note").some(({ text }) => text.includes("does not take its reply")),
  );
  const flood = await raw(false);
  flood.write(Buffer.alloc(FRAME_BYTES * 4000, "x"));
  await until("a flood is, too", () =>
    running.of("note").some(({ text }) => text.includes("without reading the replies")),
  );
  t.false(mounter.isEnded);
  mounter.write(
    encodeFrame({ keyword: "MRESULT", fstype: "ocfs2", uuid: uuidOf(1), result: "5", service: "ocfs2" }),
  );
  t.like(await mounter.answer("given up"), { number: "0" });
  await running.stop();
});

test("a second daemon finds the socket taken", async (t) => {
  const { named, running } = await serve(t);
  const error = await t.throwsAsync(listen(named, createServer(), never, undefined));
  t.true(isCode(error, "O2CB_ALREADY_RUNNING"));
  await running.stop();
});

// -- bytes of any kind

const seed = Number(process.env["OCFS2_GROUP_SEED"] ?? Date.now() % 1_000_000);

test(`bytes of any kind: each frame is answered, nothing hangs, no descriptor is left (seed ${seed})`, async (t) => {
  const { raw, running } = await serve(t, { frameMs: 2000 });
  const before = descriptors();
  let state = seed || 1;
  const pick = (below: number): number => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b_3c6d) ^ (state << 7);
    return (state >>> 0) % below;
  };
  const keywords = ["MOUNT", "MRESULT", "UNMOUNT", "LISTFS", "LISTMOUNTS", "STATUS", "DUMP", "ITEM", "X", ""];
  const words = [
    "ocfs2",
    uuidOf(7),
    USER_CLUSTER,
    DISK,
    "0",
    "-1",
    "",
    " ",
    "\u{fffd}",
    "controld",
    "/dev/none",
  ];
  const frame = (): Buffer => {
    const bytes = Buffer.alloc(FRAME_BYTES);
    if (pick(4) === 0) for (let at = 0; at < FRAME_BYTES; at += 1) bytes[at] = pick(256);
    else {
      const text = [
        keywords[pick(keywords.length)],
        ...Array.from({ length: pick(7) }, () => words[pick(11)]),
      ];
      bytes.write(text.join(pick(9) === 0 ? "  " : " "));
      if (pick(3) === 0) bytes[pick(FRAME_BYTES)] = pick(256);
    }
    return bytes;
  };
  await Promise.all(
    Array.from({ length: 40 }, async () => {
      const client = await raw();
      for (let count = 0; count < 25 && !client.isEnded; count += 1) {
        const asked = frame();
        const parts: Buffer[] = [];
        for (let at = 0; at < FRAME_BYTES; at += parts.at(-1)?.length ?? 0)
          parts.push(asked.subarray(at, at + 1 + pick(FRAME_BYTES)));
        await client.writeAll(parts);
        // A list ends with its STATUS, as every answer does.
        await until(
          "the frame is answered",
          () => client.frames.at(-1)?.keyword === "STATUS" || client.isEnded,
        );
        client.bytes = Buffer.alloc(0);
      }
      t.false(client.isEnded);
      if (pick(2) === 0) await client.writeAll([frame().subarray(0, 1 + pick(FRAME_BYTES - 1))]);
      client.end();
    }),
  );
  const last = await raw();
  for (const service of new Set(running.daemon.volumes.flatMap(({ services }) => services))) {
    last.write(encodeFrame({ keyword: "UNMOUNT", fstype: "ocfs2", uuid: uuidOf(7), service }));
    t.like(await last.answer("unmounted"), { keyword: "STATUS" });
  }
  last.end();
  await until("nothing is left", () => running.view.length === 0 && descriptors() <= before);
  t.false(running.hasEnded);
  await running.stop();
});
