// The state machine of a mount group: each input in each state.
import test from "ava";
import { MountGroup, type GroupEffect, type GroupInput } from "../../ts/controld-daemon/mount-group.ts";

const [FIRST, SECOND, STRANGER] = [1, 2, 3];
const DEVICE = "block 8:16";

const mountOf = (client: number, service = "ocfs2", device = DEVICE): GroupInput => ({
  kind: "mount",
  client,
  device,
  service,
});
const resultOf = (client: number, result: number, service = "ocfs2"): GroupInput => ({
  kind: "result",
  client,
  service,
  result,
});
const unmountOf = (client: number, service = "ocfs2"): GroupInput => ({ kind: "unmount", client, service });
const goneOf = (client: number): GroupInput => ({ kind: "gone", client });
const joined: GroupInput = { kind: "joined" };
const registered: GroupInput = { kind: "registered", status: 0 };
const live = [joined, registered, resultOf(FIRST, 0)];

/** The ways into each state; the mounter of FIRST is always `ocfs2`. */
const ways: Record<string, readonly GroupInput[]> = {
  joining: [],
  "joining, abandoned": [goneOf(FIRST)],
  registering: [joined],
  "registering, abandoned": [joined, goneOf(FIRST)],
  notified: [joined, registered],
  live,
  additional: [...live, mountOf(SECOND)],
  "additional, the last umount came": [...live, mountOf(SECOND), unmountOf(STRANGER)],
  "a tool comes": [...live, mountOf(SECOND, "tool")],
  "live with a tool": [...live, mountOf(SECOND, "tool"), resultOf(SECOND, 0, "tool")],
  "leaving after a failure": [joined, registered, resultOf(FIRST, 22)],
  "leaving after umount": [...live, unmountOf(SECOND)],
  "leaving, abandoned": [...live, unmountOf(SECOND), goneOf(SECOND)],
  frozen: [...live, { kind: "freeze", reason: "node 2 died" }],
};

const inputs: Record<string, GroupInput> = {
  mount: mountOf(STRANGER),
  "mount other device": mountOf(STRANGER, "ocfs2", "block 8:32"),
  "mount tool": mountOf(STRANGER, "tool"),
  "result 0 of 1": resultOf(FIRST, 0),
  "result 5 of 1": resultOf(FIRST, 5),
  "result 0 of 2": resultOf(SECOND, 0),
  "result 5 of 2": resultOf(SECOND, 5),
  "tool 0 of 2": resultOf(SECOND, 0, "tool"),
  "tool 5 of 2": resultOf(SECOND, 5, "tool"),
  "result of another": resultOf(STRANGER, 0),
  unmount: unmountOf(STRANGER),
  "unmount tool": unmountOf(STRANGER, "tool"),
  "1 gone": goneOf(FIRST),
  "2 gone": goneOf(SECOND),
  "another gone": goneOf(STRANGER),
  joined,
  "join fails": { kind: "join-failed", answer: { status: 11, text: "" } },
  left: { kind: "left" },
  registered,
  "register refused": { kind: "registered", status: 95 },
  "register fails": { kind: "registered", status: -1 },
  freeze: { kind: "freeze", reason: "node 3 died" },
};

function word(effect: GroupEffect): string {
  return effect.kind === "reply" ? `${effect.status}>${effect.client}` : effect.kind;
}

function at(way: readonly GroupInput[]): MountGroup {
  const group = new MountGroup({ client: FIRST, device: DEVICE, service: "ocfs2" }, true);
  for (const input of way) group.handle(input);
  return group;
}

/** `effects → state [services]`; without the part that says nothing. */
function cell(way: readonly GroupInput[], input: GroupInput): string {
  const group = at(way);
  const before = `${group.state} [${group.services.join()}]`;
  const effects = group.handle(input).map(word).join(" ");
  const after = `${group.state} [${group.services.join()}]`;
  const change = group.isOver || after === before ? [] : [`→ ${after}`];
  return [...(effects === "" ? [] : [effects]), ...change].join(" ");
}

/** Who asks while somebody joins or leaves, and who is not the one who mounts. */
const busy = {
  mount: "16>3",
  "mount other device": "22>3",
  "mount tool": "16>3",
  "result 0 of 1": "22>1",
  "result 5 of 1": "22>1",
  "result 0 of 2": "22>2",
  "result 5 of 2": "22>2",
  "tool 0 of 2": "2>2",
  "tool 5 of 2": "2>2",
  "result of another": "22>3",
  unmount: "16>3",
  "unmount tool": "2>3",
  "1 gone": "",
  "2 gone": "",
  "another gone": "",
  joined: "",
  "join fails": "",
  left: "dropped",
  registered: "note",
  "register refused": "note",
  "register fails": "note",
  freeze: "note",
};
/** No service is left. */
const leaving = {
  ...busy,
  "result 0 of 1": "2>1",
  "result 5 of 1": "2>1",
  "result 0 of 2": "2>2",
  "result 5 of 2": "2>2",
  "result of another": "2>3",
  unmount: "2>3",
};

