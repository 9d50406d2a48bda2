//! What an error is in ocfs2-group's Rust core: one code from one table, the operation, the path and the errno.
//!
//! Facts relied on: the first 22 codes carry the names of libo2cb's error table (group-api specification, section 7.1);
//! fsck- and tunefs-like programs tell exactly three of them apart, so they are never merged. `ts/error-codes.ts` and
//! `docs/errors.md` are generated from [`TABLE`] by the example `generate`; a test fails when they are out of date.
//!
//! This crate does not know Node, does no I/O and depends on nothing.

#![forbid(unsafe_code)]

mod table;

pub use table::{Code, Entry, TABLE};

use std::fmt;

/// The result of everything in the core that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// One failure: what was attempted, on what, and what the kernel said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The stable code from [`TABLE`].
    pub code: Code,
    /// What was being done, as a kebab-case verb: `read-volume`, `lock-region`.
    pub operation: &'static str,
    /// The system call that failed, by its name, where one did.
    pub syscall: Option<&'static str>,
    /// The kernel's errno as a positive number, where a system call failed.
    pub errno: Option<i32>,
    /// The file, device or directory concerned, where there is one.
    pub path: Option<String>,
    /// What is particular to this failure, as a lower-case phrase without a full stop.
    pub detail: String,
    /// Lines the kernel said while the operation ran (file system context messages, kernel log), oldest first.
    pub kernel_messages: Vec<String>,
    /// The process that stands in the way, where it is known (holder of a region's mutex).
    pub holder: Option<i32>,
}

impl Error {
    /// An error without a failed system call: bad bytes, bad input, a condition that does not hold.
    pub fn new(code: Code, operation: &'static str, detail: impl Into<String>) -> Self {
        Error {
            code,
            operation,
            syscall: None,
            errno: None,
            path: None,
            detail: detail.into(),
            kernel_messages: Vec::new(),
            holder: None,
        }
    }

    /// An error from a failed system call; the code follows from the errno alone ([`Code::from_errno`]).
    /// Where the caller knows a better meaning it uses [`Error::code`].
    pub fn os(operation: &'static str, syscall: &'static str, errno: i32) -> Self {
        Error {
            syscall: Some(syscall),
            errno: Some(errno),
            ..Error::new(Code::from_errno(errno), operation, String::new())
        }
    }

    /// The same error with the path it concerns.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The same error with another code, for the place that knows what the errno means there.
    #[must_use]
    pub fn code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// The same error with a phrase of detail.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.operation)?;
        if let Some(path) = &self.path {
            write!(f, " '{path}'")?;
        }
        if self.detail.is_empty() {
            write!(f, ": {}", self.code.entry().sentence)?;
        } else {
            write!(f, ": {}", self.detail)?;
        }
        if let (Some(syscall), Some(errno)) = (self.syscall, self.errno) {
            write!(f, " ({syscall}: errno {errno})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
