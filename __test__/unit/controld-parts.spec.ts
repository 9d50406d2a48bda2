// The parts of the control daemon by themselves: answers as frames, the log, the daemons' messages, who is in which group, and what is known of
// the kernel.
import { gzipSync } from "node:zlib";
import test from "ava";
import * as fc from "fast-check";
import { decodeFrame, encodeFrame } from "../../ts/controld/frame.ts";
import { eventText, type DaemonEvent } from "../../ts/controld-daemon/daemon-events.ts";
import { kernelSafety } from "../../ts/controld-daemon/kernel-safety.ts";
import { LogRing } from "../../ts/controld-daemon/log-ring.ts";
import { Members } from "../../ts/controld-daemon/members.ts";
import { ITEM_BYTES, listFrames, readRequest, statusFrame } from "../../ts/controld-daemon/requests.ts";
import {
  decodeState,
  encodeState,
  isCompatible,
  parseVersion,
  Peers,
  type DaemonState,
} from "../../ts/controld-daemon/versions.ts";

// -- frames

test("every answer is a frame, whatever its text holds", (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 4095 }),
      fc.string({ unit: "binary", maxLength: 400 }),
      (status, text) => {
        const message = decodeFrame(statusFrame({ status, text }));
        return message.keyword === "STATUS" && message.number === String(status);
      },
    ),
  );
  t.deepEqual(decodeFrame(statusFrame({ status: 16, text: "a\nb\0c\ud800d" })), {
    keyword: "STATUS",
    number: "16",
    text: "a b c\u{fffd}d",
  });
});

test("every frame is understood or refused, and never more than that", (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 256, maxLength: 256 }), (frame) => {
      readRequest(frame, "labpc");
    }),
  );
  const frame = encodeFrame({
    keyword: "MOUNT",
    fstype: "ocfs2",
    uuid: "A".repeat(32),
    cluster: "labpc",
    device: "/dev/sdb",
    service: "two words",
  });
  t.deepEqual(readRequest(frame, "labpc"), {
    keyword: "MOUNT",
    request: { kind: "mount", uuid: "A".repeat(32), device: "/dev/sdb", service: "two words" },
  });
});

// -- the log

test("the log's pieces together are its last bytes, and each is an item", (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: "binary", maxLength: 300 }), { maxLength: 60 }),
      fc.integer({ min: 1, max: 2000 }),
      (lines, size) => {
        const ring = new LogRing(size);
        for (const line of lines) ring.add(line);
        const all = lines.map((line) => `${line.replaceAll(/[^ -~]/gu, "?")}\n`).join("");
        const pieces = ring.pieces(ITEM_BYTES).map((piece) => piece.toString("latin1"));
        listFrames(pieces);
        if (pieces.some(({ length }) => length === 0)) throw new Error("an empty item");
        return pieces.join("") === all.slice(-size);
      },
    ),
  );
  t.deepEqual(new LogRing().pieces(250), []);
});

test("a log that wraps is cut at its end and at its beginning separately", (t) => {
  const ring = new LogRing(1000);
  for (let line = 0; line < 21; line += 1) ring.add("x".repeat(99 - (line === 20 ? 50 : 0)));
  t.deepEqual(
    ring.pieces(250).map(({ length }) => length),
    [250, 250, 250, 200, 50],
  );
});

// -- the daemons' messages

const byte = fc.integer({ min: 0, max: 255 });
const version = fc.record({ major: byte, minor: byte });
const uuid = fc
  .bigInt({ min: 0n, max: 2n ** 128n - 1n })
  .map((number) => number.toString(16).toUpperCase().padStart(32, "0"));