const table: Record<string, Record<string, string>> = {
  joining: {
    ...busy,
    "1 gone": "→ leaving []",
    joined: "register → registering [ocfs2]",
    "join fails": "over 11>1",
  },
  "joining, abandoned": { ...leaving, joined: "leave", "join fails": "over" },
  registering: {
    ...busy,
    "1 gone": "→ leaving []",
    registered: "0>1 → notified [ocfs2]",
    "register refused": "leave → leaving []",
    "register fails": "leave → leaving []",
  },
  "registering, abandoned": {
    ...leaving,
    registered: "unregister leave",
    "register refused": "leave",
    "register fails": "leave",
  },
  notified: {
    ...busy,
    "result 0 of 1": "0>1 → live [ocfs2]",
    "result 5 of 1": "unregister leave → leaving []",
    "1 gone": "note → live [ocfs2]",
  },
  live: {
    ...busy,
    mount: "114>3 → additional [ocfs2]",
    "mount tool": "114>3 → additional [ocfs2,tool]",
    unmount: "unregister leave → leaving []",
  },
  additional: {
    ...busy,
    "result 0 of 2": "0>2 → live [ocfs2]",
    "result 5 of 2": "0>2 → live [ocfs2]",
    unmount: "16>3 → notified [ocfs2]",
    "2 gone": "→ live [ocfs2]",
  },
  "additional, the last umount came": {
    ...busy,
    "result 0 of 2": "0>2 → live [ocfs2]",
    "result 5 of 2": "unregister leave → leaving []",
    "2 gone": "note → live [ocfs2]",
  },
  "a tool comes": {
    ...busy,
    "tool 0 of 2": "0>2 → live [ocfs2,tool]",
    "tool 5 of 2": "0>2 → live [ocfs2]",
    unmount: "0>3 → notified [tool]",
    "unmount tool": "16>3",
    "2 gone": "→ live [ocfs2]",
  },
  "live with a tool": {
    ...busy,
    mount: "114>3 → additional [ocfs2,tool]",
    "tool 0 of 2": "22>2",
    "tool 5 of 2": "22>2",
    unmount: "0>3 → live [tool]",
    "unmount tool": "0>3 → live [ocfs2]",
  },
  "leaving after a failure": { ...leaving, left: "over 0>1" },
  "leaving after umount": { ...leaving, left: "over 0>2" },
  "leaving, abandoned": { ...leaving, left: "over" },
  frozen: {
    ...busy,
    mount: "112>3",
    "mount tool": "112>3",
    unmount: "unregister leave → leaving []",
    freeze: "",
  },
};

for (const [state, way] of Object.entries(ways))
  test(`${state}: every input has its outcome`, (t) => {
    const found = Object.fromEntries(
      Object.entries(inputs).map(([name, input]) => [name, cell(way, input)] as const),
    );
    t.deepEqual(found, table[state]);
  });

test("the reply to the last unmount, and to a failed mount, comes with the end of the leave", (t) => {
  for (const last of [resultOf(FIRST, 22), unmountOf(FIRST)]) {
    const group = at(last.kind === "result" ? [joined, registered] : live);
    t.deepEqual(group.handle(last).map(word), ["unregister", "leave"]);
    t.deepEqual(group.handle({ kind: "left" }), [
      { kind: "over" },
      { kind: "reply", client: FIRST, status: 0, text: "OK" },
    ]);
    t.deepEqual(group.handle(mountOf(SECOND)), []);
  }
});

test("a refused registration is told with its number when the group is left", (t) => {
  const group = at([joined, { kind: "registered", status: 95 }]);
  t.deepEqual(group.handle({ kind: "left" }).map(word), ["over", "95>1"]);
});

test("an error is told once, to the request that it answers", (t) => {
  const group = at([joined, registered]);
  t.deepEqual(group.handle(resultOf(STRANGER, 0)).map(word), ["22>3"]);
  t.deepEqual(group.handle(resultOf(FIRST, 0)).map(word), ["0>1"]);
  t.deepEqual(group.handle(mountOf(SECOND)).map(word), ["114>2"]);
});

test("a group that freezes while its first mounter waits does not let it in", (t) => {
  const freeze: GroupInput = { kind: "freeze", reason: "node 2 died" };
  const waiting = at([freeze, joined]);
  t.deepEqual(waiting.handle(registered).map(word), ["unregister", "leave"]);
  t.deepEqual(waiting.handle({ kind: "left" })[1], {
    kind: "reply",
    client: FIRST,
    status: 112,
    text: "node 2 died",
  });
});

test("without registration the group is there with the join", (t) => {
  const group = new MountGroup({ client: FIRST, device: DEVICE, service: "ocfs2" }, false);
  t.deepEqual(group.handle(joined).map(word), ["0>1"]);
  t.deepEqual(group.handle(resultOf(FIRST, 5)).map(word), ["leave"]);
  t.deepEqual(group.handle({ kind: "left" }).map(word), ["over", "0>1"]);
});
