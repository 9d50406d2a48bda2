//! Locks of the distributed lock manager as files: to open one is to take it, to close it is to give it up.
//!
//! Facts relied on (kernel-abi 5): O_RDONLY is PR, O_RDWR is EX, O_NONBLOCK does not queue and is refused with ETXTBSY; an open without it, and
//! now and then one with it, sleeps where no signal counts; the value block is 64 bytes, and a write lands at its beginning whatever the
//! offset, so it is always written as a whole; poll(2) says POLLIN while another node waits for this one; the node keeps a closed lock cached
//! until the file is unlinked, which is refused with EBUSY while somebody on this node has it open. close(2) and a poll that does not wait
//! never sleep there: those two may be called on any thread.
//!
//! Who may hold what on this node is not looked at here: the kernel lets every process of a node share each lock (see `byte_range`).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ocfs2_group_error::{Code, Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open as open_file, unlink as unlink_file};
use rustix::io::{Errno, pread, pwrite};

use crate::cancel::Cancel;
use crate::error::OrError;
use crate::not_inherited::NotInherited;

/// Size of a lock's value block.
pub const VALUE_BYTES: usize = 64;
/// `ERESTARTSYS`: the kernel's own number for "interrupted", which some of its lock calls let out.
const RESTART: i32 = 512;
pub(crate) const OPEN: &str = "open-dlm-lock";
const VALUE: &str = "dlm-lock-value";
/// What its wait is called, as a thread too.
pub const BLOCKED: &str = "wait-dlm-blocked";

/// How a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Protected read: any number of nodes.
    Pr,
    /// Exclusive: one node.
    Ex,
}

impl Level {
    pub(crate) fn flags(self) -> OFlags {
        let access = match self {
            Level::Pr => OFlags::RDONLY,
            Level::Ex => OFlags::RDWR,
        };
        access | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC
    }
}

pub(crate) const MODE: Mode = Mode::from_raw_mode(0o664);

/// A lock that this node holds through this process, until it is closed or dropped.
#[derive(Debug)]
pub struct DlmLock {
    path: PathBuf,
    /// shared with the calls that are at work on it
    file: Mutex<Option<Arc<NotInherited>>>,
}

/// Takes a lock; None where `trylock` is refused.
///
/// # Errors
/// `ENOENT` where the domain's directory is gone, O2CB_DLM_FAILED, O2CB_ABORTED.
pub fn open(path: &Path, level: Level, trylock: bool, cancel: &Cancel) -> Result<Option<DlmLock>> {
    let flags = if trylock { level.flags() | OFlags::NONBLOCK } else { level.flags() };
    match cancel.restart(|| open_file(path, flags, MODE)) {
        Ok(file) => Ok(Some(DlmLock::new(path, file))),
        Err(Errno::TXTBSY) if trylock => Ok(None),
        Err(errno) => Err(refused(errno, path, cancel)),
    }
}

/// What a failed open means.
pub(crate) fn refused(errno: Errno, path: &Path, cancel: &Cancel) -> Error {
    let error = Error::os(OPEN, "open", errno.raw_os_error()).path(path.to_string_lossy());
    match errno {
        Errno::INTR => error,
        errno if errno.raw_os_error() == RESTART && cancel.asked() => error.code(Code::Aborted),
        Errno::NOENT | Errno::PERM | Errno::ACCESS | Errno::NOMEM => error,
        _ => error.code(Code::DlmFailed),
    }
}

/// Makes the node give a lock up that it only keeps cached; false where somebody on this node holds it. A lock that is not there is given up.
pub fn unlink(path: &Path, cancel: &Cancel) -> Result<bool> {
    match cancel.restart(|| unlink_file(path)) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::BUSY) => Ok(false),
        Err(errno) => Err(errno).or_error("unlink-dlm-lock", "unlink", path),
    }
}

impl DlmLock {
    pub(crate) fn new(path: &Path, file: OwnedFd) -> Self {
        DlmLock { path: path.to_owned(), file: Mutex::new(Some(Arc::new(NotInherited::new(file)))) }
    }

