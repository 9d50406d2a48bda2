//! What `/sbin/mount.ocfs2`, `umount.ocfs2`, `mounted.ocfs2`, `tunefs.ocfs2`, `ocfs2_hb_ctl`, `ocfs2_controld` and `o2cb` are: finds node and the command's
//! bundle by absolute paths, cleans the environment, and becomes node. No option is read here and nothing is decided; the
//! commands are TypeScript. Only that `o2cb monitor` and `ocfs2_controld` stay is known here, since V8 takes its flags before a bundle runs.
//!
//! Facts relied on: mount(8) hands its caller's environment on; boot, systemd and the kernel (for `ocfs2_hb_ctl`) start
//! helpers with closed or missing descriptors; and a status of 126 is mount(8)'s word for "the helper could not be executed"
//! (util-linux, `MNT_EX_EXEC`). Rust's runtime opens /dev/null on each of the descriptors 0-2 that is closed before
//! `main` begins, and `exec` unblocks all signals; the tests hold it to the first.
//!
//! Deliberately not done: no search in PATH, no version check of node (install-helpers made one), no cached code (that
//! is the bundle's business).

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The names this executable may be called by; the bundle of each is `NAME.cjs` beside the executable.
const COMMANDS: [&str; 7] = [
    "mount.ocfs2",
    "mounted.ocfs2",
    "o2cb",
    "ocfs2_controld",
    "ocfs2_hb_ctl",
    "tunefs.ocfs2",
    "umount.ocfs2",
];

/// The commands that run for as long as the host, the one of them only with this first argument.
const STAYING: [(&str, Option<&str>); 2] = [("o2cb", Some("monitor")), ("ocfs2_controld", None)];

/// What keeps a process that stays, and is idle, small. Measured with node 20.20 after 1500 audits: 44 MB resident instead
/// of 59. Code that runs now and then gains nothing from V8's compilers (and wasm needs them, which node warns of), and new
/// objects need no more than 1 MB before they are collected. The memory reducer is a timer of some seconds that goes on long after
/// the last event; in its place the monitor collects when it comes to rest.
const STAYING_FLAGS: [&str; 5] =
    ["--jitless", "--no-expose-wasm", "--max-semi-space-size=1", "--no-memory-reducer", "--expose-gc"];

/// glibc otherwise keeps memory apart for each thread that ever ran a call.
const STAYING_VARIABLE: (&str, &str) = ("MALLOC_ARENA_MAX", "1");

/// Where install-helpers puts everything; used where /proc is not mounted yet.
const DEFAULT_DIRECTORY: &str = "/usr/lib/ocfs2-group";

/// mount(8)'s status for a helper that cannot be executed.
const NOT_EXECUTED: u8 = 126;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    // Linux gives an empty name to a program that was started without any.
    let called = arguments.next().unwrap_or_default();
    let (name, sentence) = match command(&called) {
        None => (
            "launcher",
            format!("{called:?} is not one of the names it can be called by: {}", COMMANDS.join(", ")),
        ),
        Some(name) => (name, launch(name, arguments)),
    };
    // Nobody is left to tell when standard error does not work either.
    let _ = writeln!(std::io::stderr(), "{name}: {sentence}");
    ExitCode::from(NOT_EXECUTED)
}

/// The command meant by the name called, whatever directory that names.
fn command(called: &OsStr) -> Option<&'static str> {
    let name = Path::new(called).file_name()?;
    COMMANDS.into_iter().find(|command| OsStr::new(command) == name)
}

/// Becomes node, which runs the bundle with these arguments; returns only with a sentence about what failed.
fn launch(name: &str, arguments: impl Iterator<Item = OsString>) -> String {
    let directory = own_directory();
    let bundle = directory.join(format!("{name}.cjs"));
    let node = directory.join("node");
    // Node would answer a missing bundle with a stack trace and status 1, which mount(8) takes for wrong usage.
    if let Err(error) = std::fs::metadata(&bundle) {
        return format!("{} cannot be read ({error}); run install-helpers again", bundle.display());
    }
    let environment = std::env::vars_os().filter(|(variable, _)| !disturbs_node(variable));
    let mut command = Command::new(&node);
    command.env_clear().envs(environment);
    let mut arguments = arguments.peekable();
    let first = arguments.peek();
    let stays = STAYING.iter().any(|&(command, word)| {
        command == name && word.is_none_or(|word| first.is_some_and(|first| first == word))
    });
    if stays {
        command.args(STAYING_FLAGS).env(STAYING_VARIABLE.0, STAYING_VARIABLE.1);
    }
    let error = command.arg(&bundle).args(arguments).exec();
    format!(
        "{} cannot be started ({error}); install Node 20.19 or newer, then run install-helpers again",
        node.display()
    )
}

/// The directory of the executable itself, not of the link in /sbin that leads to it.
fn own_directory() -> PathBuf {
    // current_exe is /proc/self/exe. A file replaced meanwhile reads as `…/launcher (deleted)`: its directory holds.
    let executable = std::env::current_exe().unwrap_or_default();
    match executable.parent() {
        Some(directory) if directory.is_absolute() => directory.to_path_buf(),
        _ => PathBuf::from(DEFAULT_DIRECTORY),
    }
}

/// Variables meant for other programs that keep node from starting or change what it runs. A volume has to be mounted
/// alike at boot and from a shell set up for a database or for another node program: `NODE_OPTIONS` can name options
/// and modules that are not there, `LD_LIBRARY_PATH` another libstdc++, `OPENSSL_CONF` a file that node's OpenSSL
/// refuses, and `LD_PRELOAD` foreign code; each of the first three was seen to stop node before its first line.
fn disturbs_node(variable: &OsStr) -> bool {
    let name = variable.as_bytes();
    [&b"NODE_"[..], b"LD_", b"OPENSSL_"].iter().any(|prefix| name.starts_with(prefix))
}
