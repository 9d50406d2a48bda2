// The library as ocfs2_hb_ctl uses it. Each part is evaluated when it is called and not before: the kernel waits for -K.
import type { setRegionPriority } from "../hb-ctl/priority.ts";
import type { waitForRegions, watchRegions } from "../hb-ctl/query.ts";
import type { startService } from "../hb-ctl/start.ts";
import type { stopService } from "../hb-ctl/stop.ts";
import type { processFacts } from "../process.ts";
import type { audit } from "../region/audit.ts";
import type { ReapPlan } from "../region/audit-types.ts";
import type { resolveRegion } from "../region/find-device.ts";
import type { planReap, reap } from "../region/reap.ts";

export interface HbCtlLibrary {
  startService: typeof startService;
  stopService: typeof stopService;
  setRegionPriority: typeof setRegionPriority;
  audit: typeof audit;
  planReap(...given: Parameters<typeof planReap>): Promise<ReapPlan>;
  reap: typeof reap;
  resolveRegion: typeof resolveRegion;
  processFacts: typeof processFacts;
  waitForRegions: typeof waitForRegions;
  watchRegions: typeof watchRegions;
}

export const hbCtlLibrary: HbCtlLibrary = {
  startService: async (...given) => (await import("../hb-ctl/start.ts")).startService(...given),
  stopService: async (...given) => (await import("../hb-ctl/stop.ts")).stopService(...given),
  setRegionPriority: async (...given) => (await import("../hb-ctl/priority.ts")).setRegionPriority(...given),
  audit: async (...given) => (await import("../region/audit.ts")).audit(...given),
  planReap: async (...given) => (await import("../region/reap.ts")).planReap(...given),
  reap: async (...given) => (await import("../region/reap.ts")).reap(...given),
  resolveRegion: async (...given) => (await import("../region/find-device.ts")).resolveRegion(...given),
  processFacts: async (...given) => (await import("../process.ts")).processFacts(...given),
  waitForRegions: async (...given) => (await import("../hb-ctl/query.ts")).waitForRegions(...given),
  async *watchRegions(...given) {
    yield* (await import("../hb-ctl/query.ts")).watchRegions(...given);
  },
};
