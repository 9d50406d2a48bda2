// Walks over a scenario: fails each native call in turn with each errno that it can have, kills the process at each call, or
// gives up at each call; each time on a machine of its own. What is left is judged by the test.
//
// The scenario runs once undisturbed, which counts the calls and must succeed. It must be deterministic: a planned fault that
// does not come to pass is an error of the walk.
import { CANNOT_FAIL, type CallRecord, type Fault, type FakeProcess } from "./process.ts";
import type { CallName } from "./errors.ts";
import type { FakeKernel } from "./kernel.ts";
import type { FakeNative } from "./native.ts";

const DEFAULT_LIMIT_MS = 20_000;
const COMMON = ["EIO", "ENOMEM", "EINVAL", "EACCES", "EBUSY"] as const;
const SEMAPHORE = ["EACCES", "ENOMEM", "ENOSPC"] as const;

/** What each call is made to fail with, unless a test names others. ERANGE, EINTR and the like are for tests that are about them. */
const ERRNOS: Partial<Record<CallName, readonly string[]>> = {
  inspectPath: ["EIO", "ENOMEM", "EACCES", "ENOENT"],
  readAttribute: ["EIO", "ENOMEM", "EACCES", "ENOENT"],
  listDirectories: ["EIO", "ENOMEM", "EACCES", "ENOENT"],
  makeDirectory: ["ENOMEM", "EINVAL", "EACCES", "ENOSPC"],
  removeDirectory: ["EIO", "ENOMEM", "EACCES", "EBUSY"],
  readLink: ["EIO", "ENOMEM", "EACCES", "ENOENT"],
  listFiles: ["EIO", "ENOMEM", "EACCES", "ENOENT"],
  replaceFile: ["EIO", "EACCES", "EROFS", "ENOSPC", "ENOENT"],
  removeFile: ["EIO", "EACCES", "EROFS", "ENOENT"],
  mountNamespaces: ["ENOMEM", "EACCES", "ENOENT"],
  watchEvents: ["ENOMEM", "EMFILE"],
  "EventWatch.addMount": ["ENOMEM", "ENOSPC", "EACCES", "ENOENT"],
  "EventWatch.addDirectory": ["ENOMEM", "ENOSPC", "EACCES", "ENOENT"],
  "EventWatch.next": ["ENOMEM", "EIO"],
  lockRegion: [...SEMAPHORE, "EINVAL"],
  regionSemaphores: ["EACCES", "ENOMEM"],
  mount: [...COMMON, "ENOSYS", "ENOTCONN"],
  unmount: ["EIO", "ENOMEM", "EINVAL", "EPERM", "EBUSY"],
  connectAbstract: ["ECONNREFUSED", "EACCES", "ENOMEM"],
  "ByteChannel.write": ["EPIPE", "ENOMEM"],
  "ByteChannel.read": ["ECONNRESET", "ENOMEM"],
  lockFile: ["EIO", "ENOMEM", "EACCES", "EROFS", "EAGAIN"],
  openDlmLock: ["EIO", "ENOMEM", "ENOENT", "EINVAL"],
  unlinkDlmLock: ["EIO", "ENOMEM", "EACCES"],
  lockRange: ["EIO", "ENOMEM", "EROFS", "ENOLCK"],
  "RegionLock.references": ["EACCES", "ENOMEM"],
  "RegionLock.take": [...SEMAPHORE, "ERANGE"],
  "RegionLock.drop": SEMAPHORE,
  "RegionLock.handOver": SEMAPHORE,
  "RegionLock.destroy": ["EPERM", "EACCES"],
};

export type Outcome<T> =
  | { status: "ok"; value: T }
  | { status: "failed"; error: unknown }
  | { status: "killed" }
  /** it had not settled when the walk lost patience */
  | { status: "hung" };

export interface WalkPoint<T> {
  kernel: FakeKernel;
  /** the disturbed process; on a kill walk it is dead */
  native: FakeNative;
  outcome: Outcome<T>;
  /** the number of the disturbed call, from 1 */
  n: number;
  call: CallRecord;
  /** the errno of a fault walk; null on the others */
  errno: string | null;
  /** a phrase for assertion messages: `call 7 (makeDirectory "/sys/…") fails with EIO` */
  title: string;
}

export interface ScenarioContext<P> {
  prelude: P;
  /** for a walk of aborts; never fires on the others */
  signal: AbortSignal;
}

export type Scenario<T, P> = (
  native: FakeNative,
  kernel: FakeKernel,
  context: ScenarioContext<P>,
) => Promise<T>;

export interface WalkOptions<T, P> {
  /** a fresh machine for each run; everything but the scenario's own calls happens here, by other processes */
  setup: () => FakeKernel | { kernel: FakeKernel } | Promise<FakeKernel | { kernel: FakeKernel }>;
  /** what the disturbed process itself did before, undisturbed and uncounted */
  prelude?: (native: FakeNative, kernel: FakeKernel) => Promise<P>;
  /** called after each run; throws where something is wrong */
  check: (point: WalkPoint<T>) => unknown;
  /** which calls are disturbed; default all */
  only?: (call: CallRecord) => boolean;
  /** on a walk of kills: kill calls in their middle too, where they have one (see Fault) */
  halfway?: boolean;
  /** how long one run may take, real milliseconds */
  limitMs?: number;
}

export interface FaultWalkOptions<T, P> extends WalkOptions<T, P> {
  errnos?: readonly string[] | ((call: CallRecord) => readonly string[]);
  /** fail calls after their effect as well, where the kernel can do that (see Fault) */
  late?: boolean;
}

interface Run<T> {
  kernel: FakeKernel;
  native: FakeNative;
  outcome: Outcome<T>;
}