test("a state survives its bytes, and other bytes are no state", (t) => {
  fc.assert(
    fc.property(
      fc.record({
        versions: fc.record({ daemon: version, fs: version }),
        areSettled: fc.boolean(),
        frozen: fc.array(uuid, { maxLength: 20 }),
      }),
      fc.uint8Array({ maxLength: 10 }),
      (state, more) => {
        const bytes = encodeState(state);
        t.deepEqual(decodeState(bytes), state);
        t.deepEqual(decodeState(Buffer.concat([bytes, more])), state, "a later version may add to it");
        t.is(decodeState(bytes.subarray(0, -1)), null);
      },
    ),
    { numRuns: 200 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => decodeState(bytes) === null));
  const bytes = encodeState({
    versions: { daemon: { major: 1, minor: 0 }, fs: { major: 1, minor: 2 } },
    areSettled: true,
    frozen: ["0".repeat(31) + "A"],
  });
  t.is(
    Buffer.from(bytes).toString("hex"),
    `4f32435401010100010001020001${"30".repeat(31)}41`,
    "as docs/controld.md has it",
  );
  bytes[14] = 0x20;
  t.is(decodeState(bytes), null);
});

test("versions: as the kernel writes them, and which go together", (t) => {
  t.deepEqual(parseVersion("1.0"), { major: 1, minor: 0 });
  for (const text of ["", "1", "1.", "1.0.0", "256.0", "-1.0", "1.0\n"]) t.is(parseVersion(text), null, text);
  const of = (major: number, minor: number) => ({ major, minor });
  const fs = of(1, 0);
  t.true(isCompatible({ daemon: of(1, 2), fs }, { daemon: of(1, 1), fs }));
  t.false(isCompatible({ daemon: of(1, 0), fs }, { daemon: of(1, 1), fs }));
  t.false(isCompatible({ daemon: of(2, 0), fs }, { daemon: of(1, 0), fs }));
  t.false(isCompatible({ daemon: of(1, 0), fs }, { daemon: of(1, 0), fs: of(1, 1) }));
});

test("the first daemon's versions count; where none is first, those of the lowest node", (t) => {
  const [one, two] = [
    { node: 1, pid: 9 },
    { node: 2, pid: 5 },
  ];
  const state = (minor: number, areSettled: boolean): DaemonState => ({
    versions: { daemon: { major: 1, minor }, fs: { major: 1, minor: 0 } },
    areSettled,
    frozen: [],
  });
  const peers = new Peers();
  peers.changed([two, one]);
  t.is(peers.settled, null);
  t.true(peers.heard(two, encodeState(state(2, false))));
  t.deepEqual(peers.silent, [one]);
  peers.heard(one, encodeState(state(1, false)));
  t.is(peers.settled?.daemon.minor, 1);
  peers.heard(two, encodeState(state(2, true)));
  t.is(peers.settled?.daemon.minor, 2);
  t.false(peers.heard(one, Buffer.from("hello")));
  peers.changed([one]);
  t.is(peers.settled?.daemon.minor, 1, "who is gone does not count");
  peers.heard({ node: 7, pid: 7 }, encodeState(state(9, true)));
  t.is(peers.settled?.daemon.minor, 1, "nor who never came");
});

// -- deaths

const A = "A".repeat(32);
const member = (node: number) => ({ node, pid: node * 10 });
const dead = (node: number) => ({ ...member(node), reason: "node-down" as const });

test("a death is told once for each volume of the node, whichever group tells it first", (t) => {
  for (const order of ["daemons first", "volume first", "an old change after"]) {
    const members = new Members();
    const [joined, left] = [[member(1), member(2), member(3)], [dead(2)]];
    members.changed(A, { members: joined, joined, left: [] });
    const after = { members: [member(1), member(3)], joined: [], left };
    const deaths = [];
    if (order === "volume first") deaths.push(...members.changed(A, after));
    deaths.push(...members.daemonsChanged({ joined: [], left }));
    if (order === "an old change after")
      deaths.push(...members.changed(A, { members: joined, joined: [], left: [] }));
    deaths.push(...members.changed(A, after), ...members.daemonsChanged({ joined: [], left: [] }));
    t.deepEqual(deaths, [{ uuid: A, node: 2 }], order);
    t.deepEqual(members.nodes(A), [1, 3], order);
  }
});

