// The library as tunefs.ocfs2 uses it.
import type { queryVolume } from "../tune/query.ts";
import type { tuneVolume } from "../tune/tune-volume.ts";
import type { undoTune } from "../tune/undo.ts";

export interface TunefsLibrary {
  queryVolume: typeof queryVolume;
  tuneVolume: typeof tuneVolume;
  undoTune: typeof undoTune;
}

export const tunefsLibrary: TunefsLibrary = {
  queryVolume: async (...given) => (await import("../tune/query.ts")).queryVolume(...given),
  tuneVolume: async (...given) => (await import("../tune/tune-volume.ts")).tuneVolume(...given),
  undoTune: async (...given) => (await import("../tune/undo.ts")).undoTune(...given),
};