/** Fails each call in turn. Returns the number of runs. */
export async function walkFaults<T, P = undefined>(
  scenario: Scenario<T, P>,
  options: FaultWalkOptions<T, P>,
): Promise<number> {
  let runs = 0;
  for (const call of await countCalls(scenario, options)) {
    if (CANNOT_FAIL.includes(call.name)) continue;
    const { errnos } = options;
    const wanted = typeof errnos === "function" ? errnos(call) : (errnos ?? ERRNOS[call.name] ?? COMMON);
    const faults: Fault[] = wanted.map((errno) => ({ errno }));
    if (options.late && canFailLate(call)) faults.push({ errno: "EIO", late: true });
    for (const fault of faults) {
      const { errno, late } = fault as { errno: string; late?: boolean };
      await disturb(
        scenario,
        options,
        call,
        errno,
        `fails ${late ? "late " : ""}with ${errno}`,
        (native) => void native.failCall(call.n, fault),
      );
      runs += 1;
    }
  }
  return runs;
}

/** Kills the process before each call, and after it. Returns the number of runs. */
export async function walkKills<T, P = undefined>(
  scenario: Scenario<T, P>,
  options: WalkOptions<T, P>,
): Promise<number> {
  let runs = 0;
  for (const call of await countCalls(scenario, options)) {
    const middle = options.halfway === true && call.name === "replaceFile";
    for (const kill of ["before", ...(middle ? (["during"] as const) : []), "after"] as const) {
      await disturb(
        scenario,
        options,
        call,
        null,
        `is killed ${kill === "during" ? "halfway" : kill}`,
        (native) => void native.failCall(call.n, { kill }),
      );
      runs += 1;
    }
  }
  return runs;
}

/** Fires the scenario's signal as each call begins. Returns the number of runs. */
export async function walkAborts<T, P = undefined>(
  scenario: Scenario<T, P>,
  options: WalkOptions<T, P>,
): Promise<number> {
  let runs = 0;
  for (const call of await countCalls(scenario, options)) {
    await disturb(scenario, options, call, null, "is given up", (native, abort) => {
      native.beforeCall = ({ n }) => {
        if (n !== call.n) return;
        native.fired.push(call);
        abort();
      };
    });
    runs += 1;
  }
  return runs;
}

function canFailLate({ name, args }: CallRecord): boolean {
  return (
    name === "mount" ||
    name === "lockFile" ||
    name === "runProgram" ||
    name === "replaceFile" ||
    name === "writeSuperblock" ||
    (name === "lockRegion" && args[1] === true)
  );
}

async function countCalls<T, P>(scenario: Scenario<T, P>, options: WalkOptions<T, P>): Promise<CallRecord[]> {
  const { native, outcome } = await run(scenario, options, () => undefined);
  if (outcome.status === "failed")
    throw new Error("the scenario fails undisturbed", { cause: outcome.error });
  if (outcome.status !== "ok") throw new Error(`the scenario undisturbed is ${outcome.status}`);
  return native.calls.filter((call) => options.only?.(call) ?? true);
}

async function disturb<T, P>(
  scenario: Scenario<T, P>,
  options: WalkOptions<T, P>,
  call: CallRecord,
  errno: string | null,
  what: string,
  arm: (native: FakeNative, abort: () => void) => void,
): Promise<void> {
  const { kernel, native, outcome } = await run(scenario, options, arm);
  const title = `call ${call.n} (${describe(call)}) ${what}`;
  const fired = native.fired[0];
  if (fired === undefined || fired.name !== call.name) {
    throw new Error(
      `${title}: it was not reached, or another call stood there (${fired === undefined ? "none" : describe(fired)}): the scenario is not deterministic`,
    );
  }
  try {
    await options.check({ kernel, native, outcome, n: call.n, call, errno, title });
  } catch (error) {
    // An assertion of ava is recorded by its own message already.
    if (error instanceof Error && error.name !== "AssertionError")
      error.message = `${title}: ${error.message}`;
    throw error;
  }
}

async function run<T, P>(
  scenario: Scenario<T, P>,
  options: WalkOptions<T, P>,
  arm: (native: FakeNative, abort: () => void) => void,
): Promise<Run<T>> {
  const made = await options.setup();
  const kernel = "kernel" in made ? made.kernel : made;
  const native = kernel.process();
  const prelude = (await options.prelude?.(native, kernel)) as P;
  native.restartCount();
  const controller = new AbortController();
  arm(native, () => controller.abort());
  const outcome = await settle(
    () => scenario(native, kernel, { prelude, signal: controller.signal }),
    native,
    options.limitMs ?? DEFAULT_LIMIT_MS,
  );
  return { kernel, native, outcome };
}

async function settle<T>(work: () => Promise<T>, process: FakeProcess, limitMs: number): Promise<Outcome<T>> {
  let timer: NodeJS.Timeout | undefined;
  const hung = new Promise<Outcome<T>>((resolve) => {
    timer = setTimeout(() => resolve({ status: "hung" }), limitMs);
  });
  const killed = new Promise<Outcome<T>>((resolve) => {
    process.task.atExit("calls", () => resolve({ status: "killed" }));
  });
  const done = work().then(
    (value): Outcome<T> => ({ status: "ok", value }),
    (error: unknown): Outcome<T> => ({ status: "failed", error }),
  );
  try {
    const outcome = await Promise.race([done, hung, killed]);
    if (process.alive) return outcome;
    await process.kernel.idle();
    return { status: "killed" };
  } finally {
    clearTimeout(timer);
  }
}

function describe({ name, args }: CallRecord): string {
  const text = args.map((arg) =>
    typeof arg === "object" && arg !== null
      ? JSON.stringify(arg, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value))
      : String(arg),
  );
  return [name, ...text].join(" ").slice(0, 160);
}
