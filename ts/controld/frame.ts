// The control protocol's frames: a message to exactly 256 bytes and back. Pure functions, the same for our client and our daemon.
//
// Facts relied on: userspace-stack 1.1 (256 bytes both ways, text up to the first NUL, the last byte read as NUL) and 1.2 (one blank between
// arguments, two in a row hold an empty one between them, the last argument takes the rest, no argument means no blank). There is no length, no version and no number in
// a frame, so a peer that is one byte off never recovers: whoever gets O2CB_BAD_MESSAGE for a frame ends the connection, or as a
// daemon leaves it unanswered.
//
// Text is UTF-8. Bytes that are not become U+FFFD, as everywhere in this package; the original daemon can cut a character in two in a DUMP.
import { constants } from "node:os";
import { O2cbError } from "../errors.ts";
import { isKeyword, MESSAGES, type Message } from "./messages.ts";
import { quoted } from "../words.ts";

export const FRAME_BYTES = 256;

/** The last byte is a NUL always. */
const MAX_TEXT_BYTES = FRAME_BYTES - 1;

/**
 * The frame of a message. O2CB_BAD_MESSAGE for what the receiver would read as something else: a blank in an argument that is not the last
 * one, a NUL, text that is not Unicode; with errno E2BIG for one that does not fit.
 */
export function encodeFrame(message: Message): Uint8Array {
  const { keyword } = message;
  const words: string[] = [keyword];
  const { fields } = MESSAGES[keyword];
  for (const [index, field] of fields.entries()) {
    const value = (message as unknown as Record<string, string>)[field] as string;
    if (index < fields.length - 1 && value.includes(" "))
      throw unsendable(keyword, `its ${field} '${value}' holds a blank`);
    words.push(value);
  }
  const text = words.join(" ");
  if (text.includes("\0")) throw unsendable(keyword, "it holds a NUL");
  const bytes = Buffer.from(text);
  if (bytes.toString() !== text) throw unsendable(keyword, "it holds half a character");
  if (bytes.length > MAX_TEXT_BYTES) {
    const longest = Math.max(...words.map((word) => Buffer.byteLength(word)));
    throw unsendable(
      keyword,
      `it has ${bytes.length} bytes, and ${MAX_TEXT_BYTES} fit (the longest of its words has ${longest})`,
      { errno: -constants.errno.E2BIG },
    );
  }
  const frame = new Uint8Array(FRAME_BYTES);
  frame.set(bytes);
  return frame;
}

/** The message in a frame. O2CB_BAD_MESSAGE for an unknown keyword, a wrong number of arguments, and anything but 256 bytes. */
export function decodeFrame(frame: Uint8Array): Message {
  if (frame.length !== FRAME_BYTES)
    throw unreadable(`a frame has ${FRAME_BYTES} bytes, and this one ${frame.length}`);
  const end = frame.indexOf(0);
  const length = end === -1 ? MAX_TEXT_BYTES : end;
  const text = Buffer.from(frame.buffer, frame.byteOffset, length).toString();
  const [keyword, afterKeyword] = cut(text);
  if (!isKeyword(keyword)) throw unreadable(`${quoted(keyword)} is no message of the protocol`);
  const { fields } = MESSAGES[keyword];
  const message: Record<string, string> = { keyword };
  let rest = afterKeyword;
  for (const [index, field] of fields.entries()) {
    if (rest === null) throw unreadable(`${keyword} has ${index} arguments instead of ${fields.length}`);
    const [word, after] = index === fields.length - 1 ? [rest, null] : cut(rest);
    message[field] = word;
    rest = after;
  }
  if (rest !== null) throw unreadable(`${keyword} has an argument: ${quoted(rest)}`);
  return message as Message;
}

/** What is before the first blank, and what is after it: null where there is no blank. */
function cut(text: string): [string, string | null] {
  const blank = text.indexOf(" ");
  return blank === -1 ? [text, null] : [text.slice(0, blank), text.slice(blank + 1)];
}

function unreadable(why: string): O2cbError {
  return new O2cbError("O2CB_BAD_MESSAGE", `a message of the control protocol cannot be read: ${why}`, {
    operation: "read-message",
  });
}

function unsendable(keyword: string, why: string, fields: { errno?: number } = {}): O2cbError {
  return new O2cbError("O2CB_BAD_MESSAGE", `${keyword} cannot be sent: ${why}`, {
    operation: "send-message",
    remedy: "use shorter names without blanks for the device and the cluster",
    ...fields,
  });
}
