// The messages of the control protocol between programs that mount and `ocfs2_controld`: one table, and what a message is once read.
//
// Facts relied on: userspace-stack 1.2 (keywords, numbers of arguments, who answers) and 1.3 (how a number is written). What a message holds is
// text throughout: whether a number, a uuid or a cluster's name is acceptable is the receiver's business, since a daemon has to
// answer some of what it does not accept, with a number of its own.

/** Which side sends a message. */
export type Sender = "client" | "daemon";

/** What a sender waits for: one STATUS, a list that ends with one, or nothing at all (LISTMOUNTS was never implemented). */
export type Answer = "status" | "list" | "none";

interface Shape {
  /** in the order on the wire; the last one takes the rest of the text, blanks included */
  readonly fields: readonly string[];
  readonly sender: Sender;
  readonly answer: Answer;
}

export const MESSAGES = {
  MOUNT: { fields: ["fstype", "uuid", "cluster", "device", "service"], sender: "client", answer: "status" },
  MRESULT: { fields: ["fstype", "uuid", "result", "service"], sender: "client", answer: "status" },
  UNMOUNT: { fields: ["fstype", "uuid", "service"], sender: "client", answer: "status" },
  STATUS: { fields: ["number", "text"], sender: "daemon", answer: "none" },
  LISTFS: { fields: ["fstype", "cluster"], sender: "client", answer: "list" },
  LISTMOUNTS: { fields: ["first", "second"], sender: "client", answer: "none" },
  LISTCLUSTERS: { fields: [], sender: "client", answer: "list" },
  ITEMCOUNT: { fields: ["count"], sender: "daemon", answer: "none" },
  ITEM: { fields: ["text"], sender: "daemon", answer: "none" },
  DUMP: { fields: [], sender: "client", answer: "list" },
} as const satisfies Record<string, Shape>;

export type Keyword = keyof typeof MESSAGES;

/** The message of one keyword: its fields are texts. */
export type MessageOf<K extends Keyword> = { readonly keyword: K } & {
  readonly [F in (typeof MESSAGES)[K]["fields"][number]]: string;
};

/** Any message; `keyword` tells which. */
export type Message = { [K in Keyword]: MessageOf<K> }[Keyword];

/** The only file system there is in this protocol. */
export const FILESYSTEM_TYPE = "ocfs2";

/** A mount of a file system that this node has mounted already: mount(2) may go ahead. */
export const ALREADY_MOUNTED = 114;

export function isKeyword(word: string): word is Keyword {
  return Object.hasOwn(MESSAGES, word);
}

/**
 * A number as strtol reads it to its end in base 10, within a C int; an empty text is 0. Else why not, which a daemon answers with EINVAL
 * and ERANGE.
 */
export function readNumber(text: string): number | "not-a-number" | "out-of-range" {
  if (text === "") return 0;
  // The white space of the C locale; JavaScript's \s has more.
  if (!/^[ \t\n\v\f\r]*[+-]?[0-9]+$/.test(text)) return "not-a-number";
  const number = Number(text.trim());
  // Never -0: whoever compares numbers compares this one.
  return number >= -0x8000_0000 && number <= 0x7fff_ffff ? number + 0 : "out-of-range";
}

/** How many items a list announces: an unsigned C int in decimal; null where it is none. */
export function readCount(text: string): number | null {
  if (!/^[0-9]+$/.test(text)) return null;
  const number = Number(text);
  return number <= 0xffff_ffff ? number : null;
}
