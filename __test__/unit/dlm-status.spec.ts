// dlm_controld's status as bytes: the captured exchange, answers that are cut or none, and what a mount that waits for a fence makes of it.
import { EventEmitter, once } from "node:events";
import test from "ava";
import * as fc from "fast-check";
import { askNodesToFence, DLM_QUESTIONS, nodesToFence, statusRequest } from "../../ts/stack/dlm-status.ts";
import { userStack } from "../helpers/fake-native.ts";

/** Of node 3, while node 2 is dead and its fence under way. */
const captured = Buffer.from(
  [
    "AQAAAAAAAAADAAAAAAAAAAAAAAC1AAAAAAAAAG1lbWJlcl9jb3VudD0yIGpvaW5lZF9jb3VudD0wIHJlbW92ZV9jb3VudD0xIGRhZW1vbl9yaW",
    "5naWQ9MTcgY2x1c3Rlcl9yaW5naWQ9MTcgcXVvcmF0ZT0xIGZlbmNlX3BpZD0wIGZlbmNlX2luX3Byb2dyZXNzX3Vua25vd249MCB6b21iaWVf",
    "Y291bnQ9MCBtb25vdGltZT0xNjkgc3RhdGVmdWxfbWVyZ2Vfd2FpdD0wIAACAAAAAAAAAAEAAAAAAAAAAAAAAPcAAAAAAAAAbWVtYmVyPTEga2",
    "lsbGVkPTAgbGVmdF9yZWFzb249dW5rbm93biBuZWVkX2ZlbmNpbmc9MCBkZWxheV9mZW5jaW5nPTAgZmVuY2VfcGlkPTAgZmVuY2VfcGlkX3dh",
    "aXQ9MCBmZW5jZV9yZXN1bHRfd2FpdD0wIGZlbmNlX2FjdG9yX2xhc3Q9MCBmZW5jZV9hY3Rvcl9kb25lPTAgYWRkX3RpbWU9MTM2IHJlbV90aW",
    "1lPTAgZmFpbF93YWxsdGltZT0wIGZhaWxfbW9ub3RpbWU9MCBmZW5jZV93YWxsdGltZT0wIGZlbmNlX21vbm90aW1lPTAgAAIAAAAAAAAAAwAA",
    "AAAAAAAAAAAA9wAAAAAAAABtZW1iZXI9MSBraWxsZWQ9MCBsZWZ0X3JlYXNvbj11bmtub3duIG5lZWRfZmVuY2luZz0wIGRlbGF5X2ZlbmNpbm",
    "c9MCBmZW5jZV9waWQ9MCBmZW5jZV9waWRfd2FpdD0wIGZlbmNlX3Jlc3VsdF93YWl0PTAgZmVuY2VfYWN0b3JfbGFzdD0wIGZlbmNlX2FjdG9y",
    "X2RvbmU9MCBhZGRfdGltZT0xMzYgcmVtX3RpbWU9MCBmYWlsX3dhbGx0aW1lPTAgZmFpbF9tb25vdGltZT0wIGZlbmNlX3dhbGx0aW1lPTAgZm",
    "VuY2VfbW9ub3RpbWU9MCAAAgAAAAAAAAACAAAAAAAAAAAAAAAFAQAAAAAAAG1lbWJlcj0wIGtpbGxlZD0wIGxlZnRfcmVhc29uPW5vZGVkb3du",
    "IG5lZWRfZmVuY2luZz0xIGRlbGF5X2ZlbmNpbmc9MCBmZW5jZV9waWQ9MCBmZW5jZV9waWRfd2FpdD0wIGZlbmNlX3Jlc3VsdF93YWl0PTAgZm",
    "VuY2VfYWN0b3JfbGFzdD0xIGZlbmNlX2FjdG9yX2RvbmU9MCBhZGRfdGltZT0xMzcgcmVtX3RpbWU9MTY2IGZhaWxfd2FsbHRpbWU9MTc5NTk1",
    "NzUwOCBmYWlsX21vbm90aW1lPTE2NiBmZW5jZV93YWxsdGltZT0wIGZlbmNlX21vbm90aW1lPTAgAA==",
  ].join(""),
  "base64",
);

test("the question is the one of dlm_tool status", (t) => {
  const words = "3cd13cd1010001000d0000000000000060000000";
  t.is(Buffer.from(statusRequest()).toString("hex"), words.padEnd(192, "0"));
});

test("the captured answer names the dead node; cut off it is none, but between two records", (t) => {
  t.deepEqual(nodesToFence(captured), [2]);
  const whole = Array.from({ length: captured.length }, (_, end) => nodesToFence(captured.subarray(0, end)));
  t.deepEqual(
    whole.flatMap((nodes, end) => (nodes === null ? [] : [[end, ...nodes]])),
    [[209], [484], [759]],
  );
  const reversed = Buffer.concat([captured.subarray(759), captured.subarray(759)]);
  reversed.writeUInt32LE(1, 8);
  t.deepEqual(nodesToFence(reversed), [1, 2]);
  const daemon = Buffer.from(captured.subarray(759));
  daemon.writeUInt32LE(1, 0);
  t.deepEqual(nodesToFence(daemon), [], "no record of a node");
});

test("any bytes at all", (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      const nodes = nodesToFence(bytes);
      return nodes === null || nodes.every((node) => Number.isInteger(node));
    }),
  );
  t.pass();
});

test("dlm_controld is asked once; without one, or with one that sends too much or nothing, no node is named", async (t) => {
  const { kernel } = userStack();
  const native = kernel.process();
  const never = new AbortController().signal;
  t.deepEqual(await askNodesToFence(native, never), []);
  const asked: string[] = [];
  let answer: Uint8Array = captured;
  const connected = new EventEmitter();
  kernel.abstractSockets.set(DLM_QUESTIONS, (client) => ({
    data(bytes) {
      asked.push(Buffer.from(bytes).toString("hex"));
      if (answer.length > 0) client.send(answer);
      if (answer.length > 0) client.end();
      connected.emit("asked");
    },
    end() {},
  }));
  t.deepEqual(await askNodesToFence(native, never), [2]);
  t.deepEqual(asked, [Buffer.from(statusRequest()).toString("hex")]);
  answer = Buffer.alloc((1 << 20) + 1);
  t.deepEqual(await askNodesToFence(native, never), []);
  answer = new Uint8Array();
  const controller = new AbortController();
  const silent = once(connected, "asked");
  const asking = askNodesToFence(native, controller.signal);
  await silent;
  controller.abort();
  t.deepEqual(await asking, []);
  t.deepEqual(kernel.leftovers(), []);
});
