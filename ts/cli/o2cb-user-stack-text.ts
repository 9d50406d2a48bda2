// A userspace stack in lines, for `o2cb status`.
import { dlmProblem, isDlmReady, userCluster, type UserStackStatus } from "../cluster/user-stack.ts";

export function userStackLines(user: UserStackStatus, isOnline: boolean): string[] {
  const { stack, transport, corosync, dlm, hasControlDaemon } = user;
  const cluster = userCluster(user);
  const how = transport === "kernel" ? "joined inside mount(2)" : "joined through ocfs2_controld";
  return [
    `${cluster === null ? "cluster of unknown name" : `cluster '${cluster}'`} of '${stack}': ${isOnline ? "online" : "offline"}, ${how}`,
    `  corosync: ${corosync.problem ?? `runs, cluster '${corosync.cluster ?? ""}', ${quorum(corosync.isQuorate)}`}`,
    ...corosync.nodes.map((node) => `  ${nodeLine(node)}`),
    `  dlm_controld: ${dlmText(dlm)}`,
    `  control daemon: ${hasControlDaemon ? "answers" : "does not answer"}${transport === "kernel" ? ", and is not needed" : ""}`,
    ...dlm.lockspaces.map((name) => `  DLM lockspace ${name}`),
  ];
}

function quorum(isQuorate: boolean | null): string {
  if (isQuorate === null) return "quorum not known";
  return isQuorate ? "quorate" : "not quorate: mounts wait inside the kernel until it is";
}

function nodeLine({ number, name, isMember }: UserStackStatus["corosync"]["nodes"][number]): string {
  const state = isMember === null ? "" : isMember ? ": member" : ": not a member";
  return `node ${number}${name === null ? "" : ` ${name}`}${state}`;
}

function dlmText(dlm: UserStackStatus["dlm"]): string {
  const { isLoaded, cluster, recoverCallbacks } = dlm;
  if (!isLoaded) return "the kernel's DLM is not loaded";
  if (!isDlmReady(dlm)) return dlmProblem(dlm).replace("dlm_controld ", "");
  const mode =
    recoverCallbacks === null
      ? "its mode not known"
      : recoverCallbacks
        ? "with recovery callbacks"
        : "without recovery callbacks (--enable_fscontrol)";
  return `cluster '${cluster ?? ""}', ${mode}`;
}
