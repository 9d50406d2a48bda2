// The contract that the fake kernel is tested against, on a machine's real kernel with the real module: it keeps the fake honest.
import type { ExecutionContext } from "ava";
import { root } from "./ours.ts";
import type { Node } from "./vm/node.ts";

/** Every case of the contract for the stack of a volume that nobody uses; there are `count`. */
export async function assertContract(
  t: ExecutionContext,
  node: Node,
  { device, cluster, count }: { device: string; cluster: string; count: number },
): Promise<void> {
  const register = `${root}node_modules/@oxc-node/core/register.mjs`;
  const script = `${root}__test__/e2e/guest-scripts/conformance.ts`;
  const result = await node.try(["node", "--import", register, script, device, cluster], {
    limitSeconds: 500,
  });
  const lines = result.stdout.trim().split("\n");
  t.deepEqual(
    lines.filter((line) => !line.startsWith("ok ")),
    [],
    result.stderr,
  );
  t.is(lines.length, count);
}
