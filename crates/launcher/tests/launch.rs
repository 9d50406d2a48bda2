//! The launcher as a process: what node receives, and what it says where it cannot start node.
// The report of a fake node is read back; that a real node starts is shown by __test__/package.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // The rules are for the library.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const COMMANDS: [&str; 6] =
    ["mount.ocfs2", "o2cb", "ocfs2_controld", "ocfs2_hb_ctl", "tunefs.ocfs2", "umount.ocfs2"];

/// A directory as install-helpers makes it, with a fake node; a name apart for each test.
struct Installed(PathBuf);

impl Installed {
    fn new(test: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(directory.join("sbin")).unwrap();
        // A hard link, since a file just written cannot be executed while another test forks with it open.
        fs::hard_link(env!("CARGO_BIN_EXE_ocfs2-group-launcher"), directory.join("launcher")).unwrap();
        for name in COMMANDS.into_iter().chain(["fsck.ocfs2"]) {
            symlink("../launcher", directory.join("sbin").join(name)).unwrap();
            fs::write(directory.join(format!("{name}.cjs")), "").unwrap();
        }
        symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake-node"), directory.join("node"))
            .unwrap();
        Installed(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.path("sbin").join(name));
        command.env("REPORT", self.path("report")).stdin(Stdio::null());
        command
    }

