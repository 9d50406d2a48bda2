// Loaded with `node -r` before a command's bundle: sends SIGNAL_AT_SIGNAL to the process itself while it reports step number
// SIGNAL_AT_STEP (counted from 0, or the step's name) with --json. The report is written when the step begins, so each step is hit exactly.
const fs = require("node:fs");

const STDOUT = 1;
const { writeSync } = fs;
let reported = 0;
fs.writeSync = (descriptor, data, ...rest) => {
  const written = writeSync(descriptor, data, ...rest);
  if (descriptor !== STDOUT) return written;
  for (const line of String(data).split("\n")) {
    if (!line.startsWith('{"step"')) continue;
    const wanted = process.env.SIGNAL_AT_STEP;
    if (reported === Number(wanted) || JSON.parse(line).step === wanted)
      process.kill(process.pid, process.env.SIGNAL_AT_SIGNAL);
    reported += 1;
  }
  return written;
};
