// cluster.conf on disk, over the fake kernel: what is written, what a failure leaves, and who waits for whom.
import test from "ava";
import { FakeKernel, walkFaults, walkKills, type FakeNative } from "../helpers/fake-native.ts";
import { link } from "../helpers/fake/tree.ts";
import { refused } from "../helpers/refused.ts";
import { addCluster, addNode, removeHeartbeat } from "../../ts/config/edit.ts";
import { changeConfig, loadConfig } from "../../ts/config/store.ts";
import { O2cbError } from "../../ts/errors.ts";

const PATH = "/etc/ocfs2/cluster.conf";
const OLD = "# ours\ncluster:\n\tname = web\n\tnode_count = 0\n";
const NEW = `${OLD.replace("= 0", "= 1")}\nnode:\n\tcluster = web\n\tnumber = 0\n\tip_port = 7777\n\tip_address = 10.0.0.1\n\tname = n1\n\n`;

function machine(text?: string, path = PATH): FakeKernel {
  const kernel = new FakeKernel();
  kernel.addDirectory("/etc");
  if (text !== undefined) kernel.addFile(path, text);
  return kernel;
}

const change = (native: FakeNative, path = PATH) =>
  changeConfig(native, path, (document) => addNode(document, "web", { name: "n1", address: "10.0.0.1" }));
const content = (kernel: FakeKernel, path = PATH): Promise<string> => kernel.process().readAttribute(path);

test("a missing file has no clusters, and so has one whose directory is missing", async (t) => {
  const loaded = await loadConfig(machine().process());
  t.like(loaded, { path: PATH, exists: false, config: { clusters: [] } });
  t.is(loaded.document.text, "");
});

test("a file is loaded, and what is wrong in it is told with its place", async (t) => {
  const loaded = await loadConfig(machine(OLD).process());
  t.is(loaded.config.clusters[0]?.name, "web");
  t.true(loaded.exists);
  const native = machine("cluster:\n\tname = a\n", "/x").process();
  const error = await refused(t, loadConfig(native, "/x"), null, "O2CB_CONFIGURATION_ERROR");
  t.like(error, { path: "/x", line: 1, column: 1 });
});

test("what the kernel says of the file is an error, not an empty configuration", async (t) => {
  const native = machine(OLD).process();
  native.failCall("readAttribute", { errno: "EACCES" });
  await refused(t, loadConfig(native), "EACCES");
});

test("a change is written with mode 0644, and told", async (t) => {
  const kernel = machine(OLD);
  const native = kernel.process();
  const done = await change(native);
  t.like(done, { before: OLD, after: NEW, written: true, exists: true });
  t.is(done.config.clusters[0]?.nodes[0]?.name, "n1");
  t.is(await content(kernel), NEW);
  const write = native.calls.find(({ name }) => name === "replaceFile");
  t.deepEqual(write?.args, [PATH, NEW, 0o644]);
  t.deepEqual(kernel.fileLocks.held(), []);
});

test("the directory is made where it is missing", async (t) => {
  const kernel = machine();
  const done = await changeConfig(kernel.process(), PATH, (document) => addCluster(document, "web"));
  t.like(done, { before: null, written: true, exists: true });
  t.is(await content(kernel), done.after);
});

test("a dry run tells the new text, and makes, locks and writes nothing", async (t) => {
  for (const text of [undefined, OLD]) {
    const kernel = machine(text);
    const native = kernel.process();
    const edit = (document: Parameters<typeof addCluster>[0]): void => addCluster(document, "db");
    const done = await changeConfig(native, PATH, edit, { dryRun: true });
    t.like(done, { before: text ?? null, written: false });
    t.regex(done.after, /name = db/);
    t.deepEqual(
      native.calls.map(({ name }) => name),
      ["readLink", "readAttribute"],
    );
  }
});

test("nothing is written where nothing changes", async (t) => {
  const native = machine(OLD).process();
  const done = await changeConfig(native, PATH, () => undefined);
  t.false(done.written);
  t.false(native.calls.some(({ name }) => name === "replaceFile"));
});

