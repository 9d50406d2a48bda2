// The client of ocfs2_controld over channels in memory: its exchanges, refusals with the daemon's words, deadlines, giving up, and peers that do
// not speak the protocol.
import test from "ava";
import { FakeControld } from "../helpers/fake-controld.ts";
import { FakeKernel, UUID, type FakeNative } from "../helpers/fake-native.ts";
import type { ClientSide, ServerSide } from "../helpers/fake/channel.ts";
import { ControldClient, type ControldOptions } from "../../ts/controld/client.ts";
import { encodeFrame } from "../../ts/controld/frame.ts";
import type { Message } from "../../ts/controld/messages.ts";
import { refusal } from "../../ts/controld/refusals.ts";
import { errorCodes } from "../../ts/error-codes.ts";
import { O2cbError } from "../../ts/errors.ts";
import type { Step } from "../../ts/steps.ts";

const D = "/dev/vda";
const SOCKET = "test";
const names = { uuid: UUID, cluster: "labpc", device: D, service: "ocfs2" };

interface Host {
  kernel: FakeKernel;
  native: FakeNative;
  daemon: FakeControld;
  client: ControldClient;
}

function host(options: ControldOptions = {}): Host {
  const kernel = new FakeKernel();
  const daemon = new FakeControld();
  kernel.abstractSockets.set(SOCKET, daemon.listener);
  const native = kernel.process();
  const client = new ControldClient(native, { socket: SOCKET, ...options }, { region: UUID });
  return { kernel, native, daemon, client };
}

async function failure(promise: Promise<unknown>): Promise<O2cbError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error instanceof O2cbError) return error;
  throw new Error("no coded error", { cause: error });
}

/** A server that answers the first frame with these bytes, in these pieces, and then ends its stream if it shall. */
function peer(pieces: readonly Uint8Array[], ends: boolean): (client: ClientSide) => ServerSide {
  return (client) => ({
    data: () => {
      for (const piece of pieces) client.send(piece);
      if (ends) client.end();
    },
    end: () => client.end(),
  });
}

const frames = (...messages: Message[]): Uint8Array => Buffer.concat(messages.map(encodeFrame));
const ok: Message = { keyword: "STATUS", number: "0", text: "OK" };

test("a first mount, its result, an unmount", async (t) => {
  const { kernel, daemon, client } = host();
  const connection = await client.connect("begin-join");
  t.is(await client.mount(connection, names), "first");
  t.deepEqual(daemon.view(), [`${UUID} notified: ocfs2`]);
  t.deepEqual(await client.mountResult(connection, names, 0), { number: 0, text: "OK" });
  connection.close();
  t.deepEqual(daemon.view(), [`${UUID} live: ocfs2`]);
  t.deepEqual(await client.listFilesystems("labpc"), [UUID]);
  t.is((await client.unmount("leave", names)).number, 0);
  t.is((await client.unmount("leave", names)).number, 2);
  t.deepEqual(await client.listFilesystems("labpc"), []);
  t.deepEqual(daemon.heard, [
    `MOUNT ocfs2 ${UUID} labpc ${D} ocfs2`,
    `MRESULT ocfs2 ${UUID} 0 ocfs2`,
    "LISTFS ocfs2 labpc",
    `UNMOUNT ocfs2 ${UUID} ocfs2`,
    `UNMOUNT ocfs2 ${UUID} ocfs2`,
    "LISTFS ocfs2 labpc",
  ]);
  t.deepEqual(kernel.leftovers(), []);
});

test("an additional mount may go ahead, and its failure leaves the group", async (t) => {
  const { daemon, client } = host();
  const first = await client.connect("begin-join");
  await client.mount(first, names);
  await client.mountResult(first, names, 0);
  const second = await client.connect("begin-join");
  t.is(await client.mount(second, names), "additional");
  t.is((await client.mountResult(second, names, 16)).number, 0);
  t.deepEqual(daemon.view(), [`${UUID} live: ocfs2`]);
  first.close();
  second.close();
});

test("the cluster, and the daemon's log with all its blanks", async (t) => {
  const { daemon, client } = host();
  daemon.log = "a line \n".repeat(400);
  t.deepEqual(await client.listClusters(), ["labpc"]);
  t.is(await client.dump(), daemon.log);
});

