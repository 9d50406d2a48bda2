// The contract of the classic stack on a real kernel. Those of the userspace stacks' transports run with their services.
import { classicCases } from "../conformance/heartbeat-regions.ts";
import { assertContract } from "./contract.ts";
import { format } from "./ours.ts";
import { scenario, sharedLab } from "./scenario.ts";

const shared = sharedLab({ nodes: 1, disks: [{ mib: 256 }], limitSeconds: 900, install: false });

scenario("every case of the cluster stack's contract holds on a real kernel", async (t) => {
  t.timeout(600_000);
  const [node] = shared.get().nodes;
  if (node === undefined) return t.fail("a node is needed");
  await format(node, "/dev/vda");
  await assertContract(t, node, { device: "/dev/vda", cluster: "lab", count: classicCases.length });
  await node.assertNothingLeft();
});
