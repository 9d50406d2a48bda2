// modprobe on the fake machine: what it loads, and what it can take away again.
//
// Facts relied on: modprobe(8): -r removes a module and what it needed, as far as nothing uses them; status 1 where the module itself is in
// use. commands 5: drivers of the 1.2 era have neither stack modules nor the glue. What a module kept is forgotten with it.
import { moduleDependencies } from "./features.ts";
import type { FakeKernel } from "./kernel.ts";

export function modprobe(kernel: FakeKernel, args: readonly string[]): number {
  const names = args.filter((arg) => !arg.startsWith("-"));
  const work = args.includes("-r") ? unload : (_: FakeKernel, name: string) => kernel.loadModule(name);
  return names.every((name) => work(kernel, name)) ? 0 : 1;
}

function unload(kernel: FakeKernel, name: string): boolean {
  if (!kernel.modules.has(name)) return false;
  if (isUsed(kernel, name)) return false;
  drop(kernel, name);
  for (const needed of (moduleDependencies[name] ?? []).toReversed())
    if (kernel.modules.has(needed) && !isUsed(kernel, needed)) drop(kernel, needed);
  return true;
}

function drop(kernel: FakeKernel, name: string): void {
  kernel.modules.delete(name);
  if (name === "ocfs2_stackglue" || (name === "ocfs2_nodemanager" && !kernel.features.stackGlue)) {
    kernel.hbCtlPath = "/sbin/ocfs2_hb_ctl";
    kernel.stackLabel = "o2cb";
  }
  if (name === "ocfs2_nodemanager") Object.assign(kernel.heartbeat, { mode: "local", deadThreshold: 31 });
}

function isUsed(kernel: FakeKernel, name: string): boolean {
  const needs = (other: string): boolean =>
    other !== name && (moduleDependencies[other]?.includes(name) ?? false);
  if ([...kernel.modules].some(needs)) return true;
  const isMounted = (type: string): boolean =>
    kernel.namespace.mounts.some((mount) => mount.fileSystem.type === type);
  if (name === "ocfs2") return kernel.superblocks.size > 0;
  if (name === "ocfs2_dlmfs") return isMounted("ocfs2_dlmfs");
  if (name === "ocfs2_nodemanager") return kernel.clusters.size > 0;
  if (name === "configfs") return isMounted("configfs");
  return name.startsWith("ocfs2_stack_") && kernel.stackInUse();
}
