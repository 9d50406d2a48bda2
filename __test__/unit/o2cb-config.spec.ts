// o2cb's commands of the configuration beyond what the C tool has: dry runs, --json, what is said, devices, the resolver. What both have is
// compared in o2cb-differential.spec.ts.
import test from "ava";
import { configCommands } from "../../ts/cli/o2cb-config-commands.ts";
import { classicLocal, DISK, UUID, type FakeKernel } from "../helpers/fake-native.ts";
import { CONF, fileText, o2cb, o2cbJson } from "../helpers/o2cb/run.ts";

process.setMaxListeners(0);

const TEXT = [
  "# ours\ncluster:\n\tname = lab\n\theartbeat_mode = local\n\tnode_count = 1\n\n",
  "node:\n\tcluster = lab\n\tnumber = 0\n\tip_port = 7777\n\tip_address = 10.0.0.1\n\tname = alpha\n\n",
].join("");

function machine(text: string | null = TEXT): FakeKernel {
  const { kernel } = classicLocal();
  if (text !== null) kernel.addFile(CONF, text);
  return kernel;
}

test("a cluster is made with its nodes; nothing is said, and with -v what was done", async (t) => {
  const kernel = machine(null);
  for (const line of ["add-cluster lab", "add-node --ip 10.0.0.1 lab alpha"])
    t.deepEqual(
      { ...(await o2cb(kernel, line)), json: null },
      { status: 0, stdout: [], stderr: [], json: null },
    );
  const { stdout } = await o2cb(kernel, "-v add-node --ip=10.0.0.2 --port 7778 --number 9 lab beta");
  t.deepEqual(stdout, ["o2cb add-node: added node 'beta' to cluster 'lab', number 9, at 10.0.0.2"]);
  t.regex(await fileText(kernel), /node_count = 2\n/);
  t.deepEqual((await o2cb(kernel, "list-nodes --oneline lab")).stdout, [
    "node: 0 alpha 10.0.0.1:7777 lab",
    "node: 9 beta 10.0.0.2:7778 lab",
  ]);
});

test("--config-file before the command and after it is the file that is changed", async (t) => {
  const kernel = machine();
  for (const line of ["--config-file=/tmp/a add-cluster x", "--config-file /tmp/b add-cluster x"])
    t.is((await o2cb(kernel, line)).status, 0);
  t.is((await o2cb(kernel, "add-cluster x --config-file /tmp/c")).status, 0);
  for (const path of ["/tmp/a", "/tmp/b", "/tmp/c"]) t.regex(await fileText(kernel, path), /name = x/);
  t.is(await fileText(kernel), TEXT);
});

test("a dry run writes nothing, locks nothing, and tells the file as it would be, on one line", async (t) => {
  const kernel = machine();
  const native = kernel.process();
  const { status, stdout } = await o2cb(native, "remove-node --dry-run lab alpha");
  t.is(status, 0);
  t.is(stdout.length, 1);
  t.regex(
    stdout[0] ?? "",
    /^replace file \/etc\/ocfs2\/cluster\.conf "# ours\\ncluster:.*node_count = 0\\n\\n"$/,
  );
  t.is(await fileText(kernel), TEXT);
  t.deepEqual(
    native.calls.filter(({ name }) => /^(replace|lock|write)/.test(name)),
    [],
  );
});

for (const line of [
  "add-cluster other",
  "remove-cluster lab",
  "add-node --ip 10.0.0.9 lab gamma",
  "remove-node lab alpha",
  `add-heartbeat lab ${UUID}`,
  "heartbeat-mode lab global",
]) {
  test(`${line}: --json and --dry-run tell the same write, which only the one carries out`, async (t) => {
    const kernel = machine();
    const dry = await o2cbJson(t, "o2cb-writes", kernel, `${line} --dry-run`);
    t.is(await fileText(kernel), TEXT);
    const wet = await o2cbJson(t, "o2cb-writes", kernel, line);
    t.deepEqual([dry["dryRun"], wet["dryRun"]], [true, false]);
    t.deepEqual(wet["writes"], dry["writes"]);
    t.deepEqual(wet["writes"], [{ action: "replace file", path: CONF, value: await fileText(kernel) }]);
    t.not(await fileText(kernel), TEXT);
  });
}

test("what is so already is a success without a write", async (t) => {
  const kernel = machine();
  const result = await o2cbJson(t, "o2cb-writes", kernel, "heartbeat-mode lab local");
  t.deepEqual(result, { dryRun: false, writes: [] });
});

