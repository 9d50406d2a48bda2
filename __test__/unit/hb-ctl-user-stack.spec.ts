// ocfs2_hb_ctl's -S, -K and -I on a node of a userspace stack: nothing and quick where the kernel joins, the daemon's business where one does.
import test from "ava";
import { hbCtlJob } from "../../ts/cli/hb-ctl-job.ts";
import { hbCtlLibrary } from "../../ts/cli/hb-ctl-library.ts";
import { hbCtlRequest } from "../../ts/cli/hb-ctl-request.ts";
import { runCli } from "../../ts/cli/run-cli.ts";
import { startService } from "../../ts/hb-ctl/start.ts";
import { stopService } from "../../ts/hb-ctl/stop.ts";
import { unmountVolume } from "../../ts/mount/unmount-volume.ts";
import { audit } from "../../ts/region/audit.ts";
import { controldMachine } from "../helpers/controld-machine.ts";
import { DIRECTORY, DISK, registerCluster, startByHand, userStack, UUID } from "../helpers/fake-native.ts";
import { refused } from "../helpers/refused.ts";
import { leaveByOurProgram, mount, start, stop } from "../helpers/region-work.ts";

const nothing = { region: UUID, references: 0, stopped: false, mode: "none" };
const joined = { region: UUID, references: 0, mode: "none" };

test("in the kernel: -K is nothing, opens no device and looks at little", async (t) => {
  const { kernel } = userStack();
  await mount(kernel);
  for (const caller of ["kernel", "program"] as const) {
    const native = kernel.process();
    t.deepEqual(await stopService(native, { device: null, uuid: UUID, service: null, caller }), nothing);
    t.false(native.calls.some(({ name }) => name === "readVolume" || name === "claimDevice"));
    t.true(native.calls.length < 20, String(native.calls.length));
  }
  t.is((await audit(kernel.process(), { regions: [UUID] })).regions[0]?.references ?? 0, 0);
});

test("in the kernel: -S looks whether a join could succeed, and -K after it is nothing", async (t) => {
  const { kernel } = userStack();
  const native = kernel.process();
  t.deepEqual(await startService(native, { device: DISK, uuid: null, service: "agent" }), joined);
  native.exit();
  t.deepEqual(kernel.leftovers(), []);
  t.deepEqual(await stop(kernel, "agent"), nothing);
  kernel.lockspaces.settings = null;
  await refused(
    t,
    startService(kernel.process(), { device: DISK, uuid: null, service: "agent" }),
    null,
    "O2CB_SERVICE_UNAVAILABLE",
  );
});

test("a region that the classic stack left here is that stack's, whatever the label says", async (t) => {
  const { kernel, disk } = userStack();
  registerCluster(kernel);
  startByHand(kernel, disk);
  t.like(await stop(kernel, "agent", { force: true }), { references: 0, stopped: true, mode: "local" });
});

test("with a control daemon: a service joins, and leaves; a second time is success", async (t) => {
  const { kernel, daemon } = controldMachine();
  t.deepEqual(await start(kernel, "agent"), joined);
  t.deepEqual(daemon.view(), [`${UUID} live: agent`]);
  t.deepEqual(await stop(kernel, "agent"), { ...nothing, stopped: true });
  t.deepEqual(daemon.view(), []);
  t.like(await stop(kernel, "agent"), { mode: "none" });
});

test("with a control daemon: a person cannot end the membership of a mount, the kernel can", async (t) => {
  const { kernel, daemon } = controldMachine();
  await mount(kernel);
  await refused(t, stop(kernel, "ocfs2"), null, "O2CB_REGION_IN_USE");
  await refused(t, stop(kernel, null), null, "O2CB_REGION_IN_USE");
  t.deepEqual(daemon.view(), [`${UUID} live: ocfs2`]);
  leaveByOurProgram(kernel);
  kernel.callOutHook = null;
  const { outcome } = await unmountVolume(kernel.process(), { target: DIRECTORY });
  t.is(outcome, "kernel-leaves");
  t.deepEqual(daemon.view(), []);
  t.deepEqual(kernel.callOuts.at(-1)?.status, 0);
});

test("the command is silent, and says with -v and -I that there is nothing to count", async (t) => {
  const { kernel } = userStack();
  await mount(kernel);
  const call = async (line: string) => {
    const native = kernel.process();
    const said: string[] = [];
    const say = (text: string): void => void said.push(text);
    const terminal = { out: say, write: () => undefined, err: say, isWatched: () => false };
    const program = { job: hbCtlJob(hbCtlLibrary), check: hbCtlRequest, help: () => "" };
    const status = await runCli(program, line.split(" "), terminal, async () => native);
    native.exit();
    return [status, ...said];
  };
  t.deepEqual(await call(`-K -u ${UUID}`), [0]);
  t.deepEqual(await call(`-K -v -u ${UUID} agent`), [
    0,
    `ocfs2_hb_ctl: volume ${UUID}: done; a userspace stack keeps no references here`,
  ]);
  t.deepEqual(await call(`-I -u ${UUID}`), [0, `${UUID}: 0 refs`]);
  const priority = await call(`-P -u ${UUID} -n 0`);
  t.is(priority[0], 1);
  t.regex(String(priority[1]), /does not beat on this node/);
});