    /// The value block: 64 bytes, or none where it was lost.
    pub fn read_value(&self, cancel: &Cancel) -> Result<Vec<u8>> {
        let file = self.file(VALUE)?;
        let mut value = vec![0; VALUE_BYTES];
        let mut length = 0;
        while length < VALUE_BYTES {
            let rest = value.get_mut(length..).unwrap_or_default();
            match cancel.restart(|| pread(&file, &mut *rest, length as u64)) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(errno) => return Err(errno).or_error(VALUE, "pread", &self.path),
            }
        }
        value.truncate(length);
        Ok(value)
    }

    /// Makes `value` the value block, in one write.
    ///
    /// # Errors
    /// `EBADF` under a PR lock.
    pub fn write_value(&self, value: &[u8], cancel: &Cancel) -> Result<()> {
        if value.len() != VALUE_BYTES {
            let detail = format!("{} bytes, a value block has {VALUE_BYTES}", value.len());
            return Err(Error::new(Code::InternalFailure, VALUE, detail).path(self.path.to_string_lossy()));
        }
        let file = self.file(VALUE)?;
        match cancel.restart(|| pwrite(&file, value, 0)).or_error(VALUE, "pwrite", &self.path)? {
            VALUE_BYTES => Ok(()),
            count => {
                let detail = format!("the kernel took {count} of {VALUE_BYTES} bytes");
                Err(Error::new(Code::DlmFailed, VALUE, detail).path(self.path.to_string_lossy()))
            }
        }
    }

    /// Waits until another node waits for this lock. Its descriptor stays open for as long as that lasts.
    pub fn wait_blocked(&self, cancel: &Cancel) -> Result<()> {
        let file = self.file(BLOCKED)?;
        loop {
            let mut one = [PollFd::new(&*file, PollFlags::IN)];
            cancel.restart(|| poll(&mut one, None)).or_error(BLOCKED, "poll", &self.path)?;
            if one.iter().any(|fd| !fd.revents().is_empty()) {
                return Ok(());
            }
        }
    }

    /// Whether another node waits for this lock now. Never sleeps.
    pub fn is_blocked(&self) -> bool {
        let Ok(file) = self.file(BLOCKED) else { return false };
        let mut one = [PollFd::new(&*file, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        // What fails here is looked at again by whoever waits: an answer too late harms nobody.
        poll(&mut one, Some(&at_once)).is_ok_and(|count| count > 0)
    }

    /// Ends this holder, once no other call is at work on it; twice does nothing. Never sleeps.
    pub fn close(&self) {
        drop(self.file.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn file(&self, operation: &'static str) -> Result<Arc<NotInherited>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(|| {
            Error::new(Code::DlmFailed, operation, "the lock was given up").path(self.path.to_string_lossy())
        })
    }
}

#[cfg(test)]
mod tests {
    // An ordinary file stands for a lock as far as system calls go; what dlmfs makes of them is tested on real kernels.
    use super::*;
    use crate::testing::Scratch;
    use std::time::Duration;

    fn held(scratch: &Scratch, level: Level) -> DlmLock {
        open(&scratch.path("lock"), level, true, &Cancel::new()).unwrap().unwrap()
    }

    #[test]
    fn the_value_is_written_and_read_as_a_whole() {
        let scratch = Scratch::new();
        let lock = held(&scratch, Level::Ex);
        assert_eq!(lock.read_value(&Cancel::new()).unwrap(), b"");
        let value: Vec<u8> = (0..64).collect();
        lock.write_value(&value, &Cancel::new()).unwrap();
        assert_eq!(lock.read_value(&Cancel::new()).unwrap(), value);
        for wrong in [&[][..], &[0; 63], &[0; 65]] {
            assert!(lock.write_value(wrong, &Cancel::new()).is_err());
        }
        let reader = held(&scratch, Level::Pr);
        assert_eq!(reader.write_value(&value, &Cancel::new()).unwrap_err().errno, Some(libc::EBADF));
    }

    #[test]
    fn a_closed_lock_does_nothing() {
        let scratch = Scratch::new();
        let lock = held(&scratch, Level::Ex);
        lock.close();
        lock.close();
        assert!(!lock.is_blocked());
        assert_eq!(lock.read_value(&Cancel::new()).unwrap_err().code, Code::DlmFailed);
        assert_eq!(lock.wait_blocked(&Cancel::new()).unwrap_err().code, Code::DlmFailed);
    }

    #[test]
    fn waiting_ends_when_it_is_given_up() {
        let scratch = Scratch::new();
        let path = scratch.path("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        // Both ends are open, and nothing is written: it polls as a lock that nobody waits for.
        let lock = Arc::new(open(&path, Level::Ex, true, &Cancel::new()).unwrap().unwrap());
        assert!(!lock.is_blocked());
        let (send, receive) = std::sync::mpsc::channel();
        let cancel = Cancel::new();
        let waiter = lock.clone();
        crate::worker::spawn(
            BLOCKED,
            &cancel,
            move |cancel| waiter.wait_blocked(cancel),
            move |result| drop(send.send(result)),
        )
        .unwrap();
        assert!(receive.recv_timeout(Duration::from_millis(50)).is_err());
        cancel.cancel();
        assert_eq!(receive.recv_timeout(Duration::from_secs(20)).unwrap().unwrap_err().code, Code::Aborted);
        pwrite_to(&path);
        assert!(lock.is_blocked());
        lock.wait_blocked(&Cancel::new()).unwrap();
    }

    fn pwrite_to(path: &Path) {
        std::fs::OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|mut pipe| std::io::Write::write_all(&mut pipe, b"x"))
            .unwrap();
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let scratch = Scratch::new();
        let missing = open(&scratch.path("no/lock"), Level::Pr, false, &Cancel::new()).unwrap_err();
        assert_eq!((missing.errno, missing.operation), (Some(libc::ENOENT), OPEN));
        assert!(unlink(&scratch.path("lock"), &Cancel::new()).unwrap());
        assert_eq!(refused(Errno::PROTO, scratch.root(), &Cancel::new()).code, Code::DlmFailed);
        let cancel = Cancel::new();
        assert_eq!(refused(Errno::from_raw_os_error(RESTART), scratch.root(), &cancel).code, Code::DlmFailed);
        cancel.cancel();
        assert_eq!(refused(Errno::from_raw_os_error(RESTART), scratch.root(), &cancel).code, Code::Aborted);
    }
}
