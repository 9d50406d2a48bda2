// The control protocol's frames and lists as pure functions: the captured exchanges of userspace-stack 1.6, every rule of 1.1 to 1.4,
// and any bytes at all.
import test from "ava";
import * as fc from "fast-check";
import { isCode, O2cbError } from "../../ts/errors.ts";
import { decodeFrame, encodeFrame, FRAME_BYTES } from "../../ts/controld/frame.ts";
import { ListReader, MAX_ITEMS, type ListProgress } from "../../ts/controld/lists.ts";
import { MESSAGES, readCount, readNumber, type Keyword, type Message } from "../../ts/controld/messages.ts";

const U = "7F4EC84FE68D4BE9A3D3C0B2E3C6FF31";
const D = "/dev/vda";

/** Text as a peer would put it into a frame. */
function frameOf(text: string | Uint8Array, padding = 0): Uint8Array {
  const frame = new Uint8Array(FRAME_BYTES).fill(padding);
  const bytes = Buffer.from(text);
  frame.set(bytes);
  if (bytes.length < FRAME_BYTES) frame[bytes.length] = 0;
  return frame;
}

function refusal(call: () => unknown): O2cbError {
  try {
    call();
  } catch (error) {
    if (error instanceof O2cbError && error.code === "O2CB_BAD_MESSAGE") return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

// -- userspace-stack 1.6

const captured: readonly [string, Message][] = [
  [
    `MOUNT ocfs2 ${U} labpc ${D} ocfs2`,
    { keyword: "MOUNT", fstype: "ocfs2", uuid: U, cluster: "labpc", device: D, service: "ocfs2" },
  ],
  [
    `MOUNT ocfs2 ${U} nope ${D} tunefs.ocfs2`,
    { keyword: "MOUNT", fstype: "ocfs2", uuid: U, cluster: "nope", device: D, service: "tunefs.ocfs2" },
  ],
  ["STATUS 0 OK", { keyword: "STATUS", number: "0", text: "OK" }],
  [
    "STATUS 114 it is mounted here already",
    { keyword: "STATUS", number: "114", text: "it is mounted here already" },
  ],
  [
    `MRESULT ocfs2 ${U} 0 ocfs2`,
    { keyword: "MRESULT", fstype: "ocfs2", uuid: U, result: "0", service: "ocfs2" },
  ],
  [
    `MRESULT ocfs2 ${U} 22 ocfs2`,
    { keyword: "MRESULT", fstype: "ocfs2", uuid: U, result: "22", service: "ocfs2" },
  ],
  [
    `UNMOUNT ocfs2 ${U} tunefs.ocfs2`,
    { keyword: "UNMOUNT", fstype: "ocfs2", uuid: U, service: "tunefs.ocfs2" },
  ],
  ["LISTFS ocfs2 labpc", { keyword: "LISTFS", fstype: "ocfs2", cluster: "labpc" }],
  ["LISTMOUNTS one two", { keyword: "LISTMOUNTS", first: "one", second: "two" }],
  ["LISTCLUSTERS", { keyword: "LISTCLUSTERS" }],
  ["ITEMCOUNT 1", { keyword: "ITEMCOUNT", count: "1" }],
  [`ITEM ${U}`, { keyword: "ITEM", text: U }],
  ["DUMP", { keyword: "DUMP" }],
];

for (const [text, message] of captured) {
  test(`on the wire: ${text}`, (t) => {
    t.deepEqual(encodeFrame(message), frameOf(text));
    t.deepEqual(decodeFrame(frameOf(text)), message);
  });
}

// -- reading

test("the text ends with the first NUL, and the last byte counts as one", (t) => {
  t.deepEqual(decodeFrame(frameOf("DUMP", 0x41)), { keyword: "DUMP" });
  const full = decodeFrame(frameOf(`ITEM ${"x".repeat(251)}`));
  t.deepEqual(full, { keyword: "ITEM", text: "x".repeat(250) });
});

test("two blanks hold an empty argument, and the last argument takes the rest", (t) => {
  t.deepEqual(decodeFrame(frameOf(`MOUNT  ${U}   a b  c`)), {
    keyword: "MOUNT",
    fstype: "",
    uuid: U,
    cluster: "",
    device: "",
    service: "a b  c",
  });
  t.deepEqual(decodeFrame(frameOf("STATUS  ")), { keyword: "STATUS", number: "", text: "" });
  t.deepEqual(decodeFrame(frameOf("ITEM ")), { keyword: "ITEM", text: "" });
});

test("arguments are counted, and keywords are exact", (t) => {
  for (const [text, why] of [
    ["", /'' is no message/],
    [" DUMP", /'' is no message/],
    ["dump", /'dump' is no message/],
    ["DUMPX", /'DUMPX' is no message/],
    ["MOUNT\tocfs2", /no message/],
    ["constructor", /no message/],
    ["__proto__", /no message/],
    ["DUMP ", /DUMP has an argument: ''/],
    ["LISTCLUSTERS x", /LISTCLUSTERS has an argument: 'x'/],
    ["STATUS 0", /STATUS has 1 arguments instead of 2/],
    ["STATUS", /STATUS has 0 arguments instead of 2/],
    ["ITEM", /ITEM has 0 arguments/],
    [`MOUNT ocfs2 ${U} labpc ${D}`, /MOUNT has 4 arguments instead of 5/],
  ] as const)
    t.regex(refusal(() => decodeFrame(frameOf(text))).message, why);
  for (const size of [0, 255, 257]) t.regex(refusal(() => decodeFrame(new Uint8Array(size))).message, /256/);
});

test("what is shown of a peer's words is one line, and not endless", (t) => {
  const { message } = refusal(() => decodeFrame(frameOf("\n\x1b[2J\x9b\u202e".repeat(20))));
  t.notRegex(message, /[\p{Cc}\p{Cf}]/u);
  t.true(message.length < 200, message);
});

// -- writing

const mount = {
  keyword: "MOUNT",
  fstype: "ocfs2",
  uuid: U,
  cluster: "labpc",
  device: D,
  service: "x",
} as const;

test("a blank is refused where it would part an argument", (t) => {
  t.regex(refusal(() => encodeFrame({ ...mount, device: "/dev/my disk" })).message, /device '.dev.my disk'/);
  t.regex(refusal(() => encodeFrame({ ...mount, cluster: "a b" })).message, /cluster 'a b' holds a blank/);
  t.deepEqual(decodeFrame(encodeFrame({ ...mount, service: "a b  c" })), { ...mount, service: "a b  c" });
});

test("what would be read differently is refused", (t) => {
  t.regex(refusal(() => encodeFrame({ keyword: "ITEM", text: "a\0b" })).message, /NUL/);
  t.regex(refusal(() => encodeFrame({ keyword: "ITEM", text: "a\ud800" })).message, /half a character/);
});

test("255 bytes fit and 256 are refused with E2BIG", (t) => {
  const fits = { keyword: "ITEM", text: "\u00e4".repeat(125) } as const;
  t.deepEqual(decodeFrame(encodeFrame(fits)), fits);
  const error = refusal(() => encodeFrame({ keyword: "ITEM", text: `${fits.text}x` }));
  t.is(error.errno, -7);
  t.regex(error.message, /256 bytes, and 255 fit/);
});

// -- numbers

test("numbers are read as strtol reads them, within an int", (t) => {
  for (const [text, number] of [
    ["", 0],
    ["0", 0],
    ["-0", 0],
    ["114", 114],
    ["+5", 5],
    ["\t\v 7", 7],
    ["0010", 10],
    ["-22", -22],
    ["2147483647", 0x7fff_ffff],
    ["-2147483648", -0x8000_0000],
    ["2147483648", "out-of-range"],
    ["99999999999999999999999999", "out-of-range"],
    ["0x1", "not-a-number"],
    ["1 ", "not-a-number"],
    [" ", "not-a-number"],
    ["-", "not-a-number"],
    ["+-1", "not-a-number"],
    ["1.5", "not-a-number"],
    ["1e3", "not-a-number"],
    ["\u00a05", "not-a-number"],
    ["\u0665", "not-a-number"],
  ] as const)
    t.is(readNumber(text), number, JSON.stringify(text));
  t.deepEqual(["0", "4294967295", "4294967296", "-1", "", "1x"].map(readCount), [
    0,
    4294967295,
    null,
    null,
    null,
    null,
  ]);
});

// -- lists

function list(...messages: Message[]): ListProgress | undefined {
  const reader = new ListReader();
  let progress: ListProgress | undefined;
  for (const message of messages) progress = reader.take(message);
  return progress;
}

const count = (n: number | string): Message => ({ keyword: "ITEMCOUNT", count: String(n) });
const item = (text: string): Message => ({ keyword: "ITEM", text });
const status = (number: number | string, text = "OK"): Message => ({
  keyword: "STATUS",
  number: String(number),
  text,
});

test("a list is a count, its items and a STATUS", (t) => {
  t.deepEqual(list(count(0), status(0)), { kind: "done", items: [] });
  t.deepEqual(list(count(2), item("a"), item(" b\n"), status(0)), { kind: "done", items: ["a", " b\n"] });
  t.deepEqual(list(count(2), item("a")), { kind: "more" });
});

test("a refusal may come at any point of a list", (t) => {
  const refused = { kind: "refused", number: 22, text: "no" };
  t.deepEqual(list(status(22, "no")), refused);
  t.deepEqual(list(count(1), status(22, "no")), refused);
  t.deepEqual(list(count(1), item("a"), status(22, "no")), refused);
});

test("a list in any other order is refused", (t) => {
  for (const [messages, why] of [
    [[status(0)], /after 0 of an unknown number/],
    [[count(2), item("a"), status(0)], /after 1 of 2 items/],
    [[item("a")], /before the number/],
    [[count(1), item("a"), item("b")], /more than the 1/],
    [[count(1), count(1)], /second time/],
    [[count(1), item("")], /empty/],
    [[count(1), { keyword: "DUMP" }], /DUMP has no place/],
    [[count("one")], /'one' is no number/],
    [[count(MAX_ITEMS + 1)], /65537 items/],
    [[count(0), status("0x0")], /'0x0' instead of a number/],
    [[count(0), status("2147483648")], /instead of a number/],
  ] as [Message[], RegExp][])
    t.regex(refusal(() => list(...messages)).message, why);
});

// -- anything

/** Text that can be sent, of at most `bytes` bytes. */
function words(bytes: number, blanks: boolean): fc.Arbitrary<string> {
  return fc
    .string({ unit: "binary", maxLength: bytes })
    .filter(
      (text) =>
        !text.includes("\0") &&
        (blanks || !text.includes(" ")) &&
        Buffer.byteLength(text) <= bytes &&
        Buffer.from(text).toString() === text,
    );
}

const anyMessage: fc.Arbitrary<Message> = fc.oneof(
  ...(Object.keys(MESSAGES) as Keyword[]).map((keyword) => {
    const { fields } = MESSAGES[keyword];
    const room = Math.floor((FRAME_BYTES - 1 - keyword.length - fields.length) / Math.max(1, fields.length));
    return fc
      .record(Object.fromEntries(fields.map((name, at) => [name, words(room, at === fields.length - 1)])))
      .map((values) => Object.assign({ keyword }, values) as Message);
  }),
);

test("every message comes back as it was sent", (t) => {
  const run = fc.check(
    fc.property(anyMessage, (message) => {
      const frame = encodeFrame(message);
      const back = decodeFrame(frame);
      return (
        frame.length === FRAME_BYTES &&
        JSON.stringify(back) === JSON.stringify({ ...message }) &&
        Buffer.compare(encodeFrame(back), frame) === 0
      );
    }),
    { numRuns: 2000 },
  );
  t.false(run.failed, `seed ${run.seed}, counterexample ${JSON.stringify(run.counterexample)}`);
});

test("any 256 bytes are a message or refused as none", (t) => {
  const keywords = fc.constantFrom(...Object.keys(MESSAGES), "", "STATUSX");
  const rest = fc.oneof(
    fc.uint8Array({ maxLength: FRAME_BYTES }),
    fc.string({ unit: fc.constantFrom(..." \0a1-\u00e4"), maxLength: 40 }).map((text) => Buffer.from(text)),
  );
  const frames = fc.oneof(
    fc.uint8Array({ minLength: FRAME_BYTES, maxLength: FRAME_BYTES }),
    fc.tuple(keywords, fc.constantFrom(" ", "\0", ""), rest).map(([keyword, gap, bytes]) => {
      const frame = new Uint8Array(FRAME_BYTES);
      frame.set(Buffer.concat([Buffer.from(keyword + gap), bytes]).subarray(0, FRAME_BYTES));
      return frame;
    }),
  );
  let read = 0;
  const run = fc.check(
    fc.property(frames, (frame) => {
      let message: Message;
      try {
        message = decodeFrame(frame);
      } catch (error) {
        return isCode(error, "O2CB_BAD_MESSAGE");
      }
      read += 1;
      return Object.keys(message).length === 1 + MESSAGES[message.keyword].fields.length;
    }),
    { numRuns: 5000 },
  );
  t.false(run.failed, `seed ${run.seed}, counterexample ${JSON.stringify(run.counterexample)}`);
  t.true(read > 200, `only ${read} were messages`);
});

test("any order of messages ends a list or is refused", (t) => {
  const messages = fc.array(
    fc.oneof(
      fc.constantFrom(count(0), count(1), count(3), item("a"), item(""), status(0), status(16), status("x")),
      anyMessage,
    ),
  );
  const run = fc.check(
    fc.property(messages, (order) => {
      const reader = new ListReader();
      try {
        for (const message of order) if (reader.take(message).kind !== "more") return true;
        return true;
      } catch (error) {
        return isCode(error, "O2CB_BAD_MESSAGE");
      }
    }),
    { numRuns: 2000 },
  );
  t.false(run.failed, `seed ${run.seed}, counterexample ${JSON.stringify(run.counterexample)}`);
});
