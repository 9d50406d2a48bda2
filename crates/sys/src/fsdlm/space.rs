#![allow(unsafe_code)]
//! An open lockspace: the handle, every call into the library, and the thread that hears its answers.
//!
//! Facts relied on: answers wait on the lockspace's descriptor and are handed out by dlm_dispatch (libdlm(3)), on the thread that calls it.
//! The calls that wait by themselves are not used: they would read answers that are for others, and nothing could end them.
//! A request that is refused at once (-1) is not heard of again (dlm_lock(3)).
//!
//! What keeps memory alive: the table holds every ticket that the library still knows. It is given up after its last answer; all others only
//! after the thread has ended, without which nothing calls the library for answers. A process that ends takes its locks
//! and its memory along together.

use std::ffi::{CString, c_int, c_void};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use ocfs2_group_error::{Code, Error, Result};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use super::ticket::{Ticket, on_answer, on_wanted, signal};
use crate::error::{NO_PATH, OrError};
use crate::libdlm::{Handle, Library};
use crate::shared_library::library_call;
use crate::worker::without_signals;

/// Only root.
const MODE: libc::mode_t = 0o600;
/// The DLM's own statuses are beyond.
const LARGEST_ERRNO: i32 = 4096;

/// What the lockspace and the thread of its answers share.
struct Shared {
    /// held during every call into the library
    calls: Mutex<()>,
    table: Mutex<Table>,
    /// readable: the thread has to end
    stop: OwnedFd,
}

#[derive(Default)]
struct Table {
    tickets: Vec<Arc<Ticket>>,
    closed: bool,
    gone: bool,
}

/// What is to be undone when the lockspace is closed.
struct Open {
    library: &'static Library,
    name: CString,
    handle: Handle,
    answers: JoinHandle<()>,
    shared: Arc<Shared>,
}

// SAFETY: the handle is libdlm's own memory, which belongs to no thread; calls with it are made one at a time (`calls`).
unsafe impl Send for Open {}

pub(super) struct Space {
    library: &'static Library,
    handle: Handle,
    shared: Arc<Shared>,
    open: Mutex<Option<Open>>,
}

// SAFETY: as for Open.
unsafe impl Send for Space {}
// SAFETY: as for Open.
unsafe impl Sync for Space {}

impl Space {
    /// Joins the lockspace, which is made where this node has none of that name.
    pub(super) fn open(operation: &'static str, library: &'static Library, name: &str) -> Result<Space> {
        let name = CString::new(name)
            .map_err(|_| Error::new(Code::InvalidDomainName, operation, "it holds a NUL"))?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .or_error(operation, "eventfd", NO_PATH)?;
        let shared = Arc::new(Shared { calls: Mutex::new(()), table: Mutex::default(), stop });
        // SAFETY: the name is a NUL-terminated string, which the library copies.
        let (handle, errno) = library_call(|| unsafe { (library.create_lockspace)(name.as_ptr(), MODE) });
        if handle.is_null() {
            return Err(refused(operation, "dlm_create_lockspace", errno, "the lockspace cannot be joined"));
        }
        // SAFETY: the handle is open.
        let descriptor = unsafe { (library.descriptor)(handle) };
        let thread = std::thread::Builder::new().name("ocfs2-fsdlm".into()).stack_size(128 * 1024).spawn({
            let shared = Arc::clone(&shared);
            move || without_signals(|| shared.hear(library, descriptor))
        });
        match thread {
            Ok(answers) => {
                let open = Open { library, name, handle, answers, shared: Arc::clone(&shared) };
                Ok(Space { library, handle, shared, open: Mutex::new(Some(open)) })
            }
            Err(error) => {
                // SAFETY: the handle is open, and not used again.
                library_call(|| unsafe { (library.release_lockspace)(name.as_ptr(), handle, 0) });
                Err(Error::os(operation, "clone", error.raw_os_error().unwrap_or(0)).code(Code::NoMemory))
            }
        }
    }

    /// A ticket that the library may be told of.
    pub(super) fn enter(&self, operation: &'static str) -> Result<Arc<Ticket>> {
        let ticket = Ticket::new(operation)?;
        let mut table = self.shared.table();
        if table.closed || table.gone {
            return Err(Error::new(Code::DlmFailed, operation, "the lockspace is closed"));
        }
        table.tickets.push(Arc::clone(&ticket));
        Ok(ticket)
    }

    /// The lockspace was taken away: no answer will come any more.
    pub(super) fn is_gone(&self) -> bool {
        self.shared.table().gone
    }

    /// The library knows this ticket no more: it has had its last answer, or was refused at once.
    pub(super) fn forget(&self, ticket: &Arc<Ticket>) {
        self.shared.table().tickets.retain(|one| !Arc::ptr_eq(one, ticket));
    }

