// What the scripts print for people. A `Refusal` is a failure that needs no stack: one sentence that says what to do.

/** Ends a script with one sentence on stderr instead of a stack. */
export class Refusal extends Error {}

/** A headline of a part of the work. */
export function headline(text) {
  console.log(`\n== ${text}`);
}

/** A line of progress. */
export function note(text) {
  console.log(`   ${text}`);
}

/** `12.3 s`, or `4 min 05 s` */
export function duration(milliseconds) {
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
}

/** Runs a script's main function: its number is the exit status, a `Refusal` is printed as its sentence. */
export async function script(main) {
  try {
    process.exitCode = (await main(process.argv.slice(2))) ?? 0;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
