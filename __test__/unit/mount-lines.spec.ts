// Lines of fstab and mount units: their text, and what systemd itself makes of it where it is installed.
import test from "ava";
import * as fc from "fast-check";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fstabLine, lintFstab, mountUnit, mountUnitName } from "../../ts/cluster/mount-lines.ts";
import { O2cbError } from "../../ts/errors.ts";

const UUID = "0C5B5F0E3D1E4E7B9A6F0123456789AB";
const DASHED = "0c5b5f0e-3d1e-4e7b-9a6f-0123456789ab";
const needs = (found: boolean, what: string) => (found ? "" : ` (needs ${what})`);
const runs = (tool: string, ...args: string[]) => spawnSync(tool, args).status === 0;
const hasEscape = runs("systemd-escape", "--version");
const hasAnalyze = runs("systemd-analyze", "--version");
const withEscape = hasEscape ? test : test.skip;
const withAnalyze = hasAnalyze ? test : test.skip;
const generator = ["/usr/lib", "/lib"]
  .map((lib) => `${lib}/systemd/system-generators/systemd-fstab-generator`)
  .find((file) => runs("test", "-x", file));
const withGenerator = generator === undefined ? test.skip : test;

test("a line has what the order at boot needs, and the caller's options after it", (t) => {
  t.is(
    fstabLine({ uuid: UUID, directory: "/srv/shared", options: "defaults,noatime,nofail" }),
    `UUID=${DASHED} /srv/shared ocfs2 _netdev,x-systemd.requires=o2cb.service,noatime,nofail 0 0`,
  );
  t.is(
    fstabLine({ device: "/dev/mapper/a", directory: "/a//b/", options: "_netdev" }),
    "/dev/mapper/a /a/b ocfs2 x-systemd.requires=o2cb.service,_netdev 0 0",
  );
  t.is(
    fstabLine({ label: "two words", directory: "/a b\\c" }),
    "LABEL=two\\040words /a\\040b\\134c ocfs2 _netdev,x-systemd.requires=o2cb.service 0 0",
  );
});

test("a unit says the same in systemd's words", (t) => {
  const { name, text } = mountUnit({ label: "50% a", directory: "/srv/my-vol", options: "noatime" });
  t.is(name, "srv-my\\x2dvol.mount");
  t.is(
    text,
    `[Unit]
Description=OCFS2 volume on /srv/my-vol
Requires=o2cb.service
After=o2cb.service

[Mount]
What=/dev/disk/by-label/50\\x25\\x20a
Where=/srv/my-vol
Type=ocfs2
Options=_netdev,noatime

[Install]
RequiredBy=remote-fs.target
`,
  );
  t.regex(mountUnit({ uuid: UUID, directory: "/v" }).text, new RegExp(`What=/dev/disk/by-uuid/${DASHED}\n`));
  t.regex(mountUnit({ uuid: UUID, directory: "/50%" }).text, /Where=\/50%%\n/);
  t.regex(mountUnit({ uuid: UUID, directory: "/v", options: "nofail" }).text, /\nWantedBy=remote-fs.target/);
  t.notRegex(mountUnit({ uuid: UUID, directory: "/v", options: "noauto" }).text, /Install|noauto/);
});

test("what cannot be written is refused", (t) => {
  const bad = [
    { device: "sdb1", directory: "/v" },
    { device: "/dev/sdb1", directory: "v" },
    { device: "/dev/sdb1", directory: "/a/../b" },
    { device: "/dev/sdb1", directory: "/" },
    { device: "/dev/sdb1", directory: "/a\nb" },
    { device: "/dev/sdb1", directory: "/v", options: "noatime\n/dev/sdc" },
    { device: "/dev/sdb1", directory: "/v\\" },
    { label: "", directory: "/v" },
  ] as const;
  for (const line of bad) {
    t.throws(() => fstabLine(line), { instanceOf: TypeError }, JSON.stringify(line));
    t.throws(() => mountUnit(line), { instanceOf: TypeError }, JSON.stringify(line));
  }
  t.throws(() => fstabLine({ uuid: "12", directory: "/v" }), { instanceOf: O2cbError });
  t.throws(() => mountUnit({ uuid: UUID, directory: "/v", options: "x-systemd.automount" }), {
    instanceOf: TypeError,
    message: /x-systemd\.automount/,
  });
  t.throws(() => mountUnitName(`/${"a".repeat(250)}`), { instanceOf: TypeError });
});

test("a line of ours has no findings", (t) => {
  const line = fstabLine({ uuid: UUID, directory: "/srv/a b", options: "noatime" });
  t.deepEqual(lintFstab(`# comment\n\n${line}\n`), []);
});

