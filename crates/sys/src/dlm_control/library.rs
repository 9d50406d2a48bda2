#![allow(unsafe_code)]
//! libdlmcontrol, the library of dlm_controld's clients: layouts, functions, and every call of them.
//!
//! Facts relied on: libdlmcontrol.h of dlm 4, whose sockets have the abstract names `dlmc_query_sock` and `dlmc_sock` (seen with 4.2.0). Seen there too:
//! a failed system call returns -1 and leaves its errno, an end of file -1 and none, a refusal of dlm_controld's comes back as it was
//! sent, a negative errno; the descriptor is not close-on-exec; a name in an answer has 64 bytes and no end where it is that long.
//! **dlmc_lockspace_nodes writes as many nodes as the answer says, whatever room it was given.** Anybody can take the name of a socket while
//! dlm_controld does not run, so nothing is asked before the owner of the other end is known to be root (`peer`).
//!
//! The calls block until dlm_controld answers; a signal does not end them.

use std::ffi::{CStr, c_char, c_int};
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::OnceLock;

use ocfs2_group_error::{Code, Result};
use rustix::io::{FdFlags, fcntl_setfd};

use crate::shared_library::{SharedLibrary, Symbols, library_call};

/// DLM_LOCKSPACE_LEN.
pub(super) const LONGEST_NAME: usize = 64;
/// As many nodes as corosync knows.
pub(super) const MOST_NODES: usize = 128;
/// Room beyond that, for a dlm_controld that knows more.
const ROOM: usize = 4096;
/// DLMC_NODES_ALL.
const ALL: c_int = 1;

/// `struct dlmc_change`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Change {
    counts: [c_int; 4],
    pub(super) wait_condition: c_int,
    pub(super) wait_messages: c_int,
    sequences: [u32; 2],
}

/// `struct dlmc_lockspace`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    previous: Change,
    pub(super) next: Change,
    pub(super) flags: u32,
    global_id: u32,
    name: [u8; LONGEST_NAME + 1],
}

/// `struct dlmc_node`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Node {
    pub(super) id: c_int,
    pub(super) flags: u32,
    sequences: [u32; 2],
    fail_reason: c_int,
    fail_times: [u64; 2],
}

const _: () = assert!(size_of::<Change>() == 32 && size_of::<Facts>() == 140 && size_of::<Node>() == 40);

type Info = unsafe extern "C" fn(*const c_char, *mut Facts) -> c_int;
type Nodes = unsafe extern "C" fn(*const c_char, c_int, c_int, *mut c_int, *mut Node) -> c_int;
type Connect = unsafe extern "C" fn() -> c_int;
type Disconnect = unsafe extern "C" fn(c_int);
type OfName = unsafe extern "C" fn(c_int, *const c_char) -> c_int;
type Notified = unsafe extern "C" fn(c_int, *const c_char, c_int) -> c_int;
type Answer = unsafe extern "C" fn(c_int, *mut c_char, *mut c_int, *mut c_int, *mut c_int) -> c_int;

/// The functions that are used of it.
pub struct Library {
    info: Info,
    nodes: Nodes,
    connect: Connect,
    disconnect: Disconnect,
    register: OfName,
    unregister: OfName,
    notified: Notified,
    answer: Answer,
    /// dlm_controld's sockets can be looked at
    pub(super) has_sockets: bool,
}

/// O2CB_SERVICE_UNAVAILABLE where it is missing.
pub static LIBRARY: SharedLibrary<Library> = SharedLibrary {
    name: "libdlmcontrol",
    operation: "load-libdlmcontrol",
    code: Code::ServiceUnavailable,
    package: "libdlmcontrol3",
    files: &[c"libdlmcontrol.so.3"],
    resolve,
    loaded: OnceLock::new(),
};

fn resolve(symbols: &Symbols<'_>) -> Result<Library> {
    // SAFETY: each symbol is the function that libdlmcontrol.h declares under this name with these arguments; names are only read.
    unsafe {
        Ok(Library {
            info: symbols.function::<Info>(c"dlmc_lockspace_info")?,
            nodes: symbols.function::<Nodes>(c"dlmc_lockspace_nodes")?,
            connect: symbols.function::<Connect>(c"dlmc_fs_connect")?,
            disconnect: symbols.function::<Disconnect>(c"dlmc_fs_disconnect")?,
            register: symbols.function::<OfName>(c"dlmc_fs_register")?,
            unregister: symbols.function::<OfName>(c"dlmc_fs_unregister")?,
            notified: symbols.function::<Notified>(c"dlmc_fs_notified")?,
            answer: symbols.function::<Answer>(c"dlmc_fs_result")?,
            has_sockets: !symbols.is_stand_in,
        })
    }
}

/// Why a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// a system call did, with this errno
    System(i32),
    /// dlm_controld refused with this errno
    Refused(i32),
    /// the connection ended
    Ended,
    /// it tells of so many nodes
    Count(i32),
}

