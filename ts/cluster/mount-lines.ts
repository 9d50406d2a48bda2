// Lines of /etc/fstab and .mount units that mount a volume at boot in the right order; and what is wrong with lines that are there.
//
// Facts relied on (commands 4.4, users 1.4; fstab(5), systemd.mount(5), systemd.unit(5), systemd-escape(1)): `_netdev` puts a mount
// between remote-fs-pre.target and remote-fs.target, x-systemd.requires= starts the cluster with it; systemd before 231 does not
// count ocfs2 as a network file system. In fstab a blank, tab, newline and backslash are written as three octal digits. A mount
// unit is named after its directory. In a unit `%` begins a specifier, and What= is a path.
//
// Pure: nothing is read or written, and it is not looked at whether a device or directory exists.
import { sortFindings, type Finding } from "../config/finding.ts";
import { regionName } from "../volume.ts";

export const CLUSTER_UNIT = "o2cb.service";
const NETWORK = "_netdev";
const REQUIRES = `x-systemd.requires=${CLUSTER_UNIT}`;

/** What to mount: exactly one of the three. */
type Source =
  | { device: string; uuid?: undefined; label?: undefined }
  | { uuid: string; device?: undefined; label?: undefined }
  | { label: string; device?: undefined; uuid?: undefined };

export type MountLine = Source & {
  directory: string;
  /** as after `mount -o`; what the order at boot needs is added */
  options?: string;
};

export interface MountUnit {
  /** the file's name: systemd finds a directory's unit by it */
  name: string;
  text: string;
}

/** One line of /etc/fstab, without its end. Throws TypeError for what cannot be written there. */
export function fstabLine(line: MountLine): string {
  const options = optionList(line.options);
  const needed = [NETWORK, REQUIRES].filter((one) => !options.includes(one));
  const { tag, value } = sourceOf(line);
  const source = tag === null ? value : `${tag}=${value}`;
  const fields = [source, directoryOf(line), "ocfs2", [...needed, ...options].join(","), "0", "0"];
  return fields.map(fstabField).join(" ");
}

/** A .mount unit that does the same. Throws TypeError for what cannot be written there. */
export function mountUnit(line: MountLine): MountUnit {
  const directory = directoryOf(line);
  const options = optionList(line.options);
  const ofFstab = options.find((option) => option.startsWith("x-systemd."));
  if (ofFstab !== undefined)
    throw new TypeError(
      `${ofFstab} has a meaning in /etc/fstab only; write what it stands for into a drop-in of the unit`,
    );
  const isAutomatic = !options.includes("noauto");
  const kept = options.filter((option) => !["auto", "noauto", "nofail", NETWORK].includes(option));
  const { tag, value } = sourceOf(line);
  const what = tag === null ? value : `/dev/disk/by-${tag.toLowerCase()}/${udevName(value)}`;
  const wanted = options.includes("nofail") ? "WantedBy" : "RequiredBy";
  const text = [
    "[Unit]",
    `Description=OCFS2 volume on ${directory}`,
    `Requires=${CLUSTER_UNIT}`,
    `After=${CLUSTER_UNIT}`,
    "",
    "[Mount]",
    `What=${what}`,
    `Where=${directory}`,
    "Type=ocfs2",
    `Options=${[NETWORK, ...kept].join(",")}`,
    ...(isAutomatic ? ["", "[Install]", `${wanted}=remote-fs.target`] : []),
  ];
  const lines = text.map((one) => one.replaceAll("%", "%%"));
  return { name: mountUnitName(directory), text: `${lines.join("\n")}\n` };
}

/** The name of the unit for a mount point, as `systemd-escape --path --suffix=mount` makes it. Throws TypeError. */
export function mountUnitName(directory: string): string {
  const name = pathParts(directory).join("/");
  const bytes = [...Buffer.from(name)].map((byte, index) => {
    const character = String.fromCharCode(byte);
    if (character === "/") return "-";
    return /[A-Za-z0-9:_]/.test(character) || (character === "." && index > 0) ? character : hex(byte);
  });
  const unit = `${name === "" ? "-" : bytes.join("")}.mount`;
  if (unit.length > 255)
    throw new TypeError(`the path '${directory}' is too long for a unit's name; mount it through /etc/fstab`);
  return unit;
}

/** What is wrong with the lines of a text like /etc/fstab that mount OCFS2 volumes. */
export function lintFstab(text: string): Finding[] {
  const findings = text.split("\n").flatMap((line, index) => lintLine(line, index + 1));
  return sortFindings(findings);
}

