// What a program asks of ocfs2_controld: to mount, how the mount went, to unmount, and its lists.
//
// Facts relied on: userspace-stack 1.2 to 1.5. The daemon knows the mounter by its connection, so that of a mount stays open until the result is told;
// everything else has a connection of its own. A mount waits for corosync and dlm_controld, a result and an unmount for the end of a
// membership.
//
// Policy that is not here: what a lost connection means for a volume that is mounted (ts/stack/controld.ts).
import type { O2cbErrorFields } from "../errors.ts";
import type { Native } from "../native-types.ts";
import { emit, type OnStep } from "../steps.ts";
import {
  connectControld,
  CONTROLD_SOCKET,
  type Connection,
  type ListAnswer,
  type Status,
} from "./connection.ts";
import type { Limit } from "./limit.ts";
import { ALREADY_MOUNTED, FILESYSTEM_TYPE, type MessageOf } from "./messages.ts";
import { refusal } from "./refusals.ts";

/** How long each answer may take, in milliseconds. The original client waits for ever. */
export interface Deadlines {
  /** the socket's backlog is full, or the daemon reads nothing */
  connect: number;
  /** joining a process group waits for a token that was lost, a vote of the members, dlm_controld: each may take its own half minute */
  mount: number;
  /** a mount that failed: the group is left before the answer */
  result: number;
  unmount: number;
  list: number;
}

export const DEADLINES: Readonly<Deadlines> = {
  connect: 10_000,
  mount: 180_000,
  result: 60_000,
  unmount: 60_000,
  list: 30_000,
};

export interface ControldOptions {
  /** the name of the daemon's abstract socket; for tests */
  socket?: string | undefined;
  deadlines?: Partial<Deadlines> | undefined;
}

export interface AskOptions {
  signal?: AbortSignal | undefined;
  onStep?: OnStep | undefined;
}

/** When a wait is told, and how often after that. */
const TELL_AFTER_MS = 1000;
const TELL_EVERY_MS = 5000;

export interface MountNames {
  uuid: string;
  cluster: string;
  /** a path that the daemon can stat(2) */
  device: string;
  service: string;
}

/** What the daemon said to MOUNT: the group is joined for this mount, or was already. */
export type MountKind = "first" | "additional";

export class ControldClient {
  readonly #native: Pick<Native, "connectAbstract">;
  readonly #socket: string;
  readonly #deadlines: Deadlines;
  readonly #fields: Partial<O2cbErrorFields>;

  /** `fields` go with every error: region, stack. */
  constructor(
    native: Pick<Native, "connectAbstract">,
    options: ControldOptions = {},
    fields: Partial<O2cbErrorFields> = {},
  ) {
    this.#native = native;
    this.#socket = options.socket ?? CONTROLD_SOCKET;
    this.#deadlines = { ...DEADLINES, ...options.deadlines };
    this.#fields = fields;
  }

