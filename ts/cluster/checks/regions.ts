// The heartbeat regions of this host: too many of them, and what was left behind.
//
// Facts relied on: in local mode each volume has a region and a thread of its own, and the manual proposes global heartbeat above
// three (users 1.1, H9). The verdicts are the audit's (region/audit.ts), which reads only.
import { audit } from "../../region/audit.ts";
import { registeredCluster, startedRegions } from "../../region/regions.ts";
import { failure, good, warning, type Check, type Finding } from "./finding.ts";

const MANY = 3;

export const regionChecks: readonly Check[] = [
  {
    id: "local-regions",
    look: async ({ native }) => {
      const id = "local-regions";
      const cluster = await registeredCluster(native);
      if (cluster === null || cluster.mode === "global") return [];
      const { length } = await startedRegions(native);
      if (length <= MANY)
        return [good(id, `${length} ${length === 1 ? "volume beats" : "volumes beat"} on this host`)];
      return [
        warning(
          id,
          `${length} volumes beat on this host, each with a thread of its own and each able to fence it`,
          "use global heartbeat, on three devices or more (o2cb heartbeat-mode, with downtime)",
        ),
      ];
    },
  },
  {
    id: "leftovers",
    look: async ({ native, signal }) => {
      const id = "leftovers";
      const { regions, damagedRecords, notes } = await audit(native, { signal });
      const found = regions.flatMap(({ region, verdict, reason }): Finding[] => {
        const evidence = `region ${region} (${verdict}): ${reason}`;
        if (verdict === "in-use" || verdict === "absent") return [];
        if (verdict === "unknown")
          return [warning(id, evidence, "look again as root, with ocfs2_hb_ctl --audit", region)];
        if (verdict === "pinned-without-reference")
          return [
            failure(
              id,
              evidence,
              "unmount the volume with umount.ocfs2, which removes the region, or mount it once more, which counts it",
              region,
            ),
          ];
        const forced = verdict === "unexplained-references" ? " --force, once no C tool uses it" : "";
        return [warning(id, evidence, `clean up: ocfs2_hb_ctl --reap -u ${region}${forced}`, region)];
      });
      const said = [
        ...damagedRecords.map(({ source, says }) => warning(id, `${source}: ${says}`, null)),
        ...notes.map((note) => warning(id, note, null)),
      ];
      const all = [...found, ...said];
      return all.length > 0 ? all : [good(id, "nothing is left over from joins that have ended")];
    },
  },
];
