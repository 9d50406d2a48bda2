// The service of a cluster on three machines: by our command alone, with the C tool's o2cb in the middle, and what each refuses.
// The nodes under test are set up by our command only.
import test, { type ExecutionContext } from "ava";
import { installHelpers } from "./ours.ts";
import { holders } from "./o2cb/holders.ts";
import { lifeByOurs } from "./o2cb/life.ts";
import { lifeByBoth } from "./o2cb/mixed.ts";
import { apply, doctor, globalHeartbeat, leavingProgram } from "./o2cb/single.ts";
import { fresh, type Three } from "./o2cb/tools.ts";
import { scenario } from "./scenario.ts";
import { Lab } from "./vm/lab.ts";

const [MAIN, NEWEST] = ["6.1", "7.2"] as const;
let lab: Lab | undefined;

async function boot(t: ExecutionContext, kernel: typeof MAIN | typeof NEWEST): Promise<void> {
  await lab?.close();
  lab = await Lab.boot({
    nodes: 3,
    kernel,
    disks: [{ mib: 200 }, { mib: 200 }, { mib: 64 }, { mib: 64 }, { mib: 64 }],
    limitSeconds: 1500,
    log: (line) => t.log(line),
  });
  await Promise.all(lab.nodes.map((node) => installHelpers(node)));
}

/** A scenario on the machines that are up, as fresh as after their boot. */
function onThree(title: string, body: (t: ExecutionContext, nodes: Three) => Promise<void>): void {
  scenario(title, async (t) => {
    t.timeout(600_000);
    const [a, b, c] = lab?.nodes ?? [];
    if (a === undefined || b === undefined || c === undefined) return t.fail("the machines did not boot");
    await Promise.all([a, b, c].map(fresh));
    await body(t, [a, b, c]);
  });
}

test.afterEach.always((t) => {
  if (!t.passed) lab?.keep();
});
test.after.always("the machines end", () => lab?.close());

for (const kernel of [MAIN, NEWEST]) {
  scenario(`${kernel}: three machines get our commands`, async (t) => {
    t.timeout(900_000);
    await boot(t, kernel);
    t.pass();
  });
  onThree(
    `${kernel}: a cluster comes up, is used, grows, is drained and taken down by our command alone`,
    lifeByOurs,
  );
  onThree(`${kernel}: the same with the C tool's o2cb in the middle`, lifeByBoth);
  if (kernel !== MAIN) continue;
  // What one node shows by itself, side by side: much of it is waiting for a heartbeat.
  onThree(
    "one node each: what holds a cluster is named; hb_ctl_path and doctor; global heartbeat and apply",
    async (t, [a, b, c]) => {
      const second = async (): Promise<void> => {
        await leavingProgram(t, b, "/dev/vdc");
        await doctor(t, b, { own: "/dev/vdc", foreign: "/dev/vdd" });
      };
      const third = async (): Promise<void> => {
        await globalHeartbeat(t, c, "/dev/vde");
        await fresh(c);
        await apply(t, c);
      };
      await Promise.all([holders(t, a), second(), third()]);
    },
  );
}
