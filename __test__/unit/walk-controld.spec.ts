// Begin, complete and leave through a control daemon with each native call failing in turn, given up at each, and with the process killed at each:
// nothing is left but what the daemon is meant to keep.
import test, { type ExecutionContext } from "ava";
import { controldMachine, groupsGone, type ControldMachine } from "../helpers/controld-machine.ts";
import {
  DIRECTORY,
  DISK,
  UUID,
  walkAborts,
  walkFaults,
  walkKills,
  type FakeKernel,
  type FakeNative,
} from "../helpers/fake-native.ts";
import { mountVolumeAt } from "../conformance/volume-mounts.ts";
import { beginGroupJoin, type GroupJoin, type GroupMembership } from "../../ts/membership.ts";
import { MOUNT_SERVICE } from "../../ts/stack/cluster-stack.ts";
import { leaveControldMount } from "../../ts/stack/leave-controld.ts";
import { openVolume } from "../../ts/volume.ts";

const machines = new WeakMap<FakeKernel, ControldMachine>();

function setup(): ControldMachine {
  const machine = controldMachine();
  machines.set(machine.kernel, machine);
  return machine;
}

function daemonOf(kernel: FakeKernel): ControldMachine["daemon"] {
  const machine = machines.get(kernel);
  if (machine === undefined) throw new Error("this machine is not one of ours");
  return machine.daemon;
}

async function begin(native: FakeNative, service: string, signal?: AbortSignal): Promise<GroupJoin> {
  const volume = await openVolume(native, DISK, { signal });
  return beginGroupJoin(native, { volume, service, signal, loadModules: false });
}

async function nothingLeft(t: ExecutionContext, kernel: FakeKernel, title: string): Promise<void> {
  const daemon = daemonOf(kernel);
  await groupsGone(daemon);
  t.deepEqual(daemon.view(), [], title);
  t.deepEqual(kernel.leftovers(), [], title);
  t.is(daemon.clients, 0, title);
}

for (const service of [MOUNT_SERVICE, "tunefs.ocfs2"]) {
  test(`${service}: whatever call fails in begin, nothing is held`, async (t) => {
    const runs = await walkFaults((native) => begin(native, service), {
      setup,
      check: async ({ kernel, outcome, title }) => {
        t.not(outcome.status, "hung", title);
        if (outcome.status === "ok") await outcome.value.complete(5);
        await nothingLeft(t, kernel, title);
      },
    });
    t.true(runs > 20, `${runs} runs`);
  });

  test(`${service}: given up at any call of begin, it is rolled back or done`, async (t) => {
    await walkAborts((native, _kernel, { signal }) => begin(native, service, signal), {
      setup,
      check: async ({ kernel, outcome, title }) => {
        t.not(outcome.status, "hung", title);
        if (outcome.status === "ok") await outcome.value.complete(125);
        if (outcome.status === "failed")
          t.is((outcome.error as { code?: string }).code, "O2CB_ABORTED", title);
        await nothingLeft(t, kernel, title);
      },
    });
  });

  test(`${service}: whatever call fails in complete(0), the membership stands or the join can be given up`, async (t) => {
    const joins = new WeakMap<FakeNative, GroupJoin>();
    await walkFaults<GroupMembership, GroupJoin>(
      (native, _kernel, { prelude }) => {
        joins.set(native, prelude);
        return prelude.complete(0);
      },
      {
        setup,
        prelude: (native) => begin(native, service),
        check: async ({ kernel, native, outcome, title }) => {
          t.not(outcome.status, "hung", title);
          if (service === MOUNT_SERVICE) t.is(outcome.status, "ok", title);
          if (outcome.status === "ok") await outcome.value.leave();
          else await joins.get(native)?.complete(5);
          await nothingLeft(t, kernel, title);
        },
      },
    );
  });

  for (const end of ["complete(5)", "leave"] as const) {
    test(`${service}: whatever call fails in ${end}, doing it again leaves nothing`, async (t) => {
      const again = new WeakMap<FakeNative, () => Promise<unknown>>();
      await walkFaults<unknown, () => Promise<unknown>>(
        (native, _kernel, { prelude: run }) => {
          again.set(native, run);
          return run();
        },
        {
          setup,
          prelude: async (native) => {
            const join = await begin(native, service);
            if (end === "complete(5)") return () => join.complete(5);
            const member = await join.complete(0);
            return () => member.leave();
          },
          check: async ({ kernel, native, outcome, title }) => {
            t.not(outcome.status, "hung", title);
            if (outcome.status === "failed") await again.get(native)?.();
            await nothingLeft(t, kernel, title);
          },
        },
      );
    });
  }

  test(`${service}: killed at any call, the daemon undoes what it had not let in, and keeps the rest until it is left`, async (t) => {
    const whole = async (native: FakeNative): Promise<void> => {
      const member = await (await begin(native, service)).complete(0);
      await member.leave();
    };
    const seen = new Set<string>();
    await walkKills(whole, {
      setup,
      check: async ({ kernel, title }) => {
        const daemon = daemonOf(kernel);
        await groupsGone(daemon);
        const stays = daemon.admitted && !daemon.heard.some((message) => message.startsWith("UNMOUNT"));
        t.deepEqual(daemon.view(), stays ? [`${UUID} live: ${service}`] : [], title);
        seen.add(stays ? "stays" : "undone");
        t.is(daemon.clients, 0, title);
        t.deepEqual(kernel.leftovers(), [], title);
        const next = kernel.process();
        if (service === MOUNT_SERVICE) {
          const volume = await openVolume(next, DISK);
          const join = await begin(next, service);
          const unmount = await mountVolumeAt(next, volume, DIRECTORY);
          const member = await join.complete(0);
          await unmount();
          await member.leave();
        } else {
          const leave = {
            region: UUID,
            clusterStack: "pcmk",
            service,
            device: null,
            deviceNumber: null,
            patienceMs: 0,
          };
          t.is(await leaveControldMount(next, leave), "left");
          await whole(next);
        }
        next.exit();
        await nothingLeft(t, kernel, title);
      },
    });
    t.deepEqual([...seen].toSorted(), ["stays", "undone"]);
  });
}
