// Every way in which a mount can disappear without umount.ocfs2 (commands 2.4), on four nodes at once: hb_ctl_path at nobody and
// at our ocfs2_hb_ctl, with `o2cb monitor` and without. With it a volume is left without anybody's doing; without it the audit
// says what is held for nothing, and the next command that touches the region cleans up.
//
// Not made here: autofs and systemd (they are not in the machines; what they do is umount2, MNT_DETACH and a SIGKILL of the
// helper, which are), a dead machine (its own state goes with it), and kernels with CONFIG_STATIC_USERMODEHELPER.
import type { ExecutionContext } from "ava";
import { Monitor } from "./monitor.ts";
import {
  assertCleanVolume,
  assertVolumeFree,
  auditOf,
  format,
  heldOf,
  kernelCall,
  KERNEL_LEAVES,
  NOBODY_LEAVES,
  openFile,
  PEER_MOUNT,
  planReap,
  reap,
  volumeState,
} from "./ours.ts";
import { mount, stillHeld, ways, type Place, type Way } from "./vanish/ways.ts";
import { scenario, sharedLab } from "./scenario.ts";

/** Node N runs variant N, on a volume of its own. */
const variants = [
  { leaves: NOBODY_LEAVES, monitored: true },
  { leaves: NOBODY_LEAVES, monitored: false },
  { leaves: KERNEL_LEAVES, monitored: true },
  { leaves: KERNEL_LEAVES, monitored: false },
];
const shared = sharedLab({ nodes: 4, disks: variants.map(() => ({ mib: 128 })), limitSeconds: 2400 });

let prepared: Promise<Place[]> | undefined;

function places(): Promise<Place[]> {
  prepared ??= Promise.all(
    variants.map(async ({ leaves, monitored }, index): Promise<Place> => {
      const node = shared.get().nodes[index];
      if (node === undefined) throw new Error("four nodes are needed");
      const device = `/dev/vd${"abcd"[index]}`;
      const uuid = await format(node, device);
      await node.run("mkdir -p /one /two /bound");
      await node.setHbCtlPath(leaves);
      const monitor = monitored ? await Monitor.start(node) : null;
      const name = `${node.name}, hb_ctl_path ${leaves}, ${monitored ? "monitored" : "alone"}`;
      return { node, device, uuid, kernelLeaves: leaves === KERNEL_LEAVES, name, monitor };
    }),
  );
  return prepared;
}

/** What is unexplained stays with a reap, which takes what is stale beside it; it goes with force. */
async function assertForced(t: ExecutionContext, place: Place, unexplained: number): Promise<void> {
  const { node, uuid, name } = place;
  const found = await auditOf(node, uuid);
  t.like(found, { verdict: "unexplained-references", unexplained }, name);
  t.is(found?.superblock.state, "dead", name);
  const { done, kept } = await reap(node, uuid);
  t.deepEqual(
    done.map(({ drop, forced, stop }) => ({ drop, forced, stop })),
    found?.stale === 0 ? [] : [{ drop: found?.stale, forced: 0, stop: false }],
    name,
  );
  if (done.length === 0) t.is(kept[0]?.verdict, "unexplained-references", name);
  t.like(
    await volumeState(node, place),
    { region: true, references: unexplained },
    `${name}: a reap keeps it`,
  );
  t.like(await auditOf(node, uuid), { verdict: "unexplained-references", unexplained, stale: 0 }, name);
  const forced = await reap(node, uuid, "--force");
  t.like(forced.done[0], { region: uuid, forced: unexplained, stop: true }, name);
}

/** The superblock's last user is gone: what has to follow, follows. */
async function assertCleaned(t: ExecutionContext, place: Place, way: Way, from: number): Promise<void> {
  const { node, uuid, name, monitor, kernelLeaves } = place;
  const unexplained = way.unexplained?.(place) ?? 0;
  const kernelLeft = kernelLeaves && way.neverMounted === undefined;
  if (monitor !== null && unexplained === 0) {
    if (!kernelLeaves && way.neverMounted === undefined) {
      const left = await monitor.left(uuid, from);
      t.like(left, { references: 0, stopped: true }, `${name}: ${left.reason}`);
    }
    await monitor.gone(uuid, from);
    return;
  }
  if (monitor !== null) {
    await monitor.event((event) => event.event === "kept" && event.region === uuid, from);
    return assertForced(t, place, unexplained);
  }
  await node.run(kernelCall("claimed", place.device));
  if (unexplained > 0) return assertForced(t, place, unexplained);
  if (kernelLeft) {
    t.is((await auditOf(node, uuid))?.verdict, "absent", `${name}: the kernel's call left`);
    return;
  }
  const { references } = await volumeState(node, place);
  const found = await auditOf(node, uuid);
  t.like(found, { verdict: "orphan", stale: references, unexplained: 0 }, `${name}: ${found?.reason}`);
  t.is(found?.superblock.state, "dead", name);
  if (way.next === "mount") {
    await mount(place);
    await stillHeld(t, place, "mounted again, and counted once");
    await node.run(["umount", "/one"]);
    return;
  }
  const [planned] = (await planReap(node, uuid)).actions;
  t.like(planned, { region: uuid, drop: references, forced: 0, stop: true, removeSet: true }, name);
  t.true((await volumeState(node, place)).region, `${name}: a dry run does nothing`);
  t.deepEqual(
    (await reap(node, uuid)).done.map(({ region }) => region),
    [uuid],
    name,
  );
}

