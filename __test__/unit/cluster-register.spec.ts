// Registering a cluster: the order of the writes, what is refused before anything is touched, what is undone, what the kernel ignores.
import test from "ava";
import {
  ALPHA,
  BETA,
  failure,
  GAMMA,
  globalCluster,
  LOCAL,
  registration,
  written,
} from "../helpers/clusters.ts";
import {
  classicGlobal,
  classicLocal,
  CLUSTER,
  oldDriver12,
  UUID,
  walkFaults,
  walkKills,
  type Machine,
} from "../helpers/fake-native.ts";
import { registerCluster, unregisterCluster } from "../../ts/cluster/register.ts";

const bare = (): Machine => classicLocal({ unregistered: true });
const BASE = "/sys/kernel/config/cluster";
const wanted = {
  name: CLUSTER,
  mode: "local",
  nodes: [
    { ...ALPHA, local: true },
    { ...BETA, local: false },
  ],
  regions: [],
};

test("everything in the kernel's order, the local node last, and nothing the second time", async (t) => {
  const { kernel } = bare();
  kernel.heartbeat.mode = "global";
  const native = kernel.process();
  const result = await registerCluster(native, LOCAL);
  t.deepEqual(registration(kernel), wanted);
  t.like(result, {
    created: true,
    node: { name: "alpha", number: 0 },
    added: ["beta", "alpha"],
    removed: [],
  });
  t.deepEqual(
    result.writes.map(({ action, path, value }) =>
      [action, path.slice(BASE.length), value ?? ""].join(" ").trim(),
    ),
    [
      "mkdir /lab",
      "write /lab/heartbeat/mode local",
      ...["beta", "alpha"].flatMap((name, index) => [
        `mkdir /lab/node/${name}`,
        `write /lab/node/${name}/ipv4_port 7777`,
        `write /lab/node/${name}/ipv4_address 10.0.0.${2 - index}`,
        `write /lab/node/${name}/num ${1 - index}`,
      ]),
      "write /lab/node/alpha/local 1",
    ],
  );
  t.deepEqual(written(native).length, result.writes.length);
  const again = kernel.process();
  t.like(await registerCluster(again, LOCAL), { created: false, added: [], removed: [], writes: [] });
  t.deepEqual(written(again), []);
});

test("a dry run lists the same writes and makes none", async (t) => {
  const { kernel } = bare();
  const native = kernel.process();
  const planned = await registerCluster(native, LOCAL, { dryRun: true });
  t.deepEqual(written(native), []);
  t.is(registration(kernel), null);
  t.deepEqual((await registerCluster(native, LOCAL)).writes, planned.writes);
});

test("a dry run lists the timeouts of a cluster that is not there, which may have the threshold of an earlier one", async (t) => {
  const { kernel } = bare();
  const timeouts = { deadThreshold: 61, idleMs: 20_000, keepaliveMs: 2000, reconnectMs: 3000 } as const;
  for (const time of ["first", "second"]) {
    const planned = await registerCluster(kernel.process(), LOCAL, { dryRun: true, timeouts });
    t.deepEqual(
      planned.timeouts.changed,
      ["deadThreshold", "idleMs", "reconnectMs"],
      `${time}: what differs, and the threshold in any case`,
    );
    t.deepEqual((await registerCluster(kernel.process(), LOCAL, { timeouts })).writes, planned.writes, time);
    await unregisterCluster(kernel.process(), CLUSTER);
  }
});

test("a node that was changed, one that is gone, one that is new", async (t) => {
  const { kernel } = classicLocal();
  const nodes = [ALPHA, { ...BETA, address: "10.0.0.99" }, GAMMA];
  const result = await registerCluster(kernel.process(), { ...LOCAL, nodes });
  t.deepEqual([result.removed, result.added], [["beta"], ["beta", "gamma"]]);
  t.like(registration(kernel), {
    nodes: [
      { name: "alpha", local: true },
      { name: "beta", address: "10.0.0.99" },
      { name: "gamma", number: 2 },
    ],
  });
  const less = await registerCluster(kernel.process(), { ...LOCAL, nodes: [ALPHA] });
  t.deepEqual([less.removed, less.added], [["beta", "gamma"], []]);
});

