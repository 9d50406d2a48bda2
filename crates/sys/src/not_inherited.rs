//! Open files that mean a lock of the lock manager, which a forked child must not keep: as long as it did, the lock could not end.
//!
//! Facts relied on: a child of fork(2) has every descriptor, close-on-exec ones too, until it execs or closes them; the child that starts a
//! heartbeat (`write_apart`) does neither for seconds, and keeps other locks on purpose. So these are listed, and it closes them.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

static OPEN: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

/// An open file that is listed until it is closed.
#[derive(Debug)]
pub(crate) struct NotInherited(OwnedFd);

impl NotInherited {
    pub(crate) fn new(file: OwnedFd) -> Self {
        OPEN.lock().unwrap_or_else(PoisonError::into_inner).insert(file.as_raw_fd());
        NotInherited(file)
    }
}

impl Drop for NotInherited {
    fn drop(&mut self) {
        // Before it is closed: the number can be another file's right after.
        OPEN.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0.as_raw_fd());
    }
}

impl AsFd for NotInherited {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// All of them, now.
pub(crate) fn descriptors() -> Vec<RawFd> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_listed_while_it_is_open() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let number = file.as_raw_fd();
        let listed = NotInherited::new(file.into());
        assert!(descriptors().contains(&number));
        // After its end the number may be another test's at once.
        drop(listed);
    }
}
