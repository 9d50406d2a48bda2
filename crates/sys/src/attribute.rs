//! Kernel attributes (configfs, sysfs, procfs): the whole value in one write(2), a snapshot in one open.
//!
//! Facts relied on: one write is one store call and takes at most 4095 bytes (kernel fs/configfs/file.c); a reader that wants a
//! fresh value opens again. A file is never created or truncated here, and a value never split.

use std::path::Path;
use std::time::Duration;

use ocfs2_group_error::{Code, Error, Result};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, read, write};

use crate::cancel::Cancel;
use crate::error::OrError;

/// The most that one store call takes.
pub const MAX_WRITE: usize = 4095;
/// The most that is read; no attribute comes near it.
pub const MAX_READ: usize = 64 * 1024;
/// Between two attempts where the kernel says EAGAIN.
const AGAIN_PAUSE: Duration = Duration::from_millis(10);

/// Writes `value` with exactly one successful write(2); a short one is an error.
pub fn write_attribute(path: &Path, value: &[u8], cancel: &Cancel) -> Result<()> {
    const OPERATION: &str = "write-attribute";
    if value.is_empty() || value.len() > MAX_WRITE {
        let detail = format!("a value of {} bytes; one write takes 1 to {MAX_WRITE}", value.len());
        return Err(Error::new(Code::InternalFailure, OPERATION, detail).path(path.to_string_lossy()));
    }
    let file = cancel
        .restart(|| open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()))
        .or_error(OPERATION, "open", path)?;
    let written = cancel
        .restart(|| match write(&file, value) {
            Err(Errno::AGAIN) => {
                std::thread::sleep(AGAIN_PAUSE);
                Err(Errno::INTR)
            }
            result => result,
        })
        .or_error(OPERATION, "write", path)?;
    if written == value.len() {
        return Ok(());
    }
    let detail = format!("only {written} of {} bytes were taken", value.len());
    Err(Error::new(Code::Io, OPERATION, detail).path(path.to_string_lossy()))
}

/// Reads the whole file, at most [`MAX_READ`] bytes.
pub fn read_attribute(path: &Path, cancel: &Cancel) -> Result<Vec<u8>> {
    const OPERATION: &str = "read-attribute";
    let file = cancel
        .restart(|| open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()))
        .or_error(OPERATION, "open", path)?;
    let mut value = Vec::new();
    let mut chunk = [0_u8; 4096];
    loop {
        let count = cancel.restart(|| read(&file, &mut chunk)).or_error(OPERATION, "read", path)?;
        if count == 0 {
            return Ok(value);
        }
        value.extend_from_slice(chunk.get(..count).unwrap_or_default());
        if value.len() > MAX_READ {
            let detail = format!("longer than the {MAX_READ} bytes that are read");
            return Err(Error::new(Code::InternalFailure, OPERATION, detail).path(path.to_string_lossy()));
        }
    }
}
