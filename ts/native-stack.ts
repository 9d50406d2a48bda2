// The part of `Native` for userspace cluster stacks (native-stack-types.ts), over the native module: native.ts calls it with what its own part uses.
//
// Facts relied on: numbers out of range would be wrapped silently by Node-API; a descriptor that a call made is its caller's.
// It holds no policy.
import type * as binding from "../native/index.d.ts";
import type {
  CallOptions,
  ControlAnswer,
  ControlDevice,
  DlmControl,
  GroupEvent,
  NativeStack,
  ProcessGroup,
} from "./native-types.ts";
import { whole } from "./native-values.ts";

/** How native.ts makes a call: on its thread with the caller's signal, or at once. */
export interface Caller {
  run<T>(
    operation: string,
    options: CallOptions,
    start: (cancellation: binding.Cancellation | null) => Promise<T>,
  ): Promise<T>;
  now<T>(call: () => T): T;
}

/** A longer queue than the kernel keeps. */
const LONGEST_BACKLOG = 65_535;

export function stackCalls(module: typeof binding, { run, now }: Caller): NativeStack {
  const group = (name: string, one: binding.ProcessGroup): ProcessGroup => ({
    name,
    localNode: now(() => one.localNode()),
    next: async (options = {}) =>
      (await run("next-group-events", options, (c) => one.next(c))).map(groupEvent),
    send: (bytes, options = {}) => run("send-to-group", options, (c) => one.send(c, bytes)),
    leave: (options = {}) => run("leave-group", options, (c) => one.leave(c)),
    close: () => now(() => one.close()),
  });

  const control = (one: binding.DlmControl): DlmControl => ({
    register: (lockspace, options = {}) =>
      run("register-lockspace", options, (c) => one.register(c, lockspace)),
    unregister: (lockspace, options = {}) =>
      run("unregister-lockspace", options, (c) => one.unregister(c, lockspace)),
    notified: (lockspace, node, options = {}) =>
      run("say-notified", options, (c) => one.notified(c, lockspace, whole("node", node))),
    next: async (options = {}) => controlAnswer(await run("next-dlm-answer", options, (c) => one.next(c))),
    release: () => now(() => one.release()),
  });

  const device = (one: binding.ControlDevice): ControlDevice => ({
    nodeDown: (region, node, options = {}) =>
      run("tell-node-down", options, (c) => one.nodeDown(c, region, whole("node", node))),
    release: () => now(() => one.release()),
  });

  return {
    readClusterMap: async (key, options = {}) =>
      (await run("read-cluster-map", options, (c) => module.readClusterMap(c, key))) ?? null,
    isQuorate: (options = {}) => run("read-quorum", options, (c) => module.isQuorate(c)),
    joinProcessGroup: async (name, options = {}) =>
      group(name, await run("join-group", options, (c) => module.joinProcessGroup(c, name))),
    lockspaceState: async (name, options = {}) => {
      const state = await run("read-lockspace", options, (c) => module.lockspaceState(c, name));
      return state ? { name, ...state } : null;
    },
    connectDlmControl: async (options = {}) =>
      control(await run("connect-dlm-controld", options, (c) => module.connectDlmControl(c))),
    dlmVersion: (path, options = {}) => run("read-dlm-version", options, (c) => module.dlmVersion(c, path)),
    openControlDevice: async (path, node, { major, minor }, options = {}) =>
      device(
        await run("open-control-device", options, (c) =>
          module.openControlDevice(
            c,
            path,
            whole("node", node),
            whole("major", major, 255),
            whole("minor", minor, 255),
          ),
        ),
      ),
    peerUser: (descriptor) => {
      const number = whole("descriptor", descriptor, 0x7fff_ffff);
      return now(() => module.peerUser(number));
    },
    listenAbstract: (name, backlog, options = {}) =>
      run("listen-abstract", options, (c) =>
        module.listenAbstract(c, name, whole("backlog", backlog, LONGEST_BACKLOG)),
      ),
  };
}

function groupEvent({ change, message }: binding.GroupEvent): GroupEvent {
  if (change) return { kind: "change", ...change };
  if (message) return { kind: "message", ...message };
  throw new TypeError("an event of a process group is neither a change nor a message");
}

function controlAnswer({ kind, name, node, status }: binding.ControlAnswer): ControlAnswer {
  return kind === "registered" ? { kind, name, status } : { kind, name, node, status };
}
