//! The exclusive claim of a block device, which a live superblock has too.
//!
//! Facts relied on: open(2) with O_EXCL and without O_CREAT fails with EBUSY exactly while something else claims the device:
//! a mounted file system (in any namespace, lazily detached ones included), a device mapper target, another claim; a plain writer, such
//! as a running heartbeat, does not (kernel block/bdev.c). While it is held, a mount of the device fails with EBUSY.

use std::path::Path;

use ocfs2_group_error::Result;
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags, open, stat};
use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::device::{not_a_device, open_failed};
use crate::error::OrError;

/// Claims the device; `None` where something has claimed it already. The claim ends when the descriptor is dropped.
pub fn claim(path: &Path, cancel: &Cancel) -> Result<Option<OwnedFd>> {
    const OPERATION: &str = "claim-device";
    let facts = cancel.restart(|| stat(path)).or_error(OPERATION, "stat", path).map_err(open_failed)?;
    if FileType::from_raw_mode(facts.st_mode) != FileType::BlockDevice {
        return Err(not_a_device(OPERATION, path));
    }
    match cancel.restart(|| open(path, OFlags::RDONLY | OFlags::EXCL | OFlags::CLOEXEC, Mode::empty())) {
        Err(Errno::BUSY) => Ok(None),
        result => result.or_error(OPERATION, "open", path).map(Some).map_err(open_failed),
    }
}
