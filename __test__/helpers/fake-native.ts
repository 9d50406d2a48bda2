// The other implementation of `Native`: a machine that keeps state. One door for the tests; the parts are in fake/.
//
//     const { kernel, uuid } = classicLocal();
//     const native = kernel.process();                       // Native, as one process sees it
//     await mountVolume(native, { device: DISK, directory: DIRECTORY });
//     native.exit();
//     t.deepEqual(kernel.leftovers(), [...]);
//
//     native.failCall("startHeartbeat", { errno: "EIO" });   // or by number, or kill
//     await walkFaults(scenario, { setup: classicLocal, check: ({ kernel, title }) => t.deepEqual(kernel.leftovers(), [], title) });
export { FakeClock } from "./fake/clock.ts";
export { deaths, type Death } from "./fake/deaths.ts";
export { volume, type BlockDevice, type VolumeContent, type VolumeSettings } from "./fake/device.ts";
export { modernKernel, oldDriver, type KernelFeatures } from "./fake/features.ts";
export { Fsdlm } from "./fake/fsdlm.ts";
export type { Hold } from "./fake/gates.ts";
export { FakeKernel, type KernelSettings } from "./fake/kernel.ts";
export { FakeNative } from "./fake/native.ts";
export { ProcessKilled, type CallRecord, type Fault, type Which } from "./fake/process.ts";
export {
  classicGlobal,
  classicLocal,
  CLUSTER,
  DIRECTORY,
  DISK,
  NODES,
  nothingLoaded,
  oldDriver12,
  registerCluster,
  startByHand,
  UUID,
  type Machine,
  type SetupSettings,
} from "./fake/setups.ts";
export { userStack, USER_CLUSTER, type UserStackSettings } from "./fake/user-setup.ts";
export { shuffleTurns } from "./fake/shuffle.ts";
export { INITIAL_IPC, INITIAL_PID, type TaskSettings } from "./fake/task.ts";
export {
  walkAborts,
  walkFaults,
  walkKills,
  type Outcome,
  type Scenario,
  type WalkPoint,
} from "./fake/walk.ts";
