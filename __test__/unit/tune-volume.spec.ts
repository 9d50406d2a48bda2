// Changes of a superblock over the fake kernel: what is written and in which order, what is refused, and the way back.
import test from "ava";
import type { Step } from "../../ts/steps.ts";
import { decodeUndo, type UndoFile } from "../../ts/tune/undo-file.ts";
import type { TuneQuestion } from "../../ts/tune/request.ts";
import { classicGlobal, classicLocal, DISK, UUID } from "../helpers/fake-native.ts";
import { refused } from "../helpers/refused.ts";
import { command, mount } from "../helpers/region-work.ts";
import {
  BACKUPS,
  clusterVolume,
  copiesOf,
  everywhere,
  localVolume,
  NEW_UUID,
  othersVolume,
  PRIMARY,
  tune,
  tuneWith,
  undo,
  UNDO_FILE,
  withBackups,
} from "../helpers/tune.ts";

const yes = true as const;
const labelOf = ({ label }: { label: string }): string => label;
const uuidOf = ({ uuid }: { uuid: string }): string => uuid;
const stampOf = (content: {
  stackLabel: string | null;
  clusterName: string | null;
  stackFlags: number;
}): string => `${content.stackLabel},${content.clusterName},${content.stackFlags}`;

for (const [what, make] of [
  ["one node's volume", localVolume],
  ["the cluster's volume", clusterVolume],
] as const) {
  test(`a label on ${what}: the undo file, the primary, the backups, and nothing is held afterwards`, async (t) => {
    const machine = make();
    const steps: Step[] = [];
    const before = copiesOf(machine);
    const result = await tune(machine.kernel, { label: "new", onStep: (step) => steps.push(step) });
    t.deepEqual(everywhere(machine, labelOf), ["new", "new", "new"]);
    t.deepEqual(machine.disk.superblockWrites, [PRIMARY, ...BACKUPS]);
    t.like(result, { outcome: "changed", undoFile: UNDO_FILE, uuid: { old: UUID, new: UUID } });
    t.deepEqual(
      result.writes.map(({ offset, isBackup, fields }) => [
        offset,
        isBackup,
        fields.map(({ field }) => field),
      ]),
      [
        [8192, false, ["label"]],
        [2 ** 30, true, ["label"]],
        [2 ** 32, true, ["label"]],
      ],
    );
    const order = steps
      .map(({ step }) => step)
      .filter((step) => ["undo-file", "write-superblock"].includes(step));
    t.deepEqual(order, ["undo-file", ...Array<string>(3).fill("write-superblock")]);
    const file = decodeUndo(
      await command(machine.kernel, (native) => native.readAttribute(UNDO_FILE)),
    ) as UndoFile;
    t.like(file, { device: DISK, uuid: { old: UUID, new: UUID } });
    t.is(file.writes.length, 3);

    await command(machine.kernel, (native) => native.removeFile(UNDO_FILE)).catch(() => undefined);
    t.deepEqual(machine.disk.claim, null);
    t.deepEqual(
      machine.kernel.leftovers().filter((one) => !one.includes("/var/lib")),
      [],
    );
    t.not(copiesOf(machine).join(), before.join());
  });

  test(`nothing to do on ${what} is a success without a lock`, async (t) => {
    const machine = make();
    const native = machine.kernel.process();
    t.like(await tuneWith(native, { label: "old" }), { outcome: "unchanged", writes: [], undoFile: null });
    t.false(
      native.calls.some(({ name }) =>
        ["claimDevice", "lockRegion", "replaceFile", "writeSuperblock"].includes(name),
      ),
    );
  });

  test(`a dry run on ${what} tells the writes and makes none`, async (t) => {
    const machine = make();
    const before = copiesOf(machine);
    const native = machine.kernel.process();
    const result = await tuneWith(native, { label: "new", uuid: NEW_UUID, dryRun: true });
    t.is(result.outcome, "planned");
    t.is(result.writes.length, 3);
    t.deepEqual(copiesOf(machine), before);
    t.false(
      native.calls.some(({ name }) =>
        ["claimDevice", "lockRegion", "replaceFile", "writeSuperblock"].includes(name),
      ),
    );
  });

  test(`undo on ${what} puts back what was; a second one has nothing to do`, async (t) => {
    const machine = make();
    const before = copiesOf(machine);
    await tune(machine.kernel, { label: "new", uuid: "random" });
    t.notDeepEqual(copiesOf(machine), before);
    t.like(await undo(machine.kernel, { dryRun: true }), {
      outcome: "planned",
      offsets: [8192, 2 ** 30, 2 ** 32],
    });
    t.like(await undo(machine.kernel), { outcome: "undone", uuid: { new: UUID } });
    t.deepEqual(copiesOf(machine), before);
    t.like(await undo(machine.kernel), { outcome: "unchanged", offsets: [] });
  });

  test(`a dirty journal or a used slot on ${what} is left to fsck.ocfs2`, async (t) => {
    const machine = make();
    const before = copiesOf(machine);
    machine.disk.slotState.dirty.add(1);
    const error = await refused(t, tune(machine.kernel, { label: "new" }), null, "O2CB_UNSUPPORTED_VOLUME");
    t.regex(error.message, /not unmounted cleanly: slot 1 needs recovery/);
    t.regex(error.remedy ?? "", /fsck\.ocfs2/);
    machine.disk.slotState.owners.set(3, 1);
    const both = await refused(t, tune(machine.kernel, { label: "new" }), null, "O2CB_UNSUPPORTED_VOLUME");
    t.regex(both.message, /slots 1, 3 need recovery/);
    t.deepEqual(copiesOf(machine), before);
    t.is(machine.disk.claim, null);
  });

  test(`whichever write on ${what} fails, before or after its effect, all copies are as before`, async (t) => {
    for (const nth of [1, 2, 3])
      for (const late of [false, true]) {
        const machine = make();
        const before = copiesOf(machine);
        const native = machine.kernel.process();
        native.failCall({ name: "writeSuperblock", nth }, { errno: "EIO", late });
        const error = await refused(t, tuneWith(native, { label: "new", uuid: "random" }), "EIO", "O2CB_IO");
        t.is(error.rollbackError, undefined);
        t.deepEqual(copiesOf(machine), before, `write ${nth}, late ${late}`);
        t.is(machine.disk.claim, null);
      }
  });
}