test("a node that is live, or that cannot be told not to be, is not touched, nor anything else", async (t) => {
  const machine = classicGlobal();
  const { kernel } = machine;
  const cluster = { ...globalCluster(), nodes: [ALPHA, { ...BETA, port: 7778 }] };
  kernel.network.livePeers.add(1);
  const native = kernel.process();
  const error = await failure(registerCluster(native, cluster));
  t.is(error.code, "O2CB_REGION_IN_USE");
  t.regex(error.message, /node 'beta'.*changed.*it is live/);
  t.deepEqual(written(native), []);
  kernel.network.livePeers.clear();
  await registerCluster(native, cluster);
  const blind = classicGlobal({ features: { debugfs: false } }).kernel.process();
  t.regex((await failure(registerCluster(blind, cluster))).message, /debugfs is not there/);
  const own = { ...cluster, nodes: [{ ...ALPHA, port: 7778 }, BETA] };
  t.regex(
    (await failure(registerCluster(kernel.process(), own))).message,
    /this host's heartbeat relies on it/,
  );
});

test("the host's name decides: case, domains, none, two, and no name at all", async (t) => {
  const register = async (hostname: string, ...names: string[]) => {
    const { kernel } = bare();
    kernel.network.hostname = hostname;
    const nodes = names.map((name, number) => ({
      name,
      number,
      address: `10.0.0.${number + 1}`,
      port: 7777,
    }));
    const native = kernel.process();
    try {
      return (await registerCluster(native, { ...LOCAL, nodes })).node.name;
    } catch (error) {
      t.deepEqual(written(native), [], "nothing is touched");
      return (error as { code: string }).code;
    }
  };
  t.is(await register("alpha.example.org", "beta", "ALPHA"), "ALPHA");
  t.is(await register("alpha.example.org", "alpha.example"), "alpha.example");
  t.is(await register("alphabet", "alpha"), "O2CB_CONFIGURATION_ERROR");
  t.is(await register("delta", "alpha", "beta"), "O2CB_CONFIGURATION_ERROR");
  t.is(await register("alpha.example", "alpha", "alpha.example"), "O2CB_CONFIGURATION_ERROR");
  t.is(await register("", "alpha"), "O2CB_HOSTNAME_UNKNOWN");
});

test("what the kernel would refuse is refused before anything is touched", async (t) => {
  const bad = [
    { ...BETA, number: 255 },
    { ...BETA, port: 65_535 },
    { ...BETA, address: "10.0.0" },
    { ...BETA, address: "fe80::1" },
    { ...BETA, name: "a/b" },
    { ...BETA, name: ".." },
    { ...BETA, number: 0 },
    { ...BETA, address: ALPHA.address },
    { ...BETA, name: "alpha" },
  ];
  for (const node of bad) {
    const native = bare().kernel.process();
    const error = await failure(registerCluster(native, { ...LOCAL, nodes: [ALPHA, node] }));
    t.is(error.code, "O2CB_CONFIGURATION_ERROR", JSON.stringify(node));
    t.deepEqual(written(native), []);
  }
  const name = await failure(registerCluster(bare().kernel.process(), { ...LOCAL, name: "../x" }));
  t.is(name.code, "O2CB_INVALID_CLUSTER_NAME");
});

test("another cluster is named, also where it comes in between", async (t) => {
  const native = classicLocal().kernel.process();
  const error = await failure(registerCluster(native, { ...LOCAL, name: "other" }));
  t.is(error.code, "O2CB_CLUSTER_EXISTS");
  t.regex(error.message, /'lab' is registered/);
  const { kernel } = bare();
  const late = kernel.process();
  late.failCall("makeDirectory", { errno: "ENOSPC" });
  t.is((await failure(registerCluster(late, LOCAL))).code, "O2CB_CLUSTER_EXISTS");
});

test("the socket of `local`: an address of another host, and all is undone", async (t) => {
  const { kernel } = bare();
  kernel.network.addresses = new Set(["192.0.2.1"]);
  const error = await failure(registerCluster(kernel.process(), LOCAL));
  t.is(error.code, "O2CB_CONFIGURATION_ERROR");
  t.regex(error.message, /10\.0\.0\.1 is no address of this host/);
  t.is(registration(kernel), null);
});

