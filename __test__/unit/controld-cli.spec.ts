// ocfs2_controld from its command line to its exit status, its signals and lines; over the fake cluster, and once over a played daemon.
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import test from "ava";
import { Ajv2020 } from "ajv/dist/2020.js";
import { ControlDaemon, type DaemonOptions } from "../../ts/controld-daemon/daemon.ts";
import type { DaemonEvent } from "../../ts/controld-daemon/daemon-events.ts";
import { checkControld, controldJob } from "../../ts/cli/controld-job.ts";
import { helpOf } from "../../ts/cli/help.ts";
import { runCli } from "../../ts/cli/run-cli.ts";
import { tellReady } from "../../ts/cli/service-manager.ts";
import { O2cbError, type ErrorCode } from "../../ts/errors.ts";
import type { Native } from "../../ts/native-types.ts";
import { DISK, UUID, type FakeNative } from "../helpers/fake-native.ts";
import { FakeCorosync } from "../helpers/fake/corosync.ts";
import { USER_CLUSTER } from "../helpers/fake/user-setup.ts";
import { addNode, DaemonClient, listenHere, RunningDaemon } from "../helpers/running-daemon.ts";

process.setMaxListeners(0);

/** Runs the command; `play` takes the daemon's place. */
async function run(
  argv: string[],
  native: Partial<Native>,
  library: Parameters<typeof controldJob>[0] = () => Promise.resolve({ ControlDaemon }),
  onLine: (line: string) => void = () => undefined,
) {
  const out: string[] = [];
  const err: string[] = [];
  const into = (lines: string[]) => (line: string) => {
    lines.push(line);
    onLine(line);
  };
  const status = await runCli(
    { job: controldJob(library), check: checkControld, help: () => helpOf("ocfs2_controld") },
    argv,
    { out: into(out), write: () => undefined, err: into(err), isWatched: () => false },
    () => Promise.resolve(native as Native),
  );
  return { status, out, err };
}

/** The daemon of a fake machine, whose clients are in this process. */
function over(native: FakeNative): Parameters<typeof controldJob>[0] {
  class Here extends ControlDaemon {
    constructor(given: Native, options: DaemonOptions) {
      super(given, {
        ...options,
        pid: native.pid,
        scale: 0.01,
        readBytes: () => null,
        listen: (server) => listenHere(server, native),
        userOf: () => 0,
      });
    }
  }
  return () => Promise.resolve({ ControlDaemon: Here });
}

// One after the other: the signals of one test are those of the whole process.
test.serial("a signal is ignored, each time with a sentence, until the volume is unmounted", async (t) => {
  const node = addNode(new FakeCorosync(), 1);
  const native = node.kernel.process();
  const names = { fstype: "ocfs2", uuid: UUID, service: "ocfs2" } as const;
  const { status, out, err } = await run(
    ["--foreground", "--without-recovery", "--stack", "pcmk"],
    native,
    over(native),
    (line) => {
      if (line.includes("serving the stack 'pcmk'")) void work();
    },
  );
  async function work(): Promise<void> {
    const client = new DaemonClient(node.kernel);
    await client.ask({ keyword: "MOUNT", ...names, cluster: USER_CLUSTER, device: DISK });
    await client.ask({ keyword: "MRESULT", ...names, result: "0" });
    for (const signal of ["SIGTERM", "SIGINT", "SIGTERM"] as const) process.emit(signal, signal);
    await client.ask({ keyword: "UNMOUNT", ...names });
    process.emit("SIGTERM", "SIGTERM");
  }
  t.is(status, 0, err.join("\n"));
  t.deepEqual(out, []);
  t.is(
    err.filter((line) => /^ocfs2_controld: SIG(TERM|INT) is ignored: .*unmount them first$/.test(line))
      .length,
    3,
  );
  t.is(err.length, 4, err.join("\n"));
});

test.serial("--json writes events alone, each as the schema has it", async (t) => {
  const schema = JSON.parse(
    readFileSync(new URL("../../docs/schemas/controld.json", import.meta.url), "utf8"),
  );
  const validate = new Ajv2020({ strict: true, strictTypes: false, allErrors: true }).compile(schema);
  const events: DaemonEvent[] = [];
  const node = addNode(new FakeCorosync(), 1);
  const native = node.kernel.process();
  const { out } = await run(["--json", "--without-recovery"], native, over(native), (line) => {
    if (line.includes('"ready"')) process.emit("SIGTERM", "SIGTERM");
  });
  events.push(...out.map((line) => JSON.parse(line) as DaemonEvent));
  t.deepEqual(
    events.map(({ event }) => event),
    ["members", "ready"],
  );
  for (const event of events) t.true(validate(event), JSON.stringify([event, validate.errors]));
  const kinds = schema.anyOf.map(
    (one: { properties: { event: { const: string } } }) => one.properties.event.const,
  );
  t.is(kinds.length, 12);
});

