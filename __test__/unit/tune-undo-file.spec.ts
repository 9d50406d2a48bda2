// The undo file as text: there and back, and damaged in every way.
import { createHash } from "node:crypto";
import test from "ava";
import * as fc from "fast-check";
import { decodeUndo, defaultUndoPath, encodeUndo, type UndoFile } from "../../ts/tune/undo-file.ts";

const OLD = "77D95EF51C0149D2823674FCC162CF8B";
const NEW = "2A4D1C581FAA42A1A41D26EFC90C1315";

function block(bytes: number, start: number): Uint8Array {
  const all = new Uint8Array(bytes);
  all.set([0x4f, 0x43, start, 0, 0, start]);
  return all;
}

const undo: UndoFile = {
  device: "/dev/sdb",
  deviceNumber: { major: 8, minor: 16 },
  time: "2026-11-29T01:05:00.123Z",
  blockBytes: 4096,
  uuid: { old: OLD, new: NEW },
  writes: [
    { block: 2n, old: block(4096, 1), new: block(4096, 2) },
    { block: 268_435_456n, old: new Uint8Array(4096), new: block(4096, 3) },
  ],
};

test("there and back", (t) => {
  t.deepEqual(decodeUndo(encodeUndo(undo)), undo);
  const image = { ...undo, deviceNumber: null };
  t.deepEqual(decodeUndo(encodeUndo(image)), image);
  t.true(encodeUndo(undo).length < 1000, "zeros take no room");
});

test("any blocks, there and back", (t) => {
  const bytes = fc.uint8Array({ minLength: 512, maxLength: 512 });
  const property = fc.property(
    fc.array(fc.tuple(fc.bigInt(0n, 10n ** 17n), bytes, bytes), { minLength: 1 }),
    (all) => {
      const writes = all.map(([number, old, wanted]) => ({ block: number, old, new: wanted }));
      const file = { ...undo, blockBytes: 512, writes };
      t.deepEqual(decodeUndo(encodeUndo(file)), file);
    },
  );
  t.notThrows(() => fc.assert(property));
});

test("a file that is cut off, or has one character changed, is refused", (t) => {
  const text = encodeUndo(undo).trimEnd();
  const anywhere = fc.nat(text.length - 1);
  const cut = fc.property(anywhere, (at) => typeof decodeUndo(text.slice(0, at)) === "string");
  const changed = fc.property(anywhere, fc.constantFrom("0", "1", "A", "}", '"', "x"), (at, put) => {
    fc.pre(text[at] !== put);
    const damaged = text.slice(0, at) + put + text.slice(at + 1);
    return typeof decodeUndo(damaged) === "string";
  });
  t.notThrows(() => fc.assert(cut));
  t.notThrows(() => fc.assert(changed, { numRuns: 1000 }));
});

/** The file with its checksum right, and something in it wrong. */
function sealed(change: (content: Record<string, unknown>) => void): string {
  const file = JSON.parse(encodeUndo(undo)) as Record<string, unknown>;
  change(file);
  // A second encoder, so that the form is held, too.
  const { checksum: _, ...content } = file;
  const digest = createHash("sha256").update(JSON.stringify(content)).digest("hex");
  return JSON.stringify({ ...content, checksum: digest });
}

const wrong: Record<string, [RegExp, (file: Record<string, unknown>) => void]> = {
  "another format": [/no undo file of this version/, (file) => (file["format"] = "ocfs2-group undo 2")],
  "a block size that there is not": [/head/, (file) => (file["blockBytes"] = 8192)],
  "no device": [/head/, (file) => delete file["device"]],
  "a UUID in small letters": [/UUID/, (file) => (file["uuid"] = { old: OLD.toLowerCase(), new: NEW })],
  "no UUIDs": [/UUID/, (file) => (file["uuid"] = null)],
  "no blocks": [/no blocks/, (file) => (file["writes"] = [])],
  "blocks that are none": [/no blocks/, (file) => (file["writes"] = "two")],
  "a block that is null": [/a block in it/, (file) => (file["writes"] = [null])],
  "a negative block": [/a block in it/, (file) => (file["writes"] = [{ block: "-2", old: "", new: "" }])],
  "bytes that are no base64": [
    /a block in it/,
    (file) => (file["writes"] = [{ block: "2", old: "*", new: "" }]),
  ],
  "a block that is too long": [
    /a block in it/,
    (file) => (file["writes"] = [{ block: "2", old: Buffer.alloc(4097, 1).toString("base64"), new: "" }]),
  ],
};

for (const [what, [expected, change]] of Object.entries(wrong))
  test(`refused: ${what}`, (t) => {
    const answer = decodeUndo(sealed(change));
    t.is(typeof answer, "string");
    t.regex(answer as string, expected);
  });

for (const text of ["", "null", "[]", "7", '{"format":"ocfs2-group undo 1"}', "\0\0"])
  test(`refused: ${JSON.stringify(text)}`, (t) => t.is(typeof decodeUndo(text), "string"));

test("the default path has the old UUID and the time", (t) => {
  t.is(defaultUndoPath(undo), `/var/lib/ocfs2-group/undo/${OLD}-20261129T010500123Z.undo`);
});
