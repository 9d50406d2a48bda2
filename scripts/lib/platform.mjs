// The platforms a package of compiled files can be made for. Only the first is built and tested; the others are named
// so that nothing else has to be invented when somebody can test them.
import path from "node:path";

/** Everything that differs between platforms, by the name npm packages of compiled code carry. */
export const platforms = {
  "linux-x64-gnu": { tested: true, rust: "x86_64-unknown-linux-gnu", os: "linux", cpu: "x64", libc: "glibc" },
  "linux-arm64-gnu": {
    tested: false,
    rust: "aarch64-unknown-linux-gnu",
    os: "linux",
    cpu: "arm64",
    libc: "glibc",
  },
  "linux-x64-musl": {
    tested: false,
    rust: "x86_64-unknown-linux-musl",
    os: "linux",
    cpu: "x64",
    libc: "musl",
  },
  "linux-arm64-musl": {
    tested: false,
    rust: "aarch64-unknown-linux-musl",
    os: "linux",
    cpu: "arm64",
    libc: "musl",
  },
};

const name = "linux-x64-gnu";
const { rust, os, cpu, libc } = platforms[name];

/** The platform that is built here; paths are relative to the repository's root. */
export const platform = {
  name,
  rust,
  os,
  cpu,
  libc,
  package: `ocfs2-group-${name}`,
  addon: `native/ocfs2-group.${name}.node`,
  launcher: path.join(process.env.CARGO_TARGET_DIR ?? "target", rust, "launcher/ocfs2-group-launcher"),
  /** where the platform package is put together */
  directory: `npm/${name}`,
};
