// The parts of the lab that need no machine.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Duplex } from "node:stream";
import test from "ava";
import { Account } from "./vm/account.ts";
import { parseSource } from "./vm/apt.ts";
import { quote } from "./vm/command.ts";
import { clusterConf, leftovers, parseGroupState } from "./vm/group-state.ts";
import { initrd } from "./vm/initrd.ts";
import { takeAnyLock, takeLock } from "./vm/lock.ts";
import { Network } from "./vm/network.ts";
import { missingForMachines } from "./vm/requirements.ts";

function temporary(t: { teardown(f: () => void): void }): string {
  const path = mkdtempSync(join(tmpdir(), "lab-parts-"));
  t.teardown(() => rmSync(path, { recursive: true }));
  return path;
}

/** A network card whose frames a test sends with emit("data") and finds in `got`. */
function card(): { socket: Duplex; got: () => string; send: (bytes: Buffer) => void } {
  const chunks: Buffer[] = [];
  const socket = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      chunks.push(Buffer.from(chunk));
      done();
    },
  });
  return {
    socket,
    got: () => Buffer.concat(chunks.splice(0)).toString("latin1"),
    send: (bytes) => void socket.emit("data", bytes),
  };
}

function frame(text: string): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(text.length);
  return Buffer.concat([head, Buffer.from(text)]);
}

test("the hub passes whole frames to everybody else, however they arrive, and none to or from a cut node", (t) => {
  const network = new Network();
  const [a, b, c] = [card(), card(), card()];
  [a, b, c].forEach(({ socket }, index) => network.connect(index + 1, socket));
  const both = Buffer.concat([frame("one"), frame("two")]);
  for (const byte of both) a.send(Buffer.from([byte]));
  t.is(b.got(), both.toString("latin1"));
  t.is(c.got(), both.toString("latin1"));
  t.is(a.got(), "");
  network.cut({ number: 2 });
  a.send(both);
  b.send(frame("lost"));
  t.is(b.got(), "");
  t.is(c.got(), both.toString("latin1"));
  t.is(a.got(), "");
  network.restore({ number: 2 });
  b.send(frame("back"));
  t.is(a.got(), frame("back").toString("latin1"));
  a.send(Buffer.from([0xff, 0xff, 0xff, 0xff]));
  t.true(a.socket.destroyed, "a stream out of step is closed");
});

test("the system's mirror is found in either form of source, and only for the plain suite", (t) => {
  const line =
    "deb http://mirror.example/sec name-security main\n# deb http://x name main\ndeb [arch=amd64 signed-by=/k.gpg] http://mirror.example/d name main contrib\n";
  t.deepEqual(parseSource(line, "name"), { uri: "http://mirror.example/d", options: "signed-by=/k.gpg" });
  t.is(parseSource(line, "other"), undefined);
  const stanzas = [
    "Types: deb\nURIs: http://mirror.example/sec\nSuites: name-security\nComponents: main\n",
    "Types: deb deb-src\n# a remark\nURIs: http://mirror.example/d http://second.example/d\nSuites: name name-updates\nComponents: main\nSigned-By: /k.gpg\n",
  ].join("\n");
  t.deepEqual(parseSource(stanzas, "name"), { uri: "http://mirror.example/d", options: "signed-by=/k.gpg" });
  t.is(
    parseSource("Types: deb-src\nURIs: http://m.example\nSuites: name\nComponents: main\n", "name"),
    undefined,
  );
  t.is(parseSource("", "name"), undefined);
});

test("cluster.conf names every node", (t) => {
  const text = clusterConf("lab", { nodes: 2, mode: "global", regions: ["AB"] });
  t.regex(text, /^cluster:\n\tname = lab\n\theartbeat_mode = global\n\tnode_count = 2\n\nnode:\n/);
  t.regex(text, /\tnumber = 2\n\tip_port = 7777\n\tip_address = 10\.9\.0\.2\n\tname = n2\n/);
  t.regex(text, /heartbeat:\n\tcluster = lab\n\tregion = AB\n/);
});

