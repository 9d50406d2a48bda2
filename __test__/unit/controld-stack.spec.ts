// The stack with a control daemon: what it does beyond the contract of all stacks. The daemon hears the real errno, a membership is taken back over
// another connection where it has to be and never while the volume is mounted, and a mounted volume is not lost with the daemon.
import test, { type ExecutionContext } from "ava";
import { controldMachine, groupsGone, type ControldMachine } from "../helpers/controld-machine.ts";
import { DIRECTORY, DISK, UUID, type FakeNative } from "../helpers/fake-native.ts";
import { mountVolumeAt } from "../conformance/volume-mounts.ts";
import { CONTROLD_SOCKET } from "../../ts/controld/connection.ts";
import { encodeFrame } from "../../ts/controld/frame.ts";
import { isCode, type O2cbError } from "../../ts/errors.ts";
import { beginGroupJoin, type GroupJoin, type JoinOptions } from "../../ts/membership.ts";
import { MOUNT_SERVICE } from "../../ts/stack/cluster-stack.ts";
import { leaveControldMount } from "../../ts/stack/leave-controld.ts";
import type { Step } from "../../ts/steps.ts";
import { openVolume, type Volume } from "../../ts/volume.ts";

interface Scene extends ControldMachine {
  native: FakeNative;
  volume: Volume;
  steps: Step[];
  begin(more?: Partial<JoinOptions>): Promise<GroupJoin>;
}

async function scene(): Promise<Scene> {
  const machine = controldMachine();
  const native = machine.kernel.process();
  const volume = await openVolume(native, DISK);
  const steps: Step[] = [];
  const begin = (more: Partial<JoinOptions> = {}): Promise<GroupJoin> =>
    beginGroupJoin(native, {
      volume,
      service: MOUNT_SERVICE,
      loadModules: false,
      onStep: (step) => steps.push(step),
      ...more,
    });
  return { ...machine, native, volume, steps, begin };
}

const warnings = (steps: readonly Step[]): string[] =>
  steps.flatMap((step) => (step.step === "warning" ? [`${step.code} ${step.message}`] : []));

async function clean(t: ExecutionContext, { kernel, daemon }: Scene): Promise<void> {
  await groupsGone(daemon);
  t.deepEqual(daemon.view(), []);
  t.deepEqual(kernel.leftovers(), []);
}

const leaving = { region: UUID, clusterStack: "pcmk", device: DISK, patienceMs: 0 } as const;

test("the daemon hears MOUNT with the device's real path, and MRESULT on the same connection", async (t) => {
  const one = await scene();
  one.kernel.root.put("/dev/mapper/shared", { kind: "link", target: DISK });
  const join = await one.begin({ volume: { ...one.volume, device: "/dev/mapper/shared" } });
  t.is(one.daemon.clients, 1);
  await join.complete(0);
  t.is(one.daemon.clients, 0);
  t.deepEqual(one.daemon.heard, [
    "LISTCLUSTERS",
    `MOUNT ocfs2 ${UUID} labpc ${DISK} ocfs2`,
    `MRESULT ocfs2 ${UUID} 0 ocfs2`,
  ]);
});

test("a join that is undone tells its errno, and one that is dropped ECANCELED", async (t) => {
  const one = await scene();
  for (const [end, told] of [
    [(join: GroupJoin) => join.complete(-22), 22],
    [(join: GroupJoin) => join.complete(Object.assign(new Error("mount"), { errno: -16 })), 16],
    [(join: GroupJoin) => join[Symbol.asyncDispose](), 125],
    [(join: GroupJoin) => join.complete(0x1_0000_0000), 5],
  ] as const) {
    await end(await one.begin());
    t.is(one.daemon.heard.at(-1), `MRESULT ocfs2 ${UUID} ${told} ocfs2`);
    await clean(t, one);
  }
});

test("several joins are under way at a time, of several volumes", async (t) => {
  const one = await scene();
  const uuids = [UUID, UUID.replace(/^./, "A"), UUID.replace(/^./, "B")];
  const joins = await Promise.all(uuids.map((uuid) => one.begin({ volume: { ...one.volume, uuid } })));
  t.is(one.daemon.clients, 3);
  t.deepEqual(one.daemon.view().toSorted(), uuids.map((uuid) => `${uuid} notified: ocfs2`).toSorted());
  await Promise.all(joins.map((join) => join.complete(5)));
  await clean(t, one);
});

