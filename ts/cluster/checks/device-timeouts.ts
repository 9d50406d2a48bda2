// How long a device may keep the heartbeat waiting by its own rules, against the time after which this host fences itself.
//
// Facts relied on: a node whose write does not come back within 2000 x (dead_threshold - 1) ms fences itself (kernel-abi 0), so the
// paths to a disk have to give up, or to fail over, earlier (users 1.5, F2 and F3). The rules of a device: `queue/io_timeout` (ms)
// or `device/timeout` (s) of one command; `recovery_tmo` (s) of an iSCSI session, whose number is in the device's path; for
// multipath no_path_retry of multipath.conf, counted in polling_interval (s, 5 by default; multipath.conf(5)). A device that is made
// of others waits as its parts do.
import { readHint } from "../../attributes.ts";
import { readSysconfig } from "../../config/sysconfig.ts";
import type { Native } from "../../native-types.ts";
import { startedRegions } from "../../region/regions.ts";
import { readClusterState } from "../registered.ts";
import { deadSeconds } from "../timeouts.ts";
import { good, warning, type Check, type CheckContext, type Finding } from "./finding.ts";
import { namedDisks } from "./volume.ts";

const ID = "device-timeouts";
const BLOCK = "/sys/class/block";
const INTERVAL_S = 2;
const MULTIPATH = "/etc/multipath.conf";
const DEFAULT_POLLING_S = 5;
const DEPTH = 4;

interface Rule {
  what: string;
  seconds: number;
  remedy: string;
}

export const deviceTimeoutChecks: readonly Check[] = [
  {
    id: ID,
    look: async (context) => {
      const { native } = context;
      const inForce = (await readClusterState(native))?.timeouts.deadThreshold;
      const threshold = inForce ?? (await readSysconfig(native)).values.heartbeatThreshold;
      const dead = deadSeconds(threshold);
      const subjects = await disks(context);
      return Promise.all(subjects.map((subject) => judge(native, subject, dead)));
    },
  },
];

async function disks(context: CheckContext): Promise<{ device: string; disk: string }[]> {
  const named = await namedDisks(context);
  const beating = (await startedRegions(context.native)).flatMap(({ dev }) => (dev ? [dev.trim()] : []));
  const more = beating
    .filter((disk) => !named.some((one) => one.disk === disk))
    .map((disk) => ({ device: `/dev/${disk.replaceAll("!", "/")}`, disk }));
  return [...named, ...more];
}

async function judge(
  native: Native,
  { device, disk }: { device: string; disk: string },
  dead: number,
): Promise<Finding> {
  const rules = await rulesOf(native, disk, DEPTH);
  const limit = `this host fences itself after ${dead} s without a heartbeat`;
  if (rules.length === 0) return good(ID, `'${device}' tells of no timeout of its own; ${limit}`, device);
  const worst = rules.reduce((one, other) => (other.seconds > one.seconds ? other : one));
  const lasts = worst.seconds === Infinity ? "for ever" : `up to ${worst.seconds} s`;
  if (worst.seconds < dead)
    return good(ID, `'${device}' keeps a write waiting ${lasts} (${worst.what}), and ${limit}`, device);
  return warning(
    ID,
    `'${device}' keeps a write waiting ${lasts} (${worst.what}), and ${limit}`,
    worst.seconds === Infinity
      ? worst.remedy
      : `${worst.remedy}, or raise O2CB_HEARTBEAT_THRESHOLD above ${Math.floor(worst.seconds / INTERVAL_S) + 1} on all nodes, with downtime`,
    device,
  );
}

async function rulesOf(native: Native, disk: string, depth: number): Promise<Rule[]> {
  const directory = `${BLOCK}/${disk}`;
  const isPart = (await readHint(native, `${directory}/partition`)) !== null;
  const around = isPart ? await parent(native, disk) : null;
  if (around !== null) return depth === 0 ? [] : rulesOf(native, around, depth - 1);
  const rules = [await command(native, directory), await session(native, directory)];
  if ((await readHint(native, `${directory}/dm/uuid`))?.startsWith("mpath-"))
    rules.push(await multipath(native));
  const slaves = depth === 0 ? [] : await entries(native, `${directory}/slaves`);
  const below = await Promise.all(slaves.map((name) => rulesOf(native, name, depth - 1)));
  return [...rules.filter((rule) => rule !== null), ...below.flat()];
}

async function parent(native: Native, disk: string): Promise<string | null> {
  const facts = await native.inspectPath(`${BLOCK}/${disk}`, null).catch(() => null);
  return facts?.realPath.split("/").at(-2) ?? null;
}

async function command(native: Native, directory: string): Promise<Rule | null> {
  const seconds = whole(await readHint(native, `${directory}/device/timeout`));
  const milliseconds = whole(await readHint(native, `${directory}/queue/io_timeout`));
  const value = seconds ?? (milliseconds === null ? null : milliseconds / 1000);
  if (value === null) return null;
  return {
    what: "the time allowed for one command",
    seconds: value,
    remedy: `lower ${directory}/${seconds === null ? "queue/io_timeout" : "device/timeout"}`,
  };
}

async function session(native: Native, directory: string): Promise<Rule | null> {
  const facts = await native.inspectPath(`${directory}/device`, null).catch(() => null);
  const name = /\/(session\d+)(?:\/|$)/.exec(facts?.realPath ?? "")?.[1];
  if (name === undefined) return null;
  const path = `/sys/class/iscsi_session/${name}/recovery_tmo`;
  const text = (await readHint(native, path))?.trim() ?? null;
  if (text === null) return null;
  return {
    what: `recovery_tmo of iSCSI ${name}`,
    seconds: whole(text) ?? Infinity,
    remedy: "lower node.session.timeo.replacement_timeout of the iSCSI target",
  };
}

/** From the file's text, section by section alike: the longest that may apply. */
async function multipath(native: Native): Promise<Rule | null> {
  const text = await readHint(native, MULTIPATH);
  if (text === null) return null;
  const values = (key: string): string[] =>
    [...text.matchAll(new RegExp(`^[ \\t]*${key}[ \\t]+"?([\\w-]+)"?`, "gm"))].map(([, value = ""]) => value);
  const polling = Number(values("polling_interval")[0] ?? DEFAULT_POLLING_S) || DEFAULT_POLLING_S;
  const queues =
    values("no_path_retry").includes("queue") ||
    (values("no_path_retry").length === 0 && /^[ \t]*features[^\n]*queue_if_no_path/m.test(text));
  const tries = values("no_path_retry").map((value) => whole(value) ?? 0);
  if (!queues && tries.length === 0) return null;
  return {
    what: queues ? `${MULTIPATH} queues while no path works` : `no_path_retry in ${MULTIPATH}`,
    seconds: queues ? Infinity : Math.max(...tries) * polling,
    remedy: `set no_path_retry in ${MULTIPATH} to a number whose product with polling_interval is below the dead time`,
  };
}

async function entries(native: Native, path: string): Promise<string[]> {
  const both = await Promise.all([
    native.listFiles(path).catch(() => []),
    native.listDirectories(path).catch(() => []),
  ]);
  return both.flat();
}

function whole(text: string | null): number | null {
  const trimmed = text?.trim() ?? "";
  return /^\d{1,9}$/.test(trimmed) ? Number(trimmed) : null;
}