test("what is left is named, thing by thing", (t) => {
  const state = parseGroupState(
    "region lab ABC\nsemaphores -559038737 5 2\nmount /dev/vda /vol ocfs2\ndomain ABC\n",
  );
  t.deepEqual(leftovers(state), [
    "the mount of /dev/vda on /vol",
    "the domain ABC",
    "the region ABC of cluster lab",
    "the semaphore set 0xdeadbeef",
  ]);
  t.deepEqual(leftovers(parseGroupState("")), []);
});

test("a quoted word is one word for the shell", (t) => {
  for (const word of ["", "plain", "a b", "it's", "$HOME `x` \\", "*", "~", "a\nb", "-n", "é"]) {
    const { stdout } = spawnSync("bash", ["-c", `printf -- %s ${quote(word)}`], { encoding: "utf8" });
    t.is(stdout, word);
  }
});

test("an initrd is built once for equal inputs, and cpio's readers understand it", (t) => {
  const directory = temporary(t);
  const [busybox, module] = [join(directory, "busybox"), join(directory, "some.ko")];
  writeFileSync(busybox, "BUSYBOX");
  writeFileSync(module, "MODULE of odd length");
  const path = initrd(directory, [module], busybox);
  t.is(initrd(directory, [module], busybox), path);
  const list = spawnSync("sh", ["-c", `zcat ${path} | cpio -t --quiet`], { encoding: "utf8" });
  if (list.status === 0) {
    const names = list.stdout.trim().split("\n");
    for (const name of ["bin/busybox", "bin/sh", "modules/00-some.ko", "init"])
      t.true(names.includes(name), name);
    const content = spawnSync(
      "sh",
      ["-c", `cd ${directory} && zcat ${path} | cpio -i --quiet --to-stdout modules/00-some.ko`],
      { encoding: "utf8" },
    );
    t.is(content.stdout, "MODULE of odd length");
  } else t.log("no cpio here: only the name was compared");
  writeFileSync(module, "another");
  t.not(initrd(directory, [module], busybox), path);
});

test("a lock is held by one at a time, and the waiting one is told by whom", async (t) => {
  const path = join(temporary(t), "lock");
  const first = await takeLock(path);
  const told = new Promise<string>((resolve) => {
    void takeLock(path, resolve).then((second) => second.release());
  });
  t.regex(await told, new RegExp(`^process ${process.pid} `));
  await first.release();
  const third = await takeLock(path);
  await third.release();
  t.regex(readFileSync(path, "utf8"), /^process /);
});

test("of several locks the first that is free is taken, and the first of all is waited for", async (t) => {
  const directory = temporary(t);
  const paths: [string, string] = [join(directory, "lock"), join(directory, "lock.2")];
  const [first, second] = [await takeAnyLock(paths), await takeAnyLock(paths)];
  const third = new Promise<string>((resolve, reject) => {
    takeAnyLock(paths, () => void first.release()).then(async (held) => {
      await held.release();
      resolve("had it");
    }, reject);
  });
  t.is(await third, "had it");
  const again = await takeAnyLock(paths);
  await Promise.all([second.release(), again.release()]);
});

test("missing programs are named with the command that installs them", (t) => {
  const missing = [
    { what: "qemu", package: "qemu-system-x86" },
    { what: "a", package: "kmod" },
    { what: "b", package: "kmod" },
  ];
  t.is(
    missingForMachines(missing),
    "machines need qemu, a, b: as root, apt-get install -y --no-install-recommends qemu-system-x86 kmod",
  );
  t.is(missingForMachines([]), null);
});

test("an account has the time and the node in front of each line", (t) => {
  const lines: string[] = [];
  const account = new Account((line) => lines.push(line));
  account.log("booting");
  account.say("node 7", "text");
  t.regex(lines[0] ?? "", /^\[ {3}0\.\d s\] lab {4} booting$/);
  t.regex(lines[1] ?? "", /^\[ {3}0\.\d s\] node 7 {1} text$/);
});