test("a link stays, and leads to the new text; the lock lies beside the file itself", async (t) => {
  const kernel = machine(OLD, "/shared/real.conf");
  kernel.addDirectory("/etc/ocfs2");
  kernel.root.put(PATH, link("../../shared/real.conf"));
  const native = kernel.process();
  await change(native);
  t.is(await native.readLink(PATH), "../../shared/real.conf");
  t.is(await content(kernel, "/shared/real.conf"), NEW);
  const locks = native.calls.filter(({ name }) => name === "lockFile").map(({ args }) => String(args[0]));
  t.is(locks.length, 1);
  const [lock = ""] = locks;
  await kernel.process().inspectPath(lock, null);
  t.deepEqual(await kernel.process().listFiles("/shared"), ["real.conf", ".real.conf.lock"]);
});

test("an edit that throws leaves the file and no lock", async (t) => {
  const kernel = machine(OLD);
  await t.throwsAsync(
    changeConfig(kernel.process(), PATH, (document) => addCluster(document, "web")),
    { code: "O2CB_CLUSTER_EXISTS" },
  );
  t.is(await content(kernel), OLD);
  t.deepEqual(kernel.fileLocks.held(), []);
});

test("what the C tools could not load is not written; what repairs it is", async (t) => {
  const broken = `${OLD}\nheartbeat:\n\tcluster = web\n\tregion =\n`;
  const kernel = machine(broken);
  const add = changeConfig(kernel.process(), PATH, (document) => addCluster(document, "db"));
  const error = await refused(t, add, null, "O2CB_CONFIGURATION_ERROR");
  t.is(error.line, 8);
  t.is(await content(kernel), broken);
  await changeConfig(kernel.process(), PATH, (document) => removeHeartbeat(document, "web", ""));
  t.is(await content(kernel), `${OLD}\n`);
});

test("bytes that are not UTF-8 could not be written back: the file is read, but not changed", async (t) => {
  const text = `${OLD}# caf\ufffd\n`;
  const kernel = machine(text);
  t.is((await loadConfig(kernel.process())).config.clusters.length, 1);
  const error = await refused(t, change(kernel.process()), null, "O2CB_CONFIGURATION_ERROR");
  t.like(error, { line: 5, column: 6, path: PATH });
  t.is(await content(kernel), text);
});

test("no file is written that is too long to be read again", async (t) => {
  const text = `${OLD}# ${"x".repeat(65_440)}\n`;
  const kernel = machine(text);
  const error = await refused(t, change(kernel.process()), null, "O2CB_CONFIGURATION_ERROR");
  t.regex(error.message, /no more than 65536/);
  t.is(await content(kernel), text);
});

test("two changes at once: one waits for the other, and both are there", async (t) => {
  const kernel = machine(OLD);
  const add = (name: string) =>
    changeConfig(kernel.process(), PATH, (document) => {
      addCluster(document, name);
    });
  await Promise.all(["a", "b", "c"].map((name) => add(name)));
  const names = (await loadConfig(kernel.process())).config.clusters.map(({ name }) => name);
  t.deepEqual(names.toSorted(), ["a", "b", "c", "web"]);
});

test("a change that another holds up for too long says who to ask", async (t) => {
  const kernel = machine(OLD);
  kernel.addFile("/etc/ocfs2/.cluster.conf.lock");
  const holder = kernel.process();
  await holder.lockFile("/etc/ocfs2/.cluster.conf.lock", 1000);
  const error = (await t.throwsAsync(change(kernel.process()), { instanceOf: O2cbError })) as O2cbError;
  t.is(error.code, "O2CB_TIMEOUT");
  t.regex(String(error.remedy), /fuser \/etc\/ocfs2\/\.cluster\.conf\.lock/);
  t.is(await content(kernel), OLD);
});

test("whatever call fails, the old file is there, or the change succeeded", async (t) => {
  const runs = await walkFaults((native) => change(native), {
    setup: () => machine(OLD),
    check: async ({ kernel, native, outcome, title }) => {
      t.not(outcome.status, "hung", title);
      native.exit();
      t.is(await content(kernel), outcome.status === "ok" ? NEW : OLD, title);
      t.deepEqual(kernel.fileLocks.held(), [], title);
    },
  });
  t.true(runs >= 15, `${runs} runs`);
});

test("a change that is killed leaves the old file or the new one, and no lock", async (t) => {
  await walkKills((native) => change(native), {
    setup: () => machine(OLD),
    halfway: true,
    check: async ({ kernel, title }) => {
      t.true([OLD, NEW].includes(await content(kernel)), title);
      const done = await changeConfig(kernel.process(), PATH, (document) => addCluster(document, "db"));
      t.true(done.written, title);
    },
  });
});