test("a volume of another cluster is refused with both names", async (t) => {
  const one = await scene();
  const error = (await t.throwsAsync(
    one.begin({ volume: { ...one.volume, cluster: "other" } }),
  )) as O2cbError;
  t.like(error, { code: "O2CB_INVALID_CLUSTER_NAME", cluster: "labpc" });
  t.regex(error.message, /'other'.*'labpc'/);
  await clean(t, one);
});

test("without a daemon begin says so and holds nothing", async (t) => {
  const one = await scene();
  one.kernel.abstractSockets.delete(CONTROLD_SOCKET);
  await t.throwsAsync(one.begin(), { code: "O2CB_SERVICE_UNAVAILABLE" });
  t.deepEqual(one.kernel.leftovers(), []);
});

test("given up before the daemon's STATUS, the daemon undoes the join", async (t) => {
  const one = await scene();
  const release = one.daemon.hold();
  const controller = new AbortController();
  const joining = one.begin({ signal: controller.signal });
  one.daemon.intercept = (message) => {
    if (message.keyword === "MOUNT") setImmediate(() => controller.abort());
    return false;
  };
  t.like(await t.throwsAsync(joining), { code: "O2CB_ABORTED", outcome: "rolled-back" });
  release();
  await clean(t, one);
});

for (const service of [MOUNT_SERVICE, "tunefs.ocfs2"]) {
  for (const other of [false, true])
    test(`given up as the STATUS comes, the membership of ${service} is taken back${other ? ", and another's stays" : ""}`, async (t) => {
      const one = await scene();
      const member = other ? await (await one.begin({ service: "fsck.ocfs2" })).complete(0) : null;
      const controller = new AbortController();
      one.daemon.isPrompt = true;
      one.daemon.intercept = (message) => {
        if (message.keyword === "MOUNT") controller.abort();
        return false;
      };
      const joining = one.begin({ signal: controller.signal, service });
      t.like(await t.throwsAsync(joining), { code: "O2CB_ABORTED", outcome: "rolled-back" });
      t.is(one.daemon.heard.at(-1), `UNMOUNT ocfs2 ${UUID} ${service}`);
      t.deepEqual(one.daemon.view(), other ? [`${UUID} live: fsck.ocfs2`] : []);
      await member?.leave();
      await clean(t, one);
    });
}

test("a membership that cannot be taken back is said to be there", async (t) => {
  const one = await scene();
  const controller = new AbortController();
  one.daemon.isPrompt = true;
  one.daemon.intercept = (message, client) => {
    if (message.keyword === "MOUNT") controller.abort();
    if (message.keyword === "UNMOUNT")
      client.send(encodeFrame({ keyword: "STATUS", number: "5", text: "no" }));
    return message.keyword === "UNMOUNT";
  };
  const error = (await t.throwsAsync(one.begin({ signal: controller.signal }))) as O2cbError;
  t.like(error, { code: "O2CB_ABORTED", outcome: "in-kernel", operation: "begin-join", region: UUID });
  t.regex(error.message, /holds the membership .* still/);
  t.regex(error.remedy ?? "", new RegExp(`ocfs2_hb_ctl -K -u ${UUID} ocfs2`));
  t.true(isCode(error.rollbackError, "O2CB_DAEMON_REFUSED"));
});

test("a daemon that is lost after mount(2) is a warning, and the volume stays a member's", async (t) => {
  const one = await scene();
  const join = await one.begin();
  const unmount = await mountVolumeAt(one.native, one.volume, DIRECTORY);
  one.daemon.die();
  const member = await join.complete(0);
  t.regex(
    warnings(one.steps).join(),
    /^O2CB_SERVICE_UNAVAILABLE the volume '.*' is mounted, but ocfs2_controld/,
  );
  await unmount();
  await member.leave();
  await clean(t, one);
});

test("a daemon that refuses the result of a mount is a warning with its number and words", async (t) => {
  const one = await scene();
  const join = await one.begin();
  one.daemon.intercept = (message, client) => {
    if (message.keyword !== "MRESULT") return false;
    client.send(encodeFrame({ keyword: "STATUS", number: "22", text: "a stuck error" }));
    return true;
  };
  await join.complete(0);
  t.regex(warnings(one.steps).join(), /O2CB_DAEMON_REFUSED .*EINVAL: 'a stuck error'/);
});

