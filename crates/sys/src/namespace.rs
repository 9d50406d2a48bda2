#![allow(unsafe_code)]
//! Working in another mount namespace: the calling thread leaves the one of its process for good.
//!
//! Facts relied on: setns(CLONE_NEWNS) fails with EINVAL in a thread that shares its root and working directory with others, and
//! works after unshare(CLONE_FS) (setns(2)). A worker thread ends with its operation, so nothing has to be put back. Never call this
//! on a thread that does anything afterwards for somebody else.

use std::path::Path;

use ocfs2_group_error::{Code, Error, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use crate::cancel::Cancel;
use crate::error::{NO_PATH, OrError};

/// A mount namespace to enter; or the one of this process.
#[derive(Debug)]
pub struct Namespace(Option<OwnedFd>);

impl Namespace {
    /// Opens `path` (such as `/proc/PID/ns/mnt`); `None` is this process's namespace.
    pub fn open(operation: &'static str, path: Option<&Path>, cancel: &Cancel) -> Result<Self> {
        let Some(path) = path else { return Ok(Namespace(None)) };
        let file =
            cancel.restart(|| open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty()));
        file.or_error(operation, "open", path).map(|file| Namespace(Some(file)))
    }

    /// Moves the calling thread into it.
    pub fn enter(&self, operation: &'static str) -> Result<()> {
        let Some(file) = &self.0 else { return Ok(()) };
        // SAFETY: only the file system part is unshared (root, working directory, umask); memory and descriptors stay shared.
        unsafe { unshare_unsafe(UnshareFlags::FS) }.or_error(operation, "unshare", NO_PATH)?;
        match move_into_link_name_space(std::os::fd::AsFd::as_fd(file), Some(LinkNameSpaceType::Mount)) {
            Err(Errno::INVAL) => Err(Error::os(operation, "setns", Errno::INVAL.raw_os_error())
                .code(Code::BadMountOption)
                .detail("the file given is not a mount namespace")),
            result => result.or_error(operation, "setns", NO_PATH),
        }
    }
}
