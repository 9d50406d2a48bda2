// What there is on a fake machine, as sentences that can be compared.
import type { FakeKernel } from "./kernel.ts";
import { PlainDirectory } from "./tree.ts";

const RECORDS = "ocfs2-group/joins";

/** Regions, semaphore sets, mounts, superblocks, claims, locks and records of joins, one phrase each. */
export function inventory(kernel: FakeKernel): string[] {
  const found: string[] = [];
  for (const region of kernel.regions()) {
    const state =
      region.device === null
        ? "half made"
        : region.live
          ? `beats on ${region.device.name}`
          : `starting on ${region.device.name}`;
    found.push(`region ${region.name} (${state}${region.pins.size > 0 ? ", pinned" : ""})`);
  }
  for (const [namespace, set] of kernel.semaphoreSets()) {
    const holder = set.values[0] === 0 ? "" : `, mutex held by ${set.lastPid(0)}`;
    found.push(`semaphore set of ${set.label} (references ${set.values[1] ?? "none"}${holder})${namespace}`);
  }
  for (const namespace of [kernel.namespace, ...kernel.namespaces.values()]) {
    for (const mount of namespace.mounts) {
      if (mount.fileSystem.type === "ocfs2")
        found.push(
          `mount of ${mount.source} on ${mount.target}${namespace === kernel.namespace ? "" : ` in ${namespace.name}`}`,
        );
    }
  }
  for (const superblock of kernel.superblocks)
    found.push(
      `superblock of ${superblock.device.name} (${superblock.dying ? "dying" : `${superblock.users} users`})`,
    );
  for (const name of kernel.lockspaces.joined) found.push(`the kernel's lockspace ${name}`);
  for (const domain of kernel.domains.keys()) found.push(`domain ${domain}`);
  for (const member of kernel.fsdlm?.members ?? []) found.push(`lockspace ${member}`);
  for (const [domain, { files }] of kernel.domains) {
    for (const [name, { lock }] of files ?? [])
      if (lock.opens.size > 0) found.push(`lock ${name} of ${domain}, held ${lock.opens.size} times`);
  }
  for (const { name } of kernel.connections) found.push(`connection to @${name}`);
  const { held } = kernel.rangeLocks.count();
  if (held > 0) found.push(`${held} places locked`);
  for (const disk of kernel.disks) {
    if (disk.claim !== null && !kernel.superblocks.has(disk.claim as never))
      found.push(`claim of ${disk.name} by ${disk.claim.by}`);
  }
  for (const lock of kernel.fileLocks.held()) found.push(`lock of ${lock.path} by process ${lock.pid}`);
  return [...found, ...records(kernel)];
}

/** The files for locks are meant to stay; those for joins are not. */
function records(kernel: FakeKernel): string[] {
  let node: unknown = kernel.run;
  for (const name of RECORDS.split("/"))
    node = node instanceof PlainDirectory ? node.entries.get(name) : undefined;
  if (!(node instanceof PlainDirectory)) return [];
  return node
    .names()
    .map((name) =>
      name.endsWith(".json") ? `record ${name.slice(0, -".json".length)}` : `half-written file ${name}`,
    );
}

/** As multisets: what came, and what went. */
export function differences(before: readonly string[], after: readonly string[]): string[] {
  const gone = [...before];
  const come: string[] = [];
  for (const one of after) {
    const at = gone.indexOf(one);
    if (at < 0) come.push(one);
    else gone.splice(at, 1);
  }
  return [...come, ...gone.map((one) => `gone: ${one}`)];
}
