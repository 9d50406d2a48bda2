#![allow(unsafe_code)]
//! A text of corosync's map of settings and facts, through libcmap: the cluster's name is there.
//!
//! Facts relied on: cmap.h of corosync 3.1; userspace-stack 4.3. The text that it returns is allocated and the caller's to free. Its
//! connection is closed again, which libo2cb forgets: it would keep a socket and shared memory.

use std::ffi::{CStr, CString, c_char, c_int};
use std::sync::OnceLock;

use ocfs2_group_error::{Code, Error, Result};

use super::{A_LOOK, INVALID, LOST, NOT_EXIST, NOT_RUNNING, OK, patient, refused};
use crate::cancel::Cancel;
use crate::shared_library::{SharedLibrary, Symbols, library_call};

/// Reading, as errors and threads name it.
pub const READ: &str = "read-cluster-map";
/// CMAP_KEYNAME_MINLEN and CMAP_KEYNAME_MAXLEN.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 3..=255;

/// `cmap_handle_t`.
type Handle = u64;
type Initialize = unsafe extern "C" fn(*mut Handle) -> c_int;
type Finalize = unsafe extern "C" fn(Handle) -> c_int;
type GetText = unsafe extern "C" fn(Handle, *const c_char, *mut *mut c_char) -> c_int;

/// The functions that are used of it.
pub struct Library {
    initialize: Initialize,
    finalize: Finalize,
    get_text: GetText,
}

/// O2CB_SERVICE_UNAVAILABLE where it is missing.
pub static LIBRARY: SharedLibrary<Library> = SharedLibrary {
    name: "libcmap",
    operation: "load-libcmap",
    code: Code::ServiceUnavailable,
    package: "libcmap4",
    files: &[c"libcmap.so.4"],
    resolve,
    loaded: OnceLock::new(),
};

fn resolve(symbols: &Symbols<'_>) -> Result<Library> {
    // SAFETY: each symbol is the function that cmap.h declares under this name with these arguments.
    unsafe {
        Ok(Library {
            initialize: symbols.function::<Initialize>(c"cmap_initialize")?,
            finalize: symbols.function::<Finalize>(c"cmap_finalize")?,
            get_text: symbols.function::<GetText>(c"cmap_get_string")?,
        })
    }
}

/// The text under a key; `None` where the key is not set.
///
/// # Errors
/// O2CB_SERVICE_UNAVAILABLE where corosync does not run, O2CB_TIMEOUT where it puts us off, O2CB_INTERNAL_FAILURE for what is no text.
pub fn read(library: &'static Library, key: &str, cancel: &Cancel) -> Result<Option<String>> {
    const FUNCTION: &str = "cmap_get_string";
    let wrong = || Error::new(Code::InternalFailure, READ, format!("'{key}' is no key of the map"));
    let name = CString::new(key).map_err(|_| wrong())?;
    if !KEY_BYTES.contains(&key.len()) {
        return Err(wrong());
    }
    let connection = Connection::open(library, cancel)?;
    let mut text = std::ptr::null_mut();
    let status = patient(READ, FUNCTION, A_LOOK, cancel, || {
        // SAFETY: the handle is open; the key is NUL-terminated and the pointer valid for the call.
        library_call(|| unsafe { (library.get_text)(connection.handle, name.as_ptr(), &mut text) }).0
    })?;
    match status {
        OK if !text.is_null() => Ok(Some(taken(text))),
        NOT_EXIST => Ok(None),
        OK | INVALID => {
            Err(Error::new(Code::InternalFailure, READ, format!("what is under '{key}' is no text")))
        }
        status => Err(refused(READ, FUNCTION, status, LOST)),
    }
}

/// The library's text as ours; its memory is freed.
fn taken(text: *mut c_char) -> String {
    // SAFETY: cmap_get_string returned it: NUL-terminated, from malloc, and nobody else's.
    unsafe {
        let copy = CStr::from_ptr(text).to_string_lossy().into_owned();
        libc::free(text.cast());
        copy
    }
}

struct Connection {
    library: &'static Library,
    handle: Handle,
}

impl Connection {
    fn open(library: &'static Library, cancel: &Cancel) -> Result<Self> {
        let mut handle = 0;
        let status = patient(READ, "cmap_initialize", A_LOOK, cancel, || {
            // SAFETY: the pointer is valid for the call.
            library_call(|| unsafe { (library.initialize)(&mut handle) }).0
        })?;
        match status {
            OK => Ok(Connection { library, handle }),
            status => Err(refused(READ, "cmap_initialize", status, NOT_RUNNING)),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and not used again.
        library_call(|| unsafe { (self.library.finalize)(self.handle) });
    }
}
