// What the daemon tells while it runs, for programs, and the same as a sentence, for people and for the log that DUMP hands out.
import type { GroupState } from "./mount-group.ts";
import type { DlmMode, RecoveryChoice } from "./start-checks.ts";
import { versionText, type Versions } from "./versions.ts";

export type DaemonEvent =
  | {
      event: "ready";
      stack: string;
      cluster: string;
      node: number;
      mode: DlmMode;
      /** who deals with a node's death */
      recovery: RecoveryChoice["by"];
      reason: string;
      versions: Versions;
    }
  /** `uuid` null: what could not be read, or is about no volume */
  | { event: "answer"; client: number; request: string; uuid: string | null; status: number; text: string }
  | { event: "group"; uuid: string; state: GroupState; services: readonly string[] }
  | { event: "group-over"; uuid: string }
  /** the nodes whose daemons are there; `uuid`: in a volume's group */
  | { event: "members"; uuid: string | null; nodes: readonly number[] }
  /** a member of the volume's group has died */
  | { event: "died"; uuid: string; node: number; recovery: RecoveryChoice["by"] }
  | { event: "recovered"; uuid: string; node: number }
  /** nobody is let into the volume's group any more */
  | { event: "frozen"; uuid: string; reason: string }
  /** something went wrong; the daemon goes on */
  | { event: "failed"; uuid: string | null; code: string | null; message: string }
  /** the daemon ends while volumes are in use */
  | { event: "abandoned"; uuids: readonly string[]; willRestart: boolean; reason: string }
  /** a signal that did not end it */
  | { event: "kept"; signal: string; uuids: readonly string[] }
  | { event: "note"; uuid: string | null; text: string };

/** Events that people are told without -v. */
export const alwaysTold: readonly DaemonEvent["event"][] = [
  "ready",
  "died",
  "recovered",
  "frozen",
  "failed",
  "abandoned",
  "kept",
];

type Texts = { [Name in DaemonEvent["event"]]: (event: Extract<DaemonEvent, { event: Name }>) => string };

const texts: Texts = {
  ready: ({ stack, cluster, node, mode, recovery, reason, versions: { daemon, fs } }) =>
    `serving the stack '${stack}' of the cluster '${cluster}' as node ${node}; dlm_controld's mode is ${mode}, a dead node's volumes ` +
    `are recovered by ${recoverers[recovery]} (${reason}); protocol ${versionText(daemon)}, locks ${versionText(fs)}`,
  answer: ({ client, request, uuid, status, text }) =>
    `client ${client}: ${request}${uuid === null ? "" : ` of ${uuid}`}: ${status}${status === 0 ? "" : `, ${text}`}`,
  group: ({ uuid, state, services }) => `volume ${uuid}: ${state}, for ${listed(services)}`,
  "group-over": ({ uuid }) => `volume ${uuid}: left`,
  members: ({ uuid, nodes }) => `${uuid === null ? "daemons" : `volume ${uuid}`}: on ${nodesText(nodes)}`,
  died: ({ uuid, node, recovery }) =>
    `node ${node}, which used the volume ${uuid}, has died; it is recovered by ${recoverers[recovery]}`,
  recovered: ({ uuid, node }) => `volume ${uuid}: dlm_controld goes on without node ${node}`,
  frozen: ({ uuid, reason }) => `volume ${uuid}: nobody is let in any more: ${reason}`,
  failed: ({ uuid, message }) => `${uuid === null ? "" : `volume ${uuid}: `}${message}`,
  abandoned: ({ uuids, willRestart, reason }) =>
    `ENDING WITH VOLUMES IN USE (${listed(uuids)}): ${reason}. ` +
    (willRestart
      ? "THE KERNEL RESTARTS THIS MACHINE NOW, since other nodes take it for dead and recover its volumes"
      : "The kernel and dlm_controld go on with the volumes that are mounted, or stop them, without this daemon"),
  kept: ({ signal, uuids }) =>
    `${signal} is ignored: volumes are in use through this daemon (${listed(uuids)}); unmount them first`,
  note: ({ uuid, text }) => `${uuid === null ? "" : `volume ${uuid}: `}${text}`,
};

const recoverers: Record<RecoveryChoice["by"], string> = {
  kernel: "dlm_controld and the kernel",
  daemon: "this daemon",
  nobody: "nobody",
};

function listed(names: readonly string[]): string {
  return names.length === 0 ? "nothing" : names.join(", ");
}

function nodesText(nodes: readonly number[]): string {
  return nodes.length === 1 ? `node ${nodes[0]}` : `nodes ${listed(nodes.map(String))}`;
}

export function eventText(event: DaemonEvent): string {
  return (texts[event.event] as (event: DaemonEvent) => string)(event);
}
