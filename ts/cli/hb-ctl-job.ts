// ocfs2_hb_ctl: each action as a call of the library, its result as lines, and who called.
//
// Facts relied on (commands 3.2, 3.3, 5): the kernel runs `-K -u UUID` from a thread of its own and waits for it inside umount;
// tools of the 1.2 era start and stop without a service, as mount.ocfs2's child or without a terminal. A person who leaves the
// service out would drop a mount's reference, and is told so. The statuses are 0 and 1 (3.1), but for -q.
import { O2cbError } from "../errors.ts";
import type { ProcessFacts } from "../process.ts";
import type { RegionAudit } from "../region/audit-types.ts";
import { UsageError, type Arguments } from "./argv.ts";
import { oneFailure } from "./exit-status.ts";
import { hbCtlLibrary, type HbCtlLibrary } from "./hb-ctl-library.ts";
import { hbCtlRequest, type HbCtlRequest, type InfoRequest, type Volumes } from "./hb-ctl-request.ts";
import { hbCtlSyntax } from "./hb-ctl-syntax.ts";
import type { Job, JobContext, JobResult } from "./job.ts";

/** The answers of -q. */
export const quietStatus = { inUse: 0, inactive: 1, error: 2, orphan: 3 } as const;

/** The service of mounts, which tools of the 1.2 era mean without naming it. */
const MOUNT_SERVICE = "ocfs2";
const MOUNT_HELPERS = ["mount.ocfs2", "umount.ocfs2"];

/** Errors of `run`: UsageError, and those of the library. */
export function hbCtlJob(library: HbCtlLibrary = hbCtlLibrary): Job {
  return {
    syntax: hbCtlSyntax,
    // A command line that is wrong must not look like the answer `inactive`.
    statuses: (isGiven) => oneFailure(isGiven("quiet") ? quietStatus.error : 1),
    hasPlainSteps: true,
    endsBySignal: (args) => args.flag("watch"),
    run(args, context) {
      const run = new Run(library, context, args);
      return run.perform(hbCtlRequest(args));
    },
  };
}

class Run {
  readonly #library: HbCtlLibrary;
  readonly #context: JobContext;
  readonly #isVerbose: boolean;
  readonly #isJson: boolean;

  constructor(library: HbCtlLibrary, context: JobContext, args: Arguments) {
    this.#library = library;
    this.#context = context;
    this.#isVerbose = args.count("verbose") > 0;
    this.#isJson = args.flag("json");
  }

  perform(request: HbCtlRequest): Promise<JobResult> {
    switch (request.action) {
      case "start":
        return this.#start(request);
      case "stop":
        return this.#stop(request);
      case "priority":
        return this.#priority(request);
      case "info":
        return request.watch ? this.#watch(request) : this.#info(request);
      case "audit":
        return this.#audit(request);
      case "reap":
        return this.#reap(request);
    }
  }

