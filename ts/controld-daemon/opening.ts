// What the daemon opens at its start, each with the failure that means something here: the kernel's control device and the protocol's socket.
import { createServer, type Server } from "node:net";
import { CONTROLD_SOCKET } from "../controld/connection.ts";
import { isErrno, O2cbError } from "../errors.ts";
import type { ByteChannel, ControlDevice } from "../native-types.ts";
import { miscPlaces, PLUGIN_CONTROL } from "../stack/misc-devices.ts";
import type { DaemonNative } from "./services.ts";
import type { Version } from "./versions.ts";

const CONTROL_DEVICES = miscPlaces(PLUGIN_CONTROL);
const BACKLOG = 128;

/** Errors: O2CB_SERVICE_UNAVAILABLE where there is none, O2CB_PERMISSION_DENIED, O2CB_BAD_VERSION. */
export async function openDevice(
  native: DaemonNative,
  node: number,
  version: Version,
  signal: AbortSignal,
): Promise<ControlDevice> {
  for (const path of CONTROL_DEVICES) {
    try {
      return await native.openControlDevice(path, node, version, { signal });
    } catch (error) {
      if (!isErrno(error, "ENOENT", "ENOTDIR")) throw error;
    }
  }
  throw new O2cbError(
    "O2CB_SERVICE_UNAVAILABLE",
    `the kernel's control device is neither at ${CONTROL_DEVICES.join(" nor at ")}`,
    { operation: "start-controld", path: CONTROL_DEVICES[0], remedy: "load the module ocfs2_stack_user" },
  );
}

/**
 * Asks whether a daemon answers at the socket already. Two would notice each other in their process group, too, but there one that
 * is killed before it has left looks like a node that died. Errors: O2CB_ALREADY_RUNNING.
 */
export async function requireAlone(native: DaemonNative, signal: AbortSignal): Promise<void> {
  let channel: ByteChannel;
  try {
    channel = await native.connectAbstract(CONTROLD_SOCKET, { signal });
  } catch (error) {
    if (isErrno(error, "ECONNREFUSED")) return;
    throw error;
  }
  channel.close();
  throw alreadyRunning();
}

/** A server for clients that end their half first; it listens nowhere yet. */
export function makeServer(): Server {
  return createServer({ allowHalfOpen: true });
}

export type Listen = (server: Server) => Promise<void>;

/** Has the server listen; `listen` takes the place of the protocol's socket. Errors: O2CB_ALREADY_RUNNING. */
export async function listen(
  native: DaemonNative,
  server: Server,
  signal: AbortSignal,
  elsewhere: Listen | undefined,
): Promise<void> {
  try {
    await (elsewhere?.(server) ?? listenAtSocket(native, server, signal));
  } catch (error) {
    throw isErrno(error, "EADDRINUSE") ? alreadyRunning(error) : error;
  }
}

async function listenAtSocket(native: DaemonNative, server: Server, signal: AbortSignal): Promise<void> {
  const fd = await native.listenAbstract(CONTROLD_SOCKET, BACKLOG, { signal });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ fd }, () => {
      server.removeListener("error", reject);
      resolve();
    });
  });
}

function alreadyRunning(cause?: unknown): O2cbError {
  return new O2cbError(
    "O2CB_ALREADY_RUNNING",
    `another control daemon of this host answers at the socket '@${CONTROLD_SOCKET}'`,
    { operation: "start-controld", remedy: "nothing needs to be done", cause },
  );
}