test.serial("events of a life with everything in it fit the schema, and all kinds are seen", async (t) => {
  const schema = JSON.parse(
    readFileSync(new URL("../../docs/schemas/controld.json", import.meta.url), "utf8"),
  );
  const validate = new Ajv2020({ strict: true, strictTypes: false, allErrors: true }).compile(schema);
  const seen = new Set<string>();
  const names = { fstype: "ocfs2", uuid: UUID, service: "ocfs2" } as const;
  const ring = new FakeCorosync();
  const nodes = [addNode(ring, 1), addNode(ring, 2)] as const;
  const one = await RunningDaemon.start(nodes[0], { withoutRecovery: true });
  const other = await RunningDaemon.start(nodes[1], { withoutRecovery: true });
  for (const running of [one, other]) {
    const client = running.client();
    await client.ask({ keyword: "MOUNT", ...names, cluster: USER_CLUSTER, device: DISK });
    if (running === one) client.end();
    else await client.ask({ keyword: "MRESULT", ...names, result: "0" });
  }
  await one.until(() => one.view[0]?.includes("live") === true, "it counts as mounted");
  one.daemon.stop("SIGTERM");
  other.node.powerOff();
  other.native.kill();
  await one.until(() => one.of("frozen").length > 0, "it is frozen");
  one.native.failCall("ProcessGroup.leave", { errno: "EIO" });
  await one.client().ask({ keyword: "UNMOUNT", ...names });
  await one.client().ask({ keyword: "MOUNT", ...names, cluster: USER_CLUSTER, device: DISK });
  one.node.stopCorosync();
  await one.ended;
  for (const event of one.events) {
    seen.add(event.event);
    const read = JSON.parse(JSON.stringify(event));
    t.true(validate(read), JSON.stringify([event, validate.errors]));
  }
  t.deepEqual(
    schema.anyOf
      .map((each: { properties: { event: { const: string } } }) => each.properties.event.const)
      .filter((kind: string) => !seen.has(kind)),
    ["recovered"],
    "that one needs a kernel which survives DOWN",
  );
});

const failing = (code: ErrorCode) => () =>
  Promise.resolve({
    ControlDaemon: class {
      run(): Promise<void> {
        return Promise.reject(new O2cbError(code, "a sentence", { operation: "start-controld" }));
      }
      stop(): void {}
    },
  });

test.serial("the status says whether another start could help", async (t) => {
  for (const code of [
    "O2CB_UNSAFE_KERNEL",
    "O2CB_INVALID_STACK_NAME",
    "O2CB_INVALID_CLUSTER_NAME",
    "O2CB_BAD_VERSION",
    "O2CB_ALREADY_RUNNING",
  ] as const)
    t.is((await run([], {}, failing(code))).status, 6, code);
  for (const code of ["O2CB_SERVICE_UNAVAILABLE", "O2CB_MODULE_NOT_LOADED", "O2CB_TIMEOUT"] as const)
    t.is((await run([], {}, failing(code))).status, 1, code);
  for (const argv of [["--stack", "toolong"], ["--stack", "o2cb"], ["x"], ["--daemon"]]) {
    const { status, err } = await run(argv, {});
    t.is(status, 2, argv.join(" "));
    t.regex(err[0] ?? "", /see ocfs2_controld --help$/);
  }
});

test.serial("a refused kernel is refused in words that say what to do", async (t) => {
  const native = addNode(new FakeCorosync(), 1).kernel.process();
  const { status, err } = await run([], native, over(native));
  t.is(status, 6);
  t.regex(err[0] ?? "", /CONFIG_FORTIFY_SOURCE/);
  t.regex(err[1] ?? "", /what to do: .*--without-recovery/);
});

test.serial("the service manager is told once it serves, and only where there is one", async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), "ocfs2-group-notify-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const [program, note] = [path.join(directory, "notify"), path.join(directory, "note")];
  writeFileSync(program, `#!/bin/sh\necho "$NOTIFY_SOCKET $*" >> ${note}\n`);
  chmodSync(program, 0o755);
  const said: string[] = [];
  const say = (text: string): void => void said.push(text);
  delete process.env["NOTIFY_SOCKET"];
  await tellReady(say, program);
  process.env["NOTIFY_SOCKET"] = "@socket";
  t.teardown(() => delete process.env["NOTIFY_SOCKET"]);
  await tellReady(say, program);
  t.is(readFileSync(note, "utf8"), "@socket --ready\n");
  t.deepEqual(said, []);
  await tellReady(say, path.join(directory, "none"));
  t.regex(said[0] ?? "", /could not be told/);
});