function lintLine(line: string, number: number): Finding[] {
  const fields = [...line.matchAll(/[^ \t]+/g)].map((match) => ({ text: match[0], column: match.index + 1 }));
  const [source, directory, type, options, , pass] = fields;
  if (source === undefined || source.text.startsWith("#") || type?.text !== "ocfs2") return [];
  const found: Finding[] = [];
  const add = (
    severity: Finding["severity"],
    at: { column: number },
    key: string | null,
    message: string,
    remedy: string,
  ) => found.push({ severity, line: number, column: at.column, key, message, remedy });
  const place = unescaped(directory?.text ?? "");
  const words = (options?.text ?? "").split(",");
  const has = (...names: string[]) => words.some((word) => names.includes(word));
  const requires = words.filter((word) => word.startsWith("x-systemd.requires="));
  const atOptions = options ?? type;

  if (!place.startsWith("/"))
    add(
      "error",
      directory ?? type,
      null,
      `'${place}' is not the path of a directory`,
      "name the mount point",
    );
  if (/^\/dev\/((s|h|v|xv)d[a-z]+\d*|nvme\d+n\d+(p\d+)?|dm-\d+)$/.test(source.text))
    add(
      "warning",
      source,
      null,
      `${source.text} may be another device after a reboot, and on other nodes`,
      "name the volume by UUID= or LABEL=, or by a path below /dev/disk or /dev/mapper",
    );
  if (!has(NETWORK))
    add(
      "warning",
      atOptions,
      NETWORK,
      `without _netdev the volume on '${place}' may be mounted before the network is up, and unmounted after it is down`,
      "add the option _netdev",
    );
  if (!requires.includes(REQUIRES))
    add(
      "warning",
      atOptions,
      "x-systemd.requires",
      `nothing starts the cluster for the volume on '${place}'`,
      `add the option ${REQUIRES}`,
    );
  if (has("noauto") && !words.some((word) => /^(x-systemd\.|comment=systemd\.)automount$/.test(word)))
    add(
      "warning",
      atOptions,
      "noauto",
      `with noauto the volume on '${place}' is not mounted at boot`,
      "drop noauto, or add x-systemd.automount, unless somebody else mounts it",
    );
  if (pass !== undefined && pass.text !== "0")
    add(
      "error",
      pass,
      "passno",
      `fsck would run at boot on the volume on '${place}', which other nodes may have mounted`,
      "write 0 as the sixth field",
    );
  return found;
}

function sourceOf(line: MountLine): { tag: "UUID" | "LABEL" | null; value: string } {
  if (line.uuid !== undefined) {
    // In the form in which udev and blkid have it.
    const digits = regionName(line.uuid).toLowerCase();
    return { tag: "UUID", value: digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-") };
  }
  const { label, device } = line;
  if (label !== undefined) {
    if (label === "") throw new TypeError("an empty label names no volume");
    return { tag: "LABEL", value: printable(label, "label") };
  }
  if (!device.startsWith("/")) throw new TypeError(`the device '${device}' is not an absolute path`);
  return { tag: null, value: printable(device, "device") };
}

function directoryOf({ directory }: MountLine): string {
  const parts = pathParts(printable(directory, "mount point"));
  if (parts.length === 0) throw new TypeError("a volume cannot be mounted on / by these lines");
  return `/${parts.join("/")}`;
}

function pathParts(path: string): string[] {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (path.startsWith("/") && !parts.includes("..")) return parts;
  throw new TypeError(`'${path}' is not an absolute path without '..'`);
}

/** The words of an option string; commas between quotes divide nothing. */
function optionList(options = ""): string[] {
  const words = printable(options, "option string").match(/(?:"[^"]*"|[^,])+/g) ?? [];
  return words.filter((word) => word !== "defaults");
}

function printable(text: string, what: string): string {
  // eslint-disable-next-line no-control-regex
  if (!/[\x00-\x1f\x7f]/.test(text) && !text.endsWith("\\")) return text;
  throw new TypeError(`the ${what} ${JSON.stringify(text)} holds characters that cannot be written`);
}

function fstabField(text: string): string {
  return text.replaceAll(/[ \\]/g, (character) => `\\${octal(character)}`);
}

function unescaped(field: string): string {
  return field.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

function octal(character: string): string {
  return character.charCodeAt(0).toString(8).padStart(3, "0");
}

function hex(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, "0")}`;
}

/** A label as the link below /dev/disk/by-label is called. */
function udevName(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9#+\-.:=@_\u0080-\u{10ffff}]/gu, (character) =>
    hex(character.charCodeAt(0)),
  );
}
