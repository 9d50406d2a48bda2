// The desired state's form: examples that hold, the exact words for what does not, and the published schema, which agrees with both.
import { readFile } from "node:fs/promises";
import { Ajv2020 } from "ajv/dist/2020.js";
import test from "ava";
import { desiredState, parseDesiredState, thresholdOf } from "../../ts/cluster/desired-state.ts";
import type { O2cbError } from "../../ts/errors.ts";

const schema: unknown = JSON.parse(
  await readFile(new URL("../../docs/schemas/desired-state.json", import.meta.url), "utf8"),
);
const conforms = new Ajv2020({ strict: true, strictTypes: false }).compile(schema as object);

const UUID = "77D95EF51C0149D2823674FCC162CF8B";
const node = (number: number, more: object = {}): object => ({
  name: `node${number}`,
  number,
  address: `10.0.0.${number + 1}`,
  port: 7777,
  ...more,
});
const cluster = (more: object = {}): object => ({ name: "lab", mode: "local", nodes: [node(0)], ...more });

const holding: [string, object][] = [
  ["the least", { cluster: cluster() }],
  [
    "all fields",
    {
      cluster: cluster({ mode: "global", nodes: [node(0), node(254)], heartbeats: [UUID] }),
      timeouts: {
        deadThreshold: 61,
        idleMs: 60_000,
        keepaliveMs: 4000,
        reconnectMs: 4000,
        fenceMethod: "panic",
      },
      stack: "o2cb",
      enabled: true,
      leave: "kernel",
      online: true,
    },
  ],
  ["no heartbeat of local mode", { cluster: cluster({ heartbeats: [] }) }],
  ["seconds", { cluster: cluster(), timeouts: { deadSeconds: 60 } }],
];

for (const [title, json] of holding) {
  test(`it holds: ${title}`, (t) => {
    t.notThrows(() => desiredState(json));
    t.true(conforms(json), JSON.stringify(conforms.errors));
  });
}

test("a UUID in other forms, and seconds, are as the kernel has them", (t) => {
  const state = desiredState({
    cluster: cluster({ heartbeats: ["77d95ef5-1c01-49d2-8236-74fcc162cf8b"] }),
    timeouts: { deadSeconds: 61 },
  });
  t.deepEqual(state.cluster.heartbeats, [UUID]);
  t.deepEqual(state.timeouts, { deadThreshold: 32 });
  t.is(thresholdOf(60), 31);
});

test("what is not said is not there", (t) => {
  t.deepEqual(desiredState({ cluster: cluster() }), { cluster: cluster() } as never);
});

