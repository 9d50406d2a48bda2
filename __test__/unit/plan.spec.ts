// planState: what differs, which steps follow, which of them are possible while the cluster runs, and why.
import test from "ava";
import { SYSCONFIG_DEFAULTS, type SysconfigValues } from "../../ts/config/sysconfig.ts";
import { desiredState, type DesiredState } from "../../ts/cluster/desired-state.ts";
import { planState } from "../../ts/cluster/plan.ts";
import type { CurrentState, Plan } from "../../ts/cluster/plan-types.ts";
import type { ClusterState, RegisteredNode } from "../../ts/cluster/registered.ts";

const [R1, R2, R3, R4] = ["1", "2", "3", "4"].map((digit) => digit.repeat(32)) as [
  string,
  string,
  string,
  string,
];
const node = (name: string, number: number, more: object = {}) => ({
  name,
  number,
  address: `10.0.0.${number + 1}`,
  port: 7777,
  ...more,
});
const ALPHA = node("alpha", 0);
const BETA = node("beta", 1);
const GAMMA = node("gamma", 2);
const position = { line: 1, column: 1 };

interface Made {
  mode?: "local" | "global";
  nodes?: readonly ReturnType<typeof node>[];
  heartbeats?: readonly string[];
  /** what is registered; null: nothing is */
  registered?: Partial<ClusterState> | null;
  values?: Partial<SysconfigValues>;
  more?: Partial<CurrentState>;
}

const registeredNodes = (
  nodes: readonly ReturnType<typeof node>[],
  local: string | null = "alpha",
): RegisteredNode[] =>
  nodes.map(({ name, number, address, port }) => ({ name, number, address, port, local: name === local }));

function current({
  mode = "local",
  nodes = [ALPHA, BETA],
  heartbeats = [],
  registered = {},
  values = {},
  more = {},
}: Made = {}): CurrentState {
  return {
    file: {
      name: "lab",
      mode,
      nodeCount: nodes.length,
      nodes: nodes.map((one) => ({ ...one, position })),
      heartbeats: heartbeats.map((region) => ({ region, position })),
      position,
    },
    settings: { values: { ...SYSCONFIG_DEFAULTS, bootCluster: "lab", ...values }, findings: [] },
    registered:
      registered === null
        ? null
        : {
            name: "lab",
            directory: "/sys/kernel/config/cluster/lab",
            mode,
            nodes: registeredNodes(nodes),
            timeouts: {
              deadThreshold: 31,
              deadSeconds: 60,
              idleMs: 30_000,
              keepaliveMs: 2000,
              reconnectMs: 2000,
              fenceMethod: "reset",
            },
            regions: heartbeats.map((name) => ({ name, disk: "sdq" })),
            live: [],
            connected: [],
            ...registered,
          },
    stack: "o2cb",
    inUse: false,
    leave: "umount",
    hostname: "alpha",
    interrupted: null,
    ...more,
  };
}

const desired = (cluster: object = {}, more: object = {}): DesiredState =>
  desiredState({ cluster: { name: "lab", mode: "local", nodes: [ALPHA, BETA], ...cluster }, ...more });

const short = ({ steps }: Plan): string[] =>
  steps.map(({ kind, online }) => `${kind}${online ? "" : " (downtime)"}`);
const differences = ({ diff }: Plan): string[] =>
  diff.map(({ where, path, from, to }) => `${where} ${path}: ${from} -> ${to}`);

const beating = { regions: [{ name: R1, disk: "sdb" }] };

type Row = [title: string, from: Made, to: DesiredState, steps: string[], reason?: RegExp];

