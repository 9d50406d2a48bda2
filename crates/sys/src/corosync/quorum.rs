#![allow(unsafe_code)]
//! Whether this node's partition of the cluster is quorate, through libquorum.
//!
//! Facts relied on: quorum.h of corosync 3.1. Without a quorum provider in corosync.conf every partition counts as quorate.
//!
//! It looks once and is told of no changes: dlm_controld is who acts on them.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use ocfs2_group_error::{Code, Result};

use super::{A_LOOK, LOST, NOT_RUNNING, OK, patient, refused};
use crate::cancel::Cancel;
use crate::shared_library::{SharedLibrary, Symbols, library_call};

/// Reading, as errors and threads name it.
pub const READ: &str = "read-quorum";

/// `quorum_handle_t`.
type Handle = u64;

/// `quorum_callbacks_t`: one function, which is null for who dispatches nothing.
#[repr(C)]
struct Callbacks {
    notify: *const c_void,
}

type Initialize = unsafe extern "C" fn(*mut Handle, *mut Callbacks, *mut u32) -> c_int;
type Finalize = unsafe extern "C" fn(Handle) -> c_int;
type GetQuorate = unsafe extern "C" fn(Handle, *mut c_int) -> c_int;

/// The functions that are used of it.
pub struct Library {
    initialize: Initialize,
    finalize: Finalize,
    get_quorate: GetQuorate,
}

/// O2CB_SERVICE_UNAVAILABLE where it is missing.
pub static LIBRARY: SharedLibrary<Library> = SharedLibrary {
    name: "libquorum",
    operation: "load-libquorum",
    code: Code::ServiceUnavailable,
    package: "libquorum5",
    files: &[c"libquorum.so.5"],
    resolve,
    loaded: OnceLock::new(),
};

fn resolve(symbols: &Symbols<'_>) -> Result<Library> {
    // SAFETY: each symbol is the function that quorum.h declares under this name with these arguments.
    unsafe {
        Ok(Library {
            initialize: symbols.function::<Initialize>(c"quorum_initialize")?,
            finalize: symbols.function::<Finalize>(c"quorum_finalize")?,
            get_quorate: symbols.function::<GetQuorate>(c"quorum_getquorate")?,
        })
    }
}

/// Whether it is.
///
/// # Errors
/// O2CB_SERVICE_UNAVAILABLE where corosync does not run, O2CB_TIMEOUT where it puts us off.
pub fn read(library: &'static Library, cancel: &Cancel) -> Result<bool> {
    let connection = Connection::open(library, cancel)?;
    let mut quorate = 0;
    let status = patient(READ, "quorum_getquorate", A_LOOK, cancel, || {
        // SAFETY: the handle is open; the pointer is valid for the call.
        library_call(|| unsafe { (library.get_quorate)(connection.handle, &mut quorate) }).0
    })?;
    if status == OK { Ok(quorate != 0) } else { Err(refused(READ, "quorum_getquorate", status, LOST)) }
}

struct Connection {
    library: &'static Library,
    handle: Handle,
}

impl Connection {
    fn open(library: &'static Library, cancel: &Cancel) -> Result<Self> {
        let mut handle = 0;
        let status = patient(READ, "quorum_initialize", A_LOOK, cancel, || {
            let (mut callbacks, mut provider) = (Callbacks { notify: std::ptr::null() }, 0);
            // SAFETY: the pointers are valid for the call, which copies the callbacks; none is called without a dispatch.
            library_call(|| unsafe { (library.initialize)(&mut handle, &mut callbacks, &mut provider) }).0
        })?;
        match status {
            OK => Ok(Connection { library, handle }),
            status => Err(refused(READ, "quorum_initialize", status, NOT_RUNNING)),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and not used again.
        library_call(|| unsafe { (self.library.finalize)(self.handle) });
    }
}