test("a death that is known before the volume's own join is told with that", (t) => {
  const members = new Members();
  members.daemonsChanged({ joined: [], left: [dead(2)] });
  const joined = [member(1), member(2)];
  t.deepEqual(members.changed(A, { members: joined, joined, left: [] }), [{ uuid: A, node: 2 }]);
});

test("who leaves has unmounted, and who comes back is a member again, and can die again", (t) => {
  const members = new Members();
  const both = [member(1), member(2)];
  members.changed(A, { members: both, joined: both, left: [] });
  members.changed(A, { members: [member(1)], joined: [], left: [{ ...member(2), reason: "left" }] });
  t.deepEqual(members.daemonsChanged({ joined: [], left: [dead(2)] }), []);
  members.daemonsChanged({ joined: [member(2)], left: [] });
  t.deepEqual(members.changed(A, { members: both, joined: [member(2)], left: [] }), []);
  t.deepEqual(members.daemonsChanged({ joined: [], left: [dead(2)] }), [{ uuid: A, node: 2 }]);
});

// -- the kernel

test("a kernel survives DOWN only where it was seen to, or its own configuration says so", (t) => {
  for (const [release, survives] of [
    ["5.10.0-32-amd64", true],
    ["5.100.1", false],
    ["5.4.0", false],
    ["15.10.1", false],
    ["6.1.0-50-amd64", false],
    [null, false],
  ] as const)
    t.is(kernelSafety(release, () => null).survivesDown, survives, String(release));
  const off = "CONFIG_X=y\n# CONFIG_FORTIFY_SOURCE is not set\n";
  const on = "CONFIG_FORTIFY_SOURCE=y\n";
  const of = (embedded: string | null, file: string | null, release: string | null = "6.1.0-56-amd64") =>
    kernelSafety(release, (path) => {
      if (path === "/proc/config.gz") return embedded === null ? null : gzipSync(embedded);
      t.is(path, "/boot/config-6.1.0-56-amd64");
      return file === null ? null : Buffer.from(file);
    }).survivesDown;
  t.true(of(off, null));
  t.true(of(null, off));
  t.false(of(on, off), "the kernel's own word goes before the file's");
  t.true(of(off, on));
  for (const [embedded, file] of [
    [null, null],
    [null, on],
    [on, null],
    [null, ""],
    [null, "#CONFIG_FORTIFY_SOURCE is not set\n"],
    [null, "CONFIG_FORTIFY_SOURCE=m\n"],
  ] as const)
    t.false(of(embedded, file), `${embedded} ${file}`);
  t.false(of(null, off, null), "without a release no file is this kernel's");
  t.false(of(null, off, "../x"));
  t.false(
    kernelSafety("6.1", (path) => (path === "/proc/config.gz" ? Buffer.from("no gzip") : null)).survivesDown,
  );
  t.regex(kernelSafety("6.1", () => Buffer.from(on)).reason, /'\/boot\/config-6\.1' says .* is set/);
});

// -- sentences

test("each event has a sentence", (t) => {
  const versions = { daemon: { major: 1, minor: 0 }, fs: { major: 1, minor: 0 } };
  const events: DaemonEvent[] = [
    {
      event: "ready",
      stack: "pcmk",
      cluster: "c",
      node: 1,
      mode: "fscontrol",
      recovery: "nobody",
      reason: "asked",
      versions,
    },
    { event: "answer", client: 1, request: "MOUNT", uuid: A, status: 0, text: "OK" },
    { event: "group", uuid: A, state: "live", services: ["ocfs2"] },
    { event: "group-over", uuid: A },
    { event: "members", uuid: null, nodes: [1, 2] },
    { event: "died", uuid: A, node: 2, recovery: "daemon" },
    { event: "recovered", uuid: A, node: 2 },
    { event: "frozen", uuid: A, reason: "r" },
    { event: "failed", uuid: null, code: null, message: "m" },
    { event: "abandoned", uuids: [A], willRestart: true, reason: "r" },
    { event: "kept", signal: "SIGTERM", uuids: [A] },
    { event: "note", uuid: null, text: "n" },
  ];
  for (const event of events) t.notRegex(eventText(event), /undefined|\[object/, event.event);
});