const rows: Row[] = [
  ["nothing differs", {}, desired(), []],
  [
    "nothing differs while it beats",
    { registered: { ...beating, live: [0, 1], connected: [1] } },
    desired(),
    [],
  ],
  [
    "offline: files only",
    { registered: null, nodes: [ALPHA] },
    desired({ mode: "global", heartbeats: [R1] }, { timeouts: { deadThreshold: 61 } }),
    ["write-configuration", "write-settings"],
  ],
  [
    "a node is added while everything runs",
    { registered: { ...beating, live: [0, 1], connected: [1] } },
    desired({ nodes: [ALPHA, BETA, GAMMA] }),
    ["write-configuration", "add-node"],
    /takes a node at any time; every node needs it/,
  ],
  [
    "a node that is dead goes",
    { registered: { ...beating, live: [0] } },
    desired({ nodes: [ALPHA] }),
    ["write-configuration", "remove-node"],
    /not live/,
  ],
  [
    "a node that is live goes",
    { registered: { ...beating, live: [0, 1] } },
    desired({ nodes: [ALPHA] }),
    ["write-configuration", "offline (downtime)", "remove-node (downtime)", "online"],
    /some kernels hang/,
  ],
  [
    "a node that is connected goes, though no heartbeat of it is seen",
    { registered: { ...beating, live: [0], connected: [1] } },
    desired({ nodes: [ALPHA] }),
    ["write-configuration", "offline (downtime)", "remove-node (downtime)", "online"],
  ],
  [
    "a node goes, and debugfs does not tell",
    { registered: { ...beating, live: null, connected: null } },
    desired({ nodes: [ALPHA] }),
    ["write-configuration", "offline (downtime)", "remove-node (downtime)", "online"],
    /debugfs does not tell/,
  ],
  [
    "a node goes where nothing beats",
    { registered: { live: null } },
    desired({ nodes: [ALPHA] }),
    ["write-configuration", "remove-node"],
    /nothing beats/,
  ],
  [
    "this host's address while it beats",
    { registered: beating },
    desired({ nodes: [{ ...ALPHA, address: "10.9.9.9" }, BETA] }),
    ["write-configuration", "offline (downtime)", "change-node (downtime)", "online"],
    /this host/,
  ],
  [
    "a dead node's port",
    { registered: beating },
    desired({ nodes: [ALPHA, { ...BETA, port: 7778 }] }),
    ["write-configuration", "change-node"],
  ],
  [
    "the mode while it beats",
    { registered: beating },
    desired({ mode: "global", heartbeats: [R1] }),
    ["write-configuration", "offline (downtime)", "set-mode (downtime)", "online"],
    /ignores it while there are heartbeat regions/,
  ],
  [
    "the mode where nothing beats",
    {},
    desired({ mode: "global", heartbeats: [R1] }),
    ["write-configuration", "set-mode", "start-heartbeat"],
  ],
  [
    "the dead threshold while it beats",
    { registered: beating },
    desired({}, { timeouts: { deadSeconds: 120 } }),
    ["write-settings", "offline (downtime)", "set-timeout (downtime)", "online"],
  ],
  [
    "the dead threshold where nothing beats",
    {},
    desired({}, { timeouts: { deadSeconds: 120 } }),
    ["write-settings", "set-timeout"],
  ],
  [
    "idle and keepalive while a peer is connected",
    { registered: { ...beating, live: [0, 1], connected: [1] } },
    desired({}, { timeouts: { idleMs: 60_000, keepaliveMs: 4000 } }),
    ["write-settings", "offline (downtime)", "set-timeout (downtime)", "set-timeout (downtime)", "online"],
    /node 1 is connected/,
  ],
  [
    "idle while no peer is connected",
    { registered: beating },
    desired({}, { timeouts: { idleMs: 60_000 } }),
    ["write-settings", "set-timeout"],
  ],
  [
    "idle while nothing tells of peers",
    { registered: { ...beating, connected: null } },
    desired({}, { timeouts: { idleMs: 60_000 } }),
    ["write-settings", "offline (downtime)", "set-timeout (downtime)", "online"],
  ],
  [
    "reconnect and fence at any time",
    { registered: { ...beating, live: [0, 1], connected: [1] } },
    desired({}, { timeouts: { reconnectMs: 4000, fenceMethod: "panic" } }),
    ["write-settings", "set-timeout", "set-timeout"],
  ],
  [
    "a setting that this driver lacks",
    {
      registered: {
        timeouts: {
          deadThreshold: 31,
          deadSeconds: 60,
          idleMs: null,
          keepaliveMs: null,
          reconnectMs: null,
          fenceMethod: null,
        },
      },
    },
    desired({}, { timeouts: { fenceMethod: "panic" } }),
    ["write-settings"],
  ],
  [
    "another cluster beats",
    { registered: { name: "old", ...beating } },
    desired(),
    ["offline (downtime)", "change-cluster (downtime)", "online"],
    /one cluster at a time/,
  ],
  [
    "another cluster is registered, and nothing beats",
    { registered: { name: "old" } },
    desired(),
    ["offline", "change-cluster", "online"],
  ],
  [
    "a region is added",
    { mode: "global", heartbeats: [R1] },
    desired({ mode: "global", heartbeats: [R1, R2] }),
    ["write-configuration", "start-heartbeat"],
  ],
  [
    "a region goes, and nothing uses the cluster",
    { mode: "global", heartbeats: [R1, R2] },
    desired({ mode: "global", heartbeats: [R1] }),
    ["write-configuration", "stop-heartbeat"],
  ],
  [
    "a region of three goes while a volume is mounted",
    { mode: "global", heartbeats: [R1, R2, R3], more: { inUse: true } },
    desired({ mode: "global", heartbeats: [R1, R2] }),
    ["write-configuration", "offline (downtime)", "stop-heartbeat (downtime)", "online"],
    /lets none go/,
  ],
  [
    "a region of four goes while a volume is mounted",
    { mode: "global", heartbeats: [R1, R2, R3, R4], more: { inUse: true } },
    desired({ mode: "global", heartbeats: [R1, R2, R3] }),
    ["write-configuration", "stop-heartbeat"],
  ],
  [
    "two of four go while a volume is mounted",
    { mode: "global", heartbeats: [R1, R2, R3, R4], more: { inUse: true } },
    desired({ mode: "global", heartbeats: [R1, R2] }),
    ["write-configuration", "offline (downtime)", "stop-heartbeat", "stop-heartbeat (downtime)", "online"],
  ],
  ["regions that nobody names stay", { mode: "global", heartbeats: [R1] }, desired({ mode: "global" }), []],
  [
    "a region that is configured and does not beat",
    { mode: "global", heartbeats: [R1], registered: { regions: [] } },
    desired({ mode: "global" }),
    ["start-heartbeat"],
  ],
  [
    "another stack, which nothing uses",
    { registered: null, more: { stack: "pcmk" } },
    desired({}, { stack: "o2cb" }),
    ["set-stack"],
  ],
  [
    "another stack, in use",
    { registered: null, more: { stack: "pcmk", inUse: true } },
    desired({}, { stack: "o2cb" }),
    ["set-stack (downtime)"],
  ],
  ["who leaves", {}, desired({}, { leave: "kernel" }), ["write-settings", "set-leave"]],
  [
    "who leaves, without a driver",
    { registered: null, more: { leave: null } },
    desired({}, { leave: "kernel" }),
    ["write-settings"],
  ],
  ["started with the host", {}, desired({}, { enabled: true }), ["write-settings"]],
  ["online, which it is", {}, desired({}, { online: true }), []],
  [
    "online, where nothing is registered",
    { registered: null },
    desired({}, { online: true }),
    ["online"],
    /none is registered/,
  ],
  ["offline, of which nothing is said", { registered: null }, desired(), []],
  [
    "online in place of another cluster",
    { registered: { name: "old" } },
    desired({}, { online: true }),
    ["offline", "change-cluster", "online"],
    /it was before/,
  ],
  [
    "a registration that was killed before this host's node",
    { registered: { nodes: registeredNodes([ALPHA, BETA], null) } },
    desired(),
    ["change-node"],
  ],
  [
    "an apply that was killed while the cluster was offline",
    { registered: null, more: { interrupted: "offline" } },
    desired(),
    ["online"],
  ],
  [
    "an apply that was killed while it was online",
    { more: { interrupted: "online" } },
    desired(),
    ["register"],
  ],
  ["an apply of files that was killed", { registered: null, more: { interrupted: "online" } }, desired(), []],
];

