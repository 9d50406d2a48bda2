// Locks of fs/dlm over the fake one: what a lock space needs of its transport, between processes and between nodes.
import test, { type ExecutionContext } from "ava";
import { FsdlmTransport } from "../../ts/dlm/fsdlm-transport.ts";
import type { TransportLock } from "../../ts/dlm/lock-transport.ts";
import type { O2cbError } from "../../ts/errors.ts";
import { classicLocal, FakeKernel, Fsdlm, UUID, walkFaults } from "../helpers/fake-native.ts";

const now = { trylock: true };
const queued = { trylock: false };

/** Two nodes of one cluster, a process on each. */
async function twoNodes() {
  const dlm = new Fsdlm();
  const kernels = [new FakeKernel(), new FakeKernel()] as const;
  for (const kernel of kernels) kernel.fsdlm = dlm;
  const [here, there] = [kernels[0].process(), kernels[1].process()];
  return {
    dlm,
    here,
    there,
    one: await FsdlmTransport.join(here, UUID),
    two: await FsdlmTransport.join(there, UUID),
  };
}

function held(t: ExecutionContext, lock: TransportLock | null): TransportLock {
  if (lock === null) throw t.fail("the lock is refused") as never;
  return lock;
}

test("EX keeps every other out, PR goes with PR", async (t) => {
  const { one, two } = await twoNodes();
  t.like(one, { kind: "fsdlm", domain: UUID, valueBytes: 32, canNotify: true });
  const ex = held(t, await one.acquire("a", "EX", now));
  t.is(ex.level, "EX");
  t.is(await two.acquire("a", "EX", now), null);
  t.is(await two.acquire("a", "PR", now), null);
  t.is(await one.acquire("a", "PR", now), null, "nor does it go with itself");
  t.true(await ex.release({ drop: true }));
  t.true(await ex.release({ drop: false }));
  const shared = [await one.acquire("a", "PR", now), await two.acquire("a", "PR", now)];
  t.is(await two.acquire("a", "EX", now), null);
  for (const lock of shared) await held(t, lock).release({ drop: false });
  await one.leave();
  await two.leave();
});

test("a waiting request tells the holder, and is granted when it gives the lock up", async (t) => {
  const { one, two } = await twoNodes();
  const first = held(t, await one.acquire("a", "EX", queued));
  const told = first.blocked();
  t.is(await two.acquire("a", "EX", now), null);
  const waiting = two.acquire("a", "EX", queued);
  await told;
  await first.blocked();
  await first.release({ drop: true });
  const second = held(t, await waiting);
  const quiet = second.blocked();
  await second.release({ drop: true });
  await t.throwsAsync(quiet, { code: "O2CB_ABORTED" });
});

test("who gives up holds nothing, and others come before", async (t) => {
  const { one, two } = await twoNodes();
  const first = held(t, await one.acquire("a", "PR", queued));
  const caller = new AbortController();
  const waiting = two.acquire("a", "EX", { trylock: false, signal: caller.signal });
  await first.blocked();
  caller.abort();
  await t.throwsAsync(waiting, { code: "O2CB_ABORTED" });
  await two.leave();
  const watching = first.blocked({ signal: AbortSignal.abort() });
  await t.throwsAsync(watching, { code: "O2CB_ABORTED" });
  await first.release({ drop: true });
  await one.leave();
});

test("the value goes on to the next holder, and a lost one is null until it is written", async (t) => {
  const { dlm, one, two } = await twoNodes();
  const value = new Uint8Array(32).fill(7);
  const first = held(t, await one.acquire("a", "EX", now));
  t.deepEqual(await first.readValue(), new Uint8Array(32));
  await first.writeValue(value);
  t.deepEqual(await first.readValue(), value);
  await first.release({ drop: false });
  const reader = held(t, await two.acquire("a", "PR", now));
  t.deepEqual(await reader.readValue(), value);
  await t.throwsAsync(reader.writeValue(value), { code: "O2CB_DLM_FAILED" });
  await t.throwsAsync(reader.writeValue(new Uint8Array(64)), { instanceOf: RangeError });
  await reader.release({ drop: false });
  await t.throwsAsync(reader.readValue(), { code: "O2CB_DLM_FAILED" });

  dlm.loseValue(UUID, "a");
  const lost = held(t, await one.acquire("a", "EX", now));
  t.is(await lost.readValue(), null);
  await lost.writeValue(value);
  t.deepEqual(await lost.readValue(), value);
  await lost.release({ drop: false });
});

