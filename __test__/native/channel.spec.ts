// The stream that connectAbstract gives, over real sockets: bytes both ways, ends, resets, giving up, and no descriptor left.
import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import type { Socket } from "node:net";
import test from "ava";
import { isCode, type O2cbError } from "../../ts/errors.ts";
import { loadNative } from "../../ts/native.ts";
import type { ByteChannel } from "../../ts/native-types.ts";
import { openDescriptors, serve } from "./sockets.ts";
import { child, until } from "./support.ts";

const native = loadNative();

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

async function heard(channel: ByteChannel): Promise<string> {
  let all = "";
  for (;;) {
    const bytes = await channel.read(3);
    if (bytes.length === 0) return all;
    all += text(bytes);
  }
}

test.serial("bytes pass both ways, and each side ends its own stream", async (t) => {
  const name = await serve(t, native, (socket) => {
    let said = "";
    socket.on("data", (bytes) => (said += String(bytes)));
    socket.on("end", () => socket.end(`${said}!`));
  });
  const channel = await native.connectAbstract(name);
  await channel.write(Buffer.from("hello"));
  channel.end();
  t.is(await heard(channel), "hello!");
  t.is(await heard(channel), "", "the end stays");
  channel.close();
  channel.close();
  await t.throwsAsync(channel.write(Buffer.from("x")), { code: "O2CB_ABORTED" });
});

test.serial("a frame goes with one write, and is close-on-exec and non-blocking", async (t) => {
  const sizes: number[] = [];
  const name = await serve(t, native, (socket) => socket.on("data", ({ length }) => sizes.push(length)));
  const before = sockets();
  const channel = await native.connectAbstract(name);
  const mine = [...sockets()].filter(([fd]) => !before.has(fd)).map(([fd]) => fd);
  for (const fd of mine) {
    const flags = Number.parseInt(
      /flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1] ?? "",
      8,
    );
    t.is(flags & 0o2004000, 0o2004000, `descriptor ${fd}`);
  }
  await channel.write(new Uint8Array(256));
  await until("the frame has come", () => sizes.length > 0);
  t.deepEqual(sizes, [256]);
  channel.close();
});

for (const words of ["last words", ""])
  test.serial(`a reset after '${words}' is the end, and what came before it is read first`, async (t) => {
    let server: Socket | undefined;
    const name = await serve(t, native, (socket) => (server = socket), { pauseOnConnect: true });
    const channel = await native.connectAbstract(name);
    await channel.write(Buffer.from("never read, so that closing resets"));
    await until("the server has it", () => server !== undefined);
    if (words !== "") server?.write(words);
    await until("it has come", () => channel.buffered === words.length);
    server?.destroy();
    t.is(text(await channel.read(100).catch(ended)), words);
    // Where both come in one turn of the loop, Node takes a reset for an end.
    t.is(text(await channel.read(100).catch(ended)), "");
    channel.close();
  });

/** No bytes, for a channel whose other end is gone. */
function ended(error: unknown): Uint8Array {
  if (!isCode(error, "O2CB_SERVICE_UNAVAILABLE")) throw error;
  return new Uint8Array();
}

test.serial("writing to an end that is gone says so", async (t) => {
  const name = await serve(t, native, (socket) => socket.destroy());
  const channel = await native.connectAbstract(name);
  const error = (await t.throwsAsync(
    (async () => {
      for (;;) await channel.write(new Uint8Array(256));
    })(),
    { code: "O2CB_SERVICE_UNAVAILABLE" },
  )) as O2cbError;
  t.is(error.syscall, "write");
  channel.close();
});

test.serial("a call that is given up ends, and the next one works", async (t) => {
  let server: Socket | undefined;
  const name = await serve(t, native, (socket) => (server = socket));
  const channel = await native.connectAbstract(name);
  const controller = new AbortController();
  const reading = channel.read(10, { signal: controller.signal });
  controller.abort(new Error("enough"));
  const error = (await t.throwsAsync(reading, { code: "O2CB_ABORTED" })) as O2cbError;
  t.is((error.cause as Error).message, "enough");
  await t.throwsAsync(channel.read(1, { signal: AbortSignal.abort() }), { code: "O2CB_ABORTED" });
  await until("the server has it", () => server !== undefined);
  server?.write("now");
  t.is(text(await channel.read(10)), "now");
  const closed = channel.read(1);
  channel.close();
  await t.throwsAsync(closed, { code: "O2CB_ABORTED" });
});

test.serial("a writer that is not read is given up, too", async (t) => {
  const name = await serve(t, native, (socket) => socket.pause());
  const channel = await native.connectAbstract(name);
  const big = channel.write(new Uint8Array(8 << 20), { signal: AbortSignal.timeout(50) });
  await t.throwsAsync(big, { code: "O2CB_ABORTED" });
  channel.close();
});

test.serial("a name that cannot be, and one that nobody has", async (t) => {
  for (const wrong of ["", "x".repeat(108)])
    await t.throwsAsync(native.connectAbstract(wrong), { code: "O2CB_INTERNAL_FAILURE" });
  const error = (await t.throwsAsync(native.connectAbstract("ocfs2-group-nobody"))) as O2cbError;
  t.is(error.errno, -111);
});

test.serial("descriptors do not pile up", async (t) => {
  const name = await serve(t, native, (socket) => {
    socket.on("data", (bytes) => socket.write(bytes));
    socket.on("end", () => socket.end());
  });
  const before = openDescriptors();
  for (let round = 0; round < 50; round++) {
    const channel = await native.connectAbstract(name);
    await channel.write(Buffer.from("x"));
    await channel.read(1);
    channel.close();
  }
  await until("both ends are closed", () => openDescriptors() <= before);
  t.pass();
});

test.serial("an open channel keeps no process alive, and a read does", async (t) => {
  const name = await serve(t, native, (socket) => socket.once("data", () => socket.write("late")));
  const idle = child(t, `await native.connectAbstract(${JSON.stringify(name)}); print("open");`);
  t.is(await idle.line(), "open");
  t.is(await idle.ended, 0);
  const reader = child(
    t,
    `const channel = await native.connectAbstract(${JSON.stringify(name)});
     await channel.write(Buffer.from("x"));
     print(Buffer.from(await channel.read(9)).toString());`,
  );
  t.is(await reader.line(), "late");
  t.is(await reader.ended, 0);
});

function sockets(): Map<string, string> {
  const found = new Map<string, string>();
  for (const fd of readdirSync("/proc/self/fd")) {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      if (target.startsWith("socket:")) found.set(fd, target);
    } catch {
      // it was the one that read the directory
    }
  }
  return found;
}

test.serial("a server that ends early is an end", async (t) => {
  const name = await serve(t, native, (socket) => socket.end("bye"));
  const channel = await native.connectAbstract(name);
  t.is(await heard(channel), "bye");
  channel.close();
});
