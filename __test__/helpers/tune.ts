// Short words for tests of changes of a superblock on a fake machine.
import { tuneVolume, type TuneVolumeResult } from "../../ts/tune/tune-volume.ts";
import type { TuneVolumeRequest } from "../../ts/tune/request.ts";
import { undoTune, type UndoRequest, type UndoResult } from "../../ts/tune/undo.ts";
import {
  classicLocal,
  DISK,
  Fsdlm,
  userStack,
  type FakeKernel,
  type FakeNative,
  type Machine,
  type UserStackSettings,
  type VolumeContent,
} from "./fake-native.ts";
import type { SetupSettings } from "./fake/setups.ts";
import { command } from "./region-work.ts";

export const NEW_UUID = "2A4D1C581FAA42A1A41D26EFC90C1315";
export const UNDO_FILE = "/var/lib/ocfs2-group/undo/test.undo";
export const noPause = { pause: () => Promise.resolve() };

/** A machine whose volume has two backups of its superblock. */
export function withBackups(machine: Machine): Machine {
  machine.disk.backups = [structuredClone(machine.content), structuredClone(machine.content)];
  return machine;
}

/** One node's volume, with backups. */
export const localVolume = (settings: SetupSettings = {}): Machine =>
  withBackups(
    classicLocal({
      dlmfs: "/dlm",
      ...settings,
      volume: { local: true, stack: null, label: "old", ...settings.volume },
    }),
  );

/** A volume of a cluster that is not the running one. */
export const othersVolume = (settings: SetupSettings = {}): Machine =>
  withBackups(
    classicLocal({
      dlmfs: "/dlm",
      ...settings,
      volume: { cluster: "other", label: "old", ...settings.volume },
    }),
  );

/** The running cluster's. */
export const clusterVolume = (settings: SetupSettings = {}): Machine =>
  withBackups(classicLocal({ dlmfs: "/dlm", ...settings, volume: { label: "old", ...settings.volume } }));

export const tune = (kernel: FakeKernel, request: Partial<TuneVolumeRequest>): Promise<TuneVolumeResult> =>
  command(kernel, (native) => tuneWith(native, request), "tunefs.ocfs2");

export const tuneWith = (
  native: FakeNative,
  request: Partial<TuneVolumeRequest>,
): Promise<TuneVolumeResult> =>
  tuneVolume(native, { device: DISK, undoFile: UNDO_FILE, ...request }, noPause);

export const undo = (kernel: FakeKernel, request: Partial<UndoRequest> = {}): Promise<UndoResult> =>
  command(
    kernel,
    (native) => undoTune(native, { device: DISK, file: UNDO_FILE, ...request }, noPause),
    "tunefs.ocfs2",
  );

/** A user stack's: of its cluster, or of another. */
export const userVolume = (settings: UserStackSettings = {}): Machine => {
  const machine = withBackups(userStack({ ...settings, volume: { label: "old", ...settings.volume } }));
  machine.kernel.fsdlm = new Fsdlm();
  return machine;
};

type Value = (content: VolumeContent) => unknown;

/** A value of the primary and of each backup. */
export const everywhere = ({ disk }: Machine, value: Value): unknown[] =>
  [disk.volume, ...disk.backups].map((content) => (content === null ? null : value(content)));

/** Everything that all copies say, as one text each. */
export const copiesOf = (machine: Machine): unknown[] =>
  everywhere(machine, (content) => JSON.stringify(values(content)));

const values = ({
  uuid,
  label,
  featureIncompat,
  stackLabel,
  stackFlags,
  clusterName,
}: VolumeContent): unknown[] => [uuid, label, featureIncompat, stackLabel, stackFlags, clusterName];

export const PRIMARY = 8192n;
export const BACKUPS = [1n << 30n, 1n << 32n] as const;