test("a failed rollback is attached, and the undo file repairs what it left", async (t) => {
  const machine = localVolume();
  const before = copiesOf(machine);
  const native = machine.kernel.process();
  native.failCall({ name: "writeSuperblock", nth: 2 }, { errno: "EIO" });
  // The third is the second's own rollback, the fourth the primary's.
  native.failCall({ name: "writeSuperblock", nth: 4 }, { errno: "EIO" });
  const error = await refused(t, tuneWith(native, { label: "new" }), "EIO", "O2CB_IO");
  t.truthy(error.rollbackError);
  t.deepEqual(everywhere(machine, labelOf), ["new", "old", "old"]);
  t.like(await undo(machine.kernel), { outcome: "undone", offsets: [8192] });
  t.deepEqual(copiesOf(machine), before);
});

test("backups that an interrupted change left behind are completed by the same change, and by any other", async (t) => {
  for (const request of [{ label: "old" }, { uuid: NEW_UUID, confirm: yes }]) {
    const machine = localVolume();
    for (const backup of machine.disk.backups) backup.label = "before";
    const result = await tune(machine.kernel, request);
    t.is(result.outcome, "changed");
    t.deepEqual(everywhere(machine, labelOf), ["old", "old", "old"]);
    t.deepEqual(machine.disk.superblockWrites, "uuid" in request ? [PRIMARY, ...BACKUPS] : [...BACKUPS]);
  }
});

test("a UUID that is given asks, a random one does not", async (t) => {
  const machine = localVolume();
  const questions: TuneQuestion[] = [];
  const confirm = (question: TuneQuestion): boolean => questions.push(question) > 1;
  t.is((await tune(machine.kernel, { uuid: NEW_UUID, confirm })).outcome, "declined");
  t.deepEqual(everywhere(machine, uuidOf), [UUID, UUID, UUID]);
  t.is((await tune(machine.kernel, { uuid: NEW_UUID.toLowerCase(), confirm })).outcome, "changed");
  t.deepEqual(everywhere(machine, uuidOf), [NEW_UUID, NEW_UUID, NEW_UUID]);
  const question = { about: "uuid", device: DISK, uuid: NEW_UUID };
  t.deepEqual(questions, [question, question]);
  await t.throwsAsync(tune(machine.kernel, { uuid: UUID }), { instanceOf: TypeError, message: /confirm/ });

  const { uuid } = await tune(machine.kernel, { uuid: "random" });
  t.regex(uuid.new, /^[0-9A-F]{12}4[0-9A-F]{3}[89AB][0-9A-F]{15}$/);
  t.not(uuid.new, (await tune(machine.kernel, { uuid: "random" })).uuid.new);
});