/** The region goes before its semaphore set and our notes of it: who runs beside this test may still be at these. */
async function becomesFree({ node, monitor, ...volume }: Place): Promise<void> {
  const end = Date.now() + (monitor === null ? 0 : 10_000);
  while (Date.now() < end && heldOf(await volumeState(node, volume)).length > 0);
  await assertVolumeFree(node, volume);
}

/** Does it on all nodes at once, and says of each that failed what it holds; then clears it for the next scenario. */
async function everywhere(t: ExecutionContext, work: (place: Place) => Promise<void>): Promise<void> {
  const failed: string[] = [];
  await Promise.all(
    (await places()).map(async (place) => {
      try {
        await work(place);
      } catch (error) {
        failed.push(`${place.name}: ${(error as Error).message}\n${await clear(place)}`);
      }
    }),
  );
  t.deepEqual(failed, []);
}

/** What the audit said before a volume was freed by force. */
async function clear({ node, device, uuid }: Place): Promise<string> {
  try {
    const found = JSON.stringify(await auditOf(node, uuid));
    await node.try("for at in /bound /two /one; do umount -i -l $at; done");
    await node.run(kernelCall("claimed", device));
    await reap(node, uuid, "--force");
    return found;
  } catch (error) {
    return `and it resists: ${(error as Error).message}`;
  }
}

for (const way of ways) {
  scenario(`a mount that disappears: ${way.title}`, async (t) => {
    t.timeout(300_000);
    await everywhere(t, async (place) => {
      const from = place.monitor?.mark ?? 0;
      await way.vanish(t, place);
      await assertCleaned(t, place, way, from);
      await becomesFree(place);
    });
  });
}

scenario(
  "a reap of a mounted volume, with and without force: nothing is dropped and it beats on",
  async (t) => {
    t.timeout(300_000);
    await everywhere(t, async (place) => {
      const { node, uuid, name } = place;
      await mount(place);
      for (const more of [[], ["--force"]] as "--force"[][]) {
        const { done } = await reap(node, uuid, ...more);
        t.deepEqual(done, [], name);
        await stillHeld(t, place, `after reap ${more.join("")}`);
      }
      // Hidden from every table of mounts it is as much alive.
      const file = await openFile(node, "/one");
      await node.run(["umount", "-l", "/one"]);
      t.deepEqual((await reap(node, uuid, "--force")).done, [], name);
      await stillHeld(t, place, "after a reap of a detached mount");
      const found = await auditOf(node, uuid);
      t.like(found, { verdict: "in-use", references: 1 }, `${name}: ${found?.reason}`);
      t.true((found?.elapsedMs ?? Number.NaN) < 10_000, `${name}: it beats`);
      await file.close();
      await node.run(kernelCall("claimed", place.device));
      await reap(node, uuid);
      await assertVolumeFree(node, place);
    });
  },
);

scenario("the monitor at rest: small, and it never wakes up", async (t) => {
  t.timeout(300_000);
  const [place] = await places();
  if (place?.monitor == null) return t.fail("a monitored node is needed");
  await mount(place);
  try {
    const pid = await place.monitor.pid;
    // The mount is an event, and V8 tidies up some seconds after what follows from it: rest begins when nothing moves any more.
    const { stdout } = await place.node.run(
      `switches() { cat /proc/${pid}/task/*/status | sed -n 's/^voluntary_ctxt_switches:\\s*//p' | tr '\\n' ' '; }
      for round in 1 2 3 4 5 6; do was=$(switches); sleep 15; now=$(switches); [ "$was" = "$now" ] && break; done
      grep VmRSS /proc/${pid}/status; switches; echo; sleep 20; switches; echo`,
      { limitSeconds: 200 },
    );
    const [memory = "", before, after] = stdout.split("\n");
    t.log(memory.trim(), `voluntary switches of its threads: ${before}`);
    t.true(Number(/(\d+) kB/.exec(memory)?.[1]) < 45 * 1024, memory);
    t.regex(before ?? "", /\d/);
    t.is(after, before, "a thread that sleeps anew has been woken");
  } finally {
    await place.node.run(["umount", "/one"]);
  }
  await becomesFree(place);
});

scenario("the monitor killed and started again: nothing is lost", async (t) => {
  t.timeout(300_000);
  const [place] = await places();
  if (place?.monitor == null) return t.fail("a monitored node is needed");
  const { node, uuid } = place;
  await mount(place);
  await place.monitor.stop("SIGKILL");
  await stillHeld(t, place, "the monitor's end changes nothing");
  place.monitor = await Monitor.start(node);
  await node.run(["umount", "-i", "/one"]);
  await place.monitor.left(uuid);
  await place.monitor.gone(uuid);
  await node.assertNothingLeft();

  // The C tool's mount, which only the monitor saw, disappears while no monitor runs.
  const from = place.monitor.mark;
  await node.run([PEER_MOUNT, place.device, "/one", "-o", "rw"]);
  await place.monitor.event(({ event }) => event === "superblock", from);
  await place.monitor.stop("SIGKILL");
  await node.run(["umount", "-i", "/one"]);
  t.is((await auditOf(node, uuid))?.verdict, "orphan");
  place.monitor = await Monitor.start(node);
  await place.monitor.left(uuid);
  await node.assertNothingLeft();
  t.is(await place.monitor.stop("SIGTERM"), 0);
});

scenario("after all that the volumes are clean", async (t) => {
  t.timeout(300_000);
  await Promise.all(
    (await places()).map(async ({ node, device, monitor }) => {
      if (monitor !== null && !monitor.isOver) await monitor.stop("SIGTERM");
      await node.assertNothingLeft();
      await assertCleanVolume(node, device);
    }),
  );
  t.pass();
});
