// The contract that the fake kernel is tested against, on a real kernel with the real module: it keeps the fake honest.
import { classicCases } from "../conformance/heartbeat-regions.ts";
import { format, root } from "./ours.ts";
import { scenario, sharedLab } from "./scenario.ts";

const shared = sharedLab({ nodes: 1, disks: [{ mib: 256 }], limitSeconds: 900, install: false });

scenario("every case of the cluster stack's contract holds on a real kernel", async (t) => {
  t.timeout(600_000);
  const [node] = shared.get().nodes;
  if (node === undefined) return t.fail("a node is needed");
  await format(node, "/dev/vda");
  const register = `${root}node_modules/@oxc-node/core/register.mjs`;
  const result = await node.try(
    ["node", "--import", register, `${root}__test__/e2e/guest-scripts/conformance.ts`, "/dev/vda", "lab"],
    { limitSeconds: 500 },
  );
  const lines = result.stdout.trim().split("\n");
  t.deepEqual(
    lines.filter((line) => !line.startsWith("ok ")),
    [],
    result.stderr,
  );
  t.is(lines.length, classicCases.length);
  await node.assertNothingLeft();
});
