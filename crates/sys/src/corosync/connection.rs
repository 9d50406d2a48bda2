#![allow(unsafe_code)]
//! One connection to corosync's process groups: its handle and every call with it.
//!
//! Facts relied on: cpg_initialize(3) and its neighbours. Seen with corosync 3.1.7: the descriptor is close-on-exec and non-blocking, a
//! connection has no other; a dispatch with nothing to tell returns CS_ERR_TRY_AGAIN; after corosync's end dispatch and finalize return
//! CS_ERR_LIBRARY at once; a program that ends its connection is to the others a process that is gone.
//!
//! Calls are made one at a time (`calls`), pauses between them without it. The last owner ends the connection, so nothing uses its handle after.

use std::ffi::c_int;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use ocfs2_group_error::{Code, Error, Result};

use super::heard::{self, Event, on_change, on_message};
use super::libcpg::{AGREED, Handle, LONGEST_NAME, Library, MODEL, Model, Name, ONE_NONBLOCKING};
use super::{
    A_CHANGE, BAD_HANDLE, EXIST, LIBRARY, LOST, NOT_EXIST, NOT_RUNNING, OK, TRY_AGAIN, patient, refused,
};
use crate::cancel::Cancel;
use crate::shared_library::library_call;

/// For as long as this process is in the group through another connection: a process can be there once.
const TRIES_AS_MEMBER: u32 = 50;

/// Why nothing more can come.
#[derive(Debug, Clone)]
enum Ended {
    Lost,
    Nonsense(String),
}

pub(super) struct Connection {
    library: &'static Library,
    handle: Handle,
    descriptor: RawFd,
    local_node: u32,
    name: Name,
    calls: Mutex<()>,
    ended: Mutex<Option<Ended>>,
}

impl Connection {
    /// Connects, and joins the group.
    pub(super) fn open(
        operation: &'static str,
        library: &'static Library,
        name: &str,
        cancel: &Cancel,
    ) -> Result<Self> {
        let name = group_name(operation, name)?;
        let mut handle = 0;
        let status = patient(operation, "cpg_model_initialize", A_CHANGE, cancel, || {
            let mut model = Model {
                model: MODEL,
                deliver: on_message,
                change: on_change,
                totem_change: std::ptr::null_mut(),
                flags: 0,
            };
            // SAFETY: both pointers are valid for the call, which copies the model; no context is used.
            call(|| unsafe { (library.initialize)(&mut handle, MODEL, &mut model, std::ptr::null_mut()) })
        })?;
        if status != OK {
            return Err(refused(operation, "cpg_model_initialize", status, NOT_RUNNING));
        }
        // From here on its end finalizes.
        let mut connection = Connection {
            library,
            handle,
            descriptor: -1,
            local_node: 0,
            name,
            calls: Mutex::new(()),
            ended: Mutex::new(None),
        };
        let (mut descriptor, mut local_node) = (-1, 0);
        // SAFETY: the handle is open; the pointer is valid for the call.
        connection.change(operation, "cpg_fd_get", cancel, |library, handle| unsafe {
            (library.descriptor)(handle, &mut descriptor)
        })?;
        // SAFETY: as above.
        connection.change(operation, "cpg_local_get", cancel, |library, handle| unsafe {
            (library.local_node)(handle, &mut local_node)
        })?;
        if descriptor < 0 {
            return Err(Error::new(Code::InternalFailure, operation, "cpg_fd_get gives no descriptor"));
        }
        (connection.descriptor, connection.local_node) = (descriptor, local_node);
        let mut members_left = TRIES_AS_MEMBER;
        // SAFETY: the handle is open; the name is valid for the call.
        connection.change(operation, "cpg_join", cancel, |library, handle| unsafe {
            match (library.join)(handle, &connection.name) {
                // A connection of ours that was closed just now: it ends on a thread of its own.
                EXIST if members_left > 0 => {
                    members_left -= 1;
                    TRY_AGAIN
                }
                status => status,
            }
        })?;
        Ok(connection)
    }

    pub(super) fn local_node(&self) -> u32 {
        self.local_node
    }

