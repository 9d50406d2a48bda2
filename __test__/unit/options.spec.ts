// The option string: every word of libmount's table, OCFS2's own options, what the kernel is given, and hostile input.
import { deepStrictEqual } from "node:assert/strict";
import test from "ava";
import * as fc from "fast-check";
import { O2cbError } from "../../ts/errors.ts";
import {
  flagsAsWords,
  kernelOptions,
  parseMountOptions,
  remountOptions,
  type ParsedMountOptions,
} from "../../ts/mount/options.ts";

const strict = (text: string): ParsedMountOptions => parseMountOptions(text, { sloppy: false });
const classic = { local: false, hardReadOnly: false, stackLabel: "o2cb", globalHeartbeat: false };

/** The error that `call` throws, which must be a coded one of the options. */
function refusal(call: () => unknown): O2cbError {
  try {
    call();
  } catch (error) {
    if (error instanceof O2cbError && error.code === "O2CB_BAD_MOUNT_OPTION") return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

// Values of <linux/mount.h>, written out here again so that the table is held to them.
for (const [word, bit, lift] of [
  ["ro", 1, "rw"],
  ["nosuid", 2, "suid"],
  ["nodev", 4, "dev"],
  ["noexec", 8, "exec"],
  ["sync", 16, "async"],
  ["remount", 32, null],
  ["mand", 64, "nomand"],
  ["dirsync", 128, null],
  ["nosymfollow", 256, "symfollow"],
  ["noatime", 1024, "atime"],
  ["nodiratime", 2048, "diratime"],
  ["silent", 32768, "loud"],
  ["quiet", 32768, "loud"],
  ["relatime", 2097152, "norelatime"],
  ["iversion", 8388608, "noiversion"],
  ["strictatime", 16777216, "nostrictatime"],
  ["lazytime", 33554432, "nolazytime"],
] as const) {
  test(`${word} sets its bit${lift === null ? "" : `, and a later ${lift} lifts it`}`, (t) => {
    t.is(strict(word).flags, bit);
    t.deepEqual(strict(word).data, []);
    if (lift !== null) {
      t.is(strict(`${word},${lift}`).flags, 0);
      t.is(strict(`${lift},${word}`).flags, bit);
    }
  });
}

test("of the rules for access times the last one holds", (t) => {
  t.is(strict("noatime,relatime").flags, 2097152);
  t.is(strict("relatime,strictatime").flags, 16777216);
  t.is(strict("strictatime,noatime").flags, 1024);
});

test("user, users and pamconsole imply three flags, owner and group two", (t) => {
  for (const word of ["user", "users", "pamconsole"]) t.is(strict(word).flags, 2 | 4 | 8);
  for (const word of ["owner", "group"]) t.is(strict(word).flags, 2 | 4);
});

test("what libmount writes after user for exec and suid is heeded", (t) => {
  t.is(strict("rw,nosuid,nodev,user,exec").flags, 2 | 4);
  t.is(strict("rw,nodev,users,exec,suid").flags, 4);
  t.is(strict("user,nouser").flags, 2 | 4 | 8, "a negation lifts nothing, as in libmount");
});

test("words for user space reach nobody", (t) => {
  const words =
    "defaults,auto,noauto,_netdev,nofail,user=bob,uhelper=hal,helper=k,comment=a b,x-systemd.automount,X-mount.mkdir," +
    "loop,loop=/dev/loop0,offset=0,sizelimit=0,encryption=aes,speed=1,vfs=ocfs2,kudzu,managed,nouser,nogroup";
  const parsed = strict(words);
  t.deepEqual({ flags: parsed.flags, data: parsed.data }, { flags: 0, data: [] });
  t.deepEqual(parsed.dropped, words.split(","));
});

test("a typical line of libmount", (t) => {
  const parsed = strict(
    "rw,noatime,nodiratime,_netdev,data=writeback,nofail,errors=panic,commit=10,localflocks",
  );
  t.is(parsed.flags, 1024 | 2048);
  t.deepEqual(parsed.data, ["data=writeback", "errors=panic", "commit=10", "localflocks"]);
  t.false(parsed.remount);
});

test("an option given twice, or contradicted, stands once: as it was given last", (t) => {
  t.deepEqual(strict("commit=5,acl,data=ordered,commit=7,noacl").data, ["data=ordered", "commit=7", "noacl"]);
});

test("names that OCFS2 does not know go to the kernel as they are", (t) => {
  t.deepEqual(strict("frobnicate,rate=7,rate=8").data, ["frobnicate", "rate=7", "rate=8"]);
});

test("quotes protect commas, and are taken off where they protect none", (t) => {
  t.deepEqual(strict('context="a,b",data="ordered"').data, ['context="a,b"', "data=ordered"]);
  t.regex(refusal(() => strict('context="a,b')).message, /closing/);
});

test("empty parts are nothing", (t) => {
  t.deepEqual(strict(',,acl,,"",inode64,').data, ["acl", "inode64"]);
  t.deepEqual(strict("").data, []);
});

for (const wrong of [
  ["data=journal", "barrier=2", "barrier=yes", "barrier=-1", "commit=", "commit", "atime_quantum=1s"],
  [
    "preferred_slot=255",
    "localalloc=-1",
    "resv_level=9",
    "dir_resv_level=0x9",
    "errors=ignore",
    "coherency=none",
  ],
  ["heartbeat=yes", "cluster_stack=o2", "commit=99999999999", "acl=1", "ro=1", "=x", "heartbeat="],
].flat()) {
  test(`${wrong} is refused with one sentence`, (t) => {
    const { message } = refusal(() => strict(`rw,${wrong}`));
    t.regex(message, /^option '[^\n]+[^.]$/);
  });
}

test("values at the edges are taken", (t) => {
  const options =
    "barrier=0,barrier=1,resv_level=8,dir_resv_level=0,preferred_slot=254,commit=2147483647,localalloc=0x10";
  t.is(strict(options).data.length, 6);
});

test("uid and gid name what OCFS2 does instead", (t) => {
  t.regex(refusal(() => strict("uid=bob")).message, /no option 'uid'/);
  t.regex(refusal(() => strict("gid=5")).remedy ?? "", /chown/);
});

test("bind and the other requests about the tree of mounts are refused, remount,bind is not", (t) => {
  for (const word of ["bind", "rbind", "move", "private", "rshared"])
    t.regex(refusal(() => strict(word)).message, new RegExp(word));
  t.is(strict("remount,bind,ro").flags, 32 | 4096 | 1);
});

test("control characters are refused with their position, and never printed", (t) => {
  for (const [text, position] of [
    ["ro,a\0b", 4],
    ["a\nb", 1],
    ["\u001b[2J", 0],
    ["a\u007f", 1],
  ] as const) {
    const { message } = refusal(() => strict(text));
    t.true(message.endsWith(`position ${position}`), message);
    t.notRegex(message, /\p{Cc}/u);
  }
});

test("5 kB of options are read; what is too long for the kernel is refused with its length", (t) => {
  t.deepEqual(strict(`${"nofail,".repeat(800)}acl`).data, ["acl"]);
  const { message } = refusal(() => strict(`context=${"x".repeat(5000)}`));
  t.regex(message, /5008 bytes.*4095/);
  const fits = `context=${"é".repeat(2036)}`;
  t.is(strict(fits).data.length, 1);
  t.regex(
    refusal(() => kernelOptions(strict(fits), classic)).message,
    /4095/,
    "the heartbeat option counts too",
  );
});

test("a text that is no string is a programming error", (t) => {
  t.throws(() => parseMountOptions(null as unknown as string, { sloppy: false }), { instanceOf: TypeError });
});

test("sloppy leaves out unknown names, but neither security labels nor wrong values", (t) => {
  const parsed = parseMountOptions("frobnicate=1,uid=5,context=c,acl", { sloppy: true });
  t.deepEqual(
    [parsed.data, parsed.ignored],
    [
      ["context=c", "acl"],
      ["frobnicate=1", "uid=5"],
    ],
  );
  refusal(() => parseMountOptions("data=journal", { sloppy: true }));
});

test("the kernel gets exactly one option about the cluster, after the caller's", (t) => {
  const given = (kind: Partial<typeof classic> | { stackLabel: string | null }): string[] => {
    return kernelOptions(strict("rw,acl"), { ...classic, ...kind });
  };
  t.deepEqual(given({}), ["acl", "heartbeat=local"]);
  t.deepEqual(given({ stackLabel: null }), ["acl", "heartbeat=local"]);
  t.deepEqual(given({ globalHeartbeat: true }), ["acl", "heartbeat=global"]);
  t.deepEqual(given({ local: true }), ["acl", "heartbeat=none"]);
  t.deepEqual(given({ hardReadOnly: true, globalHeartbeat: true }), ["acl", "heartbeat=none"]);
  t.deepEqual(given({ stackLabel: "pcmk" }), ["acl", "cluster_stack=pcmk"]);
  t.deepEqual(given({ stackLabel: "pcmk", hardReadOnly: true }), ["acl", "cluster_stack=pcmk"]);
});

test("a cluster option of the caller's must agree with the volume, and is not repeated", (t) => {
  t.deepEqual(kernelOptions(strict("heartbeat=local,cluster_stack=o2cb"), classic), ["heartbeat=local"]);
  t.deepEqual(kernelOptions(strict("cluster_stack=pcmk"), { ...classic, stackLabel: "pcmk" }), [
    "cluster_stack=pcmk",
  ]);
  t.regex(refusal(() => kernelOptions(strict("heartbeat=none"), classic)).message, /heartbeat=local/);
  t.regex(
    refusal(() => kernelOptions(strict("heartbeat=local"), { ...classic, globalHeartbeat: true })).message,
    /heartbeat=global/,
  );
  t.regex(refusal(() => kernelOptions(strict("cluster_stack=pcmk"), classic)).message, /'o2cb'/);
});

test("nocluster is never passed on: harmless without a cluster, refused with one", (t) => {
  t.true(strict("nocluster").noCluster);
  t.deepEqual(kernelOptions(strict("nocluster"), { ...classic, local: true }), ["heartbeat=none"]);
  t.regex(refusal(() => kernelOptions(strict("nocluster"), classic)).message, /nocluster/);
});

const MOUNTED =
  "rw,_netdev,heartbeat=local,nointr,data=ordered,errors=remount-ro,atime_quantum=60,localflocks,,cluster_stack=o2cb,user_xattr,acl";

test("a remount repeats what holds, without what the kernel shows but does not take", (t) => {
  const kept = [
    "heartbeat=local",
    "nointr",
    "data=ordered",
    "errors=remount-ro",
    "atime_quantum=60",
    "localflocks",
    "user_xattr",
    "acl",
  ];
  t.deepEqual(remountOptions(MOUNTED, strict("remount,ro,_netdev")), kept);
  t.deepEqual(remountOptions("ro,sync,lazytime,seclabel,cluster_stack=pcmk", strict("remount")), [
    "cluster_stack=pcmk",
  ]);
});

test("a remount lays the caller's options over what holds", (t) => {
  const options = remountOptions(
    MOUNTED,
    strict("remount,noacl,commit=9,atime_quantum=1,heartbeat=local,data=ordered,cluster_stack=o2cb"),
  );
  t.deepEqual(
    options.filter((option) => /acl|commit|quantum/.test(option)),
    ["noacl", "commit=9", "atime_quantum=1"],
  );
  t.is(options.filter((option) => option.startsWith("heartbeat=")).length, 1);
});

test("a remount refuses what a mounted volume cannot change", (t) => {
  for (const option of ["heartbeat=global", "data=writeback", "inode64", "cluster_stack=pcmk", "nocluster"]) {
    const { message } = refusal(() => remountOptions(MOUNTED, strict(`remount,${option}`)));
    t.true(message.includes(option), message);
  }
});

test("flags read as words set the same flags", (t) => {
  t.deepEqual(flagsAsWords(0), ["rw"]);
  for (const bits of [
    1,
    2 | 4 | 8,
    32 | 4096,
    1 | 16 | 64 | 128 | 256,
    1024 | 2048,
    2097152 | 32768,
    33554432 | 8388608,
  ]) {
    t.is(strict(flagsAsWords(bits).join(",")).flags, bits);
  }
});

// -- any input -------------------------------------------------------------------------------------------------------

const word = fc.constantFrom(
  ...[
    "ro",
    "rw",
    "noatime",
    "relatime",
    "user",
    "users",
    "exec",
    "nouser",
    "nofail",
    "_netdev",
    "x-a=b",
    "X-",
    "remount",
  ],
  ...[
    "bind",
    "acl",
    "noacl",
    "data=ordered",
    "data=x",
    "commit=3",
    "commit=4",
    "heartbeat=local",
    "cluster_stack=pcmk",
  ],
  ...[
    "nocluster",
    'context="a,b"',
    '"',
    "",
    "=",
    "loop=1",
    "user=bob",
    "defaults",
    "uid=1",
    "é=ü",
    "resv_level=8",
  ],
);
const optionString = fc.oneof(
  fc
    .array(fc.oneof(word, fc.string(), fc.string({ unit: "binary" })), { maxLength: 30 })
    .map((words) => words.join(",")),
  fc.array(word, { maxLength: 12 }).map((words) => words.join(",")),
  fc.string({ unit: "binary", maxLength: 6000 }),
);
const userSpace =
  /^(defaults|auto|noauto|_netdev|nofail|user|users|nouser|owner|group|user=.*|uhelper=.*|helper=.*|loop|loop=.*|offset=.*|x-.*|X-.*|ro|rw|remount|nocluster|heartbeat=.*|cluster_stack=.*)$/s;

/** The parsed options as a string again. */
function printed(parsed: ParsedMountOptions): string {
  const cluster = [
    parsed.heartbeat === null ? [] : [`heartbeat=${parsed.heartbeat}`],
    parsed.clusterStack === null ? [] : [`cluster_stack=${parsed.clusterStack}`],
    parsed.noCluster ? ["nocluster"] : [],
  ].flat();
  return [...flagsAsWords(parsed.flags), ...parsed.data, ...cluster].join(",");
}

test("any text is options or a coded refusal; what reaches the kernel is short, and free of user space's words", (t) => {
  fc.assert(
    fc.property(optionString, fc.boolean(), fc.boolean(), (text, sloppy, local) => {
      let data: string[];
      try {
        data = kernelOptions(parseMountOptions(text, { sloppy }), { ...classic, local });
      } catch (error) {
        if (!(error instanceof O2cbError)) throw error;
        return error.code === "O2CB_BAD_MOUNT_OPTION" && !/\p{Cc}/u.test(error.message);
      }
      const about = data.filter((option) => /^(heartbeat|cluster_stack)(=|$)/.test(option));
      return (
        Buffer.byteLength(data.join(",")) < 4096 &&
        about.length === 1 &&
        data.every((option) => option !== "" && (about.includes(option) || !userSpace.test(option)))
      );
    }),
    { numRuns: 3000 },
  );
  t.pass();
});

test("options printed and read again are the same options", (t) => {
  fc.assert(
    fc.property(optionString, fc.boolean(), (text, sloppy) => {
      let once: ParsedMountOptions;
      try {
        once = parseMountOptions(text, { sloppy });
      } catch {
        return;
      }
      const again = parseMountOptions(printed(once), { sloppy });
      deepStrictEqual(again, { ...once, dropped: [], ignored: [] });
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

test("any text of mountinfo and any options give a remount's options or a coded refusal", (t) => {
  fc.assert(
    fc.property(optionString, optionString, (shown, text) => {
      try {
        const options = remountOptions(shown, strict(text));
        return options.every((option) => !["", "_netdev", "rw", "ro", "cluster_stack=o2cb"].includes(option));
      } catch (error) {
        return error instanceof O2cbError;
      }
    }),
    { numRuns: 2000 },
  );
  t.pass();
});