test("writes that succeed and change nothing are seen, each of them, and undone", async (t) => {
  const files = [
    "heartbeat/mode",
    "node/beta/ipv4_port",
    "node/beta/num",
    "node/alpha/local",
    "node/alpha/ipv4_address",
  ];
  for (const file of files) {
    const { kernel } = bare();
    kernel.heartbeat.mode = "global";
    kernel.ignoresWrite = (path) => path.endsWith(file);
    const error = await failure(registerCluster(kernel.process(), LOCAL));
    t.true(
      ["O2CB_INTERNAL_FAILURE", "O2CB_CONFIGURATION_ERROR"].includes(error.code) || error.errno !== undefined,
      file,
    );
    if (file === "heartbeat/mode") t.regex(error.message, /kept 'global'/);
    t.is(registration(kernel), null, file);
  }
});

test("the mode stands still while a region exists: said before anything is touched", async (t) => {
  const { kernel } = classicGlobal();
  const native = kernel.process();
  const error = await failure(registerCluster(native, LOCAL));
  t.is(error.code, "O2CB_REGION_IN_USE");
  t.regex(error.message, /runs global heartbeat and cannot change to local/);
  t.deepEqual(written(native), []);
});

test("a driver of the 1.2 era: no mode to write, and no global heartbeat", async (t) => {
  const { kernel } = oldDriver12({ unregistered: true });
  await registerCluster(kernel.process(), LOCAL);
  t.deepEqual(registration(kernel), wanted);
  const other = oldDriver12({ unregistered: true });
  const error = await failure(registerCluster(other.kernel.process(), globalCluster(UUID)));
  t.is(error.code, "O2CB_INVALID_HEARTBEAT_MODE");
  t.is(registration(other.kernel), null);
});

test("a host of number 1 whose node 0 was left without its number", async (t) => {
  const { kernel } = bare();
  kernel.network.hostname = "beta";
  const native = kernel.process();
  await registerCluster(native, LOCAL);
  const zero = [...kernel.clusters.values()][0]?.nodes.get("alpha");
  if (zero !== undefined) zero.number = null;
  const result = await registerCluster(kernel.process(), LOCAL);
  t.deepEqual(
    result.writes.map(({ path }) => path),
    [`${BASE}/lab/node/alpha/num`],
  );
  t.is(zero?.number, 0);
  t.deepEqual((await registerCluster(kernel.process(), LOCAL)).writes, []);
});

test("unregister: what is there goes, what is not there is success, regions and other names are refused", async (t) => {
  const { kernel } = classicLocal();
  const dry = kernel.process();
  const planned = await unregisterCluster(dry, CLUSTER, { dryRun: true });
  t.deepEqual(written(dry), []);
  const result = await unregisterCluster(kernel.process(), CLUSTER);
  t.true(result.removed);
  t.deepEqual(result.writes, planned.writes);
  t.is(registration(kernel), null);
  t.like(await unregisterCluster(kernel.process(), CLUSTER), { removed: false, writes: [] });
  const active = classicGlobal();
  const [region] = active.kernel.regions();
  for (const options of [{}, { dryRun: true }]) {
    const error = await failure(unregisterCluster(active.kernel.process(), CLUSTER, options));
    t.is(error.code, "O2CB_REGION_IN_USE");
    t.regex(error.message, new RegExp(region?.name ?? "?"));
  }
  const named = await failure(unregisterCluster(active.kernel.process(), "other"));
  t.is(named.code, "O2CB_INVALID_CLUSTER_NAME");
});

for (const [name, setup] of Object.entries({
  "a kernel of today": bare,
  "1.2": () => oldDriver12({ unregistered: true }),
})) {
  test(`${name}: whatever fails, nothing is left of a registration, or a second one completes it`, async (t) => {
    const runs = await walkFaults((native) => registerCluster(native, LOCAL), {
      setup,
      check: async ({ kernel, outcome, title }) => {
        if (outcome.status === "failed") t.is(registration(kernel), null, title);
        await registerCluster(kernel.process(), LOCAL);
        t.deepEqual(registration(kernel), wanted, title);
      },
    });
    t.true(runs > 50);
  });

  test(`${name}: killed at any call, the next registration and the next end complete`, async (t) => {
    await walkKills(
      async (native) => {
        await registerCluster(native, LOCAL);
        await unregisterCluster(native, CLUSTER);
      },
      {
        setup,
        check: async ({ kernel, title }) => {
          await registerCluster(kernel.process(), LOCAL);
          t.deepEqual(registration(kernel), wanted, title);
          await unregisterCluster(kernel.process(), CLUSTER);
          t.is(registration(kernel), null, title);
        },
      },
    );
  });
}
