// The control protocol over real sockets: 200 clients at once, and servers that send anything in any order and pieces. Nobody hangs past a
// deadline, every failure is a coded one, and no descriptor stays.
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import test from "ava";
import * as fc from "fast-check";
import { FakeControld } from "../helpers/fake-controld.ts";
import { ControldClient, type ControldOptions } from "../../ts/controld/client.ts";
import { encodeFrame } from "../../ts/controld/frame.ts";
import { O2cbError } from "../../ts/errors.ts";
import { loadNative } from "../../ts/native.ts";
import { openDescriptors, serve } from "./sockets.ts";
import { regionName, until } from "./support.ts";

const native = loadNative();
const names = { cluster: "labpc", device: "/dev/vda", service: "ocfs2" };

for (const backlog of [5, 511]) {
  test.serial(`200 clients at once mount, tell and unmount (backlog ${backlog})`, async (t) => {
    const daemon = new FakeControld();
    const socket = await serve(t, native, daemon.attend, { backlog });
    const before = openDescriptors();
    const client = new ControldClient(native, { socket });
    const one = async (): Promise<void> => {
      const mine = { ...names, uuid: regionName() };
      const connection = await client.connect("begin-join");
      try {
        t.is(await client.mount(connection, mine), "first");
        t.deepEqual(await client.mountResult(connection, mine, 0), { number: 0, text: "OK" });
      } finally {
        connection.close();
      }
      t.true((await client.listFilesystems("labpc")).includes(mine.uuid));
      t.is((await client.unmount("leave", mine)).number, 0);
    };
    await Promise.all(Array.from({ length: 200 }, one));
    t.deepEqual(daemon.view(), []);
    await until("every connection is closed", () => daemon.clients === 0 && openDescriptors() <= before);
  });
}

test.serial(
  "200 programs want one volume: each is let in or told why not, and nothing is left",
  async (t) => {
    const daemon = new FakeControld();
    const socket = await serve(t, native, daemon.attend);
    const client = new ControldClient(native, { socket });
    const uuid = regionName();
    const one = async (_: unknown, n: number): Promise<boolean> => {
      const mine = { ...names, uuid, service: `tool-${n}` };
      const connection = await client.connect("begin-join");
      try {
        await client.mount(connection, mine);
        return (await client.mountResult(connection, mine, n % 2 === 0 ? 0 : 5)).number === 0;
      } catch (error) {
        t.like(error, { code: "O2CB_JOIN_IN_PROGRESS", errno: -16 });
        return false;
      } finally {
        connection.close();
      }
    };
    const admitted = (await Promise.all(Array.from({ length: 200 }, one))).filter(Boolean);
    t.true(admitted.length > 0);
    for (let n = 0; n < 200; n++) {
      const status = await client.unmount("leave", { uuid, service: `tool-${n}` });
      t.true([0, 2].includes(status.number));
    }
    t.deepEqual(daemon.view(), []);
  },
);

test.serial("clients that die at any moment leave no descriptor at either end", async (t) => {
  const daemon = new FakeControld();
  const socket = await serve(t, native, daemon.attend);
  const before = openDescriptors();
  const client = new ControldClient(native, { socket });
  await Promise.all(
    Array.from({ length: 100 }, async (_, n) => {
      const uuid = regionName();
      const connection = await client.connect("begin-join");
      const mounting = client.mount(connection, { ...names, uuid }).catch((error: unknown) => error);
      await wait(n % 5);
      connection.close();
      await mounting;
      // What the daemon had let in is live, and what it is undoing is busy for a moment.
      await until("it is left", async () => {
        return (await client.unmount("leave", { uuid, service: "ocfs2" })).number !== 16;
      });
    }),
  );
  await until("no group is left", () => daemon.view().length === 0);
  t.is(daemon.services, 0);
  await until("every connection is closed", () => daemon.clients === 0 && openDescriptors() <= before);
});

// -- servers of any kind

type Act = { send: Uint8Array } | { wait: number } | { end: "half" | "whole" };

const message = fc.constantFrom(
  encodeFrame({ keyword: "STATUS", number: "0", text: "OK" }),
  encodeFrame({ keyword: "STATUS", number: "114", text: "" }),
  encodeFrame({ keyword: "STATUS", number: "-5", text: "x" }),
  encodeFrame({ keyword: "STATUS", number: "nonsense", text: "x" }),
  encodeFrame({ keyword: "ITEMCOUNT", count: "2" }),
  encodeFrame({ keyword: "ITEMCOUNT", count: "4294967295" }),
  encodeFrame({ keyword: "ITEM", text: "x".repeat(250) }),
  encodeFrame({ keyword: "ITEM", text: "y" }),
  encodeFrame({ keyword: "DUMP" }),
);
const pieces = fc
  .tuple(message, fc.nat(256))
  .map(([frame, at]) => [frame.subarray(0, at), frame.subarray(at)]);