  async #start({ device, uuid, service }: HbCtlRequest & { action: "start" }): Promise<JobResult> {
    const { native, signal, onStep } = this.#context;
    if (service === null) await this.#refusePerson("-S");
    const request = { device, uuid, service: service ?? MOUNT_SERVICE, signal, onStep };
    const started = await this.#library.startService(native, request);
    return done(started, [counted(started)]);
  }

  async #stop({ device, uuid, service, force }: HbCtlRequest & { action: "stop" }): Promise<JobResult> {
    const { native, signal, onStep } = this.#context;
    const isKernel = service === null && uuid !== null && (await this.#isKernelsChild());
    if (service === null && !isKernel) await this.#refusePerson("-K");
    const caller = isKernel ? "kernel" : "program";
    const request = { device, uuid, service, caller, force, signal, onStep } as const;
    const stopped = await this.#library.stopService(native, request);
    return done(stopped, [
      stopped.stopped && stopped.mode !== "none" ? `region ${stopped.region} is stopped` : counted(stopped),
    ]);
  }

  async #priority({ device, uuid, level }: HbCtlRequest & { action: "priority" }): Promise<JobResult> {
    const { native, signal } = this.#context;
    const set = await this.#library.setRegionPriority(native, { device, uuid, level, signal });
    const line = `the heartbeat's thread ${set.pid} of region ${set.region} has real-time I/O priority ${level}`;
    return done(set, [line]);
  }

  async #info(request: InfoRequest): Promise<JobResult> {
    const { native, signal } = this.#context;
    const regions = await this.#regions(request);
    const { wait: until, timeoutMs, quiet, services } = request;
    if (until !== null) {
      await this.#library.waitForRegions(native, { regions, until, timeoutMs, signal });
      // What was waited for has come: that is the answer.
      if (quiet) return { data: null, details: [], notices: [], status: quietStatus.inUse };
    }
    const audit = await this.#library.audit(native, asked(regions, signal));
    if (this.#isVerbose) for (const note of audit.notes) this.#context.say(note);
    const there = audit.regions.filter((one) => one.directory !== null || one.references !== 0);
    const named = regions.length > 0 ? regions : there.map((one) => one.region);
    const found = named.map((name) => audit.regions.find((one) => one.region === name) ?? null);
    if (quiet) {
      const status = worst(found.map((one) => quietly(one, services)));
      return { data: null, details: [], notices: [], status };
    }
    if (this.#isJson) return done(audit, []);
    const lines = named.map((name, index) => `${name}: ${references(found[index] ?? null, services)} refs`);
    return { ...done(audit, []), lines };
  }

  async #watch(request: InfoRequest): Promise<JobResult> {
    const { native, signal, out } = this.#context;
    const { audit } = this.#library;
    const regions = await this.#regions(request);
    for await (const change of this.#library.watchRegions(native, { regions, audit, signal })) {
      if (this.#isJson) out(JSON.stringify(change));
      else if (change.change === "disappeared") out(`${change.region}: 0 refs, gone`);
      else out(`${change.region}: ${change.references ?? "?"} refs, ${change.verdict}`);
    }
    return { data: null, details: [], notices: [] };
  }

  async #audit(request: Volumes): Promise<JobResult> {
    const { native, signal } = this.#context;
    const audit = await this.#library.audit(native, asked(await this.#regions(request), signal));
    const { auditLines } = await import("./audit-text.ts");
    return { ...done(audit, []), lines: auditLines(audit, this.#isVerbose) };
  }

  async #reap(request: HbCtlRequest & { action: "reap" }): Promise<JobResult> {
    const { native, signal, onStep } = this.#context;
    const { planLines, reapLines, skippedLines } = await import("./audit-text.ts");
    const regions = await this.#regions(request);
    const { force, dryRun } = request;
    // Where debugfs does not tell whether a superblock lives, the device is asked: nothing could be reaped otherwise.
    const audit = await this.#library.audit(native, { ...asked(regions, signal), probe: true });
    const plan = await this.#library.planReap(audit, { force, ...(regions.length > 0 && { regions }) });
    if (dryRun) return { ...done({ plan }, []), lines: planLines(plan, this.#isVerbose) };
    const result = await this.#library.reap(native, plan, { signal, onStep });
    return {
      ...done(result, []),
      lines: reapLines(result, this.#isVerbose),
      notices: skippedLines(result),
      status: result.skipped.length > 0 ? 1 : 0,
    };
  }

  /** The names of the regions that the command line names, each once. */
  async #regions({ devices, uuids }: Volumes): Promise<string[]> {
    const { native, signal } = this.#context;
    const resolve = (device: string): Promise<string> =>
      this.#library.resolveRegion(native, { device, uuid: null }, signal);
    return [...new Set([...(await Promise.all(devices.map(resolve))), ...uuids])];
  }

  /** Whether a thread of the kernel started this process. */
  async #isKernelsChild(): Promise<boolean> {
    const { self, parent } = await this.#callers();
    return self !== null && (self.parent === 0 || parent?.isKernelThread === true);
  }

  /** @throws UsageError where a person, and not a tool of the 1.2 era, left the service out */
  async #refusePerson(action: string): Promise<void> {
    const { self, parent } = await this.#callers();
    if (self?.hasTerminal !== true || MOUNT_HELPERS.includes(parent?.name ?? "")) return;
    throw new UsageError(
      `${action} needs a SERVICE: a name of your choice for what uses the heartbeat (mounts have '${MOUNT_SERVICE}')`,
    );
  }

  async #callers(): Promise<{ self: ProcessFacts | null; parent: ProcessFacts | null }> {
    const { native } = this.#context;
    const self = await this.#library.processFacts(native, "self");
    const hasParent = self !== null && self.parent !== 0;
    return { self, parent: hasParent ? await this.#library.processFacts(native, self.parent) : null };
  }
}

function done(data: object, details: string[]): JobResult {
  return { data, details, notices: [] };
}

function counted({
  region,
  references: count,
  mode,
}: {
  region: string;
  references: number;
  mode: string;
}): string {
  if (mode === "none") return `volume ${region}: done; a userspace stack keeps no references here`;
  if (mode === "global") return `region ${region}: nothing to do, the cluster's heartbeat is global`;
  return `region ${region}: ${count} refs`;
}

function asked(regions: string[], signal: AbortSignal): { regions?: string[]; signal: AbortSignal } {
  return regions.length > 0 ? { regions, signal } : { signal };
}

/** How many references the services have, or all; a region that is not there has none. */
function references(region: RegionAudit | null, services: readonly string[]): number {
  if (region === null) return 0;
  if (region.references === null) {
    throw new O2cbError(
      "O2CB_PERMISSION_DENIED",
      `the references of region ${region.region} may not be read`,
      { operation: "query-region", region: region.region },
    );
  }
  if (services.length === 0) return region.references;
  const theirs = region.holders.filter(({ service }) => services.includes(service));
  return theirs.reduce((sum, holder) => sum + holder.references, 0);
}

const answers: Record<RegionAudit["verdict"], number> = {
  "in-use": quietStatus.inUse,
  "pinned-without-reference": quietStatus.inUse,
  "unexplained-references": quietStatus.inUse,
  orphan: quietStatus.orphan,
  // Not beating, but in the way of whoever wants the cluster to end, and cleared away like an orphan.
  "half-made": quietStatus.orphan,
  unknown: quietStatus.error,
  absent: quietStatus.inactive,
};

function quietly(region: RegionAudit | null, services: readonly string[]): number {
  if (region === null || region.directory === null) return quietStatus.inactive;
  const answer = answers[region.verdict];
  const isOthers = answer === quietStatus.inUse && services.length > 0 && references(region, services) === 0;
  return isOthers ? quietStatus.inactive : answer;
}

function worst(all: readonly number[]): number {
  const order: readonly number[] = [
    quietStatus.error,
    quietStatus.orphan,
    quietStatus.inactive,
    quietStatus.inUse,
  ];
  return order.find((status) => all.includes(status)) ?? quietStatus.inactive;
}
