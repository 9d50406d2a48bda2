// Four volumes at once: from one process through the library, and by four commands.
import { assertCleanVolume, format, root } from "./ours.ts";
import { scenario, sharedLab } from "./scenario.ts";

const shared = sharedLab({
  nodes: 1,
  disks: [{ mib: 128 }, { mib: 128 }, { mib: 128 }, { mib: 128 }],
  limitSeconds: 900,
});
const letters = ["a", "b", "c", "d"];

scenario("four volumes mounted at once from one process, and unmounted at once", async (t) => {
  t.timeout(300_000);
  const [node] = shared.get().nodes;
  if (node === undefined) return t.fail("a node is needed");
  for (const letter of letters) await format(node, `/dev/vd${letter}`);
  await node.run(`mkdir -p ${letters.map((letter) => `/m${letter}`).join(" ")}`);
  const pairs = letters.map((letter) => `/dev/vd${letter}=/m${letter}`);
  await node.run([
    "node",
    `${root}__test__/e2e/guest-scripts/mount-many.mjs`,
    `${root}dist/index.js`,
    ...pairs,
  ]);
  t.is((await node.regions()).length, 4);
  t.is((await node.ocfs2Mounts()).length, 4);
  await Promise.all(letters.map((letter) => node.run(["umount", `/m${letter}`])));
  await node.assertNothingLeft();
});

scenario("four volumes mounted at once by four commands", async (t) => {
  t.timeout(300_000);
  const [node] = shared.get().nodes;
  if (node === undefined) return t.fail("a node is needed");
  await Promise.all(
    letters.map((letter) => node.run(["mount", "-t", "ocfs2", `/dev/vd${letter}`, `/m${letter}`])),
  );
  t.is((await node.regions()).length, 4);
  await Promise.all(letters.map((letter) => node.run(["umount", `/m${letter}`])));
  await node.assertNothingLeft();
  for (const letter of letters) await assertCleanVolume(node, `/dev/vd${letter}`);
});
