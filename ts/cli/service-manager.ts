// Tells systemd that a service which it started is ready (Type=notify).
//
// Facts relied on: sd_notify(3): the service manager names its socket in NOTIFY_SOCKET, a datagram socket, which node has none of. So
// systemd's own program sends the message; it stays until the manager has taken it, and the unit has to have NotifyAccess=all. Without the
// variable nobody waits.
import { execFile } from "node:child_process";

const PATIENCE_MS = 10_000;

/** What fails is told, and fails nothing: the manager gives a start up that it hears nothing of. */
export function tellReady(say: (text: string) => void, program = "systemd-notify"): Promise<void> {
  if (!process.env["NOTIFY_SOCKET"]) return Promise.resolve();
  return new Promise((resolve) => {
    execFile(program, ["--ready"], { timeout: PATIENCE_MS }, (error) => {
      if (error !== null) say(`the service manager could not be told that it is ready: ${error.message}`);
      resolve();
    });
  });
}
