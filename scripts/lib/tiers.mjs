// The tiers of `npm test`, in the order in which they run: the cheap ones first.
import { availableParallelism } from "node:os";

// Machines mostly wait (for heartbeats, dead times, corosync): one pair of them kept two processors busy for a third of its time.
const LABS = Math.min(2, availableParallelism());

const ava = (files, ...options) => ({ runner: "ava", files, options });

/** name -> what it is, what must be there before it (see prepare.mjs), how it is run, and with what in the environment */
export const tiers = {
  cargo: { title: "Rust unit and property tests", needs: ["rust"], runner: "cargo" },
  unit: {
    title: "TypeScript over the fake native core",
    needs: ["modules"],
    ...ava(["__test__/unit/**/*.spec.ts", "__test__/conformance/**/*.spec.ts"]),
  },
  native: { title: "the real native module", needs: ["native"], ...ava(["__test__/native/**/*.spec.ts"]) },
  root: {
    title: "loop devices and mount namespaces",
    needs: ["dist"],
    ...ava(["__test__/root/**/*.spec.ts"], "--serial", "--concurrency=1", "--timeout=5m"),
  },
  package: {
    title: "the packed tarballs, the linter, this runner",
    needs: ["dist"],
    ...ava(["__test__/package/**/*.spec.ts"], "--timeout=5m"),
  },
  e2e: {
    title: "machines with real kernels",
    needs: ["dist", "machines"],
    env: { OCFS2_GROUP_LABS: String(LABS) },
    // Scenarios are serial by themselves; --serial would be one file at a time as well.
    ...ava(["__test__/e2e/**/*.spec.ts"], `--concurrency=${LABS}`, "--timeout=40m"),
  },
};
