// The shipped systemd units: what systemd says of them, and what must not be in them. Their order at boot and at power-off is shown in
// a machine (e2e/systemd.spec.ts).
import test, { type ExecutionContext } from "ava";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { unitNames } from "../../ts/helpers-install/units.ts";

const directory = fileURLToPath(new URL("../../systemd", import.meta.url));
const hasAnalyze = spawnSync("systemd-analyze", ["--version"]).status === 0;
const withAnalyze = hasAnalyze ? test : test.skip;
const reason = hasAnalyze ? "" : " (needs systemd-analyze)";

function unit(name: string): string {
  return readFileSync(path.join(directory, name), "utf8");
}

/** All words of a setting, from all its lines. */
function setting(name: string, key: string): string[] {
  const lines = unit(name)
    .split("\n")
    .filter((line) => line.startsWith(`${key}=`));
  return lines.flatMap((line) => line.slice(key.length + 1).split(" "));
}

function verify(t: ExecutionContext, change: (text: string, name: string) => string) {
  const copies = mkdtempSync(path.join(tmpdir(), "ocfs2-group-units-"));
  t.teardown(() => rmSync(copies, { recursive: true, force: true }));
  // The commands need not be installed where the tests run.
  for (const name of unitNames) {
    const text = unit(name).replaceAll(/=\/sbin\/(o2cb|ocfs2_hb_ctl|ocfs2_controld)\b/g, "=/bin/true");
    writeFileSync(path.join(copies, name), change(text, name));
  }
  const files = unitNames.map((name) => path.join(copies, name));
  return spawnSync("systemd-analyze", ["verify", "--man=no", ...files], {
    encoding: "utf8",
    env: { ...process.env, LC_ALL: "C", SYSTEMD_LOG_LEVEL: "warning" },
  });
}

withAnalyze(`systemd finds nothing wrong in the units${reason}`, (t) => {
  const { status, stderr } = verify(t, (text) => text);
  t.is(stderr, "");
  t.is(status, 0);
});

withAnalyze(`systemd's verdict sees a setting that it does not know, and a circle${reason}`, (t) => {
  const misspelt = verify(t, (text) => text.replace("[Service]", "[Service]\nRestrictNamespace=mnt"));
  t.regex(misspelt.stderr, /RestrictNamespace/);
  const circle = verify(t, (text, name) =>
    name === "o2cb.service" ? text.replace("[Unit]", "[Unit]\nAfter=o2cb-monitor.service") : text,
  );
  t.regex(circle.stderr, /ordering cycle/);
});

test("the table of units is what the package holds", (t) => {
  t.deepEqual(unitNames.toSorted(), readdirSync(directory).toSorted());
});

test("the cluster and its monitor are started before network file systems are mounted, and stopped after they are unmounted", (t) => {
  for (const name of ["o2cb.service", "o2cb-monitor.service", "ocfs2-controld.service"])
    t.true(setting(name, "Before").includes("remote-fs-pre.target"), name);
  // A target of this kind takes part in a transaction only where somebody wants it.
  t.true(setting("o2cb.service", "Wants").includes("remote-fs-pre.target"));
  t.true(setting("o2cb.service", "Wants").includes("network-online.target"));
  for (const one of ["network-online.target", "iscsid.service", "multipathd.service"])
    t.true(setting("o2cb.service", "After").includes(one), one);
  t.deepEqual(setting("o2cb-monitor.service", "After"), ["o2cb.service"]);
});

test("stopping the service changes no configuration", (t) => {
  t.deepEqual(setting("o2cb.service", "ExecStart"), ["/sbin/o2cb", "start"]);
  t.deepEqual(setting("o2cb.service", "ExecStop"), ["/sbin/o2cb", "stop"]);
});

test("systemd neither kills the control daemon nor ties it to a service that is stopped", (t) => {
  const name = "ocfs2-controld.service";
  t.deepEqual(setting(name, "SendSIGKILL"), ["no"]);
  for (const key of ["Requires", "BindsTo", "PartOf", "WatchdogSec"])
    t.deepEqual(setting(name, key), [], key);
  for (const one of ["corosync.service", "dlm.service"]) {
    t.true(setting(name, "After").includes(one), one);
    t.true(setting(name, "Wants").includes(one), one);
  }
  // Statuses of ts/cli/controld-job.ts.
  t.deepEqual(setting(name, "RestartPreventExitStatus"), ["2", "6"]);
});

// systemd.exec(5): each of these gives the service a mount namespace of its own, or takes it out of the host's other ones.
const isolating =
  /^(Private\w+|ProtectSystem|ProtectHome|ProtectProc|ProcSubset|ProtectHostname|ProtectKernel\w+|ProtectControlGroups|DynamicUser|(Root|Runtime|State|Cache|Logs|Configuration)(Directory|Image)\w*|(ReadWrite|ReadOnly|Inaccessible|Exec|NoExec)Paths|Bind(ReadOnly)?Paths|TemporaryFileSystem|MountFlags|MountImages|ExtensionImages|JoinsNamespaceOf|NetworkNamespacePath|IPCNamespacePath|LoadCredential\w*|SetCredential\w*|ProtectClock|Device\w+|User|MemoryDenyWriteExecute)=/m;

test("no unit is put into namespaces of its own, or kept from the volumes' devices", (t) => {
  for (const name of unitNames) {
    // The control daemon opens one device, and no volume's.
    const text =
      name === "ocfs2-controld.service" ? unit(name).replaceAll(/^Device\w+=.*\n/gm, "") : unit(name);
    t.notRegex(text, isolating, name);
  }
  t.regex("[Service]\nPrivateTmp=yes", isolating);
});
