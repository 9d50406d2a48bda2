#![allow(unsafe_code)]
//! Locks between the processes of this node on places in one file: many locks, one file, nothing that accumulates.
//!
//! Facts relied on (fcntl(2), open file description locks; Linux 3.15): they belong to the open file, so two opens exclude each other in
//! one process too, a forked child keeps them alive, and the kernel releases them when the last descriptor is closed, however that comes about;
//! F_OFD_SETLKW is ended by a signal. They have no queue: who asks again at once can win against who has waited. So each place has a
//! second byte beside it, which one who waits holds until it has the first: whoever comes later waits behind it, and the holder can see that
//! somebody waits.

use std::path::Path;

use ocfs2_group_error::{Code, Error, Result};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, mkdir, open};
use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::error::{OrError, last_errno};
use crate::not_inherited::NotInherited;

/// What a wait is called, as a thread too.
pub const OPERATION: &str = "lock-range";
/// Places are below this: two bytes for each, within the positive offsets of a file.
const PLACES: u64 = 1 << 62;

/// A place that is held until this is dropped.
#[derive(Debug)]
pub struct RangeLock {
    file: NotInherited,
    place: i64,
}

/// Locks a place of `path`, a file that is created (0600, its directory and the one above 0755) where missing. None where `wait` is false and
/// somebody holds it.
///
/// # Errors
/// O2CB_ABORTED, and what the kernel says of the file.
pub fn lock(
    path: &Path,
    place: u64,
    exclusive: bool,
    wait: bool,
    cancel: &Cancel,
) -> Result<Option<RangeLock>> {
    let place = i64::try_from(place).ok().filter(|_| place < PLACES).ok_or_else(|| {
        Error::new(Code::InternalFailure, OPERATION, format!("place {place} is out of range"))
    })?;
    let file = NotInherited::new(open_file(path, cancel).or_error(OPERATION, "open", path)?);
    let kind = if exclusive { libc::F_WRLCK } else { libc::F_RDLCK };
    let (own, next) = (place * 2, place * 2 + 1);
    if !wait {
        return match set(&file, libc::F_OFD_SETLK, kind, own) {
            Ok(()) => Ok(Some(RangeLock { file, place })),
            Err(Errno::AGAIN | Errno::ACCESS) => Ok(None),
            Err(errno) => Err(errno).or_error(OPERATION, "fcntl", path),
        };
    }
    for (kind, offset) in [(libc::F_WRLCK, next), (kind, own)] {
        cancel.restart(|| set(&file, libc::F_OFD_SETLKW, kind, offset)).or_error(OPERATION, "fcntl", path)?;
    }
    set(&file, libc::F_OFD_SETLK, libc::F_UNLCK, next).or_error(OPERATION, "fcntl", path)?;
    Ok(Some(RangeLock { file, place }))
}

impl RangeLock {
    /// Whether another open file waits for this place. Never sleeps.
    pub fn is_awaited(&self) -> bool {
        let mut found = region(libc::F_WRLCK, self.place * 2 + 1);
        // SAFETY: the descriptor is open, and the structure is one that the call fills in.
        let result = unsafe { libc::fcntl(self.file.as_fd().as_raw_fd(), libc::F_OFD_GETLK, &mut found) };
        result == 0 && i32::from(found.l_type) != libc::F_UNLCK
    }
}

impl AsFd for RangeLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn open_file(path: &Path, cancel: &Cancel) -> std::result::Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || cancel.restart(|| open(path, flags, Mode::from_raw_mode(0o600)));
    match open() {
        Err(Errno::NOENT) => {
            let parent = path.parent();
            for directory in [parent.and_then(Path::parent), parent].into_iter().flatten() {
                match mkdir(directory, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST | Errno::NOENT) => {}
                    Err(errno) => return Err(errno),
                }
            }
            open()
        }
        result => result,
    }
}

fn region(kind: i32, offset: i64) -> libc::flock {
    // SAFETY: plain data for which all zero bytes are valid.
    let mut region: libc::flock = unsafe { std::mem::zeroed() };
    region.l_type = kind as libc::c_short;
    region.l_whence = libc::SEEK_SET as libc::c_short;
    region.l_start = offset;
    region.l_len = 1;
    region
}

fn set(file: &NotInherited, command: i32, kind: i32, offset: i64) -> std::result::Result<(), Errno> {
    let region = region(kind, offset);
    // SAFETY: the descriptor is open, and the structure lives over the call, which only reads it.
    match unsafe { libc::fcntl(file.as_fd().as_raw_fd(), command, &region) } {
        -1 => Err(last_errno()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    const SOON: Duration = Duration::from_secs(20);

    fn now(scratch: &Scratch, place: u64, exclusive: bool) -> Option<RangeLock> {
        lock(&scratch.path("run/dlm/locks"), place, exclusive, false, &Cancel::new()).unwrap()
    }

    fn waiting(scratch: &Scratch, exclusive: bool, cancel: &Cancel) -> Receiver<Result<Option<RangeLock>>> {
        let path = scratch.path("run/dlm/locks");
        let (send, receive) = channel();
        crate::worker::spawn(
            OPERATION,
            cancel,
            move |cancel| lock(&path, 7, exclusive, true, cancel),
            move |result| drop(send.send(result)),
        )
        .unwrap();
        receive
    }

    fn until(what: impl Fn() -> bool) {
        let began = std::time::Instant::now();
        while !what() {
            assert!(began.elapsed() < SOON);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn readers_share_a_place_and_a_writer_has_it_alone() {
        let scratch = Scratch::new();
        let one = now(&scratch, 7, false).unwrap();
        let two = now(&scratch, 7, false).unwrap();
        assert!(now(&scratch, 7, true).is_none());
        assert!(now(&scratch, 8, true).is_some(), "another place");
        drop((one, two));
        let writer = now(&scratch, 7, true).unwrap();
        assert!(now(&scratch, 7, false).is_none() && now(&scratch, 7, true).is_none());
        assert!(!writer.is_awaited());
    }

    #[test]
    fn who_waits_is_seen_and_comes_first() {
        let scratch = Scratch::new();
        let holder = now(&scratch, 7, true).unwrap();
        let first = waiting(&scratch, true, &Cancel::new());
        until(|| holder.is_awaited());
        let cancel = Cancel::new();
        let second = waiting(&scratch, true, &cancel);
        drop(holder);
        let held = first.recv_timeout(SOON).unwrap().unwrap().unwrap();
        until(|| held.is_awaited());
        assert!(second.recv_timeout(Duration::from_millis(20)).is_err());
        cancel.cancel();
        assert_eq!(second.recv_timeout(SOON).unwrap().unwrap_err().code, Code::Aborted);
        until(|| !held.is_awaited());
    }

    #[test]
    fn the_ends_of_the_range_work_and_no_more() {
        let scratch = Scratch::new();
        assert!(now(&scratch, 0, true).is_some() && now(&scratch, PLACES - 1, true).is_some());
        assert!(lock(&scratch.path("locks"), PLACES, true, false, &Cancel::new()).is_err());
        assert!(lock(&scratch.path("locks"), u64::MAX, true, false, &Cancel::new()).is_err());
    }

    #[test]
    fn a_link_is_not_followed() {
        let scratch = Scratch::new();
        std::os::unix::fs::symlink("/dev/null", scratch.path("locks")).unwrap();
        let error = lock(&scratch.path("locks"), 1, true, false, &Cancel::new()).unwrap_err();
        assert_eq!(error.errno, Some(libc::ELOOP));
    }
}
