// Changes of a volume's stamp where a userspace stack runs, and of a volume of such a stack under its cluster's locks.
import test from "ava";
import {
  classicLocal,
  DISK,
  USER_CLUSTER,
  type Machine,
  type UserStackSettings,
} from "../helpers/fake-native.ts";
import type { VolumeSettings } from "../helpers/fake/device.ts";
import { refused } from "../helpers/refused.ts";
import { mount } from "../helpers/region-work.ts";
import { copiesOf, everywhere, tune, undo, userVolume, withBackups } from "../helpers/tune.ts";

const USERSPACE = 0x80;
const CLUSTERINFO = 0x4000;
const yes = true as const;

const user = (volume: VolumeSettings = {}, settings: UserStackSettings = {}): Machine =>
  userVolume({ ...settings, volume });

const stamps = (machine: Machine): unknown[] =>
  everywhere(machine, ({ stackLabel, clusterName, stackFlags, featureIncompat }) =>
    [stackLabel, clusterName, stackFlags, featureIncompat & (USERSPACE | CLUSTERINFO)].join(),
  );

for (const [from, volume, form] of [
  ["o2cb", { stack: "o2cb", cluster: "lab" }, CLUSTERINFO],
  ["o2cb with global heartbeat", { stack: "o2cb", cluster: "lab", global: true }, CLUSTERINFO],
  ["no stamp", { stack: null }, USERSPACE],
  ["another cluster", { stack: "pcmk", cluster: "other" }, USERSPACE],
  ["another label", { stack: "cman", cluster: USER_CLUSTER }, USERSPACE],
] as const) {
  test(`from ${from} to the running user stack: label and cluster, in the form that the volume has`, async (t) => {
    const machine = user(volume);
    const before = copiesOf(machine);
    const result = await tune(machine.kernel, { updateClusterStack: true, confirm: yes });
    t.is(result.outcome, "changed");
    t.deepEqual(stamps(machine), Array(3).fill(`pcmk,${USER_CLUSTER},0,${form}`));
    t.is((await tune(machine.kernel, { updateClusterStack: true })).outcome, "unchanged");
    await undo(machine.kernel, { confirm: yes });
    t.deepEqual(copiesOf(machine), before);
  });
}

test("back to o2cb", async (t) => {
  const machine = withBackups(classicLocal({ volume: { stack: "pcmk", cluster: USER_CLUSTER } }));
  const questions: string[] = [];
  await tune(machine.kernel, {
    updateClusterStack: true,
    confirm: (question) => questions.push(JSON.stringify(question)) > 0,
  });
  t.deepEqual(stamps(machine), Array(3).fill(`o2cb,lab,0,${CLUSTERINFO}`));
  t.true(questions[0]?.includes(`cluster '${USER_CLUSTER}' of pcmk`), questions[0]);
});

test("one node's volume comes to a user stack's cluster", async (t) => {
  const machine = user({ stack: null, local: true });
  await tune(machine.kernel, { mount: "cluster" });
  t.deepEqual(stamps(machine), Array(3).fill(`pcmk,${USER_CLUSTER},0,${USERSPACE}`));
});

test("the old slot map has no room for a user stack's nodes", async (t) => {
  const machine = user({ stack: null });
  for (const content of [machine.content, ...machine.disk.backups]) content.featureIncompat = 0;
  const call = tune(machine.kernel, { updateClusterStack: true, confirm: yes });
  t.regex((await refused(t, call, null, "O2CB_UNSUPPORTED_VOLUME")).message, /old form of the slot map/);
  t.deepEqual(machine.disk.superblockWrites, []);
});

test("the cluster's name: of the kernel's DLM or of corosync, and a refusal where they differ or it does not fit", async (t) => {
  const update = { updateClusterStack: true, confirm: yes };
  const other = { stack: "pcmk", cluster: "other" };
  // The mode without callbacks leaves the kernel's empty; libcmap may not be there.
  const silent = user(other, { dlm: "controld" });
  await tune(silent.kernel, update);
  const deaf = user(other);
  deaf.kernel.services.corosync = null;
  await tune(deaf.kernel, update);
  for (const machine of [silent, deaf]) t.is(machine.content.clusterName, USER_CLUSTER);

  const two = user(other);
  two.kernel.services.corosync = { clusterName: "newname", isQuorate: true };
  const error = await refused(t, tune(two.kernel, update), null, "O2CB_CONFIGURATION_ERROR");
  t.regex(error.message, /'newname' in corosync, and 'labpc' in the kernel's DLM/);

  for (const [clusterName, why] of [
    ["a-name-of-17bytes", /17 bytes, and there is room for 16/],
    ["two words", /blanks/],
  ] as const) {
    const long = user(other, { clusterName });
    t.regex((await refused(t, tune(long.kernel, update), null, "O2CB_INVALID_CLUSTER_NAME")).message, why);
  }
  const fits = user(other, { clusterName: "exactly-16-bytes" });
  await tune(fits.kernel, update);
  t.is(fits.content.clusterName, "exactly-16-bytes");

  const none = user(other, { dlm: null });
  none.kernel.services.corosync = null;
  const unknown = await refused(t, tune(none.kernel, update), null, "O2CB_SERVICE_UNAVAILABLE");
  t.regex(unknown.message, /is not known: .*corosync does not run/);
  none.kernel.services.corosync = { clusterName: null, isQuorate: true };
  t.regex((await refused(t, tune(none.kernel, update), null)).message, /has no totem\.cluster_name/);
  for (const machine of [two, none]) t.deepEqual(machine.disk.superblockWrites, []);
});

test("a volume of the running cluster is changed under its locks, and nothing is held afterwards", async (t) => {
  const machine = user();
  const before = machine.kernel.leftovers();
  await tune(machine.kernel, { label: "new" });
  t.deepEqual(
    everywhere(machine, ({ label }) => label),
    Array(3).fill("new"),
  );
  t.is(machine.disk.claim, null);
  t.deepEqual(
    machine.kernel.leftovers().filter((one) => !one.includes("/var/lib")),
    before,
  );
  t.deepEqual(machine.kernel.fsdlm?.members, []);
});

test("a volume of a user stack that is mounted here is refused at once, with the place", async (t) => {
  for (const request of [{ label: "new" }, { updateClusterStack: true, confirm: yes }]) {
    const machine = user(request.confirm ? { cluster: USER_CLUSTER } : {});
    await mount(machine.kernel);
    if (request.confirm) machine.kernel.services.corosync = { clusterName: "moved", isQuorate: true };
    if (request.confirm && machine.kernel.lockspaces.settings)
      machine.kernel.lockspaces.settings.clusterName = "moved";
    const error = await refused(t, tune(machine.kernel, request), null, "O2CB_VOLUME_IN_USE");
    t.regex(error.message, /'\/dev\/sdb' is mounted on '\/vol' of this node/);
    t.deepEqual(machine.disk.superblockWrites, []);
    t.deepEqual(machine.kernel.fsdlm?.members, []);
  }
});

test("a volume of a user stack with a slot taken elsewhere is not taken over", async (t) => {
  const machine = withBackups(classicLocal({ volume: { stack: "pcmk", cluster: USER_CLUSTER } }));
  machine.disk.slotState.owners.set(0, 3_232_235_777);
  const call = tune(machine.kernel, { device: DISK, updateClusterStack: true, confirm: yes });
  t.regex((await refused(t, call, null, "O2CB_VOLUME_IN_USE")).message, /mounted on node 3232235777/);
});
