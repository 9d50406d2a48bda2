#![allow(unsafe_code)]
//! libdlm, the library in front of the kernel's fs/dlm, loaded at its first use: most nodes do not have it.
//!
//! Facts relied on: its header libdlm.h (layout of the lock status block, the functions and their arguments) and dlm_lock(3),
//! dlm_unlock(3), dlm_create_lockspace(3), libdlm(3) of libdlm 4; seen with 4.2: dlm_dispatch reads every waiting answer without
//! blocking and returns 0 where none waits; dlm_release_lockspace closes the handle whatever it returns; without the kernel's control
//! device dlm_create_lockspace fails without an errno.
//!
//! Nothing here locks anything: see `fsdlm`.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;

use ocfs2_group_error::{Code, Result};

use crate::shared_library::{SharedLibrary, Symbols};

/// `struct dlm_lksb`: what the library fills in for one lock.
#[repr(C)]
pub(crate) struct Lksb {
    pub(crate) status: c_int,
    pub(crate) lock_id: u32,
    pub(crate) flags: c_char,
    pub(crate) value: *mut c_char,
}

/// The opaque handle of an open lockspace.
pub(crate) type Handle = *mut c_void;
/// Called from dlm_dispatch with the argument of the lock.
pub(crate) type Callback = extern "C" fn(*mut c_void);

type Create = unsafe extern "C" fn(*const c_char, libc::mode_t) -> Handle;
type Release = unsafe extern "C" fn(*const c_char, Handle, c_int) -> c_int;
type Descriptor = unsafe extern "C" fn(Handle) -> c_int;
type Dispatch = unsafe extern "C" fn(c_int) -> c_int;
type Lock = unsafe extern "C" fn(
    Handle,
    u32,
    *mut Lksb,
    u32,
    *const c_void,
    c_uint,
    u32,
    Callback,
    *mut c_void,
    Callback,
    *mut c_void,
) -> c_int;
type Unlock = unsafe extern "C" fn(Handle, u32, u32, *mut Lksb, *mut c_void) -> c_int;

/// The functions that are used of it.
pub struct Library {
    pub(crate) create_lockspace: Create,
    pub(crate) release_lockspace: Release,
    pub(crate) descriptor: Descriptor,
    pub(crate) dispatch: Dispatch,
    pub(crate) lock: Lock,
    pub(crate) unlock: Unlock,
    /// the file whose lines tell whether the kernel has the control device; empty for a stand-in, which needs none
    pub(crate) devices: &'static str,
}

/// O2CB_DLM_UNAVAILABLE where it is missing. The operation tells it from a kernel without DLM.
pub static LIBRARY: SharedLibrary<Library> = SharedLibrary {
    name: "libdlm",
    operation: "load-libdlm",
    code: Code::DlmUnavailable,
    package: "libdlm3",
    // The one for programs with threads; the other is the same without its own thread for answers, which is not used here.
    files: &[c"libdlm.so.3", c"libdlm_lt.so.3"],
    resolve,
    loaded: OnceLock::new(),
};

fn resolve(symbols: &Symbols<'_>) -> Result<Library> {
    // SAFETY: each symbol is the function that libdlm.h declares under this name with these arguments.
    unsafe {
        Ok(Library {
            create_lockspace: symbols.function::<Create>(c"dlm_create_lockspace")?,
            release_lockspace: symbols.function::<Release>(c"dlm_release_lockspace")?,
            descriptor: symbols.function::<Descriptor>(c"dlm_ls_get_fd")?,
            dispatch: symbols.function::<Dispatch>(c"dlm_dispatch")?,
            lock: symbols.function::<Lock>(c"dlm_ls_lock")?,
            unlock: symbols.function::<Unlock>(c"dlm_ls_unlock")?,
            devices: if symbols.is_stand_in { "" } else { "/proc/misc" },
        })
    }
}
