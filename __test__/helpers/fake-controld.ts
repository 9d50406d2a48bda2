// A control daemon for tests: its mount groups and their state machine in one process, over channels of the fake kernel or real sockets.
//
// Facts relied on: userspace-stack 1.2 to 1.6 and 2.3, without the defects that are listed there; what has no answer there (unknown keywords, a
// wrong number of arguments, LISTMOUNTS) has none here. The process group and dlm_controld are a turn of the event loop, which a test can hold.
import type { Socket } from "node:net";
import { decodeFrame, encodeFrame, FRAME_BYTES } from "../../ts/controld/frame.ts";
import { readNumber, type Message, type MessageOf } from "../../ts/controld/messages.ts";
import type { ClientSide, Listener, ServerSide } from "./fake/channel.ts";

const OCFS2 = "ocfs2";

interface Group {
  device: string;
  services: Set<string>;
  attempt: { client: ClientSide; service: string; additional: boolean } | null;
  phase: "joining" | "joined" | "leaving";
  leaveOnJoin: boolean;
  /** what its leave answers */
  outcome: [number, string];
}

export class FakeControld {
  readonly cluster: string;
  readonly #groups = new Map<string, Group>();
  readonly #clients = new Set<ClientSide>();
  #held: (() => void)[] | null = null;
  /** every message that came, as its text */
  readonly heard: string[] = [];
  /** somebody was told to go ahead with a mount */
  admitted = false;
  /** what dlm_controld says to a registration */
  registration = 0;
  /** the device number behind a path; null: there is none */
  stat: (path: string) => string | null = (path) => path;
  log = "";
  /** joins and leaves at once, where it would take a turn */
  isPrompt = false;
  /** in place of an answer: true where the test has answered, or wants none */
  intercept: ((message: Message, client: ClientSide) => boolean) | null = null;

  constructor(cluster = "labpc") {
    this.cluster = cluster;
  }

