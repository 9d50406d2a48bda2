// What holds a cluster: `offline` names a service's region, a mount point, and a program with its DLM domain, and touches none of them.
import type { ExecutionContext } from "ava";
import { CLUSTER, format, KERNEL_LEAVES, PEER_HB_CTL } from "../ours.ts";
import type { Node } from "../vm/node.ts";
import { isOnline, makes, mount, ours, OURS, refused, registration, steps, traces } from "./tools.ts";

const SERVICE = "nightly";

export async function holders(t: ExecutionContext, node: Node): Promise<void> {
  const [, region] = await Promise.all([
    format(node, "/dev/vda"),
    format(node, "/dev/vdb"),
    steps(node, ...makes(OURS, [node]), "o2cb online"),
  ]);
  await Promise.all([mount(node, "/dev/vda"), node.run([KERNEL_LEAVES, "-S", "-d", "/dev/vdb", SERVICE])]);
  const program = node.start("mkdir /dlm/app && exec 9<>/dlm/app/lock && echo locked && exec sleep 3600");
  await program.waitForOutput(/locked/);
  const pid = await program.pid;

  const before = await traces(node);
  const names = [
    /\/dev\/vda on '\/vol'/,
    new RegExp(`region ${region}.*${SERVICE}`),
    /domain 'app' \(\/dlm\/app\)/,
    new RegExp(`process ${pid} \\(sleep\\)`),
  ];
  for (const words of [["offline"], ["offline", "--dry-run"], ["unload"], ["stop"]]) {
    const { code, message, remedy } = await refused(node, ...words);
    t.is(code, "O2CB_REGION_IN_USE", message);
    for (const name of names) t.regex(message, name, words.join(" "));
    t.regex(remedy ?? "", /o2cb drain/);
  }
  t.is(await traces(node), before);
  t.true(await isOnline(node));
  await node.run(["kill", "-0", String(pid)]);
  await node.run("echo text >/vol/file");

  // Unmounts, and no more: the rest is named still.
  const drained = await refused(node, "drain");
  t.deepEqual(
    names.map((name) => name.test(drained.message)),
    [false, true, true, true],
    drained.message,
  );
  await node.run(["kill", "-0", String(pid)]);
  const killed = await refused(node, "drain", "--kill");
  t.deepEqual(
    names.map((name) => name.test(killed.message)),
    [false, true, false, false],
    killed.message,
  );
  t.is((await program.done).signal, "SIGKILL", "it was told to");

  // A reference of the C tool is nobody's that could be known: it is never taken for a leftover.
  await node.run([PEER_HB_CTL, "-S", "-d", "/dev/vdb", SERVICE]);
  await node.run([KERNEL_LEAVES, "-K", "-d", "/dev/vdb", SERVICE]);
  t.regex((await refused(node, "offline")).message, new RegExp(`region ${region}: .*C tool`));
  await node.run([PEER_HB_CTL, "-K", "-d", "/dev/vdb", SERVICE]);

  await ours(node, "offline", CLUSTER);
  await node.assertNothingLeft();
  t.deepEqual(await registration(node), {});
  await node.run(["o2cb", "unload"]);
}
