// Makes a host's cluster what a desired state says: the difference first, then the steps, and a look at the end whether it is so.
//
// Facts relied on: plan.ts and plan-kernel.ts (which steps, and when they are possible). Registration, timeouts and heartbeats are those of the
// commands (register.ts, timeouts.ts, heartbeat.ts), so an apply does nothing that they do not.
//
// Files come first: should an apply be killed later, the next start of the host is right already. What a killed apply leaves is seen
// from the kernel's state by the next one; that the cluster was online before is noted in /run. No volume is unmounted here and no
// process ended: a plan that needs downtime waits until nothing uses the cluster.
import { changeConfig } from "../config/store.ts";
import { changeSysconfig, sysconfigPath, type Variable } from "../config/sysconfig.ts";
import { errnoName, isErrno, O2cbError } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { STACK_FILE } from "../stack/detect.ts";
import { setupStack } from "../stack/setup.ts";
import type { OnStep } from "../steps.ts";
import { CLASSIC_STACK } from "../volume.ts";
import { applyToDocument } from "./apply-file.ts";
import { APPLY_NOTE, readCurrentState, readNote, type ApplyNote } from "./current-state.ts";
import type { DesiredState, FenceMethod } from "./desired-state.ts";
import { startHeartbeat } from "./heartbeat.ts";
import { clusterHolders, refuseHolders } from "./holders.ts";
import { setLeaveProgram } from "./leave-program.ts";
import type { WantedCluster } from "./nodes.ts";
import { offline } from "./offline.ts";
import { online, timeoutsOf } from "./online.ts";
import type { CurrentState, Plan, PlanStep, StepKind } from "./plan-types.ts";
import { planState } from "./plan.ts";
import { registerCluster } from "./register.ts";
import { settingsOf } from "./settings-change.ts";
import { KernelWrites, type KernelWrite } from "./writes.ts";

export interface ApplyOptions {
  /** plan and list what would be written, and change nothing */
  dryRun?: boolean | undefined;
  /** take the cluster offline and online again on this host where that is needed; default false: such a plan is refused */
  allowDowntime?: boolean | undefined;
  /** default /etc/ocfs2/cluster.conf */
  configPath?: string | undefined;
  /** told before anything is changed */
  onPlan?: ((plan: Plan) => void) | undefined;
  onStep?: OnStep | undefined;
  signal?: AbortSignal | undefined;
  /** pauses before a further look for heartbeat devices that are not there */
  rescanMs?: readonly number[] | undefined;
}

export interface ApplyResult {
  plan: Plan;
  /** in order; what would be done on a dry run */
  writes: KernelWrite[];
}

interface Work {
  writes: KernelWrites;
  desired: DesiredState;
  wanted: WantedCluster;
  current: CurrentState;
  plan: Plan;
  configPath: string;
  rescanMs: readonly number[] | undefined;
  fenceMethod: FenceMethod | null;
}

const CONFIG = "/etc/ocfs2/cluster.conf";
const FILE_MODE = 0o644;
const REGISTRATION: readonly StepKind[] = [
  "set-mode",
  "set-timeout",
  "remove-node",
  "add-node",
  "change-node",
  "register",
];

/**
 * Errors: O2CB_REGION_IN_USE (the plan needs downtime, or something uses the cluster), O2CB_CONFIGURATION_ERROR, O2CB_INTERNAL_FAILURE (it is
 * not as wanted afterwards), those of changeConfig, registerCluster, startHeartbeat, offline and online.
 */
export async function applyState(
  native: Native,
  desired: DesiredState,
  options: ApplyOptions = {},
): Promise<ApplyResult> {
  const { dryRun = false, allowDowntime = false, configPath = CONFIG, signal, onStep } = options;
  const writes = new KernelWrites(native, { dryRun, signal, onStep });
  return writes.exclusively(async () => {
    const look = { configPath, signal };
    const { name } = desired.cluster;
    const current = await readCurrentState(native, name, look);
    const plan = planState(current, desired);
    options.onPlan?.(plan);
    if (plan.needsDowntime && !allowDowntime && !dryRun) throw needsDowntime(plan);
    const regions = desired.cluster.heartbeats ?? current.file?.heartbeats;
    const note = await readNote(native);
    const work: Work = {
      writes,
      desired,
      wanted: { ...desired.cluster, heartbeats: regions },
      current,
      plan,
      configPath,
      rescanMs: options.rescanMs,
      fenceMethod:
        desired.timeouts?.fenceMethod ??
        note?.fenceMethod ??
        current.registered?.timeouts.fenceMethod ??
        null,
    };
    if (plan.steps.length > 0) await carryOut(work);
    if (!dryRun && plan.steps.length > 0)
      verify(planState(await readCurrentState(native, name, look), desired));
    await forget(writes);
    return { plan, writes: writes.done };
  });
}

async function carryOut(work: Work): Promise<void> {
  const { writes, wanted, plan, current, desired } = work;
  const has = (...kinds: StepKind[]): boolean => plan.steps.some(({ kind }) => kinds.includes(kind));
  const goesDown = has("offline");
  if (goesDown && current.registered !== null) await checkHolders(writes, current.registered.name);
  if (has("write-configuration")) await writeConfiguration(work);
  if (has("write-settings")) await writeSettings(work);
  const changesKernel = plan.steps.some(({ kind }) => !kind.startsWith("write-"));
  if (changesKernel)
    await remember(writes, {
      state: has("online") ? "offline" : "online",
      fenceMethod: work.fenceMethod,
    });
  if (goesDown && current.registered !== null)
    await offline(writes.native, { name: current.registered.name, writes, assumeUnmounted: true });
  if (has("set-stack")) await setStack(writes);
  if (has("online")) await takeOnline(work);
  else {
    if (has(...REGISTRATION))
      await registerCluster(writes.native, wanted, { writes, timeouts: desired.timeouts });
    if (has("start-heartbeat", "stop-heartbeat"))
      await startHeartbeat(writes.native, wanted, {
        writes,
        rescanMs: work.rescanMs,
        // On a dry run the kernel has the mode of before.
        isRegistered: !(writes.dryRun && has("set-mode")),
      });
  }
  if (has("set-leave") && desired.leave !== undefined) await setLeaveProgram(writes, desired.leave);
}