test("a program whose daemon is lost is told, and its join can still be given up", async (t) => {
  const one = await scene();
  const join = await one.begin({ service: "tunefs.ocfs2" });
  one.daemon.die();
  t.like(await t.throwsAsync(join.complete(0)), { code: "O2CB_SERVICE_UNAVAILABLE" });
  t.like(await t.throwsAsync(join.complete(0)), { code: "O2CB_SERVICE_UNAVAILABLE" });
  await join.complete(5);
  await clean(t, one);
});

test("a result that is refused or lost when the join is given up is made good by an unmount", async (t) => {
  for (const how of ["refused", "lost"] as const) {
    const one = await scene();
    const join = await one.begin();
    one.daemon.intercept = (message, client) => {
      if (message.keyword !== "MRESULT") return false;
      if (how === "refused") client.send(encodeFrame({ keyword: "STATUS", number: "22", text: "no" }));
      else client.end();
      return true;
    };
    await join.complete(5);
    t.is(one.daemon.heard.at(-1), `UNMOUNT ocfs2 ${UUID} ocfs2`);
    await clean(t, one);
  }
});

test("the membership of a volume that is mounted is never taken back", async (t) => {
  const one = await scene();
  const first = await one.begin();
  const unmount = await mountVolumeAt(one.native, one.volume, DIRECTORY);
  await first.complete(0);
  const second = await one.begin();
  one.native.failCall("ByteChannel.read", { errno: "ECONNRESET" });
  await second.complete(16);
  t.deepEqual(one.daemon.view(), [`${UUID} live: ocfs2`]);
  t.false(one.daemon.heard.some((message) => message.startsWith("UNMOUNT")));
  await unmount();
  await clean(t, one);
});

test("a leave is refused while the volume is mounted, and done when it is not", async (t) => {
  const one = await scene();
  one.kernel.hbCtlPath = "/bin/true";
  const join = await one.begin();
  const unmount = await mountVolumeAt(one.native, one.volume, DIRECTORY);
  const member = await join.complete(0);
  t.like(await t.throwsAsync(member.leave()), { code: "O2CB_REGION_IN_USE" });
  const leave = { ...leaving, deviceNumber: one.volume.deviceNumber };
  t.is(await leaveControldMount(one.native, leave), "still-in-use");
  t.deepEqual(one.daemon.view(), [`${UUID} live: ocfs2`]);
  await unmount();
  one.disk.claim = { by: "a check" };
  t.is(await leaveControldMount(one.native, leave), "still-in-use", "nothing proves that it is gone");
  one.disk.claim = null;
  t.is(await leaveControldMount(one.native, leave), "left");
  t.is(await leaveControldMount(one.native, leave), "left", "that it is not there is as good");
  await member.leave();
  await clean(t, one);
});

test("a leave while a mount is under way says that the mount takes it over", async (t) => {
  const one = await scene();
  const join = await one.begin();
  const error = (await t.throwsAsync(
    leaveControldMount(one.native, { ...leaving, deviceNumber: null }),
  )) as O2cbError;
  t.true(isCode(error, "O2CB_JOIN_IN_PROGRESS"));
  t.regex(error.message, /EBUSY: 'it is in progress'/);
  await join.complete(5);
  await clean(t, one);
});

test("a second program of one name is refused, and the first keeps its membership", async (t) => {
  const one = await scene();
  const service = "tunefs.ocfs2";
  const member = await (await one.begin({ service })).complete(0);
  t.like(await t.throwsAsync(one.begin({ service })), { code: "O2CB_JOIN_IN_PROGRESS", errno: -16 });
  t.deepEqual(one.daemon.view(), [`${UUID} live: ${service}`]);
  await member.leave();
  await clean(t, one);
});

test("a device that the daemon would not find is refused with a remedy", async (t) => {
  const one = await scene();
  one.daemon.stat = () => null;
  const error = (await t.throwsAsync(one.begin())) as O2cbError;
  t.like(error, { code: "O2CB_DAEMON_REFUSED", errno: -2 });
  t.regex(error.remedy ?? "", /mount namespace/);
  await clean(t, one);
});

test("a path with a blank is sent under another name", async (t) => {
  const one = await scene();
  one.kernel.root.put("/dev/a disk", { kind: "block", device: one.disk });
  await (await one.begin({ volume: { ...one.volume, device: "/dev/a disk" } })).complete(5);
  t.regex(one.daemon.heard[1] ?? "", new RegExp(`^MOUNT ocfs2 ${UUID} labpc /dev/\\S+ ocfs2$`));
  await clean(t, one);
});
