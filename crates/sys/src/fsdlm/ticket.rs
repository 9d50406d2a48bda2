#![allow(unsafe_code)]
//! One lock as libdlm sees it: the memory that the library writes to, and what its callbacks tell.
//!
//! Facts relied on: dlm_dispatch fills in the status block, then calls the function that was given with the lock, with its
//! argument (libdlm.h, dlm_lock(3)). A request that failed, or a lock that was given up, is heard of once more and never again;
//! a lock that is held may be told of others that want it, more than once.
//!
//! Who may touch what: the block (`raw`) belongs to whoever holds the lockspace's `calls` lock, which every call into the library is made under;
//! so the library never writes while we read, nor twice at once. Everything else is behind locks of its own.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ocfs2_group_error::Result;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use crate::error::{NO_PATH, OrError};
use crate::libdlm::Lksb;

/// DLM_LVB_LEN.
pub const VALUE_BYTES: usize = 32;
/// DLM_SBF_VALNOTVALID.
const VALUE_NOT_VALID: i32 = 0x02;

/// What the library said to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// the status, positive; 0 for success
    Status { status: i32, value: Option<[u8; VALUE_BYTES]> },
    /// the lockspace has gone, and will not answer any more
    Gone,
}

struct Raw {
    lksb: Lksb,
    value: [u8; VALUE_BYTES],
}

pub(super) struct Ticket {
    raw: UnsafeCell<Raw>,
    answer: Mutex<Option<Answer>>,
    answered: OwnedFd,
    wanted: AtomicBool,
    /// readable once somebody wants the lock, or it has ended
    notice: OwnedFd,
}

// SAFETY: `raw`, with the pointer in it, is only touched under the lockspace's `calls` lock, as the head of this file says.
unsafe impl Send for Ticket {}
// SAFETY: as above.
unsafe impl Sync for Ticket {}

impl Ticket {
    pub(super) fn new(operation: &'static str) -> Result<Arc<Ticket>> {
        let event = || {
            eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).or_error(operation, "eventfd", NO_PATH)
        };
        let lksb = Lksb { status: 0, lock_id: 0, flags: 0, value: std::ptr::null_mut() };
        let ticket = Arc::new(Ticket {
            raw: UnsafeCell::new(Raw { lksb, value: [0; VALUE_BYTES] }),
            answer: Mutex::new(None),
            answered: event()?,
            wanted: AtomicBool::new(false),
            notice: event()?,
        });
        // SAFETY: nobody else knows the ticket yet. An Arc's content does not move, so the pointer stays good as long as it lives.
        unsafe {
            let raw = ticket.raw.get();
            (*raw).lksb.value = (&raw mut (*raw).value).cast();
        }
        Ok(ticket)
    }

    /// For the library; to be used under the `calls` lock only.
    pub(super) fn block(&self) -> *mut Lksb {
        // SAFETY: only a field's address is taken.
        unsafe { &raw mut (*self.raw.get()).lksb }
    }

    /// What the callbacks get.
    pub(super) fn argument(self: &Arc<Self>) -> *mut c_void {
        Arc::as_ptr(self).cast_mut().cast()
    }

    /// What goes to the lock's value block with the next call; under the `calls` lock only.
    pub(super) fn set_value(&self, value: [u8; VALUE_BYTES]) {
        // SAFETY: under the `calls` lock nobody else touches it.
        unsafe { (*self.raw.get()).value = value }
    }

    /// Before a request: nothing has been said to it.
    pub(super) fn ask(&self) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let _ = rustix::io::read(&self.answered, &mut [0_u8; 8]);
    }

    /// Waits for the answer, without an end. EINTR comes back when a signal interrupts it.
    pub(super) fn wait(&self) -> std::result::Result<Answer, Errno> {
        loop {
            if let Some(answer) = *self.answer.lock().unwrap_or_else(PoisonError::into_inner) {
                return Ok(answer);
            }
            poll(&mut [PollFd::new(&self.answered, PollFlags::IN)], None)?;
        }
    }

    /// Waits until somebody wants the lock (true) or it has ended (false). EINTR as in [`Ticket::wait`].
    pub(super) fn wait_until_wanted(&self) -> std::result::Result<bool, Errno> {
        poll(&mut [PollFd::new(&self.notice, PollFlags::IN)], None)?;
        Ok(self.is_wanted())
    }

    /// Whether somebody wants the lock.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::SeqCst)
    }

    /// The lock is held no more: whoever waits for others to want it hears so.
    pub(super) fn end(&self) {
        self.wanted.store(false, Ordering::SeqCst);
        signal(&self.notice);
    }

    /// The lockspace has gone.
    pub(super) fn gone(&self) {
        self.put(Answer::Gone);
        self.end();
    }

    fn put(&self, answer: Answer) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        signal(&self.answered);
    }
}

/// The library's answer to a request. Runs within dlm_dispatch, under the `calls` lock.
pub(super) extern "C" fn on_answer(ticket: *mut c_void) {
    // SAFETY: the argument is a ticket of the lockspace's table, which keeps it until its last answer has come or the lockspace is
    // closed; this is an answer, so that has not happened yet. The block is ours, since the caller holds the `calls` lock.
    let (ticket, status, flags, value) = unsafe {
        let ticket = &*ticket.cast::<Ticket>();
        let raw = &*ticket.raw.get();
        (ticket, raw.lksb.status, raw.lksb.flags, raw.value)
    };
    let valid = i32::from(flags) & VALUE_NOT_VALID == 0;
    // The kernel's own statuses are negative, the library's positive.
    ticket.put(Answer::Status { status: status.saturating_abs(), value: valid.then_some(value) });
}

/// Somebody else wants the lock. Runs within dlm_dispatch.
pub(super) extern "C" fn on_wanted(ticket: *mut c_void) {
    // SAFETY: as in on_answer: a lock that others can want is held, so its last answer has not come.
    let ticket = unsafe { &*ticket.cast::<Ticket>() };
    ticket.wanted.store(true, Ordering::SeqCst);
    signal(&ticket.notice);
}

/// Makes an eventfd readable. Its counter cannot be full.
pub(super) fn signal(event: &OwnedFd) {
    let _ = rustix::io::write(event, &1_u64.to_ne_bytes());
}
