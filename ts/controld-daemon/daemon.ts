// The control daemon: what it starts with, what it ends with, and which part hears of what. ARCHITECTURE of the parts: docs/controld.md.
//
// Facts relied on: userspace-stack 2.2 (the order of the start) and 3.1: in the mode without recovery callbacks the last close of the kernel's
// control device while a volume is mounted restarts the machine at once. So a signal does not end a daemon whose volumes are in use.
//
// The decision for a node that corosync has put out, or whose corosync has ended: the daemon ends, loudly, in both modes. With callbacks that
// changes nothing for the volumes. Without, the kernel restarts the machine, and that is wanted: the other nodes take this one for dead and
// replay its journals, and nothing else would keep it from writing.
import { setMaxListeners } from "node:events";
import type { Server } from "node:net";
import type { ControlAnswer, ControlDevice, DlmControl } from "../native-types.ts";
import { frozenBy, refusalOf } from "./admission.ts";
import { eventText, type DaemonEvent } from "./daemon-events.ts";
import { DaemonGroup, dropped } from "./daemon-group.ts";
import { Desk } from "./desk.ts";
import { LogRing } from "./log-ring.ts";
import type { Death, GroupChange } from "./members.ts";
import type { GroupFacts } from "./mount-groups.ts";
import { listen, makeServer, openDevice, requireAlone, type Listen } from "./opening.ts";
import { askKernel, type UserOf } from "./peer.ts";
import { Recovery } from "./recovery.ts";
import { ControlServer, type ServerTimes } from "./server.ts";
import type { DaemonNative } from "./services.ts";
import { checkSurroundings, type CheckOptions, type Surroundings } from "./start-checks.ts";
import type { Version, Versions } from "./versions.ts";
import { Volumes } from "./volumes.ts";

const DAEMON_PROTOCOL: Version = { major: 1, minor: 0 };

export interface DaemonOptions extends Omit<CheckOptions, "signal"> {
  onEvent?: ((event: DaemonEvent) => void) | undefined;
  /** as corosync knows it; default: this process */
  pid?: number | undefined;
  serverTimes?: Partial<ServerTimes> | undefined;
  /** makes the server listen; default: at the protocol's socket */
  listen?: Listen | undefined;
  /** which user a client is; default: the kernel is asked */
  userOf?: UserOf | undefined;
}

/** Everything that was opened; the parts that are not needed, or not open yet, are null. */
interface Parts {
  found: Surroundings;
  daemons: DaemonGroup;
  dlm: DlmControl | null;
  device: ControlDevice | null;
  recovery: Recovery | null;
  volumes: Volumes | null;
  desk: Desk | null;
  server: ControlServer | null;
  listener: Server | null;
}

/** One run of the daemon. */
export class ControlDaemon {
  readonly #native: DaemonNative;
  readonly #options: DaemonOptions;
  readonly #pid: number;
  readonly #log = new LogRing();
  readonly #end = new AbortController();
  readonly #over: Promise<void>;
  #finish: (error?: unknown) => void = () => undefined;
  #parts: Parts | null = null;
  #isClosing = false;
  #dlmFailure: unknown = null;

