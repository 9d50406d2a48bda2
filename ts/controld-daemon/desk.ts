// Where clients' requests become the mount groups' inputs, and their outcomes become answers.
//
// Facts relied on: userspace-stack 2.3 (which checks a MOUNT has to pass) and 1.3 (their numbers). Two paths are one volume's device if they
// lead to one device number. The number is kept from the first mount: the original looks at its path again each time.
import { constants } from "node:os";
import { O2cbError } from "../errors.ts";
import type { DaemonEvent } from "./daemon-events.ts";
import type { LogRing } from "./log-ring.ts";
import type { Answer, ClientId } from "./mount-group.ts";
import { ITEM_BYTES, listFrames, readRequest, statusFrame, type Request } from "./requests.ts";
import type { Asker, ControlServer, ServerHandler } from "./server.ts";
import type { DaemonNative } from "./services.ts";
import { answerOf, type Volumes } from "./volumes.ts";

const { EINVAL, EPERM } = constants.errno;

export interface DeskOptions {
  native: DaemonNative;
  cluster: string;
  volumes: Volumes;
  log: LogRing;
  tell(event: DaemonEvent): void;
  /** why a volume cannot be mounted now, whoever asks */
  refusal(uuid: string): Promise<Answer | null>;
  signal: AbortSignal;
}

export class Desk implements ServerHandler {
  readonly #options: DeskOptions;
  /** what each client waits for */
  readonly #asked = new Map<ClientId, { keyword: string; uuid: string | null }>();
  #server: ControlServer | null = null;

  constructor(options: DeskOptions) {
    this.#options = options;
  }

  /** Whose requests these are. */
  attend(server: ControlServer): void {
    this.#server = server;
  }

  request(asker: Asker, frame: Uint8Array): void {
    try {
      this.#request(asker, frame);
    } catch (error) {
      // A fault of ours: the end of this process could restart the machine, and one client is not worth that.
      this.#options.tell({
        event: "failed",
        uuid: null,
        code: null,
        message: `a request failed: ${String(error)}`,
      });
      this.answer(asker.client, answerOf(error));
    }
  }

  #request({ client, mayChange, isGone }: Asker, frame: Uint8Array): void {
    const { volumes, log, cluster } = this.#options;
    const { keyword, request } = readRequest(frame, cluster);
    // A volume that was unmounted is so, whether its client lives or not; for the rest nobody is left.
    if (isGone && request.kind !== "unmount") return;
    this.#asked.set(client, { keyword, uuid: "uuid" in request ? request.uuid : null });
    if ("uuid" in request && !mayChange)
      return this.answer(client, { status: EPERM, text: "only root mounts and unmounts" });
    switch (request.kind) {
      case "mount":
        void this.#mount(client, request);
        return;
      case "result":
      case "unmount": {
        const { uuid, ...input } = request;
        return volumes.ask(uuid, { ...input, client });
      }
      case "list-volumes":
        return this.#list(client, volumes.uuids);
      case "list-clusters":
        return this.#list(client, [cluster]);
      case "dump":
        return this.#list(
          client,
          log.pieces(ITEM_BYTES).map((piece) => piece.toString("latin1")),
        );
      case "refused":
        return this.answer(client, request.answer);
    }
  }

  gone(client: ClientId): void {
    this.#asked.delete(client);
    this.#options.volumes.gone(client);
  }

  isMounting(client: ClientId): boolean {
    return this.#options.volumes.isMounting(client);
  }

  note(text: string): void {
    this.#options.tell({ event: "note", uuid: null, text });
  }

  /** The one answer to what the client waits for. */
  answer(client: ClientId, answer: Answer): void {
    const asked = this.#take(client);
    if (asked === null) return;
    const { keyword: request, uuid } = asked;
    this.#options.tell({ event: "answer", client, request, uuid, ...answer });
    this.#server?.reply(client, [statusFrame(answer)]);
  }

  #list(client: ClientId, items: readonly string[]): void {
    const frames = listFrames(items);
    this.#take(client);
    this.#server?.reply(client, frames);
  }

  #take(client: ClientId): { keyword: string; uuid: string | null } | null {
    const asked = this.#asked.get(client) ?? null;
    this.#asked.delete(client);
    return asked;
  }

  async #mount(client: ClientId, request: Extract<Request, { kind: "mount" }>): Promise<void> {
    const { volumes } = this.#options;
    const { uuid, service } = request;
    try {
      const device = await this.#identify(request.device);
      const refusal = await this.#options.refusal(uuid);
      if (refusal !== null) return this.answer(client, refusal);
      // It has ended meanwhile: a group that it had begun would be left again at once.
      if (this.#asked.has(client)) volumes.mount(uuid, { client, device, service });
    } catch (error) {
      this.answer(client, answerOf(error));
    }
  }

  /** What tells this device from all others. An image, which a tool may work on, is told by its path. */
  async #identify(path: string): Promise<string> {
    if (!path.startsWith("/"))
      throw new O2cbError("O2CB_DAEMON_REFUSED", `the device '${path}' is not an absolute path`, {
        operation: "serve-controld",
        errno: -EINVAL,
      });
    const { kind, represents, realPath } = await this.#options.native.inspectPath(path, null, {
      signal: this.#options.signal,
    });
    return represents === null ? `${kind} ${realPath}` : `${kind} ${represents.major}:${represents.minor}`;
  }
}
