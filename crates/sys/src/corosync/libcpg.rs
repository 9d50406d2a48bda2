#![allow(unsafe_code)]
//! libcpg, the library of corosync's closed process groups: layouts and functions.
//!
//! Facts relied on: cpg.h and corotypes.h of corosync 3.1. Nothing is called here: see `connection`.

use std::ffi::{c_int, c_uint, c_void};
use std::sync::OnceLock;

use ocfs2_group_error::{Code, Result};

use crate::shared_library::{SharedLibrary, Symbols};

/// CPG_MAX_NAME_LENGTH.
pub const LONGEST_NAME: usize = 128;
/// CPG_MEMBERS_MAX.
pub(crate) const MOST_MEMBERS: usize = 128;
/// CPG_MODEL_V1.
pub(crate) const MODEL: c_int = 1;
/// CPG_TYPE_AGREED: every member sees the same order.
pub(crate) const AGREED: c_int = 2;
/// CS_DISPATCH_ONE_NONBLOCKING.
pub(crate) const ONE_NONBLOCKING: c_int = 4;

/// `struct cpg_name`.
#[repr(C)]
pub(crate) struct Name {
    pub(crate) length: u32,
    pub(crate) value: [u8; LONGEST_NAME],
}

/// `struct cpg_address`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address {
    pub(crate) node: u32,
    pub(crate) pid: u32,
    pub(crate) reason: u32,
}

/// `cpg_handle_t`: a number, no pointer.
pub(crate) type Handle = u64;

/// `cpg_deliver_fn_t`.
pub(crate) type Deliver = extern "C" fn(Handle, *const Name, u32, u32, *mut c_void, usize);
/// `cpg_confchg_fn_t`.
pub(crate) type Change =
    extern "C" fn(Handle, *const Name, *const Address, usize, *const Address, usize, *const Address, usize);

/// `cpg_model_v1_data_t`.
#[repr(C)]
pub(crate) struct Model {
    pub(crate) model: c_int,
    pub(crate) deliver: Deliver,
    pub(crate) change: Change,
    pub(crate) totem_change: *mut c_void,
    pub(crate) flags: c_uint,
}

type Initialize = unsafe extern "C" fn(*mut Handle, c_int, *mut Model, *mut c_void) -> c_int;
type OfHandle = unsafe extern "C" fn(Handle) -> c_int;
type Descriptor = unsafe extern "C" fn(Handle, *mut c_int) -> c_int;
type LocalNode = unsafe extern "C" fn(Handle, *mut c_uint) -> c_int;
type Dispatch = unsafe extern "C" fn(Handle, c_int) -> c_int;
type OfGroup = unsafe extern "C" fn(Handle, *const Name) -> c_int;
type Send = unsafe extern "C" fn(Handle, c_int, *const libc::iovec, c_uint) -> c_int;

/// The functions that are used of it.
pub struct Library {
    pub(crate) initialize: Initialize,
    pub(crate) finalize: OfHandle,
    pub(crate) descriptor: Descriptor,
    pub(crate) local_node: LocalNode,
    pub(crate) dispatch: Dispatch,
    pub(crate) join: OfGroup,
    pub(crate) leave: OfGroup,
    pub(crate) send: Send,
}

/// O2CB_SERVICE_UNAVAILABLE where it is missing.
pub static LIBRARY: SharedLibrary<Library> = SharedLibrary {
    name: "libcpg",
    operation: "load-libcpg",
    code: Code::ServiceUnavailable,
    package: "libcpg4",
    files: &[c"libcpg.so.4"],
    resolve,
    loaded: OnceLock::new(),
};

fn resolve(symbols: &Symbols<'_>) -> Result<Library> {
    // SAFETY: each symbol is the function that cpg.h declares under this name with these arguments.
    unsafe {
        Ok(Library {
            initialize: symbols.function::<Initialize>(c"cpg_model_initialize")?,
            finalize: symbols.function::<OfHandle>(c"cpg_finalize")?,
            descriptor: symbols.function::<Descriptor>(c"cpg_fd_get")?,
            local_node: symbols.function::<LocalNode>(c"cpg_local_get")?,
            dispatch: symbols.function::<Dispatch>(c"cpg_dispatch")?,
            join: symbols.function::<OfGroup>(c"cpg_join")?,
            leave: symbols.function::<OfGroup>(c"cpg_leave")?,
            send: symbols.function::<Send>(c"cpg_mcast_joined")?,
        })
    }
}
