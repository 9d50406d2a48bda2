// For the tests of the native module: servers on real abstract sockets, in this process, and the descriptors it has open.
// Facts relied on: Node 20 pads the name of a listener with zero bytes to the full length of the address; later ones bind it as it is.
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import type { ExecutionContext } from "ava";
import { isErrno } from "../../ts/errors.ts";
import type { Native } from "../../ts/native-types.ts";
import { regionName } from "./support.ts";

const LONGEST_NAME = 107;

/** A server until the test's end; the name that `connectAbstract` reaches it by. */
export async function serve(
  t: ExecutionContext,
  native: Native,
  onClient: (socket: Socket) => void,
  { backlog = 511, ...options }: { backlog?: number; pauseOnConnect?: boolean } = {},
): Promise<string> {
  const name = `ocfs2-group-${regionName()}`;
  const clients = new Set<Socket>();
  let isReady = false;
  const server = createServer({ allowHalfOpen: true, ...options }, (socket) => {
    clients.add(socket);
    socket.once("close", () => clients.delete(socket));
    socket.on("error", () => undefined);
    if (isReady) onClient(socket);
    else socket.destroy();
  });
  server.listen({ path: `\0${name}`, backlog });
  await once(server, "listening");
  t.teardown(() => {
    server.close();
    for (const client of clients) client.destroy();
  });
  const exact = await native.connectAbstract(name).catch((error: unknown) => {
    if (isErrno(error, "ECONNREFUSED")) return null;
    throw error;
  });
  if (exact !== null) {
    await exact.read(1);
    exact.close();
  }
  isReady = true;
  return exact === null ? name.padEnd(LONGEST_NAME, "\0") : name;
}

/** How many descriptors this process has open. */
export function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}
