// The only import of the native module: finds and loads it, and makes it the interface `Native` of native-types.ts.
// It checks numbers, connects AbortSignals, and turns the module's errors into O2cbError with the caller's stack.
//
// Facts relied on: errors made on the JavaScript thread for another thread's work have no frames of the caller (native-errors.ts); a
// cancellation object serves one call; numbers out of range would be wrapped silently by Node-API.
// It holds no policy, and reads no environment: the file loaded is the package's own, or the platform package's.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type * as binding from "../native/index.d.ts";
import { O2cbError } from "./errors.ts";
import { channelOver } from "./native-channel.ts";
import { type NativeError, converted, withStack } from "./native-errors.ts";
import { onAbort } from "./on-abort.ts";
import type {
  CallOptions,
  DlmLock,
  EventWatch,
  ForegroundProgram,
  Held,
  Lockspace,
  LockspaceLock,
  Native,
  RangeLock,
  RegionLock,
} from "./native-types.ts";

import { stackCalls } from "./native-stack.ts";
import { whole, milliseconds, isExclusive, event, slotList, superblockChange } from "./native-values.ts";

export type * from "./native-types.ts";

type Module = typeof binding;

const platform = `${process.platform}-${process.arch}-gnu`;
const moduleFile = `ocfs2-group.${platform}.node`;
const platformPackage = `ocfs2-group-${platform}`;

let loaded: Native | undefined;

/**
 * The native core, loaded on the first call.
 * @param base file (path or URL) whose package is searched; this file's, or the bundle's it is part of, where absent
 * @throws O2CB_NATIVE_MISSING
 */
export function loadNative(base?: string | URL): Native {
  return (loaded ??= wrap(
    loadModule(base ?? (typeof __filename === "string" ? __filename : import.meta.url)),
  ));
}

/**
 * The module that was built in this package, else the one of the platform package in a node_modules above it. Looked up by
 * hand: process.dlopen takes 1 ms where require takes 3, and require would look into $HOME as well, which is no place for what
 * root runs.
 */
function loadModule(base: string | URL): Module {
  const file = String(base).startsWith("file:") ? fileURLToPath(base) : String(base);
  const root = packageRoot(dirname(file));
  const target = { exports: {} };
  try {
    const own = join(root, "native", moduleFile);
    process.dlopen(target, existsSync(own) ? own : (platformModule(root) ?? own));
    return target.exports as Module;
  } catch (cause) {
    const why = String((cause as Error).message).split("\n")[0];
    const message = `the native module for ${platform} cannot be loaded: ${why}`;
    throw new O2cbError("O2CB_NATIVE_MISSING", message, { operation: "load-native", path: root, cause });
  }
}

/** The platform package's file beside this package, or in a node_modules from here upwards. */
function platformModule(root: string): string | null {
  const places = [join(dirname(root), platformPackage, moduleFile)];
  for (let directory = root; ; directory = dirname(directory)) {
    places.push(join(directory, "node_modules", platformPackage, moduleFile));
    if (directory === dirname(directory)) break;
  }
  return places.find((place) => existsSync(place)) ?? null;
}

/** The nearest directory upwards that holds a package.json. */
function packageRoot(directory: string): string {
  const parent = dirname(directory);
  return parent === directory || existsSync(join(directory, "package.json"))
    ? directory
    : packageRoot(parent);
}

