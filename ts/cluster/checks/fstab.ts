// The lines of /etc/fstab that mount OCFS2 volumes: whether they are mounted at boot, and in the right order.
//
// Facts relied on: mount-lines.ts (what is asked of a line, and why; users 1.4, B4). A host may mount without fstab, by units or by a
// cluster manager: no line is nothing wrong.
import { readText } from "../../config/file.ts";
import { lintFstab } from "../mount-lines.ts";
import { failure, good, warning, type Check } from "./finding.ts";

const FSTAB = "/etc/fstab";

export const fstabChecks: readonly Check[] = [
  {
    id: "fstab",
    look: async ({ native, signal }) => {
      const id = "fstab";
      const text = (await readText(native, FSTAB, signal)) ?? "";
      const ours = text
        .split("\n")
        .filter((line) => /^[ \t]*[^#\s]\S*[ \t]+\S+[ \t]+ocfs2(?:\s|$)/.test(line));
      if (ours.length === 0) return [good(id, `${FSTAB} mounts no ocfs2 volume`)];
      const found = lintFstab(text);
      if (found.length === 0)
        return [
          good(
            id,
            `nothing is wrong with the ${ours.length} ${ours.length === 1 ? "line" : "lines"} of ${FSTAB} for ocfs2 volumes`,
          ),
        ];
      return found.map(({ severity, line, column, message, remedy }) =>
        (severity === "error" ? failure : warning)(
          id,
          `line ${line}, column ${column}: ${message}`,
          remedy,
          FSTAB,
        ),
      );
    },
  },
];
