// What tests of apply share: machines with configuration files, a desired state in few words, and whether one has come about.
import type { ExecutionContext } from "ava";
import { applyState, type ApplyOptions, type ApplyResult } from "../../ts/cluster/apply.ts";
import { desiredState, type DesiredState } from "../../ts/cluster/desired-state.ts";
import { readClusterState, type ClusterState } from "../../ts/cluster/registered.ts";
import { loadConfig } from "../../ts/config/store.ts";
import { readSysconfig } from "../../ts/config/sysconfig.ts";
import { classicGlobal, classicLocal, volume, type FakeKernel } from "./fake-native.ts";
import { command } from "./region-work.ts";

export const CONF = "/etc/ocfs2/cluster.conf";
export const SETTINGS = "/etc/default/o2cb";
export const node = (name: string, number: number, more: object = {}) => ({
  name,
  number,
  address: `10.0.0.${number + 1}`,
  port: 7777,
  ...more,
});
export const [ALPHA, BETA, GAMMA] = [node("alpha", 0), node("beta", 1), node("gamma", 2)];

export const want = (cluster: object = {}, more: object = {}): DesiredState =>
  desiredState({ cluster: { name: "lab", mode: "local", nodes: [ALPHA, BETA], ...cluster }, ...more });

export const TEXT = `# the cluster of the laboratory
cluster:
	name = lab
	heartbeat_mode = MODE
	node_count = 2

node:
	cluster = lab
	number = 0
	ip_port = 7777
	ip_address = 10.0.0.1
	name = alpha
# the one below the window
node:
	cluster = lab
	colour = red
	number = 1
	ip_port = 7777
	ip_address = 10.0.0.2
	name = beta

`;

export function withFiles<T extends { kernel: FakeKernel }>(machine: T, regions: readonly string[] = []): T {
  const { kernel } = machine;
  const heartbeats = regions
    .map((region) => `heartbeat:\n\tcluster = lab\n\tregion = ${region}\n\n`)
    .join("");
  kernel.addFile(CONF, TEXT.replace("MODE", kernel.heartbeat.mode) + heartbeats);
  kernel.addFile(SETTINGS, "# written by hand\nO2CB_ENABLED=true\nO2CB_BOOTCLUSTER=lab\n");
  kernel.markClean();
  return machine;
}

export const local = () => withFiles(classicLocal());

/** Global heartbeat on sdq, which beats, and on sdr, which may. */
export function global() {
  const machine = classicGlobal();
  const { kernel } = machine;
  const quorum = [...kernel.disks].find(({ name }) => name === "sdq")?.volume?.uuid ?? "";
  const further = volume({ heartbeatDevice: true });
  kernel.addDisk({ name: "sdr", number: { major: 65, minor: 16 }, volume: further });
  return { ...withFiles(machine, [quorum]), quorum, further: further.uuid };
}

export const apply = (
  kernel: FakeKernel,
  desired: DesiredState,
  options: ApplyOptions = {},
): Promise<ApplyResult> =>
  command(kernel, (native) => applyState(native, desired, { rescanMs: [], ...options }));

export const state = (kernel: FakeKernel): Promise<ClusterState | null> =>
  command(kernel, (native) => readClusterState(native));

export const file = (kernel: FakeKernel, path: string): Promise<string> =>
  command(kernel, (native) => native.readAttribute(path));

export const kinds = ({ plan }: ApplyResult): string[] => plan.steps.map(({ kind }) => kind);

/** Files and kernel are as they were wanted, and another apply has nothing to do. */
export async function isAsWanted(
  t: ExecutionContext,
  kernel: FakeKernel,
  desired: DesiredState,
  title = "",
): Promise<void> {
  const { cluster, timeouts = {} } = desired;
  const { config } = await command(kernel, (native) => loadConfig(native, CONF));
  const found = config.clusters.find(({ name }) => name === cluster.name);
  const plain = (nodes: readonly (typeof ALPHA)[] | undefined) =>
    nodes
      ?.map(({ name, number, address, port }) => ({ name, number, address, port }))
      .toSorted((one, other) => one.number - other.number);
  t.deepEqual(plain(found?.nodes), plain(cluster.nodes), title);
  t.is(found?.nodeCount, cluster.nodes.length, title);
  t.is(found?.mode, cluster.mode, title);
  if (cluster.heartbeats !== undefined)
    t.deepEqual(
      found?.heartbeats.map(({ region }) => region).toSorted(),
      cluster.heartbeats.toSorted(),
      title,
    );
  const { values } = await command(kernel, (native) => readSysconfig(native));
  t.is(values.bootCluster, cluster.name, title);
  if (timeouts.deadThreshold !== undefined) t.is(values.heartbeatThreshold, timeouts.deadThreshold, title);
  const registered = await state(kernel);
  if (registered !== null) {
    t.is(registered.name, cluster.name, title);
    t.is(registered.mode, cluster.mode, title);
    t.deepEqual(plain(registered.nodes as never), plain(cluster.nodes), title);
    t.deepEqual(
      registered.nodes.filter((one) => one.local).map(({ name }) => name),
      ["alpha"],
      title,
    );
    for (const [name, value] of Object.entries(timeouts))
      t.is(registered.timeouts[name as keyof typeof timeouts], value, `${title} ${name}`);
    if (cluster.mode === "global" && cluster.heartbeats !== undefined)
      t.deepEqual(
        registered.regions.map(({ name }) => name).toSorted(),
        cluster.heartbeats.toSorted(),
        title,
      );
  }
  const again = await apply(kernel, desired);
  t.deepEqual(kinds(again), [], title);
  t.deepEqual(again.writes, [], title);
  t.deepEqual(kernel.disasters, [], title);
}