    /// dlm_ls_lock: asks for a lock; the answer comes to the ticket. The errno where it is refused at once.
    pub(super) fn request(
        &self,
        ticket: &Arc<Ticket>,
        mode: u32,
        flags: u32,
        name: &str,
    ) -> std::result::Result<(), i32> {
        let length = u32::try_from(name.len()).map_err(|_| libc::ENAMETOOLONG)?;
        let _calls = self.open_calls()?;
        // SAFETY: the handle is open, see open_calls; the ticket, with its block, stays in the table as the head of
        // this file says; the library copies the name. Parent and range are unused.
        let (result, errno) = library_call(|| unsafe {
            (self.library.lock)(
                self.handle,
                mode,
                ticket.block(),
                flags,
                name.as_ptr().cast::<c_void>(),
                length,
                0,
                on_answer,
                ticket.argument(),
                on_wanted,
                std::ptr::null_mut(),
            )
        });
        outcome(result, errno)
    }

    /// dlm_ls_unlock of the ticket's lock, or with LKF_CANCEL of its request; `publish` becomes its value.
    pub(super) fn unlock(
        &self,
        ticket: &Arc<Ticket>,
        flags: u32,
        publish: Option<[u8; super::VALUE_BYTES]>,
    ) -> std::result::Result<(), i32> {
        let _calls = self.open_calls()?;
        if let Some(value) = publish {
            ticket.set_value(value);
        }
        let block = ticket.block();
        // SAFETY: as in request; the lock's number was written to the block by it.
        let (result, errno) = library_call(|| unsafe {
            (self.library.unlock)(self.handle, (*block).lock_id, flags, block, ticket.argument())
        });
        outcome(result, errno)
    }

    /// The right to call the library with the handle, which is not closed before it is given back.
    fn open_calls(&self) -> std::result::Result<MutexGuard<'_, ()>, i32> {
        let calls = self.shared.calls();
        if self.shared.table().closed { Err(libc::ENODEV) } else { Ok(calls) }
    }

    /// Leaves the lockspace; O2CB_DOMAIN_IN_USE while locks are held or asked for through it. Twice does nothing.
    pub(super) fn close(&self, operation: &'static str) -> Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut table = self.shared.table();
            if !table.tickets.is_empty() && !table.gone {
                let detail = format!("{} of its locks are held by this process", table.tickets.len());
                return Err(Error::new(Code::DomainInUse, operation, detail));
            }
            table.closed = true;
        }
        match open.take().map_or(Ok(()), Open::close) {
            // Others on this node are in it still, a mount or another program: it stays for them.
            Ok(()) | Err(libc::EBUSY) => Ok(()),
            Err(errno) => {
                Err(refused(operation, "dlm_release_lockspace", errno, "the lockspace cannot be left"))
            }
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let open = self.open.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // On a thread of its own: this may be JavaScript's. Without one, the handle is closed with the process.
        if let Some(open) = open {
            self.shared.table().closed = true;
            drop(std::thread::Builder::new().name("ocfs2-fsdlm-end".into()).spawn(move || open.close()));
        }
    }
}

impl Open {
    fn close(self) -> std::result::Result<(), i32> {
        signal(&self.shared.stop);
        let _ = self.answers.join();
        let _calls = self.shared.calls();
        // SAFETY: the handle is open, and not used again since the table is closed; the thread that read its answers has ended.
        let (result, errno) =
            library_call(|| unsafe { (self.library.release_lockspace)(self.name.as_ptr(), self.handle, 0) });
        outcome(result, errno)
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn calls(&self) -> MutexGuard<'_, ()> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread of the answers: hands them out until the lockspace is closed, or has gone.
    fn hear(&self, library: &Library, descriptor: RawFd) {
        // SAFETY: the handle, and with it the descriptor, is closed only after this thread has ended.
        let answers = unsafe { BorrowedFd::borrow_raw(descriptor) };
        loop {
            let mut both = [PollFd::new(&answers, PollFlags::IN), PollFd::new(&self.stop, PollFlags::IN)];
            match poll(&mut both, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => break,
            }
            if !both[1].revents().is_empty() {
                return;
            }
            let events = both[0].revents();
            if events.contains(PollFlags::IN) {
                let _calls = self.calls();
                // SAFETY: the descriptor is the open lockspace's; the callbacks find tickets that the table keeps.
                let (result, errno) = library_call(|| unsafe { (library.dispatch)(descriptor) });
                if result < 0 && errno != libc::EAGAIN && errno != libc::EINTR {
                    break;
                }
            } else if !events.is_empty() {
                break;
            }
        }
        // Taken away by force, or not to be read: whoever waits would wait for ever.
        let mut table = self.table();
        table.gone = true;
        table.tickets.iter().for_each(|ticket| ticket.gone());
    }
}

fn outcome(result: c_int, errno: i32) -> std::result::Result<(), i32> {
    if result < 0 { Err(errno) } else { Ok(()) }
}

/// The error for an errno or a status of the library's: only what is the caller's own trouble keeps its own code.
pub(super) fn refused(operation: &'static str, function: &'static str, status: i32, what: &str) -> Error {
    if !(1..LARGEST_ERRNO).contains(&status) {
        let why = if status == 0 { String::new() } else { format!(" (status {status:#x})") };
        return Error::new(Code::DlmFailed, operation, format!("{what}{why}"));
    }
    let error = Error::os(operation, function, status);
    match error.code {
        Code::PermissionDenied | Code::NoMemory => error,
        _ => error.code(Code::DlmFailed).detail(what),
    }
}
