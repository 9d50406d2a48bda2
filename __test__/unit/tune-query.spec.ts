// tunefs.ocfs2 -Q: formats as the C tool was seen to fill them in, and those that are refused.
import test from "ava";
import * as fc from "fast-check";
import { queryFormat, queryOf, type VolumeQuery } from "../../ts/tune/query.ts";
import type { Superblocks } from "../../ts/native-types.ts";

const superblocks: Superblocks = {
  device: "/dev/sdb",
  deviceNumber: { major: 8, minor: 16 },
  isReadOnly: false,
  deviceBytes: 67_108_864n,
  sectorBytes: 512,
  uuid: "FE0B39FA2765459B8927C1252D2F9A19",
  label: Buffer.from("one"),
  blockBytes: 4096,
  clusterBytes: 8192,
  maxSlots: 2,
  rootBlock: 5n,
  systemBlock: 6n,
  firstGroupBlock: 3n,
  featureCompat: 0x3,
  featureIncompat: 0xbf58,
  featureRoCompat: 0x1,
  copies: [],
};

const query = (changes: Partial<Superblocks> = {}): VolumeQuery => queryOf({ ...superblocks, ...changes });
const filled = (format: string, changes: Partial<Superblocks> = {}): string =>
  queryFormat(format)(query(changes)).toString();

/** Each was compared with tunefs.ocfs2 1.8.7, but for %B, which that build refuses. */
const formats: Record<string, string> = {
  "%B %T %N %R %Y %P %V %U": "4096 8192 2 5 6 3 one FE0B39FA2765459B8927C1252D2F9A19",
  "%M|%H|%O":
    "backup-super strict-journal-super|local sparse extended-slotmap inline-data metaecc xattr indexed-dirs refcount discontig-bg append-dio|unwritten",
  "%10T|%-10T|%010T|%+T|% T|%#T|%.10T|%lT|%llN|%hN|%'T":
    "      8192|8192      |      8192|8192|8192|8192|8192|8192|2|2|8192",
  "%40U|": "        FE0B39FA2765459B8927C1252D2F9A19|",
  "%-5.1V|%.3N|%.0O": "one  |2|unwritten",
  "%5%%%": "%%",
  "a\\\\nb|\\\\\\tb|\\q\\x41\\101\\0\\": "a\\\\nb|\\\\\tb|\\q\\x41\\101\\0\\",
  "\\a\\b\\f\\n\\r\\t\\v": "\x07\b\f\n\r\t\v",
  "plain text": "plain text",
  "": "",
};

for (const [format, expected] of Object.entries(formats))
  test(`-Q ${JSON.stringify(format)}`, (t) => t.is(filled(format), expected));

test("features without a name, none, and all in the C tool's order", (t) => {
  const all = { featureIncompat: 0xffff_fffe | 0, featureRoCompat: 0xf, featureCompat: 0x13 };
  t.is(
    filled("%H", all),
    "heartbeat-device aborted-resize local sparse extended-slotmap aborted-tunefs userspace-stack inline-data metaecc xattr " +
      "indexed-dirs refcount discontig-bg clusterinfo append-dio 0xffff0000",
  );
  t.is(filled("%O", all), "unwritten usrquota grpquota 0x8");
  t.is(filled("%M", all), "backup-super strict-journal-super 0x10");
  t.is(filled("%M%H%O", { featureIncompat: 0, featureRoCompat: 0, featureCompat: 0 }), "NoneNoneNone");
});

test("a label is written byte for byte, and the width counts bytes", (t) => {
  const label = Uint8Array.of(0xff, 0xc3, 0xa9);
  t.deepEqual(queryFormat("%5V|")(query({ label })), Buffer.from([0x20, 0x20, 0xff, 0xc3, 0xa9, 0x7c]));
  t.is(query({ label }).label, "\uFFFD\u00E9");
});

for (const format of ["%q", "%x", "%5", "%", "%*T", "%1$T", "100%", "%.q", "%99999T"])
  test(`-Q ${JSON.stringify(format)} is refused`, (t) => {
    t.throws(() => queryFormat(format), { instanceOf: RangeError });
  });

test("backups that differ or are damaged are told", (t) => {
  const copy = {
    block: 2n,
    offset: 8192n,
    old: new Uint8Array(),
    new: new Uint8Array(),
    fields: [],
    problem: null,
  };
  const copies = [
    copy,
    { ...copy, offset: 1n << 30n, fields: [{ field: "label", start: 272, length: 64 } as const] },
    { ...copy, offset: 1n << 32n },
    { ...copy, offset: 1n << 34n, problem: "damaged" },
  ];
  t.deepEqual(query({ copies }).differingBackups, [2 ** 30, 2 ** 34]);
});

test("any format is refused or filled in, and what is no conversion stays", (t) => {
  const property = fc.property(fc.string(), fc.string(), (one, other) => {
    const plain = (text: string): string => text.replaceAll(/[%\\]/g, "");
    if (filled(`${plain(one)}%N${plain(other)}`) !== `${plain(one)}2${plain(other)}`) return false;
    try {
      queryFormat(one)(query());
    } catch (error) {
      return error instanceof RangeError;
    }
    return true;
  });
  t.notThrows(() => fc.assert(property));
});
