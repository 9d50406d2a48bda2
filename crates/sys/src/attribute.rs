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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;
    use std::fs::{read_to_string, write as put};

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a plain file stands for the attribute")]
    fn a_value_is_written_into_what_exists_without_truncating_it() {
        let scratch = Scratch::new();
        let path = scratch.path("attribute");
        let missing = write_attribute(&path, b"1\n", &Cancel::new()).unwrap_err();
        assert_eq!((missing.errno, path.exists()), (Some(libc::ENOENT), false));
        put(&path, "abcdef").unwrap();
        write_attribute(&path, b"xy", &Cancel::new()).unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "xycdef");
    }

    #[test]
    fn what_one_write_cannot_take_is_refused_and_what_the_kernel_refuses_is_reported() {
        for size in [0, MAX_WRITE + 1] {
            let error =
                write_attribute(Path::new("/dev/null"), &vec![b'x'; size], &Cancel::new()).unwrap_err();
            assert_eq!((error.code, error.syscall), (Code::InternalFailure, None));
        }
        write_attribute(Path::new("/dev/null"), &vec![b'x'; MAX_WRITE], &Cancel::new()).unwrap();
        let full = write_attribute(Path::new("/dev/full"), b"x", &Cancel::new()).unwrap_err();
        assert_eq!((full.errno, full.syscall), (Some(libc::ENOSPC), Some("write")));
    }

    #[test]
    fn what_never_ends_is_not_read_for_ever() {
        let error = read_attribute(Path::new("/dev/zero"), &Cancel::new()).unwrap_err();
        assert!(error.detail.contains("65536"), "{error}");
        assert_eq!(read_attribute(Path::new("/dev/null"), &Cancel::new()).unwrap(), b"");
        assert_eq!(read_attribute(Path::new("/proc"), &Cancel::new()).unwrap_err().errno, Some(libc::EISDIR));
    }
}