  /** `UUID live: ocfs2 tunefs.ocfs2`, one for each group */
  view(): string[] {
    return [...this.#groups].map(([uuid, { phase, attempt, services }]) => {
      const state =
        phase === "joined"
          ? attempt === null
            ? "live"
            : attempt.additional
              ? "additional"
              : "notified"
          : phase;
      return `${uuid} ${state}: ${[...services].join(" ")}`;
    });
  }

  /** how many services its groups have */
  get services(): number {
    return [...this.#groups.values()].reduce((sum, { services }) => sum + services.size, 0);
  }

  get clients(): number {
    return this.#clients.size;
  }

  /** Joins and leaves wait until the function returned is called. */
  hold(): () => void {
    this.#held ??= [];
    return () => {
      const held = this.#held ?? [];
      this.#held = null;
      for (const each of held) each();
    };
  }

  /** The daemon dies: every connection ends, its memberships are gone. */
  die(): void {
    for (const client of this.#clients) client.end();
    this.#groups.clear();
  }

  readonly listener: Listener = (client): ServerSide => {
    this.#clients.add(client);
    let bytes = Buffer.alloc(0);
    return {
      data: (more) => {
        bytes = Buffer.concat([bytes, more]);
        for (; bytes.length >= FRAME_BYTES; bytes = bytes.subarray(FRAME_BYTES))
          this.#frame(bytes.subarray(0, FRAME_BYTES), client);
      },
      end: () => {
        this.#clients.delete(client);
        this.#gone(client);
        client.end();
      },
    };
  };

  /** The same over a real connection. */
  readonly attend = (socket: Socket): void => {
    const server = this.listener({
      send: (bytes) => void (socket.destroyed || socket.write(bytes)),
      end: () => void socket.end(),
    });
    let hasEnded = false;
    const end = (): void => {
      if (!hasEnded) server.end();
      hasEnded = true;
    };
    socket.on("data", (bytes) => server.data(bytes));
    socket.on("end", end);
    socket.on("close", end);
  };

  #frame(frame: Uint8Array, client: ClientSide): void {
    let message: Message;
    try {
      message = decodeFrame(frame);
    } catch {
      return;
    }
    this.heard.push(Object.values(message).join(" "));
    if (this.intercept?.(message, client) === true) return;
    switch (message.keyword) {
      case "MOUNT":
        return this.#mount(message, client);
      case "MRESULT":
        return this.#result(message, client);
      case "UNMOUNT":
        return this.#unmount(message, client);
      case "LISTCLUSTERS":
        return list(client, [this.cluster]);
      case "LISTFS":
        if (message.fstype !== OCFS2 || message.cluster !== this.cluster)
          return status(client, 22, "not this cluster");
        return list(client, [...this.#groups.keys()]);
      case "DUMP":
        return list(client, this.log.match(/[^]{1,250}/g) ?? []);
      default:
    }
  }

  #mount({ fstype, uuid, cluster, device, service }: MessageOf<"MOUNT">, client: ClientSide): void {
    if (fstype !== OCFS2 || cluster !== this.cluster) return status(client, 22, "not this cluster");
    if (uuid.length > 32) return status(client, 36, "the uuid is too long");
    const number = this.stat(device);
    if (number === null) return status(client, 2, `no device ${device}`);
    const group = this.#groups.get(uuid);
    if (group === undefined) {
      const attempt = { client, service, additional: false };
      const made: Group = {
        device: number,
        services: new Set([service]),
        attempt,
        phase: "joining",
        leaveOnJoin: false,
        outcome: [0, "OK"],
      };
      this.#groups.set(uuid, made);
      return this.#later(() => this.#joined(uuid, made));
    }
    if (group.device !== number) return status(client, 22, "another device is used");
    if (group.attempt !== null || group.phase !== "joined") return status(client, 16, "it is in progress");
    if (group.services.has(service) && service !== OCFS2) return status(client, 16, "the service is there");
    const additional = group.services.has(service);
    group.services.add(service);
    group.attempt = { client, service, additional };
    this.#admit(client, 114, "it is joined already");
  }

  #joined(uuid: string, group: Group): void {
    group.phase = "joined";
    if (group.leaveOnJoin) return this.#leave(uuid, group);
    if (this.registration !== 0) {
      group.outcome = [this.registration, "dlm_controld refuses"];
      group.services.clear();
      return this.#leave(uuid, group);
    }
    if (group.attempt !== null) this.#admit(group.attempt.client, 0, "OK");
  }

  #admit(client: ClientSide, number: number, text: string): void {
    this.admitted = true;
    status(client, number, text);
  }

  #result({ uuid, result, service }: MessageOf<"MRESULT">, client: ClientSide): void {
    const group = this.#groups.get(uuid);
    if (group === undefined || !group.services.has(service)) return status(client, 2, "no such mount");
    const number = readNumber(result);
    if (typeof number === "string") return status(client, number === "out-of-range" ? 34 : 22, "no number");
    const { attempt } = group;
    if (attempt === null || attempt.client !== client || attempt.service !== service)
      return status(client, 22, "not the mounter");
    if (number === 0 || attempt.additional) {
      group.attempt = null;
      return status(client, 0, "OK");
    }
    this.#drop(uuid, group, service, client);
  }

  #unmount({ uuid, service }: MessageOf<"UNMOUNT">, client: ClientSide): void {
    const group = this.#groups.get(uuid);
    if (group === undefined || (!group.services.has(service) && group.attempt?.service !== service))
      return status(client, 2, "no such mount");
    if (group.attempt !== null || group.phase !== "joined") {
      if (group.attempt?.service === service) group.attempt.additional = false;
      return status(client, 16, "it is in progress");
    }
    group.attempt = { client, service, additional: false };
    this.#drop(uuid, group, service, client);
  }

  #drop(uuid: string, group: Group, service: string, client: ClientSide): void {
    group.services.delete(service);
    if (group.services.size === 0) return this.#leave(uuid, group);
    group.attempt = null;
    status(client, 0, "OK");
  }

  #leave(uuid: string, group: Group): void {
    group.phase = "leaving";
    this.#later(() => {
      this.#groups.delete(uuid);
      if (group.attempt !== null) status(group.attempt.client, ...group.outcome);
    });
  }

  /** What a connection's end means to the groups: 2.3. */
  #gone(client: ClientSide): void {
    for (const group of this.#groups.values()) {
      if (group.attempt?.client !== client) continue;
      const { service } = group.attempt;
      group.attempt = null;
      if (group.phase === "joining") {
        group.services.delete(service);
        group.leaveOnJoin = true;
      }
    }
  }

  #later(work: () => void): void {
    if (this.isPrompt) work();
    else if (this.#held === null) setImmediate(work);
    else this.#held.push(work);
  }
}

function status(client: ClientSide, number: number, text: string): void {
  client.send(encodeFrame({ keyword: "STATUS", number: String(number), text }));
}

function list(client: ClientSide, items: readonly string[]): void {
  client.send(encodeFrame({ keyword: "ITEMCOUNT", count: String(items.length) }));
  for (const text of items) client.send(encodeFrame({ keyword: "ITEM", text }));
  status(client, 0, "OK");
}
