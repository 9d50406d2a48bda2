// Our control daemon in a machine, and what is asked of it.
import { readFileSync } from "node:fs";
import { root } from "../ours.ts";
import type { Command } from "../vm/command.ts";
import type { Node } from "../vm/node.ts";

const CALLBACKS = "/sys/fs/ocfs2/dlm_recover_callback_support";

/** Starts it, and waits until it takes clients. */
export async function startDaemon(node: Node, ...words: string[]): Promise<Command> {
  const daemon = node.start(["/sbin/ocfs2_controld", "--foreground", "--json", ...words]);
  const ended = daemon.done.then(({ status, stdout, stderr }) => {
    throw new Error(`${node.name}: ocfs2_controld ended with ${status}\n${stdout}${stderr}`);
  });
  await Promise.race([daemon.waitForOutput(/"ready"/), ended]);
  ended.catch(() => {});
  return daemon;
}

/** The lines that a client of its own reads; see guest-scripts/controld-client.pl. */
export function ask(node: Node, ...words: string[]): Promise<string[]> {
  return askAs(node, [], ...words);
}

/** The same by a client that a command starts, as another user, say. */
export async function askAs(node: Node, command: readonly string[], ...words: string[]): Promise<string[]> {
  // Another user may not be able to read where the script is.
  const input = readFileSync(clientScript, "utf8");
  const { stdout } = await node.try([...command, "perl", "-", ...words], { input });
  return stdout.trimEnd().split("\n");
}

export const clientScript = `${root}__test__/e2e/guest-scripts/controld-client.pl`;

/** The UUIDs of the mount groups that the daemon of a node has. */
export async function groups(node: Node, cluster: string): Promise<string[]> {
  const lines = await ask(node, `LISTFS ocfs2 ${cluster}`);
  return lines.filter((line) => line.startsWith("ITEM ")).map((line) => line.slice(5));
}

/** Ends when the daemon of a node has this many mount groups. */
export async function waitForGroups(node: Node, cluster: string, count: number): Promise<void> {
  await node.run(
    `until [ "$(perl ${clientScript} 'LISTFS ocfs2 ${cluster}' | grep -c '^ITEM ')" = ${count} ]; do sleep 0.2; done`,
    { limitSeconds: 30 },
  );
}

/** C tools of a kernel with recovery callbacks do not ask the daemon: they are made to believe that there are none. */
export async function hideCallbacks(node: Node): Promise<void> {
  await node.run(["mount", "--bind", "/dev/null", CALLBACKS]);
}
