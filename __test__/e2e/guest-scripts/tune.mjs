// Run in a machine by tunefs.spec.ts: changes of a volume through the library, to be cut off.
//
//     tune.mjs pause DEVICE LABEL    stops for ever before it writes the first backup; tells so
//     tune.mjs loop DEVICE           gives it one of two names after the other, without an end; tells each
import { writeSync } from "node:fs";
import { tuneVolume } from "../../../dist/index.js";

const [, , what, device, label] = process.argv;

/** Node's event loop stands still: nothing more of the change happens. */
function standStill() {
  writeSync(1, "before the backup\n");
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

if (what === "pause") {
  const onStep = ({ step, isBackup }) => {
    if (step === "write-superblock" && isBackup) standStill();
  };
  await tuneVolume({ device, label, onStep });
} else {
  for (let turn = 0; ; turn += 1) {
    // Label and UUID belong together: a mixture would show.
    const digit = "AB"[turn % 2];
    await tuneVolume({
      device,
      label: digit.repeat(64),
      uuid: digit.repeat(32),
      confirm: true,
      undoFile: null,
    });
    writeSync(1, `${turn}\n`);
  }
}
