//! An exclusive lock between processes of this node, on a file that exists for it.
//!
//! Facts relied on: flock(2) belongs to the open file, so two opens exclude each other in one process too, and the kernel releases it
//! when the process ends, however it ends. A lock on a file that was unlinked meanwhile excludes nobody, so the name is looked at again.
//!
//! It asks in turns instead of sleeping in the call: a sleeping flock can be ended by a signal, but not at a time without a timer signal.

use std::path::Path;
use std::time::{Duration, Instant};

use ocfs2_group_error::{Code, Error, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, mkdir, open, stat};
use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::error::OrError;

const OPERATION: &str = "lock-file";
const LONGEST_PAUSE: Duration = Duration::from_millis(25);

/// Locks `path`, which is created with mode 0600, its directory with 0755, where missing. The lock ends when the descriptor is dropped.
///
/// # Errors
/// O2CB_TIMEOUT after `timeout`, O2CB_ABORTED.
pub fn lock(path: &Path, timeout: Duration, cancel: &Cancel) -> Result<OwnedFd> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    let mut file = open_file(path, cancel)?;
    loop {
        match cancel.restart(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) if is_still(&file, path) => return Ok(file),
            Ok(()) => file = open_file(path, cancel)?,
            Err(Errno::WOULDBLOCK) => {}
            Err(errno) => return Err(errno).or_error(OPERATION, "flock", path),
        }
        if start.elapsed() >= timeout {
            return Err(Error::os(OPERATION, "flock", Errno::WOULDBLOCK.raw_os_error())
                .code(Code::Timeout)
                .detail(format!("another process holds the lock, after {} ms", timeout.as_millis()))
                .path(path.to_string_lossy()));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn open_file(path: &Path, cancel: &Cancel) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || cancel.restart(|| open(path, flags, Mode::from_raw_mode(0o600)));
    match (open(), path.parent()) {
        (Err(Errno::NOENT), Some(directory)) => {
            match mkdir(directory, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                result => result.or_error(OPERATION, "mkdir", directory)?,
            }
            open().or_error(OPERATION, "open", path)
        }
        (result, _) => result.or_error(OPERATION, "open", path),
    }
}

/// Whether the name still leads to the open file.
fn is_still(file: &OwnedFd, path: &Path) -> bool {
    match (fstat(file), stat(path)) {
        (Ok(open), Ok(named)) => (open.st_dev, open.st_ino) == (named.st_dev, named.st_ino),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_second_waits_until_the_first_is_dropped() {
        let scratch = Scratch::new();
        let path = scratch.path("run/lock");
        let first = lock(&path, Duration::ZERO, &Cancel::new()).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        let error = lock(&path, Duration::from_millis(20), &Cancel::new()).unwrap_err();
        assert_eq!(error.code, Code::Timeout);
        let cancel = Cancel::new();
        cancel.cancel();
        assert_eq!(lock(&path, Duration::from_secs(60), &cancel).unwrap_err().code, Code::Aborted);
        let waiter = {
            let path = path.clone();
            std::thread::spawn(move || lock(&path, Duration::from_secs(60), &Cancel::new()).map(drop))
        };
        drop(first);
        waiter.join().unwrap().unwrap();
    }

    #[test]
    fn an_unlinked_file_is_no_lock() {
        let scratch = Scratch::new();
        let path = scratch.path("lock");
        let first = lock(&path, Duration::ZERO, &Cancel::new()).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(!is_still(&first, &path));
        let second = lock(&path, Duration::ZERO, &Cancel::new()).unwrap();
        assert!(is_still(&second, &path));
    }

    #[test]
    fn a_link_is_not_followed() {
        let scratch = Scratch::new();
        std::os::unix::fs::symlink("/dev/null", scratch.path("lock")).unwrap();
        assert_eq!(
            lock(&scratch.path("lock"), Duration::ZERO, &Cancel::new()).unwrap_err().errno,
            Some(libc::ELOOP)
        );
    }
}
