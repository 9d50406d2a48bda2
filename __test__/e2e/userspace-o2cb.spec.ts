// o2cb, tunefs.ocfs2 and the looks at volumes on a userspace stack, with the real kernel, corosync and dlm_controld.
import { format } from "./ours.ts";
import { scenario, shared } from "./scenario.ts";
import {
  assertNothingHeld,
  bootUserspace,
  CLUSTER,
  mountJson,
  startCorosync,
  startDlmControld,
  stopServices,
  told,
} from "./userspace/cluster.ts";
import type { Node } from "./vm/node.ts";

const one = shared((t) =>
  bootUserspace(t, { nodes: 1, disks: [{ mib: 256 }, { mib: 256 }], limitSeconds: 900, start: false }),
);

function only(): Node {
  const [node] = one.get().nodes;
  if (node === undefined) throw new Error("a node is needed");
  return node;
}

async function ours(node: Node, ...words: string[]): Promise<ReturnType<typeof told>> {
  return told(await node.try([...words, "--json"]));
}

const label = async (node: Node): Promise<string> =>
  (await node.run("cat /sys/fs/ocfs2/cluster_stack")).stdout.trim();

scenario(
  "o2cb load and online set the stack and say what is missing, then find corosync's cluster; offline takes it back",
  async (t) => {
    t.timeout(300_000);
    const node = only();
    await node.run(
      "mkdir -p /etc/default /vol; printf 'O2CB_ENABLED=true\\nO2CB_STACK=pcmk\\n' >/etc/default/o2cb",
    );
    const load = await node.try(["o2cb", "load"]);
    t.is(load.status, 0, load.stderr);
    t.regex(load.stderr, /dlm_controld does not run/);
    t.is(await label(node), "pcmk");
    t.regex((await ours(node, "o2cb", "online")).error?.message ?? "", /dlm_controld does not run/);

    await startCorosync(node);
    await startDlmControld(node);
    const online = await node.try(["o2cb", "online", "-v"]);
    t.is(online.status, 0, online.stderr);
    t.regex(online.stdout, /cluster 'labpc' of 'pcmk' is online/);
    const { result } = await ours(node, "o2cb", "status");
    t.like(result, { stack: "pcmk", cluster: CLUSTER, isOnline: true, activePlugin: null });
    t.like(result?.["user"], {
      transport: "kernel",
      corosync: { cluster: CLUSTER, isQuorate: true, nodes: [{ number: 1, name: "n1", isMember: true }] },
      dlm: { cluster: CLUSTER, isRunning: true, recoverCallbacks: true, lockspaces: [] },
    });
    t.is((await node.run("o2cb online-status")).stdout, "online\n");
    const doctor = await ours(node, "o2cb", "doctor");
    const findings = (doctor.result?.["findings"] ?? []) as {
      check: string;
      state: string;
      evidence: string;
    }[];
    for (const check of [
      "stack-plugin",
      "control-device",
      "corosync",
      "quorum",
      "dlm-controld",
      "cluster-name",
    ])
      t.is(
        findings.find((one) => one.check === check)?.state,
        "good",
        JSON.stringify(findings.filter((one) => one.check === check)),
      );
    t.is((await node.try(["o2cb", "offline"])).status, 0);
    t.is(await label(node), "o2cb");
  },
);

