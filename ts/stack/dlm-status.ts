// Which nodes dlm_controld wants fenced, whatever lockspace they were in. A lockspace that is being joined does not have them: it waits for every
// fence of the cluster, and knows its own members only (measured with three nodes, one of them dead).
//
// Facts relied on, captured from dlm_tool and dlm_controld 4.2.0 of Debian 12 at the abstract socket `dlmc_query_sock`, all numbers of 32 bits in
// the machine's order:
//   request, 96 bytes: magic d13cd13c, version 00010001, command 13 (status), 0, length 96, zero
//   answer, until the end of the stream, records of: kind (1 the daemon, 2 a node), 0, node, 0, 0, length of the text, 0 (28 bytes);
//   the text with a zero byte at its end, `key=value` with blanks between, of a node `need_fencing=1` until its fence is done
// libdlmcontrol prints this answer and gives it to nobody, so it is asked for here.
import { endianness } from "node:os";
import type { ByteChannel, Native } from "../native-types.ts";

/** the name of dlm_controld's abstract socket for questions */
export const DLM_QUESTIONS = "dlmc_query_sock";

const REQUEST_BYTES = 96;
const HEADER_BYTES = 28;
const NODE_RECORD = 2;
/** As many nodes as corosync has come to 40 kB. */
const MOST_BYTES = 1 << 20;
const PATIENCE_MS = 2000;
const IS_LITTLE = endianness() === "LE";

/** The question for the status. */
export function statusRequest(): Uint8Array {
  const request = new DataView(new ArrayBuffer(REQUEST_BYTES));
  const words = [0xd13c_d13c, 0x0001_0001, 13, 0, REQUEST_BYTES];
  for (const [index, word] of words.entries()) request.setUint32(4 * index, word, IS_LITTLE);
  return new Uint8Array(request.buffer);
}

/** The nodes that an answer says have to be fenced, ascending; null where it is none. */
export function nodesToFence(answer: Uint8Array): number[] | null {
  const view = new DataView(answer.buffer, answer.byteOffset, answer.byteLength);
  const nodes: number[] = [];
  let at = 0;
  while (at < answer.length) {
    if (answer.length - at < HEADER_BYTES) return null;
    const word = (index: number): number => view.getUint32(at + 4 * index, IS_LITTLE);
    const [kind, node, length] = [word(0), word(2), word(5)];
    const begin = at + HEADER_BYTES;
    if (length > answer.length - begin) return null;
    const text = Buffer.from(answer.buffer, answer.byteOffset + begin, length).toString("latin1");
    if (kind === NODE_RECORD && /(?:^| )need_fencing=1(?: |\0|$)/.test(text)) nodes.push(node);
    at = begin + length;
  }
  return at === 0 ? null : nodes.toSorted((a, b) => a - b);
}

/** Asks dlm_controld; no nodes where it does not tell within two seconds. Never throws. */
export async function askNodesToFence(
  native: Pick<Native, "connectAbstract">,
  signal: AbortSignal,
): Promise<number[]> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]);
  let channel: ByteChannel | null = null;
  try {
    channel = await native.connectAbstract(DLM_QUESTIONS, { signal: limit });
    await channel.write(statusRequest(), { signal: limit });
    return nodesToFence(await readToEnd(channel, limit)) ?? [];
  } catch {
    return [];
  } finally {
    channel?.close();
  }
}

async function readToEnd(channel: ByteChannel, signal: AbortSignal): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for (let size = 0; ;) {
    const piece = await channel.read(65_536, { signal });
    size += piece.length;
    if (piece.length === 0) return Buffer.concat(pieces);
    if (size > MOST_BYTES) throw new RangeError("more than a status has");
    pieces.push(piece);
  }
}
