// Mount groups in random orders of everything that can happen, over a process group and a dlm_controld that answer when they like: what the
// protocol promises holds at each step, and nothing is left at the end.
import test from "ava";
import * as fc from "fast-check";
import type { GroupEffect } from "../../ts/controld-daemon/mount-group.ts";
import { MountGroups } from "../../ts/controld-daemon/mount-groups.ts";

const CLIENTS = [1, 2, 3];
const SERVICES = ["ocfs2", "tunefs.ocfs2"];
const DEVICE = "block 8:16";
const UUID = "A".repeat(32);

type Action =
  | { what: "mount" | "result" | "unmount"; client: number; service: string; result: number }
  | { what: "gone"; client: number }
  /** the process group or dlm_controld answers what was asked longest ago */
  | { what: "answer"; isRefused: boolean }
  | { what: "freeze" };

const client = fc.constantFrom(...CLIENTS);
const service = fc.constantFrom("ocfs2", "ocfs2", ...SERVICES);
const result = fc.constantFrom(0, 0, 0, 5);
const request = (what: "mount" | "result" | "unmount") =>
  fc.record({ what: fc.constant(what), client, service, result });
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 3, arbitrary: request("mount") },
  { weight: 3, arbitrary: request("result") },
  { weight: 2, arbitrary: request("unmount") },
  { weight: 2, arbitrary: fc.record({ what: fc.constant("gone" as const), client }) },
  {
    weight: 5,
    arbitrary: fc.record({
      what: fc.constant("answer" as const),
      isRefused: fc.constantFrom(false, false, false, true),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ what: "freeze" as const }) },
);

/** Runs the groups of one volume; throws where a promise of the protocol is broken. */
class World {
  readonly groups: MountGroups;
  readonly #registers: boolean;
  readonly #asked: ("join" | "leave" | "register")[] = [];
  /** connections with a request that is not answered */
  readonly #waiting = new Set<number>();
  #isJoined = false;
  #isRegistered = false;
  readonly statuses: number[] = [];

  constructor(registers: boolean) {
    this.#registers = registers;
    this.groups = new MountGroups(registers);
  }

  do(action: Action): void {
    switch (action.what) {
      case "mount":
        this.#request(action.client, () =>
          this.groups.mount(UUID, { client: action.client, device: DEVICE, service: action.service }),
        );
        break;
      case "result":
        this.#request(action.client, () =>
          this.groups.ask(UUID, {
            kind: "result",
            client: action.client,
            service: action.service,
            result: action.result,
          }),
        );
        break;
      case "unmount":
        this.#request(action.client, () =>
          this.groups.ask(UUID, { kind: "unmount", client: action.client, service: action.service }),
        );
        break;
      case "gone":
        this.#waiting.delete(action.client);
        for (const { effects } of this.groups.gone(action.client)) this.#run(effects);
        break;
      case "answer":
        this.#answer(action.isRefused);
        break;
      case "freeze":
        this.#run(this.groups.tell(UUID, { kind: "freeze", reason: "frozen" }));
    }
    this.#check();
  }

  /** Everything that is still asked is answered, all clients end, every service is unmounted. */
  end(): void {
    for (const client of CLIENTS) this.do({ what: "gone", client });
    while (this.#asked.length > 0) this.do({ what: "answer", isRefused: false });
    for (const service of SERVICES) {
      this.do({ what: "unmount", client: 1, service, result: 0 });
      while (this.#asked.length > 0) this.do({ what: "answer", isRefused: false });
    }
    if (this.groups.size !== 0) throw new Error(`a group is left: ${JSON.stringify(this.groups.facts())}`);
    if (this.#isJoined || this.#isRegistered) throw new Error("a membership or a registration is left");
    if (this.#waiting.size > 0) throw new Error("a request was never answered");
  }

  /** One request at a time on a connection, as the server does it. */
  #request(client: number, ask: () => GroupEffect[]): void {
    if (this.#waiting.has(client)) return;
    this.#waiting.add(client);
    this.#run(ask());
  }

  #answer(isRefused: boolean): void {
    const what = this.#asked.shift();
    if (what === "join" && isRefused)
      return this.#run(this.groups.tell(UUID, { kind: "join-failed", answer: { status: 11, text: "" } }));
    if (what === "join") {
      this.#isJoined = true;
      this.#run(this.groups.tell(UUID, { kind: "joined" }));
    } else if (what === "leave") {
      this.#isJoined = false;
      this.#run(this.groups.tell(UUID, { kind: "left" }));
    } else if (what === "register") {
      this.#isRegistered = !isRefused;
      this.#run(this.groups.tell(UUID, { kind: "registered", status: isRefused ? 95 : 0 }));
    }
  }

  #run(effects: readonly GroupEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === "reply") {
        if (!this.#waiting.delete(effect.client)) throw new Error("a reply that nobody waits for");
        this.statuses.push(effect.status);
      } else if (effect.kind === "unregister") {
        if (!this.#isRegistered) throw new Error("unregistered without being registered");
        this.#isRegistered = false;
      } else if (effect.kind === "dropped") throw new Error("dropped");
      else if (effect.kind !== "over" && effect.kind !== "note") {
        if (effect.kind === "join" && this.#isJoined) throw new Error("joined twice");
        if (effect.kind === "leave" && (!this.#isJoined || this.#isRegistered))
          throw new Error("left too early");
        this.#asked.push(effect.kind);
      }
    }
  }

  #check(): void {
    const group = this.groups.get(UUID);
    if (group === null) {
      if (this.#isJoined || this.#asked.length > 0) throw new Error("forgotten too early");
      return;
    }
    if (group.isInProcessGroup !== this.#isJoined) throw new Error("in the process group, or not?");
    if ((group.registration === "done") !== this.#isRegistered) throw new Error("registered, or not?");
    const { state } = group;
    if ((group.services.length === 0) !== (state === "leaving")) throw new Error(`no services in ${state}`);
    if (state === "leaving" && this.#asked.length === 0) throw new Error("no leave is under way");
    const isAdmitted = ["notified", "live", "additional"].includes(state);
    if (isAdmitted && (!this.#isJoined || this.#isRegistered !== this.#registers))
      throw new Error(`${state} without the group`);
    for (const one of this.#waiting)
      if (one !== group.client) throw new Error(`connection ${one} waits for nothing`);
  }
}

for (const registers of [true, false])
  test(`in any order of events every request is answered once, and nothing is left at the end (${registers ? "with" : "without"} registration)`, (t) => {
    const seen = new Set<number>();
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80, size: "max" }), (actions) => {
        const world = new World(registers);
        for (const one of actions) world.do(one);
        world.end();
        for (const status of world.statuses) seen.add(status);
      }),
      { numRuns: 20_000, verbose: 1 },
    );
    t.deepEqual(
      [...seen].toSorted((one, other) => one - other),
      registers ? [0, 2, 11, 16, 22, 95, 112, 114] : [0, 2, 11, 16, 22, 112, 114],
      "every answer was seen",
    );
  });
