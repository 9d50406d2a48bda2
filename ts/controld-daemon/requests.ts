// What a client's frame asks for, and the frames of an answer. Pure functions over the codec in ts/controld.
//
// Facts relied on: userspace-stack 1.2 to 1.4. The original leaves a frame that it cannot read, LISTMOUNTS and a client's STATUS without any
// answer, and the client waits for ever; here each frame has its answer.
import { constants } from "node:os";
import { decodeFrame, encodeFrame } from "../controld/frame.ts";
import { FILESYSTEM_TYPE, readNumber, type Message } from "../controld/messages.ts";
import { isCode } from "../errors.ts";
import { isRegionName } from "../volume.ts";
import type { Answer } from "./mount-group.ts";

const { EINVAL, ENAMETOOLONG, ERANGE } = constants.errno;
const UUID_LENGTH = 32;
/** A STATUS with ten digits at most, and its text, have to fit into 255 bytes. */
const LONGEST_TEXT_BYTES = 235;
/** of an ITEM's text */
export const ITEM_BYTES = 250;

export type Request =
  | { kind: "mount"; uuid: string; device: string; service: string }
  | { kind: "result"; uuid: string; service: string; result: number }
  | { kind: "unmount"; uuid: string; service: string }
  | { kind: "list-volumes" | "list-clusters" | "dump" }
  | { kind: "refused"; answer: Answer };

/** For the log: what was asked, whether it could be read or not. */
export interface ReadRequest {
  keyword: string;
  request: Request;
}

/** `cluster` is the running cluster's name. */
export function readRequest(frame: Uint8Array, cluster: string): ReadRequest {
  let message: Message;
  try {
    message = decodeFrame(frame);
  } catch (error) {
    if (!isCode(error, "O2CB_BAD_MESSAGE")) throw error;
    return { keyword: "?", request: refused(EINVAL, (error as Error).message) };
  }
  return { keyword: message.keyword, request: meaning(message, cluster) };
}

function meaning(message: Message, cluster: string): Request {
  switch (message.keyword) {
    case "MOUNT":
    case "MRESULT":
    case "UNMOUNT":
      return ofVolume(message, cluster);
    case "LISTFS":
      return names(message.fstype, message.cluster, cluster) ?? { kind: "list-volumes" };
    case "LISTCLUSTERS":
      return { kind: "list-clusters" };
    case "DUMP":
      return { kind: "dump" };
    default:
      return refused(EINVAL, `${message.keyword} is no request that this daemon answers`);
  }
}

function ofVolume(
  message: Extract<Message, { keyword: "MOUNT" | "MRESULT" | "UNMOUNT" }>,
  running: string,
): Request {
  const { fstype, uuid, service } = message;
  const wrong = names(fstype, message.keyword === "MOUNT" ? message.cluster : running, running);
  if (wrong !== null) return wrong;
  if (uuid.length > UUID_LENGTH) {
    const status = message.keyword === "MRESULT" ? EINVAL : ENAMETOOLONG;
    return refused(status, `a volume's UUID has ${UUID_LENGTH} characters`);
  }
  if (message.keyword === "UNMOUNT") return { kind: "unmount", uuid, service };
  if (message.keyword === "MOUNT") {
    if (!isRegionName(uuid)) return refused(EINVAL, "a volume's UUID has 32 upper-case hexadecimal digits");
    if (service === "") return refused(EINVAL, "a mount has a service");
    return { kind: "mount", uuid, device: message.device, service };
  }
  const result = readNumber(message.result);
  if (result === "not-a-number") return refused(EINVAL, "the result is not a number");
  if (result === "out-of-range") return refused(ERANGE, "the result is no errno");
  return { kind: "result", uuid, service, result };
}

function names(fstype: string, cluster: string, running: string): Request | null {
  if (fstype !== FILESYSTEM_TYPE)
    return refused(EINVAL, `the file system is ${FILESYSTEM_TYPE}, and no other`);
  if (cluster !== running) return refused(EINVAL, `the cluster that runs here is '${running}'`);
  return null;
}

function refused(status: number, text: string): Request {
  return { kind: "refused", answer: { status, text } };
}

export function statusFrame({ status, text }: Answer): Uint8Array {
  // Half a character, which no frame can hold, becomes U+FFFD.
  let line = Buffer.from(text.replaceAll(/\p{Cc}/gu, " ")).toString();
  while (Buffer.byteLength(line) > LONGEST_TEXT_BYTES) line = [...line].slice(0, -1).join("");
  return encodeFrame({ keyword: "STATUS", number: String(status), text: line });
}

/** A list of items, none of them empty. */
export function listFrames(items: readonly string[]): Uint8Array[] {
  return [
    encodeFrame({ keyword: "ITEMCOUNT", count: String(items.length) }),
    ...items.map((text) => encodeFrame({ keyword: "ITEM", text })),
    statusFrame({ status: 0, text: "OK" }),
  ];
}