/** `schema` false: what a schema cannot say. */
const refused: [string, unknown, string, { schema?: false }?][] = [
  ["no object", [], "the desired state is []; expected is an object"],
  ["no cluster", {}, "'/cluster' of the desired state is missing; it has to be given"],
  [
    "an unknown field",
    { cluster: cluster(), timeout: {} },
    "'/timeout' of the desired state is {}; no such field is known here; expected are cluster, timeouts, stack, enabled, leave, online",
  ],
  [
    "a cluster's name with a dash",
    { cluster: cluster({ name: "my-lab" }) },
    `'/cluster/name' of the desired state is "my-lab"; expected are 1 to 16 letters and digits`,
  ],
  [
    "a name that is a number",
    { cluster: cluster({ name: 7 }) },
    "'/cluster/name' of the desired state is 7; expected is a text",
  ],
  [
    "another mode",
    { cluster: cluster({ mode: "Global" }) },
    `'/cluster/mode' of the desired state is "Global"; expected is "local" or "global"`,
  ],
  [
    "no node",
    { cluster: cluster({ nodes: [] }) },
    "'/cluster/nodes' of the desired state is []; expected is one node at least",
  ],
  [
    "nodes that are no array",
    { cluster: cluster({ nodes: { alpha: 1 } }) },
    `'/cluster/nodes' of the desired state is {"alpha":1}; expected is an array`,
  ],
  [
    "a node without a port",
    { cluster: cluster({ nodes: [node(0, { port: undefined })] }) },
    "'/cluster/nodes/0/port' of the desired state is missing; it has to be given",
  ],
  [
    "a number beyond",
    { cluster: cluster({ nodes: [node(0, { number: 255 })] }) },
    "'/cluster/nodes/0/number' of the desired state is 255; expected is a number from 0 to 254",
  ],
  [
    "a number as a text",
    { cluster: cluster({ nodes: [node(0, { number: "0" })] }) },
    `'/cluster/nodes/0/number' of the desired state is "0"; expected is a number`,
  ],
  [
    "port 0",
    { cluster: cluster({ nodes: [node(0, { port: 0 })] }) },
    "'/cluster/nodes/0/port' of the desired state is 0; expected is a number from 1 to 65534",
  ],
  [
    "IPv6",
    { cluster: cluster({ nodes: [node(0, { address: "fe80::1" })] }) },
    `'/cluster/nodes/0/address' of the desired state is "fe80::1"; expected is an IPv4 address: the kernel's o2net has no IPv6`,
  ],
  [
    "two nodes with one number",
    { cluster: cluster({ nodes: [node(0), node(1, { number: 0 })] }) },
    "'/cluster/nodes/1/number' of the desired state is 0; /cluster/nodes/0 has the same; expected is one of its own",
    { schema: false },
  ],
  [
    "two nodes with one address",
    { cluster: cluster({ nodes: [node(0), node(1, { address: "10.0.0.1" })] }) },
    `'/cluster/nodes/1/address' of the desired state is "10.0.0.1"; /cluster/nodes/0 has the same; expected is one of its own`,
    { schema: false },
  ],
  [
    "no UUID",
    { cluster: cluster({ heartbeats: ["/dev/sdb"] }) },
    `'/cluster/heartbeats/0' of the desired state is "/dev/sdb"; expected is a volume's UUID: 32 hexadecimal digits, with or without dashes`,
  ],
  [
    "a region twice",
    { cluster: cluster({ heartbeats: [UUID, UUID.toLowerCase()] }) },
    `'/cluster/heartbeats/1' of the desired state is "${UUID}"; /cluster/heartbeats/0 is the same; expected is each once`,
    { schema: false },
  ],
  [
    "global heartbeat without a region",
    { cluster: cluster({ mode: "global", heartbeats: [] }) },
    "'/cluster/heartbeats' of the desired state is []; global heartbeat needs one region at least",
    { schema: false },
  ],
  [
    "a threshold that is too low",
    { cluster: cluster(), timeouts: { deadThreshold: 3 } },
    "'/timeouts/deadThreshold' of the desired state is 3; expected is a whole number from 7 to 2147483647",
  ],
  [
    "half a second",
    { cluster: cluster(), timeouts: { idleMs: 0.5 } },
    "'/timeouts/idleMs' of the desired state is 0.5; expected is a whole number from 2 to 4294967294",
  ],
  [
    "both forms of the dead time",
    { cluster: cluster(), timeouts: { deadThreshold: 31, deadSeconds: 60 } },
    "'/timeouts/deadSeconds' of the desired state is 60; expected is deadThreshold or deadSeconds, not both",
  ],
  [
    "a keepalive that is too long",
    { cluster: cluster(), timeouts: { idleMs: 2000, keepaliveMs: 2000 } },
    "'/timeouts/keepaliveMs' of the desired state is 2000; expected is less than idleMs, which is 2000",
    { schema: false },
  ],
  [
    "another stack",
    { cluster: cluster(), stack: "pcmk" },
    `'/stack' of the desired state is "pcmk"; expected is "o2cb"`,
  ],
  [
    "what o2cb drain is for",
    { cluster: cluster(), online: false },
    `'/online' of the desired state is false; expected is true, or nothing: o2cb drain takes a host offline`,
  ],
  [
    "yes for true",
    { cluster: cluster(), enabled: "yes" },
    `'/enabled' of the desired state is "yes"; expected is true or false`,
  ],
];

for (const [title, json, message, { schema: bySchema = true } = {}] of refused) {
  test(`it is refused: ${title}`, (t) => {
    const error = t.throws(() => desiredState(json)) as unknown as O2cbError;
    t.is(error.code, "O2CB_CONFIGURATION_ERROR");
    t.is(error.message, message);
    t.is(conforms(JSON.parse(JSON.stringify(json))), !bySchema);
  });
}

test("a text that is no JSON names its file", (t) => {
  const error = t.throws(() => parseDesiredState("{cluster", "/etc/ocfs2/want.json")) as unknown as O2cbError;
  t.regex(error.message, /^'\/etc\/ocfs2\/want\.json' is not JSON: /);
  t.is(parseDesiredState(JSON.stringify({ cluster: cluster() }), "-").cluster.name, "lab");
});