  /** The caller closes it. Errors: those of connectControld. */
  connect(operation: string, { signal }: AskOptions = {}): Promise<Connection> {
    const limit = { deadlineMs: this.#deadlines.connect, signal };
    return connectControld(this.#native, this.#socket, { ...this.#fields, operation }, limit);
  }

  /**
   * Asks for a mount, on a connection that has to stay open until `mountResult`. Where it throws, the connection is of no use but to be closed or given
   * up. Errors: O2CB_DAEMON_REFUSED and those of refusals.ts, those of Connection.ask.
   */
  async mount(connection: Connection, names: MountNames, options: AskOptions = {}): Promise<MountKind> {
    const operation = "begin-join";
    const message: MessageOf<"MOUNT"> = { keyword: "MOUNT", fstype: FILESYSTEM_TYPE, ...names };
    const limit = { deadlineMs: this.#deadlines.mount, signal: options.signal };
    const status = await whileTelling(names.uuid, "MOUNT", options.onStep, () =>
      connection.ask(message, operation, limit),
    );
    if (status.number === 0) return "first";
    if (status.number === ALREADY_MOUNTED) return "additional";
    throw refusal("MOUNT", status, `the volume '${names.uuid}' cannot be joined`, {
      ...this.#fields,
      operation,
      path: names.device,
      cluster: names.cluster,
    });
  }

  /** Tells how mount(2) went: 0, or a positive errno. What the daemon answers is the caller's to judge. Errors: those of Connection.ask. */
  mountResult(
    connection: Connection,
    { uuid, service }: Pick<MountNames, "uuid" | "service">,
    result: number,
    { onStep }: AskOptions = {},
  ): Promise<Status> {
    return whileTelling(uuid, "MRESULT", onStep, () =>
      connection.ask(
        { keyword: "MRESULT", fstype: FILESYSTEM_TYPE, uuid, result: String(result), service },
        "complete-join",
        { deadlineMs: this.#deadlines.result },
      ),
    );
  }

  /** Ends a mount. What the daemon answers is the caller's to judge. Errors: those of connect and Connection.ask. */
  unmount(
    operation: string,
    { uuid, service }: Pick<MountNames, "uuid" | "service">,
    options: AskOptions = {},
  ): Promise<Status> {
    return this.#alone(operation, options, (connection) =>
      whileTelling(uuid, "UNMOUNT", options.onStep, () =>
        connection.ask({ keyword: "UNMOUNT", fstype: FILESYSTEM_TYPE, uuid, service }, operation, {
          deadlineMs: this.#deadlines.unmount,
          signal: options.signal,
        }),
      ),
    );
  }

  /** The name of the running cluster: one, from every daemon there was. */
  async listClusters(options: AskOptions = {}): Promise<string[]> {
    const operation = "list-clusters";
    return this.#alone(operation, options, (connection) => this.clustersOver(connection, operation, options));
  }

  /** The same on a connection that is there. */
  async clustersOver(connection: Connection, operation: string, options: AskOptions = {}): Promise<string[]> {
    const answer = await connection.askList({ keyword: "LISTCLUSTERS" }, operation, this.#listLimit(options));
    return this.#items(answer, "LISTCLUSTERS", "the cluster's name cannot be asked for", operation);
  }

  /** The UUIDs of the volumes that this node has joined, is joining or leaving through the daemon. */
  async listFilesystems(cluster: string, options: AskOptions = {}): Promise<string[]> {
    const operation = "list-filesystems";
    const answer = await this.#alone(operation, options, (connection) =>
      connection.askList(
        { keyword: "LISTFS", fstype: FILESYSTEM_TYPE, cluster },
        operation,
        this.#listLimit(options),
      ),
    );
    return this.#items(answer, "LISTFS", `the volumes of cluster '${cluster}' cannot be listed`, operation);
  }

  /** The daemon's log, oldest part first. */
  async dump(options: AskOptions = {}): Promise<string> {
    const operation = "dump-daemon";
    const answer = await this.#alone(operation, options, (connection) =>
      connection.askList({ keyword: "DUMP" }, operation, this.#listLimit(options)),
    );
    return this.#items(answer, "DUMP", "the daemon's log cannot be read", operation).join("");
  }

  async #alone<T>(
    operation: string,
    options: AskOptions,
    work: (connection: Connection) => Promise<T>,
  ): Promise<T> {
    const connection = await this.connect(operation, options);
    try {
      return await work(connection);
    } finally {
      connection.close();
    }
  }

  #listLimit({ signal }: AskOptions): Limit {
    return { deadlineMs: this.#deadlines.list, signal };
  }

  #items(
    answer: ListAnswer,
    request: "LISTCLUSTERS" | "LISTFS" | "DUMP",
    what: string,
    operation: string,
  ): string[] {
    if ("items" in answer) return answer.items;
    throw refusal(request, answer.refused, what, { ...this.#fields, operation });
  }
}

/** Tells of a wait while it lasts. */
async function whileTelling<T>(
  region: string,
  request: string,
  onStep: OnStep | undefined,
  work: () => Promise<T>,
): Promise<T> {
  const began = Date.now();
  let timer: NodeJS.Timeout | undefined;
  const tell = (): void => {
    emit(onStep, { step: "wait-daemon", region, request, waitedMs: Date.now() - began });
    timer = setTimeout(tell, TELL_EVERY_MS).unref();
  };
  if (onStep !== undefined) timer = setTimeout(tell, TELL_AFTER_MS).unref();
  try {
    return await work();
  } finally {
    clearTimeout(timer);
  }
}
