// What tests of the doctor share: a healthy host around the fake kernel, a run that is proven to change nothing, and one finding judged.
import type { ExecutionContext } from "ava";
import { doctor, type DoctorOptions, type Finding, type FindingState } from "../../ts/cluster/doctor.ts";
import type { FakeKernel } from "./fake-native.ts";
import { seeing, type Sight } from "./seeing.ts";

export const RELEASE = "6.1.0-28-amd64";
export const HEALTHY: Record<string, Sight> = {
  "/proc/sys/kernel/osrelease": `${RELEASE}\n`,
  "/proc/sys/kernel/panic_on_oops": "1\n",
  "/proc/sys/kernel/panic": "30\n",
  "/proc/cmdline": "BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro\n",
};

export async function findings(
  kernel: FakeKernel,
  sights: Record<string, Sight> = {},
  options: DoctorOptions = {},
): Promise<Finding[]> {
  const before = kernel.leftovers();
  const native = kernel.process();
  const found = await doctor(seeing(native, { ...HEALTHY, ...sights }), options);
  const changing = native.calls.filter(({ name }) =>
    /^(write|make|remove|replace|start|mount$|unmount|run|claim|lock(?!spaceState$))/.test(name),
  );
  if (changing.length > 0) throw new Error(`the doctor is no reader: ${JSON.stringify(changing)}`);
  native.exit();
  if (kernel.leftovers().join() !== before.join()) throw new Error("the doctor left something");
  return found;
}

export async function says(
  t: ExecutionContext,
  check: string,
  state: FindingState,
  evidence: RegExp,
  remedy: RegExp | null,
  found: Promise<Finding[]>,
): Promise<void> {
  const all = await found;
  const one = all.find((finding) => finding.check === check);
  if (one === undefined) return t.fail(`${check} says nothing: ${JSON.stringify(all, null, 1)}`);
  t.is(one.state, state, one.evidence);
  t.regex(one.evidence, evidence);
  if (remedy === null) t.is(one.remedy, null);
  else t.regex(one.remedy ?? "", remedy);
}