test("without an undo file, and with one at the place of its own", async (t) => {
  const machine = localVolume();
  t.is((await tune(machine.kernel, { label: "one", undoFile: null })).undoFile, null);
  const native = machine.kernel.process();
  const { undoFile } = await tuneWith(native, { label: "two", undoFile: undefined });
  t.regex(undoFile ?? "", new RegExp(`^/var/lib/ocfs2-group/undo/${UUID}-\\d{8}T\\d{9}Z\\.undo$`));
  t.like(await undo(machine.kernel, { file: undoFile ?? "" }), { outcome: "undone" });
  t.deepEqual(everywhere(machine, labelOf), ["one", "one", "one"]);
});

test("an undo file that cannot be written keeps everything as it is", async (t) => {
  const machine = localVolume();
  const native = machine.kernel.process();
  native.failCall("replaceFile", { errno: "EROFS" });
  const error = await refused(t, tuneWith(native, { label: "new" }), null, "O2CB_BAD_UNDO_FILE");
  t.regex(error.remedy ?? "", /--undo-file.*--no-undo/);
  t.deepEqual(machine.disk.superblockWrites, []);
  t.is(machine.disk.claim, null);
});

const strange: Record<string, [RegExp, (text: string) => string]> = {
  damaged: [/checksum/, (text) => text.replace('"block":"2"', '"block":"3"')],
  "cut off": [/no JSON/, (text) => text.slice(0, -20)],
};
for (const [what, [expected, change]] of Object.entries(strange))
  test(`an undo file that is ${what} is refused`, async (t) => {
    const machine = localVolume();
    await tune(machine.kernel, { label: "new" });
    await command(machine.kernel, async (native) => {
      await native.replaceFile(UNDO_FILE, change(await native.readAttribute(UNDO_FILE)), 0o600);
    });
    const error = await refused(t, undo(machine.kernel), null, "O2CB_BAD_UNDO_FILE");
    t.regex(error.message, expected);
    t.deepEqual(everywhere(machine, labelOf), ["new", "new", "new"]);
  });

test("an undo file of a volume that was changed since, of another one, and one that is not there", async (t) => {
  const machine = localVolume();
  await tune(machine.kernel, { label: "new" });
  await tune(machine.kernel, { label: "newer", undoFile: null });
  t.regex(
    (await refused(t, undo(machine.kernel), null, "O2CB_BAD_UNDO_FILE")).message,
    /changed again since/,
  );
  machine.disk.backups = [];
  t.regex(
    (await refused(t, undo(machine.kernel), null, "O2CB_BAD_UNDO_FILE")).message,
    /changed again since|no superblock in block/,
  );
  await refused(t, undo(machine.kernel, { file: "/none" }), null, "O2CB_BAD_UNDO_FILE");
  t.is(machine.disk.volume?.label, "newer");
});

test("from one node to the cluster and back: the running cluster's stamp", async (t) => {
  const machine = localVolume();
  await tune(machine.kernel, { mount: "cluster" });
  t.deepEqual(everywhere(machine, stampOf), Array(3).fill("o2cb,lab,0"));
  t.deepEqual(
    everywhere(machine, ({ featureIncompat }) => featureIncompat & 8),
    [0, 0, 0],
  );
  t.is((await tune(machine.kernel, { mount: "cluster" })).outcome, "unchanged");
  await tune(machine.kernel, { mount: "local" });
  // As the C tool: the stamp stays, and does not count.
  t.deepEqual(everywhere(machine, stampOf), Array(3).fill("o2cb,lab,0"));
  t.deepEqual(
    everywhere(machine, ({ featureIncompat }) => featureIncompat & 8),
    [8, 8, 8],
  );
  t.is((await tune(machine.kernel, { mount: "local" })).outcome, "unchanged");

  const global = withBackups(classicGlobal({ volume: { local: true, stack: null } }));
  await tune(global.kernel, { mount: "cluster" });
  t.deepEqual(everywhere(global, stampOf), Array(3).fill("o2cb,lab,1"));
});

