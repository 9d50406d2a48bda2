//! The version of the kernel's DLM, as its control device tells it.
//!
//! Facts relied on: userspace-stack 4.2: a read of 12 bytes from the device, opened for reading and writing, gives three numbers of 32 bits in
//! the machine's own order; 6 0 2 on 6.1. It waits for no device to appear: that is udev's work, and TypeScript's to wait for.

use std::path::Path;

use ocfs2_group_error::{Code, Error, Result};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::read;

use crate::cancel::Cancel;
use crate::error::OrError;

/// Reading, as errors and threads name it.
pub const READ: &str = "read-dlm-version";

/// Three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DlmVersion {
    /// 6 or more has recovery by callbacks.
    pub major: u32,
    /// The second.
    pub minor: u32,
    /// The third.
    pub patch: u32,
}

/// Reads it from the device at `path`.
///
/// # Errors
/// As open(2); O2CB_BAD_VERSION for fewer than 12 bytes.
pub fn read_version(path: &Path, cancel: &Cancel) -> Result<DlmVersion> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let device = cancel.restart(|| open(path, flags, Mode::empty())).or_error(READ, "open", path)?;
    // Exactly these: the kernel answers a read of any other length with EINVAL (measured, 6.1).
    let mut bytes = [0; 12];
    let length = cancel.restart(|| read(&device, &mut bytes)).or_error(READ, "read", path)?;
    if length != 12 {
        let detail = format!("it answers {length} bytes, where a version has 12");
        return Err(Error::new(Code::BadVersion, READ, detail).path(path.to_string_lossy()));
    }
    let number = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    Ok(DlmVersion { major: number(0), minor: number(4), patch: number(8) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;
    use std::io::Write;

    fn version(bytes: &[u8]) -> Result<DlmVersion> {
        let scratch = Scratch::new();
        std::fs::File::create(scratch.path("device")).unwrap().write_all(bytes).unwrap();
        read_version(&scratch.path("device"), &Cancel::new())
    }

    #[test]
    fn twelve_bytes_are_three_numbers() {
        let bytes: Vec<u8> = [6_u32, 0, 2].iter().flat_map(|number| number.to_ne_bytes()).collect();
        assert_eq!(version(&bytes).unwrap(), DlmVersion { major: 6, minor: 0, patch: 2 });
        for other in [&bytes[..11], &[]] {
            assert_eq!(version(other).unwrap_err().code, Code::BadVersion);
        }
    }

    #[test]
    fn a_device_that_is_not_there_is_named() {
        let error = read_version(Path::new("/nonexistent/dlm-control"), &Cancel::new()).unwrap_err();
        assert_eq!((error.code, error.errno), (Code::ServiceUnavailable, Some(libc::ENOENT)));
        assert_eq!(error.path.as_deref(), Some("/nonexistent/dlm-control"));
    }
}