  constructor(native: DaemonNative, options: DaemonOptions = {}) {
    this.#native = native;
    this.#options = options;
    this.#pid = options.pid ?? process.pid;
    this.#over = new Promise((resolve, reject) => {
      this.#finish = (error) => (error === undefined ? resolve() : reject(error as Error));
    });
    this.#over.catch(() => undefined);
    setMaxListeners(0, this.#end.signal);
  }

  /** The volumes in use through this daemon. */
  get volumes(): GroupFacts[] {
    return this.#parts?.volumes?.facts() ?? [];
  }

  /**
   * Serves until `stop` finds no volume in use. Errors: those of checkSurroundings and DaemonGroup.join, O2CB_ALREADY_RUNNING,
   * O2CB_SERVICE_UNAVAILABLE (also where corosync or dlm_controld ends), O2CB_PERMISSION_DENIED.
   */
  async run(): Promise<void> {
    const started = this.#start();
    try {
      await Promise.race([started, this.#over]);
      await this.#over;
    } finally {
      this.#end.abort();
      await started.catch(() => undefined);
      await this.#close();
    }
  }

  /** A signal: ends the daemon if no volume is in use through it, and is only told else. */
  stop(signal: string): void {
    const volumes = this.#parts?.volumes ?? null;
    if (volumes?.hasServices) return this.#tell({ event: "kept", signal, uuids: volumes.uuids });
    this.#isClosing = true;
    // What is being left already is waited for.
    if ((volumes?.size ?? 0) === 0) this.#finish();
  }

  // -- the start, in its order: nothing is served before everything stands

  async #start(): Promise<void> {
    const { signal } = this.#end;
    const found = await checkSurroundings(this.#native, { ...this.#options, signal });
    await requireAlone(this.#native, signal);
    const parts = this.#open(found);
    const { node, versions } = await parts.daemons.join(signal);
    if (found.mode === "fscontrol") await this.#connect(parts, node, versions);
    this.#serve(parts);
    signal.throwIfAborted();
    const { listener } = parts;
    if (listener !== null) await listen(this.#native, listener, signal, this.#options.listen);
    signal.throwIfAborted();
    const { stack, cluster, mode, recovery } = found;
    this.#tell({
      event: "ready",
      stack,
      cluster,
      node,
      mode,
      recovery: recovery.by,
      reason: recovery.reason,
      versions,
    });
  }

  #open(found: Surroundings): Parts {
    const most: Versions = { daemon: DAEMON_PROTOCOL, fs: found.fs };
    const hooks = {
      changed: (change: GroupChange) => {
        this.#tell({ event: "members", uuid: null, nodes: sorted(change.members.map(({ node }) => node)) });
        // What died before this daemon had volumes concerns none of them.
        this.#parts?.volumes?.daemonsChanged(change);
      },
      heard: () => this.#freezeWithOthers(),
      note: (text: string) => this.#tell({ event: "note", uuid: null, text }),
      lost: (error: unknown) => this.#fail(error),
    };
    const daemons = new DaemonGroup(this.#native, this.#pid, most, hooks, this.#options.scale);
    this.#parts = {
      found,
      daemons,
      dlm: null,
      device: null,
      recovery: null,
      volumes: null,
      desk: null,
      server: null,
      listener: null,
    };
    return this.#parts;
  }

  async #connect(parts: Parts, node: number, versions: Versions): Promise<void> {
    const { signal } = this.#end;
    parts.dlm = await this.#native.connectDlmControl({ signal });
    void this.#hearDlm(parts.dlm);
    parts.device = await openDevice(this.#native, node, versions.fs, signal);
    if (parts.found.recovery.by !== "daemon") return;
    const hooks = {
      tell: (event: DaemonEvent) => this.#tell(event),
      has: (uuid: string) => parts.volumes?.has(uuid) ?? false,
      freeze: (uuid: string, reason: string) => parts.volumes?.freeze(uuid, reason),
    };
    parts.recovery = new Recovery(parts.device, parts.dlm, hooks, signal, this.#options.scale);
  }

  #serve(parts: Parts): void {
    const volumes = new Volumes(this.#native, this.#pid, parts.dlm, {
      reply: (client, answer) => parts.desk?.answer(client, answer),
      tell: (event) => this.#tell(event),
      died: (deaths) => this.#bury(deaths),
      changed: () => this.#volumesChanged(),
      dropped: () => this.#fail(dropped()),
      lost: (error) => this.#fail(error),
    });
    parts.volumes = volumes;
    const { found, daemons } = parts;
    const admission = {
      native: this.#native,
      found,
      daemons,
      volumes,
      isClosing: () => this.#isClosing,
      isDlmLost: () => this.#dlmFailure !== null,
      signal: this.#end.signal,
    };
    parts.desk = new Desk({
      native: this.#native,
      cluster: found.cluster,
      volumes,
      log: this.#log,
      tell: (event) => this.#tell(event),
      refusal: (uuid) => refusalOf(uuid, admission),
      signal: this.#end.signal,
    });
    const userOf = this.#options.userOf ?? askKernel(this.#native);
    parts.server = new ControlServer(parts.desk, userOf, this.#options.serverTimes);
    parts.desk.attend(parts.server);
    parts.listener = makeServer();
    parts.server.serve(parts.listener);
  }

  // -- while it serves

  #bury(deaths: readonly Death[]): void {
    const { found, recovery, volumes } = this.#parts ?? {};
    if (!found) return;
    for (const { uuid, node } of deaths) {
      this.#tell({ event: "died", uuid, node, recovery: found.recovery.by });
      if (found.recovery.by === "daemon") recovery?.died({ uuid, node });
      if (found.recovery.by === "nobody")
        volumes?.freeze(uuid, `node ${node} has died, and nobody recovers it (${found.recovery.reason})`);
    }
  }

  #freezeWithOthers(): void {
    const { daemons, volumes } = this.#parts ?? {};
    if (!daemons || !volumes) return;
    for (const uuid of volumes.uuids) {
      const nodes = daemons.freezers(uuid);
      if (nodes.length > 0) volumes.freeze(uuid, frozenBy(nodes));
    }
  }

  #volumesChanged(): void {
    const { daemons, volumes } = this.#parts ?? {};
    if (!daemons || !volumes) return;
    daemons.announce(volumes.frozen);
    if (volumes.size > 0) return;
    if (this.#dlmFailure !== null) this.#fail(this.#dlmFailure);
    else if (this.#isClosing) this.#finish();
  }

  async #hearDlm(dlm: DlmControl): Promise<void> {
    const { signal } = this.#end;
    try {
      while (!signal.aborted) this.#heardDlm(await dlm.next({ signal }));
    } catch (error) {
      if (!signal.aborted) this.#lostDlm(error);
    }
  }

  #heardDlm(answer: ControlAnswer): void {
    const { volumes, recovery } = this.#parts ?? {};
    if (answer.kind === "registered") volumes?.registered(answer.name, answer.status);
    else recovery?.answered(answer.name, answer.node, answer.status);
  }

  /** Volumes that are in use stand still then. It is the cluster's decision, not this daemon's, whether the machine has to go. */
  #lostDlm(error: unknown): void {
    const { volumes } = this.#parts ?? {};
    if (!volumes || volumes.size === 0) return this.#fail(error);
    this.#dlmFailure = error;
    const { code = null, message } = error as { code?: string; message: string };
    this.#tell({ event: "failed", uuid: null, code, message: `${message}; nothing can be mounted any more` });
    volumes.dlmLost();
    for (const uuid of volumes.uuids) volumes.freeze(uuid, "dlm_controld has ended");
  }

  /** The daemon cannot go on. */
  #fail(error: unknown): void {
    if (this.#end.signal.aborted) return;
    const { found, volumes } = this.#parts ?? {};
    if (found && volumes?.hasServices) {
      const willRestart = found.mode === "fscontrol";
      const reason = (error as Error).message;
      this.#tell({ event: "abandoned", uuids: volumes.uuids, willRestart, reason });
    }
    this.#finish(error);
    this.#end.abort();
  }

  #tell(event: DaemonEvent): void {
    this.#log.add(`${new Date().toISOString()} ${eventText(event)}`);
    this.#options.onEvent?.(event);
  }

  /** Whoever holds volumes ends as it is: to leave in order would have the others forget it, and not recover them. */
  async #close(): Promise<void> {
    const parts = this.#parts;
    if (parts === null) return;
    const { volumes, listener, server, daemons, device, dlm } = parts;
    volumes?.stop();
    listener?.close();
    server?.close();
    const hasVolumes = (volumes?.size ?? 0) > 0;
    if (!hasVolumes) await daemons.leave();
    device?.release();
    dlm?.release();
    daemons.close();
    await volumes?.close();
  }
}

function sorted(nodes: readonly number[]): number[] {
  return nodes.toSorted((one, other) => one - other);
}
