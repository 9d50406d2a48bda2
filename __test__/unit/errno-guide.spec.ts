// What a person reads when the kernel refuses a mount: the cause that the messages or the facts tell, and what to do.
import { constants } from "node:os";
import test from "ava";
import * as fc from "fast-check";
import { explainMountFailure, type MountFacts } from "../../ts/mount/errno-guide.ts";

const facts: MountFacts = {
  device: "/dev/sdb1",
  directory: "/vol",
  stack: "o2cb",
  cluster: "web",
  isLocal: false,
  readOnlyDevice: false,
  readOnly: false,
  options: ["data=ordered", "heartbeat=local"],
};

const failure = (name: keyof typeof constants.errno, ...kernelMessages: string[]) => ({
  errno: -constants.errno[name],
  kernelMessages,
});
const explain = (error: unknown, more: Partial<MountFacts> = {}) =>
  explainMountFailure(error, { ...facts, ...more });

for (const [errno, message, cause, remedy] of [
  ["EINVAL", "ocfs2: Unknown parameter 'frob'", /option 'frob'/, /mount -s/],
  [
    "EINVAL",
    '(mount,1,0):ocfs2_parse_options:1: Unrecognized mount option "frob" or missing value',
    /'frob'/,
    /mount -s/,
  ],
  ["EINVAL", "ocfs2: Bad value for 'data'", /value of the option 'data'/, /correct/],
  ["EINVAL", "o2cb: This node has not been configured.", /not a node/, /cluster\.conf/],
  ["EINVAL", "o2cb: Local heartbeat has not been started.", /local heartbeat/, /kernel log/],
  ["EINVAL", "o2cb: Global heartbeat has not been started.", /global heartbeat/, /start-heartbeat/],
  [
    "EINVAL",
    "Heartbeat has to be started to mount a read-write clustered device.",
    /without heartbeat/,
    /heartbeat=/,
  ],
  ["EINVAL", "Mismatching o2cb heartbeat modes", /heartbeat mode/, /tunefs/],
  ["EINVAL", "Cannot heartbeat on a locally mounted device.", /one node's own/, /heartbeat=/],
  [
    "EINVAL",
    "Userspace stack expected, but o2cb heartbeat arguments passed to mount",
    /stack 'o2cb'/,
    /heartbeat=/,
  ],
  [
    "EINVAL",
    'cluster stack passed to mount ("pcmk") does not match the filesystem ("o2cb")',
    /stack/,
    /cluster_stack=/,
  ],
  ["EINVAL", "Invalid heartbeat mount options", /heartbeat option/, /heartbeat=/],
  ["EINVAL", "(mount.ocfs2,1,0): no free slots available!", /slots/, /tunefs\.ocfs2 -N/],
  ["EINVAL", "Invalid number of node slots (0)", /heartbeat slots only/, /mkfs\.ocfs2 -H/],
  ["EINVAL", "superblock probe failed!", /no OCFS2 volume/, /fsck/],
  ["EINVAL", "couldn't mount because of unsupported optional features (8000).", /features/, /newer kernel/],
  ["ENOTCONN", "o2cb: This node could not connect to nodes: 3 5.", /node 3, 5/, /firewall/],
  [
    "ENOENT",
    'ocfs2: Cluster stack driver "user" cannot be found',
    /driver for the stack 'user'/,
    /ocfs2_stack_user/,
  ],
  ["EIO", "Failed to read block for journal inode: error -5, journal unusable", /journal/, /fsck/],
] as const) {
  test(`${errno} with "${message.slice(0, 50)}"`, (t) => {
    const told = explain(failure(errno, "ocfs2: some other line", message));
    t.regex(told.cause, cause);
    t.regex(told.remedy ?? "", remedy);
  });
}

test("a message counts only with the errno that goes with it, so that another volume's does not mislead", (t) => {
  t.notRegex(explain(failure("EBUSY", "ocfs2: Unknown parameter 'frob'")).cause, /frob/);
  t.notRegex(
    explain(failure("EINVAL", "ocfs2: Begin replay journal (node 1, slot 0) on device (8,1)")).cause,
    /journal/,
  );
});

test("the newest telling message wins", (t) => {
  t.regex(explain(failure("EINVAL", "Unknown parameter 'old'", "Unknown parameter 'new'")).cause, /'new'/);
});

test("EINVAL without a word of the kernel's: the facts tell", (t) => {
  t.regex(explain(failure("EINVAL"), { options: ["acl", "frob=1"] }).cause, /'frob'/);
  t.notRegex(explain(failure("EINVAL"), { options: ["context=x"] }).cause, /context/);
  t.regex(explain(failure("EINVAL"), { node: null }).cause, /not a node/);
  t.regex(explain(failure("EINVAL"), { isRegionActive: false }).cause, /heartbeat/);
  t.regex(explain(failure("EINVAL")).remedy ?? "", /kernel log/);
});

test("EBUSY: the active stack, the holder, the other mount, the write protection, or all that is possible", (t) => {
  t.regex(explain(failure("EBUSY"), { runningStack: "pcmk" }).cause, /'pcmk' is active/);
  t.regex(explain(failure("EBUSY"), { holders: ["dm-3"] }).remedy ?? "", /\/dev\/dm-3/);
  t.regex(explain(failure("EBUSY"), { mountedOn: "/other" }).cause, /\/other/);
  t.regex(explain(failure("EBUSY"), { isRegionActive: true }).remedy ?? "", /bdev_allow_write_mounted/);
  t.regex(explain(failure("EBUSY")).cause, /in use/);
});

test("ENOTCONN differs by stack, EROFS by the device", (t) => {
  t.regex(explain(failure("ENOTCONN"), { stack: "pcmk" }).remedy ?? "", /dlm_controld/);
  t.regex(explain(failure("ENOTCONN")).remedy ?? "", /firewall/);
  t.regex(explain(failure("EROFS"), { readOnlyDevice: true }).remedy ?? "", /blockdev/);
  t.regex(explain(failure("EROFS")).remedy ?? "", /fsck/);
});

test("errno 512, which should never leave the kernel, is an interrupted join", (t) => {
  t.regex(explain({ errno: -512 }).cause, /given up/);
});

test("an error without errno explains itself, and anything else is at least named", (t) => {
  t.deepEqual(explain(Object.assign(new Error("no module"), { remedy: "build it" })), {
    cause: "no module",
    remedy: "build it",
  });
  t.is(explain("text").cause, "text");
  t.true(explain(undefined).cause.length > 0);
  t.regex(explain({ errno: -9999 }).cause, /errno 9999/);
});

test("every errno gives one clause without a full stop, whatever the messages", (t) => {
  const errnos = fc.oneof(
    fc.constantFrom(...Object.values(constants.errno)),
    fc.integer({ min: 1, max: 600 }),
  );
  fc.assert(
    fc.property(errnos, fc.array(fc.string({ unit: "binary" })), (errno, kernelMessages) => {
      const { cause, remedy } = explain({ errno: -errno, kernelMessages });
      return cause.length > 0 && !cause.endsWith(".") && !(remedy ?? "").endsWith(".");
    }),
  );
  t.pass();
});
