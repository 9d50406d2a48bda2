// Notes of joins as text: what is written is read back, what is damaged in any way is told and harms nobody.
import test from "ava";
import * as fc from "fast-check";
import { parseRecord } from "../../ts/region/record.ts";

const REGION = "77D95EF51C0149D2823674FCC162CF8B";
const good = {
  format: 1,
  id: `${REGION}.ocfs2.0a0b0c0d0e0f`,
  bootId: "b",
  region: REGION,
  thread: { pid: 3, startTime: "12" },
  device: "/dev/vda",
  deviceNumber: "254:0",
  cluster: "lab",
  service: "ocfs2",
  persistent: true,
  pid: 12,
  startTime: "55",
  references: 1,
  observed: false,
  handed: false,
  directory: "/vol",
  namespace: null,
  time: "2026-01-01T00:00:00.000Z",
};
const text = JSON.stringify(good);

test("a note is what it was written as", (t) => {
  const { format: _format, ...record } = good;
  t.deepEqual(parseRecord(text, good.id), record);
});

test("a note under another name, of another format, or torn is none, with the reason", (t) => {
  t.regex(parseRecord(text, `${REGION}.ocfs2.other`) as string, /name/);
  t.regex(parseRecord(JSON.stringify({ ...good, format: 2 }), good.id) as string, /format/);
  t.regex(parseRecord("", good.id) as string, /JSON/);
  for (let length = 1; length < text.length; length += 7)
    t.is(typeof parseRecord(text.slice(0, length), good.id), "string", `cut at ${length}`);
});

test("property: a field of another kind is told by its name, and nothing is thrown", (t) => {
  const run = fc.check(
    fc.property(fc.constantFrom(...Object.keys(good)), fc.jsonValue(), (key, value) => {
      const parsed = parseRecord(JSON.stringify({ ...good, [key]: value }), good.id);
      return typeof parsed === "string" || (parsed as unknown as Record<string, unknown>)[key] !== undefined;
    }),
    { numRuns: 2000 },
  );
  t.false(run.failed, `seed ${run.seed}, counterexample ${JSON.stringify(run.counterexample)}`);
});

test("a format that cannot even be told as text is no note either", (t) => {
  t.regex(String(parseRecord('{"format":{"toString":false}}', "x")), /its format is \{"toString":false\}/);
});