    /// Readable where a dispatch has something to tell.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        // SAFETY: it is the connection's, which is open for as long as this value lives; -1 was refused.
        unsafe { BorrowedFd::borrow_raw(self.descriptor) }
    }

    /// Leaves the group, if it is in it; the connection stays.
    pub(super) fn leave(&self, operation: &'static str, cancel: &Cancel) -> Result<()> {
        // SAFETY: the handle is open; the name is valid for the call.
        self.change(operation, "cpg_leave", cancel, |library, handle| unsafe {
            match (library.leave)(handle, &self.name) {
                NOT_EXIST => OK,
                status => status,
            }
        })
    }

    /// Says something to the group.
    pub(super) fn send(&self, operation: &'static str, bytes: &[u8], cancel: &Cancel) -> Result<()> {
        let whole = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        // SAFETY: the handle is open; the vector and its bytes are valid for the call, which only reads them.
        self.change(operation, "cpg_mcast_joined", cancel, |library, handle| unsafe {
            (library.send)(handle, AGREED, &whole, 1)
        })
    }

    /// Takes one event in, where one waits. False where none does.
    pub(super) fn dispatch(&self, operation: &'static str, events: &mut Vec<Event>) -> Result<bool> {
        const FUNCTION: &str = "cpg_dispatch";
        if let Some(ended) = &*self.ended() {
            return Err(ended.error(operation, FUNCTION));
        }
        let status = {
            let _calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            // SAFETY: the handle is open; the callbacks leave what they hear on this thread.
            call(|| unsafe { (self.library.dispatch)(self.handle, ONE_NONBLOCKING) })
        };
        for heard in heard::take() {
            match heard {
                Ok((group, event)) if group == self.name_bytes() => events.push(event),
                Ok(_) => {
                    return Err(self.end(Ended::Nonsense("an event of another group".to_owned()), operation));
                }
                Err(what) => return Err(self.end(Ended::Nonsense(what), operation)),
            }
        }
        match status {
            OK => Ok(true),
            TRY_AGAIN => Ok(false),
            LIBRARY | BAD_HANDLE => Err(self.end(Ended::Lost, operation)),
            _ => Err(refused(operation, FUNCTION, status, LOST)),
        }
    }

    /// The other end is closed, and nothing is left to be read.
    pub(super) fn lost(&self, operation: &'static str) -> Error {
        self.end(Ended::Lost, operation)
    }

    fn end(&self, how: Ended, operation: &'static str) -> Error {
        self.ended().get_or_insert(how).error(operation, "cpg_dispatch")
    }

    fn ended(&self) -> std::sync::MutexGuard<'_, Option<Ended>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name_bytes(&self) -> &[u8] {
        // Its own, which group_name checked.
        &self.name.value[..usize::try_from(self.name.length).unwrap_or(0)]
    }

    /// A call that succeeds or is refused.
    fn change(
        &self,
        operation: &'static str,
        function: &'static str,
        cancel: &Cancel,
        mut make: impl FnMut(&Library, Handle) -> c_int,
    ) -> Result<()> {
        let status = patient(operation, function, A_CHANGE, cancel, || {
            let _calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            call(|| make(self.library, self.handle))
        })?;
        if status == OK { Ok(()) } else { Err(refused(operation, function, status, LOST)) }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and not used again.
        call(|| unsafe { (self.library.finalize)(self.handle) });
    }
}

impl Ended {
    fn error(&self, operation: &'static str, function: &'static str) -> Error {
        match self {
            Ended::Lost => refused(operation, function, LIBRARY, LOST),
            Ended::Nonsense(what) => {
                Error::new(Code::BadMessage, operation, format!("corosync tells what cannot be: {what}"))
            }
        }
    }
}

/// The status of a call of the library.
fn call(make: impl FnOnce() -> c_int) -> c_int {
    library_call(make).0
}

fn group_name(operation: &'static str, name: &str) -> Result<Name> {
    let mut value = [0; LONGEST_NAME];
    let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
    match value.get_mut(..name.len()) {
        Some(place) if !name.is_empty() => place.copy_from_slice(name.as_bytes()),
        _ => {
            let detail = format!("the name of a process group has 1 to {LONGEST_NAME} bytes");
            return Err(Error::new(Code::InternalFailure, operation, detail));
        }
    }
    Ok(Name { length, value })
}
