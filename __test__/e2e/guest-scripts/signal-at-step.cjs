// Loaded with `node -r` before a command's bundle: sends SIGNAL_AT_SIGNAL to the process itself while it reports step number
// SIGNAL_AT_STEP (counted from 0) with --json. The report is written when the step begins, so each step is hit exactly.
const write = process.stdout.write.bind(process.stdout);
let reported = 0;
process.stdout.write = (chunk, ...rest) => {
  const done = write(chunk, ...rest);
  for (const line of String(chunk).split("\n")) {
    if (!line.startsWith('{"step"')) continue;
    if (reported === Number(process.env.SIGNAL_AT_STEP))
      process.kill(process.pid, process.env.SIGNAL_AT_SIGNAL);
    reported += 1;
  }
  return done;
};