scenario(
  "a volume of o2cb comes to corosync's cluster, is mounted, looked at, kept from changes, and goes back",
  async (t) => {
    t.timeout(300_000);
    const node = only();
    await format(node, "/dev/vda", { stack: "o2cb", cluster: "lab" });
    t.like((await ours(node, "o2cb", "set-stack", "pcmk")).result, {
      stack: "pcmk",
      previous: "o2cb",
      cluster: CLUSTER,
      missing: [],
    });
    const update = await ours(node, "tunefs.ocfs2", "-y", "--update-cluster-stack", "/dev/vda");
    t.is(update.status, 0, JSON.stringify(update.error));
    // The C tool reads the same.
    t.regex(
      (await node.run("debugfs.ocfs2 -R stats /dev/vda")).stdout,
      /clusterinfo[^]*Cluster stack: pcmk\s+Cluster name: labpc/,
    );

    t.is((await mountJson(node, "/dev/vda", "/vol")).status, 0);
    t.regex((await node.run("mounted.ocfs2 -f /dev/vda")).stdout, /^\/dev\/vda\s+pcmk\s+labpc\s+n1$/m);
    const holders = await ours(node, "o2cb", "inspect", "--holders", "/dev/vda");
    t.like((holders.result?.["holders"] as object[] | undefined)?.[0], {
      node: 1,
      name: "n1",
      state: "mounted",
    });
    const status = await ours(node, "o2cb", "status");
    t.is(status.result?.["activePlugin"], "user");
    t.regex(String(status.result?.["stackUsers"]), /\/dev\/vda on '\/vol'/);
    for (const words of [
      ["tunefs.ocfs2", "-L", "new", "/dev/vda"],
      ["o2cb", "offline"],
      ["o2cb", "set-stack", "o2cb"],
    ]) {
      const { error } = await ours(node, ...words);
      t.regex(error?.message ?? "", /'\/vol'/, words.join(" "));
    }
    const drain = await ours(node, "o2cb", "drain");
    t.is(drain.status, 0, JSON.stringify(drain.error));
    t.is(await label(node), "o2cb");

    // Under the locks of its cluster: what dlmfs cannot do on this stack.
    t.is((await ours(node, "o2cb", "set-stack", "/dev/vda")).status, 0);
    const label_ = await ours(node, "tunefs.ocfs2", "-L", "moved", "/dev/vda");
    t.is(label_.status, 0, JSON.stringify(label_.error));
    await assertNothingHeld(node);
  },
);

scenario("a heartbeat of o2cb keeps its stack, though the kernel would give it away", async (t) => {
  t.timeout(300_000);
  const node = only();
  await node.run(`o2cb set-stack o2cb; printf 'O2CB_ENABLED=true\\n' >/etc/default/o2cb
    o2cb add-cluster lab; o2cb add-node lab $(hostname) --ip 10.9.0.1; o2cb online lab`);
  await format(node, "/dev/vdb", { stack: "o2cb", cluster: "lab" });
  await node.run("ocfs2_hb_ctl -S -d /dev/vdb backup");
  const { error } = await mountJson(node, "/dev/vda", "/vol");
  t.is(error?.code, "O2CB_INVALID_STACK_NAME", JSON.stringify(error));
  t.regex(
    error?.message ?? "",
    /cluster 'labpc' of the cluster stack 'pcmk', and this node runs the cluster stack 'o2cb', cluster 'lab'.*heartbeat region/s,
  );
  t.is(await label(node), "o2cb");
  await node.run("ocfs2_hb_ctl -K -d /dev/vdb backup");
  // Without a heartbeat the cluster is registered still, and its stack is not taken away.
  const registered = await mountJson(node, "/dev/vda", "/vol");
  t.is(registered.error?.code, "O2CB_INVALID_STACK_NAME", JSON.stringify(registered));
  t.regex(registered.error?.remedy ?? "", /o2cb offline lab/);
  t.is(await label(node), "o2cb");
  await node.run("o2cb offline lab");
  t.is((await mountJson(node, "/dev/vda", "/vol")).status, 0);
  await node.run("umount /vol; o2cb set-stack o2cb; o2cb online lab");
  const back = await ours(node, "tunefs.ocfs2", "-y", "--update-cluster-stack", "/dev/vda");
  t.is(back.status, 0, JSON.stringify(back.error));
  t.is((await mountJson(node, "/dev/vda", "/vol")).status, 0);
  await node.run("umount /vol; o2cb offline lab");
  await stopServices(node);
  await assertNothingHeld(node);
});