test("listings as --json", async (t) => {
  const kernel = machine();
  await o2cb(kernel, `add-heartbeat lab ${UUID}`);
  const nodes = [{ name: "alpha", number: 0, address: "10.0.0.1", port: 7777, cluster: "lab" }];
  const heartbeats = [{ region: UUID, cluster: "lab" }];
  t.deepEqual(await o2cbJson(t, "o2cb-config", kernel, "list-clusters"), { clusters: ["lab"] });
  t.deepEqual(await o2cbJson(t, "o2cb-config", kernel, "list-nodes lab"), { nodes });
  t.deepEqual(await o2cbJson(t, "o2cb-config", kernel, "list-heartbeats lab"), { heartbeats });
  t.deepEqual(await o2cbJson(t, "o2cb-config", kernel, "list-cluster lab"), {
    cluster: { name: "lab", mode: "local", nodeCount: 1 },
    nodes,
    heartbeats,
  });
});

test("a device stands for the volume that is on it, and a region that is only a text can be taken out", async (t) => {
  const kernel = machine();
  t.is((await o2cb(kernel, `add-heartbeat lab ${DISK}`)).status, 0);
  t.deepEqual((await o2cb(kernel, "list-heartbeats --oneline lab")).stdout, [`heartbeat: ${UUID} lab`]);
  const again = await o2cb(kernel, `add-heartbeat lab ${UUID.toLowerCase()}`);
  t.is(again.status, 1);
  t.regex(again.stderr[0] ?? "", /has the heartbeat region/);
  t.is((await o2cb(kernel, `remove-heartbeat lab ${DISK}`)).status, 0);
  t.deepEqual((await o2cb(kernel, "list-heartbeats lab")).stdout, []);

  kernel.addFile(CONF, `${TEXT}heartbeat:\n\tcluster = lab\n\tregion = /dev/gone\n\n`);
  t.is((await o2cb(kernel, "remove-heartbeat lab /dev/gone")).status, 0);
  const { status, stderr } = await o2cb(kernel, "remove-heartbeat lab /dev/gone");
  t.is(status, 1);
  t.regex(stderr[0] ?? "", /\/dev\/gone/);
});

test("a node's address is asked of the resolver where --ip is absent, and of nobody for a name that cannot be", async (t) => {
  const asked: string[] = [];
  const table = configCommands(async (name) => {
    asked.push(name);
    return "10.7.7.7";
  });
  const kernel = machine();
  t.is((await o2cb(kernel, ["add-node", "lab", "../x"], table)).status, 1);
  t.is((await o2cb(kernel, "add-node lab beta", table)).status, 0);
  t.is((await o2cb(kernel, "add-node --ip 10.0.0.3 lab gamma", table)).status, 0);
  t.deepEqual(asked, ["beta"]);
  t.regex(
    (await o2cb(kernel, "list-nodes --oneline lab")).stdout.join("\n"),
    /^node: 1 beta 10\.7\.7\.7:7777 lab$/m,
  );
});

test("a name that the resolver does not know is an error that says what to do", async (t) => {
  const { status, stderr } = await o2cb(machine(), ["add-node", "lab", "a name with spaces"]);
  t.is(status, 1);
  t.regex(stderr.join("\n"), /the resolver has no IPv4 address of 'a name with spaces'.*\n.*--ip/);
});

test("errors name the file, the line and the column; --json has them as data", async (t) => {
  const kernel = machine(TEXT.replace("7777", "many"));
  const { status, stderr, stdout } = await o2cb(kernel, "list-clusters --json");
  t.is(status, 1);
  t.regex(
    stderr[0] ?? "",
    /^o2cb list-clusters: '\/etc\/ocfs2\/cluster\.conf', line 10, column 12: .*'ip_port'/,
  );
  const { error } = JSON.parse(stdout[0] ?? "") as { error: { code: string; path: string } };
  t.is(error.code, "O2CB_CONFIGURATION_ERROR");
  t.is(error.path, CONF);
});

