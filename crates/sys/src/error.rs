//! From an errno to an [`Error`]: one extension method that demands the operation, the system call and the path.
//!
//! There is deliberately no `From<io::Error>`: a bare `?` would lose what was being done, and on what.

use std::path::Path;

use ocfs2_group_error::{Error, Result};
use rustix::io::Errno;

/// Adds what was attempted to a failed system call.
pub trait OrError<T> {
    /// The same result, its failure as an [`Error`] whose code follows from the errno (`Code::from_errno`).
    fn or_error(self, operation: &'static str, syscall: &'static str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T> OrError<T> for std::result::Result<T, Errno> {
    fn or_error(self, operation: &'static str, syscall: &'static str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|errno| {
            let error = Error::os(operation, syscall, errno.raw_os_error());
            match path.as_ref() {
                path if path.as_os_str().is_empty() => error,
                path => error.path(path.to_string_lossy()),
            }
        })
    }
}

/// The path of an operation that concerns none.
pub const NO_PATH: &str = "";

/// The errno of the C library's last failed call on this thread.
pub(crate) fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