test("a process that is killed drops its locks and its place in the queue", async (t) => {
  const { dlm, here, one, two } = await twoNodes();
  held(t, await one.acquire("a", "EX", now));
  const waiting = two.acquire("a", "EX", queued);
  here.kill();
  await held(t, await waiting).release({ drop: true });
  await two.leave();
  t.deepEqual(dlm.members, []);
});

test("who holds a lock does not leave", async (t) => {
  const { one } = await twoNodes();
  const lock = held(t, await one.acquire("a", "PR", now));
  await t.throwsAsync(one.leave(), { code: "O2CB_DOMAIN_IN_USE" });
  await lock.release({ drop: true });
  await one.leave();
  await one.leave();
  await t.throwsAsync(one.acquire("a", "PR", now), { code: "O2CB_DLM_FAILED" });
});

test("names that the C tools cannot have are refused", async (t) => {
  const { here, one } = await twoNodes();
  for (const name of ["", ".0123", "a/b", "a\0b", "x".repeat(32), "ä".repeat(16)])
    await t.throwsAsync(one.acquire(name, "PR", now), { code: "O2CB_INVALID_LOCK_NAME" }, name);
  held(t, await one.acquire("x".repeat(31), "PR", now));
  for (const name of ["", "a/b", "a b", "x".repeat(65), "ä"])
    await t.throwsAsync(FsdlmTransport.join(here, name), { code: "O2CB_INVALID_DOMAIN_NAME" }, name);
});

test("a refusal to join is told with its meaning and what to do", async (t) => {
  const refused = async (errno: string): Promise<O2cbError> => {
    const { here } = await twoNodes();
    here.failCall({ name: "openLockspace", nth: 1 }, { errno });
    const error = await t.throwsAsync<O2cbError>(FsdlmTransport.join(here, UUID));
    t.truthy(error.errno, errno);
    return error;
  };
  t.like(await refused("EPROTO"), { code: "O2CB_VOLUME_IN_USE" });
  t.like(await refused("EEXIST"), { code: "O2CB_DOMAIN_IN_USE" });
  t.regex((await refused("EBADR")).remedy ?? "", /corosync/);
  t.regex((await refused("ENOTCONN")).remedy ?? "", /dlm/);
  t.like(await refused("EPERM"), { code: "O2CB_PERMISSION_DENIED" });
  t.like(await refused("EIO"), { code: "O2CB_DLM_FAILED", operation: "open-lockspace" });
});

test("a node without libdlm says which package is missing", async (t) => {
  const native = new FakeKernel().process();
  const error = await t.throwsAsync<O2cbError>(FsdlmTransport.join(native, UUID));
  t.is(error.code, "O2CB_DLM_UNAVAILABLE");
  t.regex(error.remedy ?? "", /libdlm3/);
});

test("nothing is left whichever call fails, but what could not be given up", async (t) => {
  const runs = await walkFaults(
    async (native) => {
      const transport = await FsdlmTransport.join(native, UUID);
      try {
        const lock = await transport.acquire("a", "EX", now);
        await lock?.release({ drop: true });
      } finally {
        await transport.leave();
      }
    },
    {
      setup: () => {
        const machine = classicLocal();
        machine.kernel.fsdlm = new Fsdlm();
        return machine;
      },
      check: ({ call, kernel, title }) => {
        const kept = ["LockspaceLock.release", "Lockspace.close"].includes(call.name);
        t.is(kernel.leftovers().length, kept ? 1 : 0, title);
      },
    },
  );
  t.true(runs > 8);
});