for (const [title, from, to, steps, reason] of rows) {
  test(title, (t) => {
    const plan = planState(current(from), to);
    t.deepEqual(short(plan), steps);
    t.is(
      plan.needsDowntime,
      steps.some((step) => step.includes("downtime")),
    );
    if (reason !== undefined) t.regex(plan.steps.map((step) => step.reason).join("\n"), reason);
    for (const step of plan.steps) t.true(step.reason.length > 5 && step.description.length > 5);
    // Every step but those about an earlier apply has its difference.
    if (steps.length > 0 && (from.more?.interrupted ?? null) === null) t.not(plan.diff.length, 0);
  });
}

test("differences: each value with its place", (t) => {
  const plan = planState(
    current({ values: { enabled: true } }),
    desired(
      { mode: "global", nodes: [{ ...ALPHA, port: 7000 }, GAMMA], heartbeats: [R1] },
      { timeouts: { deadThreshold: 61 }, enabled: false },
    ),
  );
  t.deepEqual(differences(plan), [
    "cluster.conf mode: local -> global",
    "cluster.conf nodes/beta: beta -> null",
    "cluster.conf nodes/alpha/port: 7777 -> 7000",
    "cluster.conf nodes/gamma/number: null -> 2",
    "cluster.conf nodes/gamma/address: null -> 10.0.0.3",
    "cluster.conf nodes/gamma/port: null -> 7777",
    `cluster.conf heartbeats/${R1}: null -> ${R1}`,
    "settings enabled: true -> false",
    "settings heartbeatThreshold: 31 -> 61",
    "kernel mode: local -> global",
    "kernel timeouts/deadThreshold: 31 -> 61",
    "kernel nodes/beta: beta -> null",
    "kernel nodes/alpha/port: 7777 -> 7000",
    "kernel nodes/gamma/number: null -> 2",
    "kernel nodes/gamma/address: null -> 10.0.0.3",
    "kernel nodes/gamma/port: null -> 7777",
    `kernel heartbeats/${R1}: null -> ${R1}`,
  ]);
});

test("a setting that cannot be used is written, also where the default would do", (t) => {
  const state = current();
  const findings = [
    { severity: "error" as const, key: "O2CB_IDLE_TIMEOUT_MS", message: "", remedy: "", ...position },
  ];
  const plan = planState(
    { ...state, settings: { ...state.settings, findings } },
    desired({}, { timeouts: { idleMs: 30_000 } }),
  );
  t.deepEqual(short(plan), ["write-settings"]);
  t.deepEqual(differences(plan), ["settings idleTimeoutMs: null -> 30000"]);
});

test("an idle timeout below the configured keepalive is refused before anything is written", (t) => {
  const error = t.throws(() => planState(current(), desired({}, { timeouts: { idleMs: 1500 } })));
  t.regex(error.message, /keepalive delay would be 2000 ms, .* idle timeout of 1500 ms/);
});
