// The fake machine's services of a userspace stack: what a host without them says, what is set, and faults in what a test brings along.
import test from "ava";
import { FakeKernel } from "../helpers/fake-native.ts";
import type { ProcessGroup } from "../../ts/native-types.ts";

test("a machine without corosync and dlm_controld says so", async (t) => {
  const native = new FakeKernel().process();
  const absent = { code: "O2CB_SERVICE_UNAVAILABLE" };
  await t.throwsAsync(native.readClusterMap("totem.cluster_name"), absent);
  await t.throwsAsync(native.isQuorate(), absent);
  await t.throwsAsync(native.joinProcessGroup("ocfs2:controld"), absent);
  await t.throwsAsync(native.lockspaceState("A"), absent);
  await t.throwsAsync(native.connectDlmControl(), absent);
  await t.throwsAsync(native.dlmVersion("/dev/misc/dlm-control"), absent);
  await t.throwsAsync(native.openControlDevice("/dev/misc/ocfs2_control", 1, { major: 1, minor: 0 }), absent);
});

test("what a test sets is what is read", async (t) => {
  const kernel = new FakeKernel();
  const native = kernel.process();
  kernel.services.corosync = { clusterName: "labpc", isQuorate: false, map: new Map([["a.b", "c"]]) };
  kernel.services.dlmDevices.set("/dev/misc/dlm-control", { major: 6, minor: 0, patch: 2 });
  kernel.services.lockspaces = new Map();
  t.is(await native.readClusterMap("totem.cluster_name"), "labpc");
  t.is(await native.readClusterMap("a.b"), "c");
  t.is(await native.readClusterMap("a.c"), null);
  t.false(await native.isQuorate());
  t.is(await native.lockspaceState("A"), null);
  t.deepEqual(await native.dlmVersion("/dev/misc/dlm-control"), { major: 6, minor: 0, patch: 2 });
});

test("an abstract name has one listener, until its process ends", async (t) => {
  const kernel = new FakeKernel();
  const [one, two] = [kernel.process(), kernel.process()];
  t.is(typeof (await one.listenAbstract("name", 5)), "number");
  await t.throwsAsync(two.listenAbstract("name", 5), { message: /errno 98/ });
  one.exit();
  await t.notThrowsAsync(two.listenAbstract("name", 5));
});

test("what a test brings along is called through the process, with its faults", async (t) => {
  const kernel = new FakeKernel();
  const native = kernel.process();
  const group = { name: "g", localNode: 1 } as ProcessGroup;
  kernel.services.calls = { joinProcessGroup: async (process) => (t.is(process, native), group) };
  native.failCall("joinProcessGroup", { code: "O2CB_SERVICE_UNAVAILABLE" });
  await t.throwsAsync(native.joinProcessGroup("g"), { code: "O2CB_SERVICE_UNAVAILABLE" });
  t.is(await native.joinProcessGroup("g"), group);
  await t.throwsAsync(native.joinProcessGroup("ä".repeat(65)), { message: /1 to 128 bytes/ });
  t.deepEqual(
    native.calls.map(({ name }) => name),
    ["joinProcessGroup", "joinProcessGroup", "joinProcessGroup"],
  );
});