test("each fault of a line is found at its place", (t) => {
  const faults = (text: string) =>
    lintFstab(text).map(({ severity, line, column, key }) => `${severity} ${line}:${column} ${key ?? ""}`);
  const good = "_netdev,x-systemd.requires=o2cb.service";
  t.deepEqual(faults("LABEL=a /v ocfs2 x-systemd.requires=o2cb.service"), ["warning 1:18 _netdev"]);
  t.deepEqual(faults("LABEL=a /v ocfs2 _netdev"), ["warning 1:18 x-systemd.requires"]);
  t.deepEqual(faults("LABEL=a /v ocfs2 _netdev,x-systemd.requires=ocfs2.service 0 0"), [
    "warning 1:18 x-systemd.requires",
  ]);
  t.deepEqual(faults("LABEL=a /v ocfs2"), ["warning 1:12 _netdev", "warning 1:12 x-systemd.requires"]);
  t.deepEqual(faults(`/ x y\n\tLABEL=a\t/v\tocfs2\t${good},noauto 0 0`), ["warning 2:19 noauto"]);
  t.deepEqual(faults(`LABEL=a /v ocfs2 ${good},noauto,x-systemd.automount 0 0`), []);
  t.deepEqual(faults(`LABEL=a /v ocfs2 ${good} 0 2`), ["error 1:60 passno"]);
  t.deepEqual(faults(`/dev/sdb1 /v ocfs2 ${good} 0 0`), ["warning 1:1 "]);
  t.deepEqual(faults(`/dev/mapper/shared /v ocfs2 ${good} 0 0`), []);
  t.deepEqual(faults(`LABEL=a none ocfs2 ${good} 0 0`), ["error 1:9 "]);
  t.deepEqual(faults("#/dev/sdb1 /v ocfs2 defaults 0 2\n/dev/sda1 / ext4 defaults 0 1\nUUID=a\n"), []);
  for (const { message, remedy } of lintFstab("/dev/sdb1 /a\\040b ocfs2 noauto 0 2")) {
    t.regex(message, /'\/a b'|\/dev\/sdb1/);
    t.not(remedy, "");
  }
});

withEscape(`a unit's name is the one systemd-escape makes${needs(hasEscape, "systemd-escape")}`, (t) => {
  const part = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 }).filter(
    (text) =>
      // eslint-disable-next-line no-control-regex
      !/[/\x00-\x1f\x7f]/.test(text),
  );
  const paths = fc.array(fc.oneof(part, fc.constantFrom(".", "", ".x", "a-b", "a\\b", "ä:_.")), {
    maxLength: 4,
  });
  fc.assert(
    fc.property(paths, (parts) => {
      const directory = `/${parts.join("/")}`;
      if (parts.includes("..") || Buffer.byteLength(directory) > 50) return;
      const { stdout } = spawnSync("systemd-escape", ["--path", "--suffix=mount", "--", directory], {
        encoding: "utf8",
      });
      t.is(mountUnitName(directory), stdout.trim(), directory);
    }),
    { numRuns: 200 },
  );
});

withGenerator(
  `systemd reads from a line what was meant${needs(generator !== undefined, "systemd-fstab-generator")}`,
  (t) => {
    const directory = mkdtempSync(path.join(tmpdir(), "ocfs2-group-fstab-"));
    t.teardown(() => rmSync(directory, { recursive: true, force: true }));
    const line = { label: "two words", directory: "/srv/a b-c\\d", options: "noatime" } as const;
    writeFileSync(path.join(directory, "fstab"), `${fstabLine(line)}\n`);
    const out = path.join(directory, "out");
    mkdirSync(out);
    spawnSync(generator as string, [out, out, out], {
      env: { ...process.env, SYSTEMD_FSTAB: path.join(directory, "fstab") },
    });
    const ours = mountUnit(line);
    const theirs = readFileSync(path.join(out, ours.name), "utf8");
    const value = (text: string, key: string) => new RegExp(`^${key}=(.*)$`, "m").exec(text)?.[1];
    for (const key of ["Where", "What", "Type"]) t.is(value(ours.text, key), value(theirs, key), key);
    t.regex(theirs, /Requires=.*o2cb\.service/);
    t.regex(theirs, /After=.*o2cb\.service/);
    t.regex(theirs, /Before=remote-fs\.target/);
  },
);

withAnalyze(`systemd finds nothing wrong in a unit of ours${needs(hasAnalyze, "systemd-analyze")}`, (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), "ocfs2-group-mount-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const { name, text } = mountUnit({ label: "50% a", directory: "/srv/ä b", options: "noatime" });
  writeFileSync(path.join(directory, name), text);
  const cluster = "[Service]\nType=oneshot\nExecStart=/bin/true\n";
  writeFileSync(path.join(directory, "o2cb.service"), cluster);
  const { status, stderr } = spawnSync("systemd-analyze", ["verify", path.join(directory, name)], {
    encoding: "utf8",
    env: { ...process.env, LC_ALL: "C" },
  });
  t.is(stderr, "");
  t.is(status, 0);
});
