// From what is and what is wanted to what differs and what has to be done: a pure function.
//
// Facts relied on: a file changes nothing that runs; what the kernel takes at which time is plan-kernel.ts. All nodes need the same nodes,
// regions and timeouts, or they refuse each other (group-api 4.4): a plan is for one host, and is made on every one.
//
// Where one step cannot be done while the cluster runs, all of them are done between taking it offline and online again.
import type { ConfiguredCluster } from "../config/model.ts";
import type { DesiredState } from "./desired-state.ts";
import { kernelWork, nodeDifferences } from "./plan-kernel.ts";
import type { CurrentState, Difference, Plan, PlanStep, Value } from "./plan-types.ts";
import { settingsOf, type SettingsState } from "./settings-change.ts";

export function planState(current: CurrentState, desired: DesiredState): Plan {
  const file = fileDifferences(current.file, desired);
  const settings = settingsDifferences(current.settings, desired);
  const kernel = kernelWork(current, desired);
  const steps: PlanStep[] = [];
  const needsDowntime = kernel.steps.some(({ online }) => !online);
  const { name } = desired.cluster;
  if (file.length > 0)
    steps.push({
      kind: "write-configuration",
      description: `write cluster '${name}' to the configuration file`,
      online: true,
      reason: "a file changes nothing that runs",
    });
  if (settings.length > 0)
    steps.push({
      kind: "write-settings",
      description: "write the settings of the o2cb service",
      online: true,
      reason: "a file changes nothing that runs",
    });
  // A stack that others use is theirs to end: this host's cluster does not run then.
  const isOther = kernel.steps.some(({ kind }) => kind === "change-cluster");
  const goesDown = current.registered !== null && (needsDowntime || isOther);
  // A registration that is half made is the steps' work, as for any other.
  const starts = current.registered === null && desired.online === true;
  if (starts) kernel.diff.push({ where: "kernel", path: "online", from: false, to: true });
  if (goesDown)
    steps.push({
      kind: "offline",
      description: `take cluster '${current.registered?.name ?? name}' offline on this host`,
      online: !needsDowntime,
      reason: needsDowntime
        ? "what follows cannot be done while it runs; its volumes have to be unmounted first"
        : "nothing beats on this host",
    });
  steps.push(...kernel.steps);
  if (goesDown || starts || current.interrupted === "offline")
    steps.push({
      kind: "online",
      description: `take cluster '${name}' online on this host`,
      online: true,
      reason: goesDown
        ? "it was before"
        : starts
          ? "it is to be online, and none is registered here"
          : "an earlier apply did not come to its end, and it was or was to be online",
    });
  else if (current.interrupted === "online" && current.registered !== null)
    steps.push({
      kind: "register",
      description: `look over the registration of cluster '${name}' again`,
      online: true,
      reason: "an earlier apply did not come to its end",
    });
  return { cluster: name, diff: [...file, ...settings, ...kernel.diff], steps, needsDowntime };
}

// -- files

function fileDifferences(file: ConfiguredCluster | null, { cluster }: DesiredState): Difference[] {
  const found: Difference[] = [];
  const add = (path: string, from: Value, to: Value): void => {
    if (from !== to) found.push({ where: "cluster.conf", path, from, to });
  };
  add("name", file?.name ?? null, cluster.name);
  add("mode", file?.mode ?? null, cluster.mode);
  found.push(...nodeDifferences("cluster.conf", file?.nodes ?? [], cluster.nodes));
  const regions = file?.heartbeats.map(({ region }) => region) ?? [];
  const wanted = cluster.heartbeats ?? regions;
  for (const region of regions.filter((one) => !wanted.includes(one)))
    add(`heartbeats/${region}`, region, null);
  for (const region of wanted.filter((one) => !regions.includes(one)))
    add(`heartbeats/${region}`, null, region);
  return found;
}

function settingsDifferences(state: SettingsState, desired: DesiredState): Difference[] {
  return settingsOf(state, desired).changes.map(({ key, to, isBroken }) => ({
    where: "settings",
    path: key,
    from: isBroken ? null : state.values[key],
    to,
  }));
}