    /// The values of the report's lines that begin with `kind`.
    fn reported(&self, kind: &str) -> Vec<String> {
        let report = fs::read_to_string(self.path("report")).unwrap();
        report.lines().filter_map(|line| line.strip_prefix(&format!("{kind} "))).map(String::from).collect()
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[track_caller]
fn refused(output: &Output, needles: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(126), "{said}");
    assert_eq!(said.lines().count(), 1, "one sentence: {said}");
    for needle in needles {
        assert!(said.contains(needle), "{needle:?} is not in {said:?}");
    }
}

#[test]
fn node_gets_the_bundle_of_the_name_called_and_the_arguments_as_they_are() {
    let installed = Installed::new("arguments");
    for name in COMMANDS.into_iter().filter(|name| *name != "ocfs2_controld") {
        let status = installed.command(name).args(["/dev/a b", "", "-o", "rw,\u{e9}"]).status().unwrap();
        assert_eq!(status.code(), Some(7), "node's own status is handed on");
        assert_eq!(installed.reported("self"), [installed.path("node").to_str().unwrap()]);
        let bundle = installed.path(&format!("{name}.cjs")).to_str().unwrap().to_owned();
        assert_eq!(installed.reported("argument"), [bundle.as_str(), "/dev/a b", "", "-o", "rw,\u{e9}"]);
    }
}

#[test]
fn only_commands_that_stay_get_flags_and_they_stand_before_the_bundle() {
    let installed = Installed::new("flags");
    let started = |name: &str, arguments: &[&str]| {
        let mut command = installed.command(name);
        assert_eq!(command.args(arguments).stderr(Stdio::null()).status().unwrap().code(), Some(7));
        let bundle = installed.path(&format!("{name}.cjs")).to_str().unwrap().to_owned();
        let given = installed.reported("argument");
        let at = given.iter().position(|one| *one == bundle).unwrap();
        assert_eq!(given[at + 1..], *arguments, "the arguments are the command's");
        let variables = installed.reported("variable");
        (given[..at].to_vec(), variables.iter().any(|one| one == "MALLOC_ARENA_MAX=1"))
    };
    for (name, arguments) in [("o2cb", &["monitor", "--json"][..]), ("ocfs2_controld", &["--foreground"])] {
        let (flags, has_variable) = started(name, arguments);
        assert_eq!(
            flags,
            [
                "--jitless",
                "--no-expose-wasm",
                "--max-semi-space-size=1",
                "--no-memory-reducer",
                "--expose-gc"
            ]
        );
        assert!(has_variable);
    }
    for (name, arguments) in [
        ("o2cb", &["status", "monitor"][..]),
        ("o2cb", &["--help"]),
        ("o2cb", &[]),
        ("mount.ocfs2", &["monitor", "/vol"]),
        ("ocfs2_hb_ctl", &["monitor"]),
    ] {
        assert_eq!(started(name, arguments), (vec![], false), "{name} {arguments:?}");
    }
}

#[test]
fn what_disturbs_node_is_taken_out_of_the_environment_and_nothing_else() {
    let installed = Installed::new("environment");
    let disturbing =
        ["NODE_OPTIONS", "NODE_EXTRA_CA_CERTS", "NODE_PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "OPENSSL_CONF"];
    let mut command = installed.command("mount.ocfs2");
    for variable in disturbing {
        command.env(variable, "--bad");
    }
    command.env("LIBMOUNT_DEBUG", "0x2").env("MYNODE_OPTIONS", "kept").env("LANG", "C");
    assert_eq!(command.stderr(Stdio::null()).status().unwrap().code(), Some(7));
    let variables = installed.reported("variable");
    for prefix in ["NODE_", "LD_", "OPENSSL_"] {
        assert!(!variables.iter().any(|variable| variable.starts_with(prefix)), "{prefix} in {variables:?}");
    }
    for kept in ["LIBMOUNT_DEBUG=0x2", "MYNODE_OPTIONS=kept", "LANG=C"] {
        assert!(variables.iter().any(|variable| variable == kept), "{kept} in {variables:?}");
    }
}

#[test]
fn descriptors_that_are_closed_are_opened_on_dev_null() {
    let installed = Installed::new("descriptors");
    for (closing, opened) in [("<&- >&- 2>&-", &[0, 1, 2][..]), (">&-", &[1]), ("<&- 2>&-", &[0, 2])] {
        let launcher = installed.path("sbin/mount.ocfs2");
        let status = Command::new("sh")
            .args(["-c", &format!("exec \"$1\" {closing}"), "sh"])
            .arg(&launcher)
            .env("REPORT", installed.path("report"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .unwrap()
            .status;
        assert_eq!(status.code(), Some(7), "{closing}");
        let descriptors = installed.reported("descriptor");
        for number in 0..3 {
            let null = descriptors[number] == format!("{number} /dev/null");
            assert_eq!(null, opened.contains(&number), "{closing}: {descriptors:?}");
        }
    }
}

#[test]
fn a_name_that_is_no_command_is_refused() {
    let installed = Installed::new("names");
    for called in ["fsck.ocfs2", "", "/", "mount.ocfs2/..", "launcher", "mount.ocfs"] {
        let mut command = Command::new(installed.path("launcher"));
        let output = command.arg0(called).env("REPORT", installed.path("report")).output().unwrap();
        refused(
            &output,
            &["mount.ocfs2, mounted.ocfs2, o2cb, ocfs2_controld, ocfs2_hb_ctl, tunefs.ocfs2, umount.ocfs2"],
        );
        assert!(!installed.path("report").exists(), "{called:?} started node");
    }
    refused(&installed.command("fsck.ocfs2").output().unwrap(), &["fsck.ocfs2"]);
}

#[test]
fn the_name_counts_not_the_directory_it_is_called_by() {
    let installed = Installed::new("called");
    for called in ["umount.ocfs2", "/nowhere/umount.ocfs2", "./umount.ocfs2"] {
        let mut command = Command::new(installed.path("launcher"));
        let status = command.arg0(called).env("REPORT", installed.path("report")).status().unwrap();
        assert_eq!(status.code(), Some(7));
        assert_eq!(installed.reported("argument"), [installed.path("umount.ocfs2.cjs").to_str().unwrap()]);
    }
}

#[test]
fn a_missing_node_and_a_missing_bundle_are_named() {
    let installed = Installed::new("missing");
    fs::remove_file(installed.path("umount.ocfs2.cjs")).unwrap();
    refused(
        &installed.command("umount.ocfs2").output().unwrap(),
        &["umount.ocfs2: ", "/umount.ocfs2.cjs", "install-helpers"],
    );
    fs::remove_file(installed.path("node")).unwrap();
    refused(
        &installed.command("mount.ocfs2").output().unwrap(),
        &["mount.ocfs2: ", "/node cannot be started", "Node 20.19"],
    );
    symlink("/dev/null", installed.path("node")).unwrap();
    refused(&installed.command("mount.ocfs2").output().unwrap(), &["ermission denied"]);
}
