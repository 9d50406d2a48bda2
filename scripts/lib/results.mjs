// Reads what the two test runners print (ava's TAP, cargo's libtest) into one tally.
//
// Facts relied on (seen with ava 7 and libtest 1.88-1.95): ava prints `ok N - title`, `not ok N - title`, a skip as
// `ok … # SKIP`, a todo as `not ok … # TODO`, details as an indented block below, and a crashed or empty file as a
// `not ok` line of its own; cargo prints `Running path (binary)`/`Doc-tests name` on stderr, `test name ... ok` (or
// `FAILED`, `ignored`, `ignored, reason`) and one `test result:` line per binary.

/** What one tier did: the number that passed, and the names of what failed and was skipped. */
export class Tally {
  passed = 0;
  failed = [];
  skipped = [];

  pass(title, report = () => {}) {
    this.passed += 1;
    report("ok", title);
  }

  fail(title, report = () => {}) {
    this.failed.push(title);
    report("FAIL", title);
  }

  skip(title, report = () => {}) {
    this.skipped.push(title);
    report("skip", title);
  }

  counts() {
    return [this.passed, this.failed.length, this.skipped.length];
  }

  /** Adds what is missing, without a name, for `totals` results since `before`. */
  raise(before, totals) {
    const [passed, failed, skipped] = this.counts().map(
      (count, index) => before[index] + totals[index] - count,
    );
    this.passed += Math.max(passed, 0);
    for (let count = 0; count < failed; count++) this.failed.push("a test whose name was lost in its output");
    for (let count = 0; count < skipped; count++)
      this.skipped.push("a test whose name was lost in its output");
  }
}

/**
 * A reader of ava's TAP: `line` takes each line, `end` the end of the output and how the runner ended. `report(kind, title)` is called for each
 * result, `detail(text)` for what was logged, and for what lies below a failure.
 */
export function tapReader(tally, { report = () => {}, detail = () => {} } = {}) {
  let hidden = true;
  let complete = false;
  function line(text) {
    const result = /^(ok|not ok) \d+(?: - (.*))?$/.exec(text);
    if (result === null) {
      const logged = /^# {3}(.*)$/.exec(text);
      if (logged !== null) detail(logged[1]);
      else if (!hidden && text.startsWith(" ")) detail(text.slice(2));
      else if (/^1\.\.\d+$/.test(text)) complete = true;
      return;
    }
    const [, verdict, rest = ""] = result;
    const directive = / # (SKIP|TODO)$/.exec(rest);
    const title = (directive === null ? rest : rest.slice(0, directive.index)).replaceAll(" › ", ": ");
    hidden = true;
    if (directive !== null) {
      tally.skip(directive[1] === "TODO" ? `${title} (to be written)` : title, report);
    } else if (verdict === "ok") {
      tally.pass(title, report);
    } else {
      tally.fail(title, report);
      hidden = false;
    }
  }
  function end(how) {
    if (!complete) tally.fail(cutOff("the test runner", how), report);
  }
  return { line, end };
}

/** A reader of `cargo test`'s standard output, with the same methods. */
export function libtestReader(tally, { report = () => {}, detail = () => {} } = {}) {
  let before = null;
  let inFailures = false;
  function line(text) {
    const result = /^test (.+?)(?: - should panic)? \.\.\. (?:(ok|FAILED)|ignored(?:, (.*))?)$/.exec(text);
    // What a failed test printed is shown later, and may look like a result.
    if (result !== null && !inFailures) {
      const [, title, verdict, reason] = result;
      if (verdict === "ok") tally.pass(title, report);
      else if (verdict === "FAILED") tally.fail(title, report);
      else tally.skip(reason === undefined ? title : `${title} (${reason})`, report);
      return;
    }
    const totals = /^test result: .*? (\d+) passed; (\d+) failed; (\d+) ignored;/.exec(text);
    if (/^running \d+ tests?$/.test(text)) {
      end();
      before = tally.counts();
      inFailures = false;
    } else if (totals !== null && before !== null) {
      // A test's own output can spoil its line: the totals are right then.
      tally.raise(before, totals.slice(1).map(Number));
      before = null;
      inFailures = false;
    } else if (text === "failures:") {
      inFailures = true;
    } else if (inFailures) {
      detail(text);
    }
  }
  function end(how) {
    if (before !== null) tally.fail(cutOff("a test program", how), report);
    before = null;
  }
  return { line, end };
}

/** Of a runner that did not come to its end; what it said last is all there is to find out why. */
function cutOff(what, { status = null, signal = null, said = "" } = {}) {
  const how = signal === null && status === null ? "" : `, with ${signal ?? `status ${status}`}`;
  const last = said.trim();
  return `${what} ended before its last line${how}${last === "" ? "" : `, after saying: ${last}`}`;
}

/** The last line of `npm test`. */
export function closingLine(passed, failed, skipped) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}