function wrap(module: Module): Native {
  /** Starts a call on its thread and connects the signal; a call given up before is not started. */
  async function run<T>(
    operation: string,
    { signal }: CallOptions,
    start: (cancellation: binding.Cancellation | null) => Promise<T>,
  ): Promise<T> {
    if (signal?.aborted) {
      const message = `${operation.replaceAll("-", " ")}: the caller gave up before it started`;
      throw withStack(new O2cbError("O2CB_ABORTED", message, { operation, cause: signal.reason }), run);
    }
    const cancellation = signal === undefined ? null : new module.Cancellation();
    const disconnect = signal && cancellation && onAbort(signal, () => cancellation.cancel());
    try {
      return await start(cancellation);
    } catch (error) {
      throw error instanceof RangeError ? error : converted(error as NativeError, run, signal);
    } finally {
      disconnect?.();
    }
  }

  function now<T>(call: () => T): T {
    try {
      return call();
    } catch (error) {
      throw converted(error as NativeError, now);
    }
  }

  const held = (one: binding.HeldDescriptor): Held => ({ release: () => now(() => one.release()) });
  const lock = (region: string, one: binding.RegionLock): RegionLock => ({
    region,
    references: () => now(() => one.references()),
    take: (undo) => now(() => one.take(undo)),
    drop: (undo) => now(() => one.drop(undo)),
    handOver: () => now(() => one.handOver()),
    destroy: () => now(() => one.destroy()),
    release: () => now(() => one.release()),
  });

  const dlmLock = (one: binding.DlmLock): DlmLock => ({
    readValue: (options = {}) => run("read-dlm-value", options, (c) => one.readValue(c)),
    writeValue: (value, options = {}) => run("write-dlm-value", options, (c) => one.writeValue(c, value)),
    waitBlocked: (options = {}) => run("wait-dlm-blocked", options, (c) => one.waitBlocked(c)),
    isBlocked: () => now(() => one.isBlocked()),
    close: () => now(() => one.close()),
  });

  const ranges = new WeakMap<RangeLock, binding.RangeLock>();
  const range = (one: binding.RangeLock): RangeLock => {
    const wrapped: RangeLock = {
      isAwaited: () => now(() => one.isAwaited()),
      release: () => now(() => one.release()),
    };
    ranges.set(wrapped, one);
    return wrapped;
  };

  const watch = (one: binding.EventWatch): EventWatch => {
    // Its events wait until then: they come after the call has answered, whatever the threads do.
    const told = (id: number): number => {
      now(() => one.told(id));
      return id;
    };
    return {
      addMount: async (path, { major, minor }, options = {}) => {
        const id = await run("watch-mount", options, (c) =>
          one.addMount(c, path, whole("major", major), whole("minor", minor)),
        );
        return id == null ? null : told(id);
      },
      addDirectory: async (path, options = {}) =>
        told(await run("watch-directory", options, (c) => one.addDirectory(c, path))),
      remove: (id) => now(() => one.remove(whole("id", id))),
      next: async (options = {}) => (await run("next-events", options, (c) => one.next(c))).map(event),
      release: () => now(() => one.release()),
    };
  };

  const lockspaceLock = (one: binding.FsdlmLock): LockspaceLock => ({
    readValue: () => now(() => one.readValue()) ?? null,
    writeValue: (value) => now(() => one.writeValue(value)),
    isWanted: () => now(() => one.isWanted()),
    wanted: (options = {}) => run("await-blocking", options, (c) => one.wanted(c)),
    release: () => run("release-lock", {}, () => one.release()),
  });
  const lockspace = (one: binding.FsdlmSpace): Lockspace => ({
    lock: async (name, level, trylock, options = {}) => {
      const granted = await run("take-lock", options, (c) => one.lock(c, name, level === "EX", trylock));
      return granted ? lockspaceLock(granted) : null;
    },
    close: () => run("close-lockspace", {}, () => one.close()),
  });

  const program = (one: binding.ForegroundProgram): ForegroundProgram => ({
    pid: one.pid(),
    kill: (signal) => now(() => one.kill(whole("signal", signal, 64))),
    ended: () => run("await-program", {}, () => one.ended()),
  });

  return {
    readVolume: (device, options = {}) => run("read-volume", options, (c) => module.readVolume(c, device)),
    inspectVolume: async (device, options = {}) => {
      const { facts, ...rest } = await run("inspect-volume", options, (c) =>
        module.inspectVolume(c, device, options.partial === true),
      );
      return { ...facts, ...rest };
    },
    listBlockDevices: (options = {}) => run("list-block-devices", options, (c) => module.listBlockDevices(c)),
    scanVolumes: (devices, slotMaps, threads, options = {}) =>
      run("scan-volumes", options, (c) =>
        module.scanVolumes(c, [...devices], slotMaps, whole("threads", threads)),
      ),
    readHeartbeatSlots: async (device, { startBlock, blockBytes, blocks }, options = {}) =>
      slotList(
        await run("read-heartbeat-slots", options, (c) =>
          module.readHeartbeatSlots(
            c,
            device,
            startBlock,
            whole("blockBytes", blockBytes),
            whole("blocks", blocks),
          ),
        ),
      ),
    readSuperblocks: async (device, change, options = {}) => {
      const given = superblockChange(change);
      return run("read-superblocks", options, (c) => module.readSuperblocks(c, device, given));
    },
    writeSuperblock: (device, { block, old, new: wanted }, options = {}) =>
      run("write-superblock", options, (c) => module.writeSuperblock(c, device, block, old, wanted)),
    claimDevice: async (device, options = {}) => {
      const one = await run("claim-device", options, (c) => module.claimDevice(c, device));
      return one ? held(one) : null;
    },

    inspectPath: (path, namespace, options = {}) =>
      run("inspect-path", options, (c) => module.inspectPath(c, path, namespace)),
    readAttribute: (path, options = {}) =>
      run("read-attribute", options, (c) => module.readAttribute(c, path)),
    writeAttribute: (path, value, options = {}) =>
      run("write-attribute", options, (c) => module.writeAttribute(c, path, value)),
    listDirectories: (path, options = {}) =>
      run("list-directories", options, (c) => module.listDirectories(c, path)),
    makeDirectory: (path, options = {}) =>
      run("make-directory", options, (c) => module.makeDirectory(c, path)),
    removeDirectory: (path, options = {}) =>
      run("remove-directory", options, (c) => module.removeDirectory(c, path)),
    readLink: (path, options = {}) => run("read-link", options, (c) => module.readLink(c, path)),
    listFiles: (path, options = {}) => run("list-files", options, (c) => module.listFiles(c, path)),
    replaceFile: (path, content, mode, options = {}) =>
      run("replace-file", options, (c) => module.replaceFile(c, path, content, whole("mode", mode, 0o7777))),
    removeFile: (path, options = {}) => run("remove-file", options, (c) => module.removeFile(c, path)),

    startHeartbeat: (directory, device, options = {}) =>
      run("start-heartbeat", options, (c) => module.startHeartbeat(c, directory, device)),
    lockRegion: async (region, create, timeoutMs, options = {}) => {
      const one = await run("lock-region", options, (c) =>
        module.lockRegion(c, region, create, milliseconds("timeoutMs", timeoutMs)),
      );
      return one ? lock(region, one) : null;
    },
    regionSemaphores: async (region) =>
      (await run("query-region", {}, () => module.regionSemaphores(region))) ?? null,

    mount: (request, options = {}) =>
      run("mount", options, (c) =>
        module.mount(c, { ...request, flags: whole("flags", request.flags), options: [...request.options] }),
      ),
    unmount: (request, options = {}) =>
      run("unmount", options, (c) => module.unmount(c, { ...request, flags: whole("flags", request.flags) })),
    mounts: (namespace, options = {}) => run("read-mounts", options, (c) => module.mounts(c, namespace)),
    mountNamespaces: (options = {}) => run("list-namespaces", options, (c) => module.mountNamespaces(c)),
    watchEvents: async (options = {}) =>
      watch(await run("watch-events", options, (c) => module.watchEvents(c))),

    openLockspace: async (name, options = {}) =>
      lockspace(await run("open-lockspace", options, (c) => module.openLockspace(c, name))),
    openDlmLock: async (path, level, trylock, options = {}) => {
      const one = await run("open-dlm-lock", options, (c) =>
        module.openDlmLock(c, path, isExclusive(level), trylock),
      );
      return one ? dlmLock(one) : null;
    },
    openDlmLockApart: async (path, level, place, options = {}) =>
      dlmLock(
        await run("open-dlm-lock", options, (c) =>
          module.openDlmLockApart(c, path, isExclusive(level), place && ranges.get(place)),
        ),
      ),
    unlinkDlmLock: (path, options = {}) =>
      run("unlink-dlm-lock", options, (c) => module.unlinkDlmLock(c, path)),
    lockRange: async (path, place, { exclusive, wait }, options = {}) => {
      const one = await run("lock-range", options, (c) => module.lockRange(c, path, place, exclusive, wait));
      return one ? range(one) : null;
    },

    setIoPriority: (pid, ioClass, level) =>
      run("set-io-priority", {}, () =>
        module.setIoPriority(
          whole("pid", pid, 0x7fff_ffff),
          whole("ioClass", ioClass),
          whole("level", level),
        ),
      ),
    runProgram: (path, args, options = {}) =>
      run("run-program", options, (c) => module.runProgram(c, path, [...args])),
    startProgram: async ({ file, args, environment, keepOpen }) =>
      program(
        await run("start-program", {}, () =>
          module.startProgram(file, [...args], { ...environment }, [...keepOpen]),
        ),
      ),
    lockFile: async (path, timeoutMs, options = {}) =>
      held(
        await run("lock-file", options, (c) =>
          module.lockFile(c, path, milliseconds("timeoutMs", timeoutMs)),
        ),
      ),
    releaseCode: () => now(() => module.releaseCode()),
    connectAbstract: async (name, options = {}) =>
      channelOver(await run("connect-abstract", options, (c) => module.connectAbstract(c, name))),
    ...stackCalls(module, { run, now }),
  };
}