test("a refusal carries the number, the daemon's words and what to do", async (t) => {
  const { daemon, client } = host();
  const connection = await client.connect("begin-join");
  daemon.registration = 95;
  const error = await failure(client.mount(connection, names));
  t.like(error, { code: "O2CB_DAEMON_REFUSED", errno: -95, region: UUID, operation: "begin-join", path: D });
  t.regex(error.message, /EOPNOTSUPP: 'dlm_controld refuses'/);
  t.regex(error.remedy ?? "", /--enable_fscontrol/);
  t.true(connection.isUsable, "a refusal ends no connection");
  connection.close();
  const wrong = await failure(client.listFilesystems("nope"));
  t.like(wrong, { code: "O2CB_DAEMON_REFUSED", errno: -22 });
  const busy = await client.connect("begin-join");
  daemon.registration = 0;
  await client.mount(busy, names);
  const other = await client.connect("begin-join");
  t.like(await failure(client.mount(other, names)), { code: "O2CB_JOIN_IN_PROGRESS", errno: -16 });
  t.is((await client.unmount("leave", names)).number, 16);
});

test("every number gives a sentence, known or not", (t) => {
  for (const request of ["MOUNT", "MRESULT", "UNMOUNT", "LISTFS"] as const) {
    for (const number of [
      -15, 1, 2, 5, 11, 16, 22, 34, 36, 71, 93, 95, 107, 108, 110, 112, 4000, 0x7fff_ffff,
    ]) {
      const error = refusal(request, { number, text: "its \u001b[2J words" }, "it cannot be", {
        operation: "x",
      });
      t.true(Object.hasOwn(errorCodes, error.code));
      t.regex(error.message, /^it cannot be: ocfs2_controld refused, .+ \(.+: 'its \\u\{1b\}\[2J words'\)$/);
      t.truthy(error.remedy);
      t.is(error.errno, number > 0 ? -number : undefined);
    }
  }
  t.regex(refusal("MOUNT", { number: -15, text: "" }, "x", { operation: "x" }).message, /the number -15/);
  t.regex(refusal("MOUNT", { number: 112, text: "" }, "x", { operation: "x" }).message, /EHOSTDOWN/);
});

