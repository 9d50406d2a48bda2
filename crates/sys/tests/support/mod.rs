//! For the tests over stand-ins for C libraries: compiling them, and working on threads as the binding does.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use ocfs2_group_error::{Code, Result};
use ocfs2_group_sys::{Cancel, worker};

pub const SOON: Duration = Duration::from_secs(20);

/// The library made of `stub/SOURCE` as `name`.
pub fn compile(source: &str, name: &str, options: &[&str]) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stub").join(source);
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-D_GNU_SOURCE", "-pthread", "-o"])
        .arg(&target)
        .arg(source)
        .args(options)
        .status()
        .unwrap();
    assert!(status.success());
    target
}

pub fn code<T>(result: Result<T>) -> Code {
    result.err().unwrap().code
}

/// On a worker, as the binding does it, so that it can be cancelled.
pub fn started<T: Send + 'static>(
    cancel: &Cancel,
    work: impl FnOnce(&Cancel) -> Result<T> + Send + 'static,
) -> Receiver<Result<T>> {
    let (send, receive) = channel();
    let done = move |result| drop(send.send(result));
    worker::spawn_with_stack(4 << 20, "test", cancel, work, done).unwrap();
    receive
}
