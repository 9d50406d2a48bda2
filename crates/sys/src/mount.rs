//! mount(2) and umount2(2), and the way to `fs_context`; here or in another mount namespace.
//!
//! Facts relied on: mount of an OCFS2 volume can take a minute and fail with an errno that stands for a dozen causes; the kernel's log
//! lines say which (kernel-abi specification, 7.2), so those of the call's time are put into the error. Errno 512 is a
//! restart code that leaks from the cluster's lock manager. Nothing is tried twice: an interrupted mount is the caller's matter.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use ocfs2_group_error::{Code, Error, Result};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use crate::cancel::Cancel;
use crate::error::OrError;
use crate::fs_context;
use crate::kernel_log::KernelLog;
use crate::namespace::Namespace;

/// The name of the operation in its errors.
pub const OPERATION: &str = "mount";
/// ERESTARTSYS, which no process should ever see.
const LEAKED_RESTART: i32 = 512;

/// Which calls mount it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// fsopen(2) and its family, whose context carries the kernel's own messages.
    Fsopen,
    /// mount(2).
    Mount,
}

/// What to mount, where, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// A device, or what the file system takes for one.
    pub source: String,
    /// The mount point.
    pub target: PathBuf,
    /// File system type.
    pub kind: String,
    /// MS_* bits.
    pub flags: u32,
    /// File system options, `key` or `key=value`.
    pub options: Vec<String>,
    /// Which calls.
    pub api: Api,
    /// A mount namespace, or this process's.
    pub namespace: Option<PathBuf>,
}

/// Mounts. With another namespace, mount(2) looks up source and target there; fsopen looks up the source here. Enters the
/// namespace: see [`Namespace`].
///
/// # Errors
/// O2CB_MOUNT_FAILED with the kernel's messages; O2CB_BAD_MOUNT_OPTION where one option was refused by itself; O2CB_ABORTED,
/// O2CB_PERMISSION_DENIED, O2CB_NO_MEMORY.
pub fn mount(request: &Request, cancel: &Cancel) -> Result<()> {
    not_given_up(OPERATION, "mount", cancel)?;
    let namespace = Namespace::open(OPERATION, request.namespace.as_deref(), cancel)?;
    let log = KernelLog::mark();
    let result = match request.api {
        Api::Fsopen => fs_context::mount(request, &namespace),
        Api::Mount => classic(request, &namespace),
    };
    result.map_err(|error| {
        let mut error = explain(error, Code::MountFailed, cancel).path(request.target.to_string_lossy());
        error.kernel_messages.extend(log.since());
        error
    })
}

fn classic(request: &Request, namespace: &Namespace) -> Result<()> {
    let data = CString::new(request.options.join(","))
        .map_err(|_| Error::new(Code::BadMountOption, OPERATION, "an option contains a NUL byte"))?;
    let flags = MountFlags::from_bits_retain(request.flags);
    namespace.enter(OPERATION)?;
    rustix::mount::mount(
        request.source.as_str(),
        &request.target,
        request.kind.as_str(),
        flags,
        data.as_c_str(),
    )
    .or_error(OPERATION, "mount", &request.target)
}

/// umount2(2) with MNT_FORCE 1, MNT_DETACH 2, UMOUNT_NOFOLLOW 8. Enters the namespace: see [`Namespace`].
///
/// # Errors
/// O2CB_UNMOUNT_FAILED, O2CB_NOT_MOUNTED where the target is no mount's root, O2CB_ABORTED, O2CB_PERMISSION_DENIED.
pub fn unmount(target: &Path, flags: u32, namespace: Option<&Path>, cancel: &Cancel) -> Result<()> {
    const OPERATION: &str = "unmount";
    not_given_up(OPERATION, "umount2", cancel)?;
    let namespace = Namespace::open(OPERATION, namespace, cancel)?;
    namespace.enter(OPERATION)?;
    let log = KernelLog::mark();
    rustix::mount::unmount(target, UnmountFlags::from_bits_retain(flags))
        .or_error(OPERATION, "umount2", target)
        .map_err(|error| match error.errno {
            Some(libc::EINVAL) => error.code(Code::NotMounted),
            _ => Error { kernel_messages: log.since(), ..explain(error, Code::UnmountFailed, cancel) },
        })
}

fn not_given_up(operation: &'static str, syscall: &'static str, cancel: &Cancel) -> Result<()> {
    if cancel.asked() { Err(Error::os(operation, syscall, Errno::INTR.raw_os_error())) } else { Ok(()) }
}

/// The errno's meaning for a mount: `code`, but for what concerns the caller alone.
fn explain(error: Error, code: Code, cancel: &Cancel) -> Error {
    match error.errno {
        Some(libc::EINTR) if cancel.asked() => error.code(Code::Aborted),
        Some(libc::EPERM | libc::ENOMEM) => error,
        Some(LEAKED_RESTART) => error
            .code(code)
            .detail("the kernel gave up waiting for the cluster's lock domain (a restart code leaked)"),
        Some(_) if error.code != Code::BadMountOption => error.code(code),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_errno_means() {
        let meaning =
            |errno| explain(Error::os(OPERATION, "mount", errno), Code::MountFailed, &Cancel::new()).code;
        assert_eq!(meaning(libc::EINVAL), Code::MountFailed);
        assert_eq!(meaning(libc::ENOENT), Code::MountFailed);
        assert_eq!(meaning(libc::EINTR), Code::MountFailed);
        assert_eq!(meaning(512), Code::MountFailed);
        assert_eq!(meaning(libc::EPERM), Code::PermissionDenied);
        let cancel = Cancel::new();
        cancel.cancel();
        assert_eq!(
            explain(Error::os(OPERATION, "mount", libc::EINTR), Code::MountFailed, &cancel).code,
            Code::Aborted
        );
    }

    #[test]
    fn what_is_no_mount_cannot_be_unmounted() {
        let error = unmount(Path::new("/proc/self/status"), 0, None, &Cancel::new()).unwrap_err();
        assert!(matches!(error.code, Code::NotMounted | Code::PermissionDenied), "{error:?}");
    }
}
