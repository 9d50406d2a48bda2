// install-helpers --units and uninstall-helpers, below a directory of our own; and what systemctl is asked.
import test, { type ExecutionContext } from "ava";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../../ts/helpers-install/command.ts";
import { helperNames, platformName } from "../../ts/helpers-install/runtime.ts";
import { Tree } from "../../ts/helpers-install/tree.ts";
import { Systemd, unitDirectory, unitNames } from "../../ts/helpers-install/units.ts";

const repository = fileURLToPath(new URL("../..", import.meta.url));

function put(file: string, text: string): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
}

/** A package as it lies in node_modules, and a system below a directory; `call` runs the command on them. */
function places(t: ExecutionContext) {
  const directory = mkdtempSync(path.join(tmpdir(), "ocfs2-group-units-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const source = path.join(directory, "package");
  const root = path.join(directory, "system");
  mkdirSync(root);
  put(path.join(source, "package.json"), JSON.stringify({ version: "1.2.3", engines: { node: ">=20.19" } }));
  for (const name of helperNames) put(path.join(source, "dist/cli", `${name}.cjs`), "");
  const compiled = path.join(source, "npm", platformName());
  for (const name of ["package.json", `ocfs2-group.${platformName()}.node`, "launcher"])
    put(path.join(compiled, name), "{}");
  cpSync(path.join(repository, "systemd"), path.join(source, "systemd"), { recursive: true });
  const units = path.join(root, unitDirectory);
  const call = (command: string, ...more: string[]) => {
    const lines: string[] = [];
    const status = run([command, "--root", root, ...more], source, {
      out: (line) => lines.push(line),
      err: (line) => lines.push(line),
    });
    return { status, said: lines.join("\n") };
  };
  return { source, root, units, call };
}

test("units are placed where that is asked for, and are removed with the helpers", (t) => {
  const { root, units, call } = places(t);
  t.is(call("install-helpers").status, 0);
  t.false(existsSync(units));
  const { status, said } = call("install-helpers", "--units");
  t.is(status, 0, said);
  for (const name of unitNames) {
    const text = readFileSync(path.join(repository, "systemd", name), "utf8");
    t.is(readFileSync(path.join(units, name), "utf8"), text, name);
  }
  t.regex(said, /systemctl enable/);
  t.is(call("uninstall-helpers").status, 0);
  t.false(existsSync(path.join(root, "usr")));
});

test("units that were placed once are kept up to date without the option", (t) => {
  const { source, units, call } = places(t);
  t.is(call("install-helpers", "--units").status, 0);
  put(path.join(source, "systemd/o2cb.service"), "# a later version\n");
  const { status, said } = call("install-helpers");
  t.is(status, 0, said);
  t.is(readFileSync(path.join(units, "o2cb.service"), "utf8"), "# a later version\n");
  t.notRegex(said, /systemctl enable/, "said once");
});

test("another package's unit is refused, or put aside", (t) => {
  const { units, call } = places(t);
  put(path.join(units, "o2cb.service"), "theirs\n");
  const refused = call("install-helpers", "--units");
  t.is(refused.status, 1);
  t.regex(refused.said, /o2cb\.service is there already/);
  t.false(existsSync(path.join(units, "o2cb-monitor.service")));
  t.is(call("install-helpers", "--units", "--divert").status, 0);
  t.is(call("uninstall-helpers").status, 0);
  t.is(readFileSync(path.join(units, "o2cb.service"), "utf8"), "theirs\n");
});

test("who has an init script ocfs2 is told to mask it", (t) => {
  const { root, call } = places(t);
  put(path.join(root, "etc/init.d/ocfs2"), "#!/bin/sh\n");
  t.regex(call("install-helpers", "--units").said, /systemctl mask ocfs2\.service/);
});

test("a package without its units says so before it changes anything", (t) => {
  const { source, root, call } = places(t);
  rmSync(path.join(source, "systemd/o2cb-reconcile.timer"));
  const { status, said } = call("install-helpers", "--units");
  t.is(status, 1);
  t.regex(said, /o2cb-reconcile\.timer is missing/);
  t.false(existsSync(path.join(root, "usr")));
});

test("systemd forgets what is removed, but an init script stays as enabled as it is", (t) => {
  const { root } = places(t);
  const asked: string[] = [];
  const systemd = new Systemd(new Tree(root), (args) => {
    asked.push(args.join(" "));
    return null;
  });
  t.deepEqual([...systemd.retire(), ...systemd.reload()], []);
  const attendants = "disable --now o2cb-monitor.service o2cb-reconcile.timer";
  const daemon = "disable ocfs2-controld.service";
  t.deepEqual(asked.splice(0), [attendants, daemon, "disable o2cb.service", "daemon-reload"]);
  put(path.join(root, "etc/init.d/o2cb"), "#!/bin/sh\n");
  systemd.retire();
  t.deepEqual(asked, [attendants, daemon]);
});

test("what systemctl refuses is told as a sentence", (t) => {
  const { root } = places(t);
  const systemd = new Systemd(new Tree(root), () => "no bus");
  t.deepEqual(systemd.reload(), ["systemctl daemon-reload failed (no bus); run it by hand"]);
});