for (const [line, message] of [
  ["add-node --port x lab n", /--port is 'x', and has to be a decimal number/],
  ["add-node --number 0x1 lab n", /--number is '0x1'/],
  ["add-node --number -1 lab n", /--number is '-1'/],
  ["heartbeat-mode lab GLOBAL", /the mode is 'GLOBAL', and has to be 'local' or 'global'/],
  ["heartbeat-mode lab", /local\|global is missing/],
  ["add-node lab", /NODE is missing/],
] as const) {
  test(`wrong usage changes nothing: ${line}`, async (t) => {
    const kernel = machine();
    const { status, stdout, stderr } = await o2cb(kernel, line);
    t.is(status, 1);
    t.deepEqual(stdout, []);
    t.is(stderr.length, 1);
    t.regex(stderr[0] ?? "", message);
    t.is(await fileText(kernel), TEXT);
  });
}

// -- what is wrong with it, and whether two are equal

test("lint tells every finding with its place, and its status whether one is an error", async (t) => {
  const kernel = machine(TEXT.replace("node_count = 1", "node_count = 4"));
  const soft = await o2cb(kernel, "lint");
  t.is(soft.status, 0, soft.stderr.join());
  t.is(soft.stdout.length, 1);
  t.regex(soft.stdout[0] ?? "", /^\/etc\/ocfs2\/cluster\.conf:5:\d+: warning: .*node_count.*; what to do: /);
  kernel.addFile(CONF, TEXT.replace("name = alpha", "name = x/y"));
  const hard = await o2cbJson(t, "o2cb-config", kernel, "lint");
  t.true((hard["findings"] as object[]).length > 1);
  t.is((await o2cb(kernel, "lint")).status, 1);
  // Whose host it is for is not known of another file.
  kernel.addFile("/tmp/other.conf", TEXT.replace("name = alpha", "name = elsewhere"));
  t.deepEqual((await o2cb(kernel, "lint --config-file=/tmp/other.conf")).stdout, []);
  t.regex(
    (await o2cb(kernel, "lint --config-file=/tmp/none")).stderr.join(),
    /there is no file '\/tmp\/none'/,
  );
});

test("a digest does not depend on order and comments, and does on the timeouts", async (t) => {
  const kernel = machine();
  const digest = async (): Promise<string> => (await o2cb(kernel, "digest lab")).stdout.join();
  const first = await digest();
  t.regex(first, /^[0-9a-f]{64}$/);
  kernel.addFile(CONF, TEXT.replace("# ours\n", "\n# theirs\n"));
  t.is(await digest(), first);
  kernel.addFile("/etc/default/o2cb", "O2CB_IDLE_TIMEOUT_MS=60000\n");
  t.not(await digest(), first);
  const data = await o2cbJson(t, "o2cb-config", kernel, "digest lab");
  t.regex(String(data["text"]), /idle-timeout-ms 60000/);
  const { stdout } = await o2cb(kernel, "digest -v lab");
  t.is(stdout[0], data["sha256"] as string);
  t.true(stdout.includes("o2cb digest: idle-timeout-ms 60000"));
  kernel.addFile("/etc/default/o2cb", "O2CB_IDLE_TIMEOUT_MS=$X\n");
  const { status, stderr } = await o2cb(kernel, "digest lab");
  t.is(status, 1);
  t.regex(stderr[0] ?? "", /'\/etc\/default\/o2cb', line 1, column 1: /);
});

test("lines for fstab and systemd", async (t) => {
  const kernel = machine();
  const { stdout } = await o2cb(kernel, "fstab-line LABEL=data /data -o ro");
  t.deepEqual(stdout, ["LABEL=data /data ocfs2 _netdev,x-systemd.requires=o2cb.service,ro 0 0"]);
  const data = await o2cbJson(t, "o2cb-config", kernel, `fstab-line UUID=${UUID} /data`);
  t.regex(String(data["line"]), /^UUID=77d95ef5-/);
  const unit = await o2cb(kernel, "mount-unit /dev/sdb1 /srv/data");
  t.is(unit.stdout[0], "# /etc/systemd/system/srv-data.mount");
  t.true(unit.stdout.includes("What=/dev/sdb1"));
  t.is(
    (await o2cbJson(t, "o2cb-config", kernel, "mount-unit /dev/sdb1 /srv/data"))["name"],
    "srv-data.mount",
  );
  for (const line of ["fstab-line sdb1 /data", "fstab-line UUID=x /data", "mount-unit /dev/sdb1 data"]) {
    const bad = await o2cb(kernel, line);
    t.is(bad.status, 1);
    t.regex(bad.stderr.join("\n"), /; see o2cb (fstab-line|mount-unit) --help$/);
  }
});
