#![allow(unsafe_code)]
//! libdlm, the library in front of the kernel's fs/dlm, loaded at its first use: most nodes do not have it.
//!
//! Facts relied on: its header libdlm.h (layout of the lock status block, the functions and their arguments) and dlm_lock(3),
//! dlm_unlock(3), dlm_create_lockspace(3), libdlm(3) of libdlm 4; seen with 4.2: dlm_dispatch reads every waiting answer without
//! blocking and returns 0 where none waits; dlm_release_lockspace closes the handle whatever it returns; without the kernel's control
//! device dlm_create_lockspace fails without an errno.
//!
//! The only dlopen of the core. The library is never unloaded, since threads may be in it. Nothing here locks anything: see `fsdlm`.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::path::Path;
use std::sync::OnceLock;

use ocfs2_group_error::{Code, Error, Result};

const OPERATION: &str = "load-libdlm";
/// The one for programs with threads; the other is the same without its own thread for answers, which is not used here.
const FILES: [&CStr; 2] = [c"libdlm.so.3", c"libdlm_lt.so.3"];

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
    /// the file whose lines tell whether the kernel has the control device; empty for a library that needs none
    pub(crate) devices: &'static str,
}

static LOADED: OnceLock<Library> = OnceLock::new();

/// The installed library. A failure is not remembered, so that installing it helps without a restart.
///
/// # Errors
/// O2CB_DLM_UNAVAILABLE where it is missing, or lacks a function. The operation tells it from a kernel without DLM.
pub fn installed() -> Result<&'static Library> {
    if let Some(library) = LOADED.get() {
        return Ok(library);
    }
    let mut first = None;
    for file in FILES {
        match load(file, "/proc/misc") {
            Ok(library) => return Ok(LOADED.get_or_init(|| library)),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or_else(|| unavailable("no file is tried")))
}

/// Only for tests: the library at `path`, for a kernel without the control device.
///
/// # Errors
/// As [`installed`].
pub fn only_for_tests(path: &Path) -> Result<&'static Library> {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())
        .map_err(|_| unavailable("the path holds a NUL"))?;
    Ok(Box::leak(Box::new(load(&path, "")?)))
}

/// Only for tests: makes the library at `path` the installed one of this process, which has not used any before.
///
/// # Errors
/// As [`installed`].
pub fn only_for_tests_install(path: &Path) -> Result<()> {
    let &Library { create_lockspace, release_lockspace, descriptor, dispatch, lock, unlock, devices } =
        only_for_tests(path)?;
    let library =
        Library { create_lockspace, release_lockspace, descriptor, dispatch, lock, unlock, devices };
    LOADED.set(library).map_err(|_| unavailable("another is loaded already"))
}

fn load(file: &CStr, devices: &'static str) -> Result<Library> {
    // SAFETY: the name is a NUL-terminated string; the initialisers of libdlm touch nothing but its own data.
    let library = unsafe { libc::dlopen(file.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if library.is_null() {
        return Err(unavailable(&last_failure()));
    }
    let symbol = |name: &CStr| {
        // SAFETY: the handle is valid for ever, since it is never closed; the name is a NUL-terminated string.
        let symbol = unsafe { libc::dlsym(library, name.as_ptr()) };
        if symbol.is_null() {
            let lacks = format!("{} lacks {}", file.to_string_lossy(), name.to_string_lossy());
            return Err(unavailable(&lacks));
        }
        Ok(symbol)
    };
    // SAFETY: each symbol is the function that libdlm.h declares under this name with these arguments, and lives as long as the
    // process. Null was refused above.
    unsafe {
        Ok(Library {
            create_lockspace: std::mem::transmute::<*mut c_void, Create>(symbol(c"dlm_create_lockspace")?),
            release_lockspace: std::mem::transmute::<*mut c_void, Release>(symbol(c"dlm_release_lockspace")?),
            descriptor: std::mem::transmute::<*mut c_void, Descriptor>(symbol(c"dlm_ls_get_fd")?),
            dispatch: std::mem::transmute::<*mut c_void, Dispatch>(symbol(c"dlm_dispatch")?),
            lock: std::mem::transmute::<*mut c_void, Lock>(symbol(c"dlm_ls_lock")?),
            unlock: std::mem::transmute::<*mut c_void, Unlock>(symbol(c"dlm_ls_unlock")?),
            devices,
        })
    }
}

/// What the loader said last on this thread.
fn last_failure() -> String {
    // SAFETY: dlerror returns null or a NUL-terminated string that is valid until this thread's next call of the loader.
    unsafe {
        match libc::dlerror() {
            text if text.is_null() => "the loader does not say why".to_owned(),
            text => CStr::from_ptr(text).to_string_lossy().into_owned(),
        }
    }
}

fn unavailable(why: &str) -> Error {
    Error::new(Code::DlmUnavailable, OPERATION, format!("libdlm cannot be used: {why}"))
}