// -- files

async function writeConfiguration({ writes, desired, configPath }: Work): Promise<void> {
  const { native, dryRun, signal } = writes;
  const change = await changeConfig(native, configPath, (document) => applyToDocument(document, desired), {
    dryRun,
    signal,
  });
  if (dryRun && change.after !== (change.before ?? ""))
    await native.replaceFile(change.path, change.after, FILE_MODE);
}

async function writeSettings({ writes, current, desired }: Work): Promise<void> {
  const { native, dryRun, signal } = writes;
  const path = await sysconfigPath(native, signal);
  const { changes } = settingsOf(current.settings, desired);
  const variables = Object.fromEntries(changes.map(({ variable, to }) => [variable, String(to)]));
  const change = await changeSysconfig(native, path, variables as Partial<Record<Variable, string>>, {
    dryRun,
    signal,
  });
  if (dryRun && change.after !== (change.before ?? ""))
    await native.replaceFile(change.path, change.after, FILE_MODE);
}

// -- what runs

async function setStack({ native, dryRun, signal }: KernelWrites): Promise<void> {
  if (dryRun) await native.writeAttribute(STACK_FILE, CLASSIC_STACK);
  else await setupStack(native, CLASSIC_STACK, { loadModules: false, signal });
}

/** Before anything is changed; on a dry run it is told only. Regions are looked at when what is left over of them has been cleared. */
async function checkHolders(writes: KernelWrites, cluster: string): Promise<void> {
  try {
    refuseHolders(cluster, { ...(await clusterHolders(writes)), regions: [] }, "apply");
  } catch (error) {
    if (!writes.dryRun || !(error instanceof O2cbError)) throw error;
    writes.warn(error.code, error.message);
  }
}

async function takeOnline({ writes, wanted, current, desired, fenceMethod, rescanMs }: Work): Promise<void> {
  const { values } = settingsOf(current.settings, desired);
  const seen = writes.dryRun ? withoutCluster(writes) : writes;
  await online(seen.native, {
    writes: seen,
    sysconfig: { ...values, stack: CLASSIC_STACK },
    clusters: [wanted],
    name: wanted.name,
    timeouts: { ...timeoutsOf(values), ...(fenceMethod !== null && { fenceMethod }) },
    rescanMs,
  });
  if (seen !== writes) writes.done.push(...seen.done);
}

/** For a dry run: the machine as it would be after the cluster was taken offline. */
function withoutCluster({ native, signal, onStep }: KernelWrites): KernelWrites {
  const isHidden = (path: string): boolean => /\/config\/cluster(\/|$)/.test(path);
  const hiding = new Proxy(native, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name, target);
      if (name === "listDirectories")
        return (path: string, more?: object) =>
          isHidden(path) ? Promise.resolve([]) : target.listDirectories(path, more);
      return typeof method === "function" ? (method.bind(target) as unknown) : method;
    },
  });
  return new KernelWrites(hiding, { dryRun: true, signal, onStep });
}

// -- the note

async function remember(writes: KernelWrites, note: ApplyNote): Promise<void> {
  try {
    await writes.native.replaceFile(APPLY_NOTE, `${JSON.stringify(note)}\n`, 0o600, {
      signal: writes.signal,
    });
  } catch (error) {
    if (!isErrno(error, "EROFS", "ENOSPC", "EDQUOT", "EACCES", "EPERM", "ENOENT")) throw error;
    const reason = errnoName(error) ?? "unknown";
    writes.warn(
      "O2CB_IO",
      `${APPLY_NOTE} cannot be written (${reason}): should this be killed, the next apply knows less`,
    );
  }
}

async function forget(writes: KernelWrites): Promise<void> {
  if ((await readNote(writes.native)) === null) return;
  try {
    await writes.native.removeFile(APPLY_NOTE, { signal: writes.signal });
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}

// -- judgement

function needsDowntime({ cluster, steps }: Plan): O2cbError {
  const why = steps
    .filter((step) => !step.online && step.kind !== "offline")
    .map(({ description, reason }: PlanStep) => `${description} (${reason})`);
  return new O2cbError(
    "O2CB_REGION_IN_USE",
    `cluster '${cluster}' cannot become what is wanted while it runs on this host: ${why.join("; ")}`,
    {
      operation: "apply",
      cluster,
      remedy: "unmount its volumes on this host and allow downtime, on one host after the other",
    },
  );
}

/** The kernel takes some writes and ignores them, and others change things too: what was wanted must be there. */
function verify({ cluster, diff }: Plan): void {
  if (diff.length === 0) return;
  const still = diff.map(
    ({ where, path, from, to }) => `${where} ${path} is ${from ?? "missing"}, not ${to ?? "gone"}`,
  );
  throw new O2cbError(
    "O2CB_INTERNAL_FAILURE",
    `cluster '${cluster}' is not what was wanted after all steps: ${still.join("; ")}`,
    {
      operation: "apply",
      cluster,
      remedy: "see whether another program changes it at the same time, and apply again",
    },
  );
}