test("a volume with the old slot map gets no stamp, which only global heartbeat needs", async (t) => {
  const machine = localVolume();
  for (const content of [machine.content, ...machine.disk.backups]) content.featureIncompat = 0x8;
  await tune(machine.kernel, { mount: "cluster" });
  t.deepEqual(everywhere(machine, stampOf), Array(3).fill("null,null,0"));
  t.deepEqual(
    everywhere(machine, ({ featureIncompat }) => featureIncompat),
    [0, 0, 0],
  );

  const global = withBackups(classicGlobal({ volume: { local: true, stack: null } }));
  global.content.featureIncompat = 0x8;
  const error = await refused(t, tune(global.kernel, { mount: "cluster" }), null, "O2CB_UNSUPPORTED_VOLUME");
  t.regex(error.message, /old form of the slot map/);
});

test("another cluster's volume takes the running stamp after a yes, under a claim", async (t) => {
  const machine = othersVolume();
  const questions: TuneQuestion[] = [];
  const confirm = (question: TuneQuestion): boolean => questions.push(question) > 1;
  const request = { updateClusterStack: true, confirm };
  t.is((await tune(machine.kernel, request)).outcome, "declined");
  t.is((await tune(machine.kernel, request)).outcome, "changed");
  t.deepEqual(questions[0], {
    about: "cluster-stack",
    device: DISK,
    from: "cluster 'other' of o2cb, local heartbeat",
    to: "cluster 'lab' of o2cb, local heartbeat",
  });
  t.deepEqual(everywhere(machine, stampOf), Array(3).fill("o2cb,lab,0"));
  t.is(machine.disk.claim, null);
  t.is((await tune(machine.kernel, request)).outcome, "unchanged");
  await t.throwsAsync(tune(othersVolume().kernel, { updateClusterStack: true }), { instanceOf: TypeError });

  // Now the volume is the cluster's: the undo is done under its locks.
  t.is((await undo(machine.kernel)).outcome, "undone");
  t.deepEqual(everywhere(machine, stampOf), Array(3).fill("o2cb,other,0"));
});

test("an undo of a volume that no running cluster can lock needs a yes", async (t) => {
  const machine = othersVolume();
  await tune(machine.kernel, { updateClusterStack: true, confirm: yes });
  // Half undone: the primary is the other cluster's again.
  Object.assign(machine.content, { clusterName: "other" });
  await t.throwsAsync(undo(machine.kernel), { instanceOf: TypeError });
  t.is((await undo(machine.kernel, { confirm: () => false })).outcome, "declined");
  t.like(await undo(machine.kernel, { confirm: yes }), { outcome: "undone", offsets: [2 ** 30, 2 ** 32] });
  t.deepEqual(everywhere(machine, stampOf), Array(3).fill("o2cb,other,0"));
});

test("a classic volume is at home in local heartbeat, and is stamped for global", async (t) => {
  const local = clusterVolume({ volume: { stack: null, label: "" } });
  t.is((await tune(local.kernel, { updateClusterStack: true })).outcome, "unchanged");
  const global = withBackups(classicGlobal({ volume: { stack: null, global: false } }));
  await tune(global.kernel, { updateClusterStack: true, confirm: yes });
  t.deepEqual(everywhere(global, stampOf), Array(3).fill("o2cb,lab,1"));
  const node = localVolume();
  t.is(
    (await tune(node.kernel, { updateClusterStack: true })).outcome,
    "unchanged",
    "one node's volume has no stamp",
  );
});

test("a stamp that nothing could use is put right", async (t) => {
  const machine = othersVolume();
  for (const content of [machine.content, ...machine.disk.backups]) content.stackLabel = "o2";
  await tune(machine.kernel, { updateClusterStack: true, confirm: yes });
  t.deepEqual(everywhere(machine, stampOf), Array(3).fill("o2cb,lab,0"));
});

