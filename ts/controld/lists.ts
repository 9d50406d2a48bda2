// The reader of a list, as LISTFS, LISTCLUSTERS and DUMP answer with one: how many items, the items, and a STATUS. A state machine without a
// connection, so that a test can give it any order of messages.
//
// Facts relied on: userspace-stack 1.4. A STATUS may come at any point: other than 0 it is the daemon's refusal; 0 before all items, a second
// count, an empty item, an item too many and any other message are faults of the peer.
import { O2cbError } from "../errors.ts";
import { readCount, readNumber, type Message } from "./messages.ts";
import { quoted } from "../words.ts";

/** More than any daemon has to tell (a full DUMP has about 4200), and little enough to be kept. */
export const MAX_ITEMS = 65_536;

export type ListProgress =
  | { kind: "more" }
  | { kind: "done"; items: string[] }
  | { kind: "refused"; number: number; text: string };

export class ListReader {
  #count: number | null = null;
  readonly #items: string[] = [];

  /** O2CB_BAD_MESSAGE where the message has no place here; nothing that follows can be trusted then. */
  take(message: Message): ListProgress {
    switch (message.keyword) {
      case "ITEMCOUNT":
        return this.#announce(message.count);
      case "ITEM":
        return this.#add(message.text);
      case "STATUS":
        return this.#end(message.number, message.text);
      default:
        throw wrong(`${message.keyword} has no place in it`);
    }
  }

  #announce(text: string): ListProgress {
    if (this.#count !== null) throw wrong("the number of items comes a second time");
    const count = readCount(text);
    if (count === null) throw wrong(`${quoted(text)} is no number of items`);
    if (count > MAX_ITEMS) throw wrong(`it announces ${count} items, and no list has more than ${MAX_ITEMS}`);
    this.#count = count;
    return { kind: "more" };
  }

  #add(text: string): ListProgress {
    if (this.#count === null) throw wrong("an item comes before the number of items");
    if (this.#items.length === this.#count)
      throw wrong(`it has more than the ${this.#count} items announced`);
    if (text === "") throw wrong("an item is empty");
    this.#items.push(text);
    return { kind: "more" };
  }

  #end(number: string, text: string): ListProgress {
    const status = statusNumber(number);
    if (status !== 0) return { kind: "refused", number: status, text };
    if (this.#count === null || this.#items.length < this.#count)
      throw wrong(`it ends after ${this.#items.length} of ${this.#count ?? "an unknown number of"} items`);
    return { kind: "done", items: this.#items };
  }
}

/** The number of a STATUS. O2CB_BAD_MESSAGE where it is none that a C int holds. */
export function statusNumber(text: string): number {
  const number = readNumber(text);
  if (typeof number === "number") return number;
  throw new O2cbError("O2CB_BAD_MESSAGE", `a STATUS carries ${quoted(text)} instead of a number`, {
    operation: "read-message",
  });
}

function wrong(why: string): O2cbError {
  return new O2cbError("O2CB_BAD_MESSAGE", `the daemon's list cannot be read: ${why}`, {
    operation: "read-list",
  });
}