test("without a daemon the error says so, and without permission too", async (t) => {
  const { native, client } = host({ socket: "nobody" });
  const absent = await failure(client.listClusters());
  t.like(absent, { code: "O2CB_SERVICE_UNAVAILABLE", errno: -111, operation: "list-clusters" });
  t.regex(absent.message, /no ocfs2_controld answers on this node \(ECONNREFUSED/);
  t.regex(absent.remedy ?? "", /systemctl start ocfs2-controld/);
  native.failCall("connectAbstract", { errno: "EACCES" });
  t.like(await failure(client.listClusters()), { code: "O2CB_PERMISSION_DENIED", errno: -13 });
});

test("what cannot be sent is refused before anything is, and the connection stays", async (t) => {
  const { daemon, client } = host();
  const connection = await client.connect("begin-join");
  for (const wrong of [{ device: "/dev/a b" }, { cluster: "lab pc" }, { service: "x".repeat(200) }])
    t.like(await failure(client.mount(connection, { ...names, ...wrong })), { code: "O2CB_BAD_MESSAGE" });
  t.deepEqual(daemon.heard, []);
  t.is(await client.mount(connection, names), "first");
  connection.close();
});

test("a daemon that is silent ends in O2CB_TIMEOUT, and waits are told", async (t) => {
  const { kernel, daemon, client } = host({ deadlines: { mount: 1100, list: 20 } });
  daemon.intercept = () => true;
  // A real channel keeps the process alive while it is read.
  const alive = setInterval(() => undefined, 1000);
  t.teardown(() => clearInterval(alive));
  const steps: Step[] = [];
  const connection = await client.connect("begin-join");
  const late = await failure(client.mount(connection, names, { onStep: (step) => steps.push(step) }));
  t.like(late, { code: "O2CB_TIMEOUT", operation: "begin-join", region: UUID });
  t.regex(late.message, /answer to MOUNT within 1\.1 s/);
  t.like(steps[0], { step: "wait-daemon", region: UUID, request: "MOUNT" });
  connection.close();
  t.is((await failure(client.dump())).code, "O2CB_TIMEOUT");
  t.deepEqual(kernel.leftovers(), []);
});

test("who gives up gets O2CB_ABORTED with the reason", async (t) => {
  const { daemon, client } = host();
  daemon.hold();
  const controller = new AbortController();
  const connection = await client.connect("begin-join");
  const mounting = client.mount(connection, names, { signal: controller.signal });
  setImmediate(() => controller.abort(new Error("enough")));
  const error = await failure(mounting);
  t.is(error.code, "O2CB_ABORTED");
  t.is((error.cause as Error).message, "enough");
  t.false(connection.isUsable);
  t.is(await connection.giveUp(), null);
  t.is((await failure(client.listClusters({ signal: AbortSignal.abort() }))).code, "O2CB_ABORTED");
});

test("a STATUS that crosses the giving up is found", async (t) => {
  const { daemon, client } = host();
  const controller = new AbortController();
  // The answer is sent, and nobody reads it any more.
  daemon.intercept = () => {
    controller.abort();
    return false;
  };
  const connection = await client.connect("begin-join");
  const mounting = client.mount(connection, names, { signal: controller.signal });
  t.is((await failure(mounting)).code, "O2CB_ABORTED");
  await new Promise((resolve) => setImmediate(resolve));
  t.like(await connection.giveUp(), { number: 0 });
  t.deepEqual(daemon.view(), [`${UUID} live: ocfs2`], "the daemon takes it for mounted");
});

test("a STATUS in the middle of which was given up is found", async (t) => {
  const { kernel, client } = host();
  const controller = new AbortController();
  kernel.abstractSockets.set(SOCKET, (server) => ({
    data: () => {
      server.send(frames(ok).subarray(0, 100));
      setImmediate(() => controller.abort());
    },
    end: () => {
      server.send(frames(ok).subarray(100));
      server.end();
    },
  }));
  const connection = await client.connect("begin-join");
  await failure(client.mount(connection, names, { signal: controller.signal }));
  t.deepEqual(await connection.giveUp(), { number: 0, text: "OK" });
  t.deepEqual(kernel.leftovers(), []);
});

test("answers may come in pieces", async (t) => {
  const { kernel, client } = host();
  const bytes = frames(
    { keyword: "ITEMCOUNT", count: "2" },
    { keyword: "ITEM", text: "a" },
    { keyword: "ITEM", text: "b" },
    ok,
  );
  const pieces = Array.from({ length: Math.ceil(bytes.length / 7) }, (_, n) =>
    bytes.subarray(n * 7, n * 7 + 7),
  );
  kernel.abstractSockets.set(SOCKET, peer(pieces, true));
  t.deepEqual(await client.listClusters(), ["a", "b"]);
});

for (const [title, pieces, ends, code, why] of [
  ["an end at once", [], true, "O2CB_SERVICE_UNAVAILABLE", /without an answer to UNMOUNT/],
  ["an end in the middle", [frames(ok).subarray(0, 100)], true, "O2CB_BAD_MESSAGE", /ends 100 bytes into/],
  ["an unknown keyword", [new Uint8Array(256).fill(88)], false, "O2CB_BAD_MESSAGE", /'XX.*is no message/],
  [
    "a message that is no answer",
    [frames({ keyword: "ITEM", text: "x" })],
    false,
    "O2CB_BAD_MESSAGE",
    /with ITEM instead/,
  ],
  [
    "a number that is none",
    [frames({ keyword: "STATUS", number: "0x1", text: "" })],
    false,
    "O2CB_BAD_MESSAGE",
    /'0x1'/,
  ],
] as const) {
  test(`instead of an answer, ${title}`, async (t) => {
    const { kernel, client } = host();
    kernel.abstractSockets.set(SOCKET, peer(pieces, ends));
    const error = await failure(client.unmount("leave", names));
    t.is(error.code, code);
    t.regex(error.message, why);
    t.like(error, { operation: "leave", region: UUID });
    t.deepEqual(kernel.leftovers(), []);
  });
}

test("what nobody asked for is noticed before anything is asked", async (t) => {
  const { kernel, client } = host();
  let heard = 0;
  kernel.abstractSockets.set(SOCKET, (server) => {
    server.send(frames(ok));
    return { data: () => void (heard += 1), end: () => server.end() };
  });
  const error = await failure(client.unmount("leave", names));
  t.is(error.code, "O2CB_BAD_MESSAGE");
  t.regex(error.message, /nobody had asked for/);
  t.is(heard, 0);
});

test("a connection that is reset says what was waited for", async (t) => {
  const { native, client } = host();
  for (const [call, errno] of [
    ["ByteChannel.read", "ECONNRESET"],
    ["ByteChannel.write", "EPIPE"],
  ] as const) {
    native.failCall(call, { errno });
    const error = await failure(client.unmount("leave", names));
    t.is(error.code, "O2CB_SERVICE_UNAVAILABLE");
    t.regex(error.message, /connection to ocfs2_controld was lost while waiting for the answer to UNMOUNT/);
    t.regex(error.remedy ?? "", /log/);
  }
});

test("a connection that was lost says so at the next question", async (t) => {
  const { daemon, client } = host();
  const connection = await client.connect("begin-join");
  await client.mount(connection, names);
  daemon.die();
  t.is((await failure(client.mountResult(connection, names, 0))).code, "O2CB_SERVICE_UNAVAILABLE");
  const again = await failure(client.mountResult(connection, names, 0));
  t.is(again.code, "O2CB_SERVICE_UNAVAILABLE");
  t.regex(again.message, /lost before/);
  connection.close();
});