test("a cluster that cannot be locked is not taken over while anybody uses the volume", async (t) => {
  const request = { updateClusterStack: true, confirm: yes };
  const slot = othersVolume();
  slot.disk.slotState.owners.set(0, 1);
  t.regex((await refused(t, tune(slot.kernel, request), null, "O2CB_VOLUME_IN_USE")).message, /node 1/);

  const beating = othersVolume();
  const { kernel, disk } = beating;
  const native = kernel.process();
  let turn = 0n;
  native.beforeCall = ({ name }) => {
    if (name !== "readHeartbeatSlots") return;
    turn += 1n;
    const beat = { slot: 1, valid: true, node: 1, sequence: turn, generation: 7n, deadMs: 62_000 };
    disk.writeSlot({ startBlock: 2184n, blockBytes: 512 }, beat);
  };
  t.regex((await refused(t, tuneWith(native, request), null, "O2CB_VOLUME_IN_USE")).message, /node 1/);

  const claimed = othersVolume();
  const holder = claimed.kernel.process();
  const claim = await holder.claimDevice(DISK);
  await refused(t, tune(claimed.kernel, request), null, "O2CB_VOLUME_IN_USE");
  claim?.release();
  for (const machine of [slot, beating, claimed]) {
    t.deepEqual(machine.disk.superblockWrites, []);
    t.is(machine.disk.claim, null);
  }
});

test("a volume that is mounted here is refused, whatever is asked", async (t) => {
  const machine = clusterVolume();
  await mount(machine.kernel);
  const error = await t.throwsAsync(tune(machine.kernel, { label: "new" }));
  t.like(error, { code: "O2CB_VOLUME_IN_USE" });
  t.deepEqual(machine.disk.superblockWrites, []);
});

test("a state that is not known, a read-only device, a damaged backup: nothing is locked", async (t) => {
  const machine = localVolume();
  machine.disk.superblockProblem = "it has features 0x10000, which this version does not know";
  const error = await refused(t, tune(machine.kernel, { label: "new" }), null, "O2CB_UNSUPPORTED_VOLUME");
  t.regex(error.message, /at byte 8192 is left alone: it has features/);
  await refused(
    t,
    tune(localVolume({ readOnly: true }).kernel, { label: "new" }),
    null,
    "O2CB_PERMISSION_DENIED",
  );
});

test("a volume that became another one while it was being locked is left alone", async (t) => {
  const machine = localVolume();
  const native = machine.kernel.process();
  let reads = 0;
  native.beforeCall = ({ name }) => {
    reads += name === "readSuperblocks" ? 1 : 0;
    if (reads === 2) machine.content.uuid = NEW_UUID;
  };
  const error = await refused(t, tuneWith(native, { label: "new" }), null, "O2CB_VOLUME_IN_USE");
  t.regex(error.message, new RegExp(`${NEW_UUID} in the place of ${UUID}`));
  t.deepEqual(machine.disk.superblockWrites, []);
});

test("what another writes over the change is found out", async (t) => {
  const machine = localVolume();
  const native = machine.kernel.process();
  let reads = 0;
  native.beforeCall = ({ name }) => {
    reads += name === "readSuperblocks" ? 1 : 0;
    if (reads === 3) machine.content.label = "theirs";
  };
  await refused(t, tuneWith(native, { label: "new" }), null, "O2CB_VERIFY_FAILED");
});

test("once it writes it is not given up any more", async (t) => {
  const machine = localVolume();
  const native = machine.kernel.process();
  const controller = new AbortController();
  let writes = 0;
  native.beforeCall = ({ name }) => {
    writes += name === "writeSuperblock" ? 1 : 0;
    if (writes === 2) controller.abort();
  };
  t.is((await tuneWith(native, { label: "new", signal: controller.signal })).outcome, "changed");
  t.deepEqual(everywhere(machine, labelOf), ["new", "new", "new"]);
});

for (const [what, request] of Object.entries({
  "an empty device": { device: "" },
  "a device that is no text": { device: 7 as unknown as string },
  "a label of 65 bytes": { label: "é".repeat(33) },
  "a label with a NUL": { label: "a\0b" },
  "a UUID that is none": { uuid: "x" },
  "a UUID of zeros": { uuid: "0".repeat(32) },
  "another mount type": { mount: "both" as "local" },
  "a stack for one node": { mount: "local", updateClusterStack: true } as const,
}))
  test(`refused at once: ${what}`, async (t) => {
    const { kernel } = classicLocal();
    const native = kernel.process();
    await t.throwsAsync(tuneWith(native, request));
    t.deepEqual(native.calls, []);
  });