const acts: fc.Arbitrary<Act[]> = fc
  .array(
    fc.oneof(
      message.map((send): Act[] => [{ send }]),
      pieces.map((all): Act[] => all.flatMap((send): Act[] => [{ send }, { wait: 1 }])),
      pieces.map(([send = new Uint8Array()]): Act[] => [{ send }]),
      fc.uint8Array({ maxLength: 700 }).map((send): Act[] => [{ send }]),
      fc.constant<Act[]>([{ send: randomBytes(256) }]),
      fc.nat(4).map((ms): Act[] => [{ wait: ms }]),
      fc.constantFrom<Act[]>([{ end: "half" }], [{ end: "whole" }]),
    ),
    { maxLength: 8 },
  )
  .map((all) => all.flat());

async function play(socket: Socket, script: readonly Act[], waitsForQuestion: boolean): Promise<void> {
  socket.on("end", () => socket.end());
  if (waitsForQuestion) await new Promise<void>((resolve) => socket.once("data", () => resolve()));
  else socket.resume();
  for (const act of script) {
    if (socket.destroyed) return;
    if ("send" in act && !socket.writableEnded) socket.write(act.send);
    if ("wait" in act) await wait(act.wait);
    if ("end" in act && act.end === "half") socket.end();
    if ("end" in act && act.end === "whole") socket.destroy();
  }
}

const LIMIT_MS = 60;
const deadlines: ControldOptions["deadlines"] = {
  connect: LIMIT_MS,
  mount: LIMIT_MS,
  result: LIMIT_MS,
  unmount: LIMIT_MS,
  list: LIMIT_MS,
};
const operations: Record<string, (client: ControldClient) => Promise<unknown>> = {
  mount: async (client) => {
    const connection = await client.connect("begin-join");
    const mine = { ...names, uuid: "U" };
    try {
      await client.mount(connection, mine);
      return await client.mountResult(connection, mine, 0);
    } finally {
      connection.close();
    }
  },
  unmount: (client) => client.unmount("leave", { uuid: "U", service: "ocfs2" }),
  clusters: (client) => client.listClusters(),
  filesystems: (client) => client.listFilesystems("labpc"),
  dump: (client) => client.dump(),
};

test.serial("whatever a server sends, a client ends in time, with a value or a coded error", async (t) => {
  let script: readonly Act[] = [];
  let waitsForQuestion = true;
  const socket = await serve(t, native, (peer) => void play(peer, script, waitsForQuestion));
  const client = new ControldClient(native, { socket, deadlines });
  const before = openDescriptors();
  const ends = new Map<string, number>();
  const run = await fc.check(
    fc.asyncProperty(
      acts,
      fc.constantFrom(...Object.keys(operations)),
      fc.boolean(),
      async (all, operation, waits) => {
        script = all;
        waitsForQuestion = waits;
        const began = performance.now();
        let end = "value";
        try {
          await operations[operation]?.(client);
        } catch (error) {
          if (!(error instanceof O2cbError)) throw error;
          end = error.code;
        }
        ends.set(end, (ends.get(end) ?? 0) + 1);
        // Three waits at most, and what a busy host adds.
        return performance.now() - began < 3 * LIMIT_MS + 2000;
      },
    ),
    { numRuns: 400 },
  );
  t.false(
    run.failed,
    `seed ${run.seed}, counterexample ${JSON.stringify(run.counterexample)} ${run.errorInstance}`,
  );
  const allowed = [
    "value",
    "O2CB_BAD_MESSAGE",
    "O2CB_SERVICE_UNAVAILABLE",
    "O2CB_TIMEOUT",
    "O2CB_DAEMON_REFUSED",
  ];
  t.deepEqual(
    [...ends.keys()].filter((end) => !allowed.includes(end)),
    [],
  );
  for (const end of allowed)
    t.true((ends.get(end) ?? 0) > 0, `${end} never came: ${JSON.stringify([...ends])}`);
  await until("every connection is closed", () => openDescriptors() <= before);
});

test.serial("whatever a server sends, giving up ends within its patience", async (t) => {
  const scripts = fc.sample(acts, { numRuns: 30, seed: Number(process.env["OCFS2_GROUP_SEED"] ?? 1) });
  let next = 0;
  const socket = await serve(
    t,
    native,
    (peer) => void play(peer, scripts[next++ % scripts.length] ?? [], true),
  );
  const client = new ControldClient(native, { socket });
  const before = openDescriptors();
  const began = performance.now();
  await Promise.all(
    scripts.map(async () => {
      const connection = await client.connect("begin-join");
      await client
        .mount(connection, { ...names, uuid: "U" }, { signal: AbortSignal.timeout(5) })
        .catch(() => undefined);
      await connection.giveUp();
    }),
  );
  t.true(performance.now() - began < 10_000);
  await until("every connection is closed", () => openDescriptors() <= before);
});