/// An answer, as it was sent.
pub(super) struct RawAnswer {
    pub(super) name: [u8; LONGEST_NAME],
    pub(super) kind: c_int,
    pub(super) node: c_int,
    pub(super) result: c_int,
}

impl Library {
    pub(super) fn lockspace(&self, name: &CStr) -> std::result::Result<Facts, Failure> {
        let mut facts = Facts {
            previous: Change::default(),
            next: Change::default(),
            flags: 0,
            global_id: 0,
            name: [0; LONGEST_NAME + 1],
        };
        // SAFETY: the name is NUL-terminated; the structure is the one that the library fills in.
        outcome(library_call(|| unsafe { (self.info)(name.as_ptr(), &mut facts) }))?;
        Ok(facts)
    }

    pub(super) fn nodes(&self, name: &CStr) -> std::result::Result<Vec<Node>, Failure> {
        let (mut nodes, mut count) = (vec![Node::default(); ROOM], 0);
        let most = c_int::try_from(MOST_NODES).unwrap_or(c_int::MAX);
        // SAFETY: the name is NUL-terminated; there is room for more nodes than are asked for, and the head of this file says who may answer.
        outcome(library_call(|| unsafe {
            (self.nodes)(name.as_ptr(), ALL, most, &mut count, nodes.as_mut_ptr())
        }))?;
        match usize::try_from(count) {
            Ok(count) if count <= MOST_NODES => nodes.truncate(count),
            _ => return Err(Failure::Count(count)),
        }
        Ok(nodes)
    }

    /// A file system's connection.
    pub(super) fn client(&'static self) -> std::result::Result<Client, Failure> {
        // SAFETY: it takes nothing.
        let descriptor = outcome(library_call(|| unsafe { (self.connect)() }))?;
        let client = Client { library: self, descriptor };
        // A child that kept it would hide our end from dlm_controld.
        fcntl_setfd(client.descriptor(), FdFlags::CLOEXEC)
            .map_err(|errno| Failure::System(errno.raw_os_error()))?;
        Ok(client)
    }
}

/// A file system's connection to dlm_controld. It ends with its value.
pub(super) struct Client {
    library: &'static Library,
    descriptor: RawFd,
}

impl Client {
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        // SAFETY: dlmc_fs_connect returned it, not -1, and it is closed with this value only.
        unsafe { BorrowedFd::borrow_raw(self.descriptor) }
    }

    pub(super) fn register(&self, name: &CStr) -> std::result::Result<(), Failure> {
        // SAFETY: the descriptor is open; the name is NUL-terminated.
        outcome(library_call(|| unsafe { (self.library.register)(self.descriptor, name.as_ptr()) })).map(drop)
    }

    pub(super) fn unregister(&self, name: &CStr) -> std::result::Result<(), Failure> {
        // SAFETY: as in register.
        outcome(library_call(|| unsafe { (self.library.unregister)(self.descriptor, name.as_ptr()) }))
            .map(drop)
    }

    pub(super) fn notified(&self, name: &CStr, node: c_int) -> std::result::Result<(), Failure> {
        // SAFETY: as in register.
        outcome(library_call(|| unsafe { (self.library.notified)(self.descriptor, name.as_ptr(), node) }))
            .map(drop)
    }

    /// Reads one answer, which is to be there.
    pub(super) fn answer(&self) -> std::result::Result<RawAnswer, Failure> {
        // More than the library writes.
        let mut name = [0_u8; 4 * LONGEST_NAME];
        let (mut kind, mut node, mut result) = (0, 0, 0);
        // SAFETY: the descriptor is open; the pointers are valid for the call, and the name has the room that it fills.
        outcome(library_call(|| unsafe {
            let name = name.as_mut_ptr().cast();
            (self.library.answer)(self.descriptor, name, &mut kind, &mut node, &mut result)
        }))?;
        let mut short = [0; LONGEST_NAME];
        short.copy_from_slice(&name[..LONGEST_NAME]);
        Ok(RawAnswer { name: short, kind, node, result })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: the descriptor is open, and not used again.
        library_call(|| unsafe { (self.library.disconnect)(self.descriptor) });
    }
}

fn outcome((result, errno): (c_int, i32)) -> std::result::Result<c_int, Failure> {
    match (result, errno) {
        (0.., _) => Ok(result),
        (-1, 0) => Err(Failure::Ended),
        (-1, errno) => Err(Failure::System(errno)),
        (refusal, _) => Err(Failure::Refused(refusal.saturating_neg())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_saying_no_is_told_apart() {
        assert_eq!(outcome((3, 5)), Ok(3));
        assert_eq!(outcome((-1, 0)), Err(Failure::Ended));
        assert_eq!(outcome((-1, libc::ECONNREFUSED)), Err(Failure::System(libc::ECONNREFUSED)));
        assert_eq!(outcome((-libc::ENOENT, 0)), Err(Failure::Refused(libc::ENOENT)));
        assert_eq!(outcome((c_int::MIN, 0)), Err(Failure::Refused(c_int::MAX)));
    }
}
