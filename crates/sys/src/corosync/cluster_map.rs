#![allow(unsafe_code)]
//! A value of corosync's map of settings and facts, through libcmap: the cluster's name is there, and its nodes.
//!
//! Facts relied on: cmap.h of corosync 3.1 (types 1 to 8 are integers of 8, 16, 32 and 64 bits, each signed and then unsigned; 11 is a text);
//! cmap_get(3): without a buffer it tells the type. userspace-stack 4.3. A text that it returns is allocated and the caller's to free. Its
//! connection is closed again, which libo2cb forgets: it would keep a socket and shared memory.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::OnceLock;

use ocfs2_group_error::{Code, Error, Result};

use super::{A_LOOK, LOST, NOT_EXIST, NOT_RUNNING, OK, patient, refused};
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
type Get = unsafe extern "C" fn(Handle, *const c_char, *mut c_void, *mut usize, *mut c_int) -> c_int;
type GetText = unsafe extern "C" fn(Handle, *const c_char, *mut *mut c_char) -> c_int;

/// The functions that are used of it.
pub struct Library {
    initialize: Initialize,
    finalize: Finalize,
    get: Get,
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
            get: symbols.function::<Get>(c"cmap_get")?,
            get_text: symbols.function::<GetText>(c"cmap_get_string")?,
        })
    }
}

/// CMAP_VALUETYPE_STRING.
const TEXT: c_int = 11;

/// The value under a key: a text as it is, an integer in decimal; `None` where the key is not set.
///
/// # Errors
/// O2CB_SERVICE_UNAVAILABLE where corosync does not run, O2CB_TIMEOUT where it puts us off, O2CB_INTERNAL_FAILURE for what is neither.
pub fn read(library: &'static Library, key: &str, cancel: &Cancel) -> Result<Option<String>> {
    let wrong = || Error::new(Code::InternalFailure, READ, format!("'{key}' is no key of the map"));
    let name = CString::new(key).map_err(|_| wrong())?;
    if !KEY_BYTES.contains(&key.len()) {
        return Err(wrong());
    }
    let connection = Connection::open(library, cancel)?;
    let Some((kind, bytes)) = connection.value(&name, cancel)? else { return Ok(None) };
    if kind == TEXT {
        return connection.text(&name, cancel);
    }
    let number = integer(kind, bytes);
    number.map(Some).ok_or_else(|| {
        Error::new(
            Code::InternalFailure,
            READ,
            format!("'{key}' is neither a text nor an integer (type {kind})"),
        )
    })
}

/// A value of one of the types 1 to 8 in decimal.
fn integer(kind: c_int, bytes: [u8; 8]) -> Option<String> {
    let [a, b, c, d, ..] = bytes;
    Some(match kind {
        1 => i8::from_ne_bytes([a]).to_string(),
        2 => a.to_string(),
        3 => i16::from_ne_bytes([a, b]).to_string(),
        4 => u16::from_ne_bytes([a, b]).to_string(),
        5 => i32::from_ne_bytes([a, b, c, d]).to_string(),
        6 => u32::from_ne_bytes([a, b, c, d]).to_string(),
        7 => i64::from_ne_bytes(bytes).to_string(),
        8 => u64::from_ne_bytes(bytes).to_string(),
        _ => return None,
    })
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

    /// The type under a key, and the bytes of what is an integer; `None` where the key is not set.
    fn value(&self, key: &CStr, cancel: &Cancel) -> Result<Option<(c_int, [u8; 8])>> {
        const FUNCTION: &str = "cmap_get";
        let (mut length, mut kind) = (0_usize, 0);
        let mut bytes = [0_u8; 8];
        let nowhere: *mut c_void = std::ptr::null_mut();
        let ask = |buffer: *mut c_void, length: &mut usize, kind: &mut c_int| {
            patient(READ, FUNCTION, A_LOOK, cancel, || {
                // SAFETY: the handle is open; the key is NUL-terminated; the buffer has `length` bytes, or is none; the others are valid for the call.
                library_call(|| unsafe {
                    (self.library.get)(self.handle, key.as_ptr(), buffer, length, kind)
                })
                .0
            })
        };
        let mut status = ask(nowhere, &mut length, &mut kind)?;
        if status == OK && kind != TEXT && length <= bytes.len() {
            length = bytes.len();
            status = ask(bytes.as_mut_ptr().cast(), &mut length, &mut kind)?;
        }
        match status {
            OK => Ok(Some((kind, bytes))),
            NOT_EXIST => Ok(None),
            status => Err(refused(READ, FUNCTION, status, LOST)),
        }
    }

    /// The text under a key; `None` where it is not set any more.
    fn text(&self, key: &CStr, cancel: &Cancel) -> Result<Option<String>> {
        const FUNCTION: &str = "cmap_get_string";
        let mut text = std::ptr::null_mut();
        let status = patient(READ, FUNCTION, A_LOOK, cancel, || {
            // SAFETY: the handle is open; the key is NUL-terminated and the pointer valid for the call.
            library_call(|| unsafe { (self.library.get_text)(self.handle, key.as_ptr(), &mut text) }).0
        })?;
        match status {
            OK if !text.is_null() => Ok(Some(taken(text))),
            NOT_EXIST => Ok(None),
            OK => Err(Error::new(Code::InternalFailure, READ, format!("{FUNCTION} gives no text"))),
            status => Err(refused(READ, FUNCTION, status, LOST)),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and not used again.
        library_call(|| unsafe { (self.library.finalize)(self.handle) });
    }
}
