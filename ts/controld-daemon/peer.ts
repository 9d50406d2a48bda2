// Which user a client is. Who mounts is root, as the mounter of the kernel's own file systems is; anybody may look.
//
// Facts relied on: an abstract socket has no permissions, so every process of the host can connect. node:net does not tell who did; the
// descriptor of a connection, which SO_PEERCRED is asked about, is a property of its handle that Node's documentation does not have.
import type { Socket } from "node:net";
import type { DaemonNative } from "./services.ts";

/** A user's number; null where it cannot be told. */
export type UserOf = (socket: Socket) => number | null;

export function askKernel(native: Pick<DaemonNative, "peerUser">): UserOf {
  return (socket) => {
    const { _handle: handle } = socket as unknown as { _handle?: { fd?: unknown } | null };
    if (typeof handle?.fd !== "number" || handle.fd < 0) return null;
    try {
      return native.peerUser(handle.fd);
    } catch {
      // It has ended already.
      return null;
    }
  };
}

/** Whether a client of this user may mount and unmount: root, and the user that this daemon runs as. */
export function mayChange(user: number | null): boolean {
  return user !== null && (user === 0 || user === process.geteuid?.());
}
