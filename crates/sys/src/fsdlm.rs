//! Locks of the kernel's fs/dlm, which the userspace cluster stacks use: through libdlm, as libo2dlm does.
//!
//! Facts relied on (group-api 8.6, userspace-stack 4.4): modes PR 3 and EX 5, flags NOQUEUE 1, CANCEL 2 and VALBLK 8, a value block of 32
//! bytes; statuses EAGAIN (refused by NOQUEUE), 0x10001 (cancelled) and 0x10002 (given up, the success of an unlock).
//! dlm_unlock(3): CANCEL ends a waiting request; where the lock was granted first the cancellation is refused and the grant stands.
//! An unlock without VALBLK leaves the value as it was, valid or not.
//!
//! A cancelled call ends when the DLM has answered the cancellation, so an error always means that nothing is held. A lock belongs to this process
//! and goes with it. Whether to wait, share or retry is TypeScript's.

mod space;
mod ticket;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ocfs2_group_error::{Code, Error, Result};

use crate::cancel::Cancel;
use crate::libdlm::Library;
use space::{Space, refused};
pub use ticket::VALUE_BYTES;
use ticket::{Answer, Ticket};

const NOQUEUE: u32 = 0x01;
const CANCEL: u32 = 0x02;
const VALBLK: u32 = 0x08;
const CANCELLED: i32 = 0x10001;
const UNLOCKED: i32 = 0x10002;
/// DLM_LOCKSPACE_LEN and DLM_RESNAME_MAXLEN.
const LONGEST_NAME: usize = 64;

/// How a lock is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Any number may hold it.
    ProtectedRead,
    /// One may.
    Exclusive,
}

impl Mode {
    fn number(self) -> u32 {
        match self {
            Mode::ProtectedRead => 3,
            Mode::Exclusive => 5,
        }
    }
}

/// This process's membership in a lockspace.
pub struct Lockspace(Arc<Space>);

impl Lockspace {
    /// Joins it; it is made where this node has none of that name. The kernel waits for dlm_controld here, and nothing can end that.
    ///
    /// # Errors
    /// O2CB_DLM_UNAVAILABLE where the kernel has no control device, O2CB_DLM_FAILED with the errno, O2CB_INVALID_DOMAIN_NAME.
    pub fn open(library: &'static Library, name: &str, cancel: &Cancel) -> Result<Self> {
        const OPERATION: &str = "open-lockspace";
        check_name(OPERATION, Code::InvalidDomainName, name)?;
        if cancel.asked() {
            return Err(given_up(OPERATION, "dlm_create_lockspace"));
        }
        if !library.devices.is_empty() && !has_control_device(library.devices) {
            let detail = "the kernel has no control device of the DLM";
            return Err(Error::new(Code::DlmUnavailable, OPERATION, detail));
        }
        Space::open(OPERATION, library, name).map(|space| Lockspace(Arc::new(space)))
    }

    /// Takes a lock. `None` where `trylock` was refused.
    ///
    /// # Errors
    /// O2CB_ABORTED (nothing is held then), O2CB_DLM_FAILED, O2CB_INVALID_LOCK_NAME.
    pub fn lock(&self, name: &str, mode: Mode, trylock: bool, cancel: &Cancel) -> Result<Option<Lock>> {
        const OPERATION: &str = "take-lock";
        const FUNCTION: &str = "dlm_ls_lock";
        check_name(OPERATION, Code::InvalidLockName, name)?;
        if cancel.asked() {
            return Err(given_up(OPERATION, FUNCTION));
        }
        let space = &self.0;
        let ticket = space.enter(OPERATION)?;
        let what = || format!("the lock {name} cannot be taken");
        let flags = VALBLK | if trylock { NOQUEUE } else { 0 };
        if let Err(errno) = space.request(&ticket, mode.number(), flags, name) {
            space.forget(&ticket);
            return if trylock && errno == libc::EAGAIN {
                Ok(None)
            } else {
                Err(refused(OPERATION, FUNCTION, errno, &what()))
            };
        }
        let status = match self.answer(&ticket, cancel) {
            Answer::Status { status: 0, value } => {
                let value = Mutex::new(Value { bytes: value, written: false, held: true });
                let releasing = Mutex::new(());
                return Ok(Some(Lock { space: Arc::clone(space), ticket, mode, value, releasing }));
            }
            Answer::Status { status, .. } => status,
            Answer::Gone => return Err(gone(OPERATION)),
        };
        space.forget(&ticket);
        match status {
            libc::EAGAIN if trylock => Ok(None),
            CANCELLED if cancel.asked() => Err(given_up(OPERATION, FUNCTION)),
            CANCELLED => {
                Err(Error::new(Code::DlmFailed, OPERATION, format!("{}: the request was cancelled", what())))
            }
            status => Err(refused(OPERATION, FUNCTION, status, &what())),
        }
    }

    /// The answer to a request; it is cancelled, and asked to be again with each signal, once the caller has given up.
    fn answer(&self, ticket: &Arc<Ticket>, cancel: &Cancel) -> Answer {
        loop {
            match ticket.wait() {
                Ok(answer) => return answer,
                // Refused where the lock has just been granted: its answer is on the way then.
                Err(_) if cancel.asked() => drop(self.0.unlock(ticket, CANCEL, None)),
                Err(_) => {}
            }
        }
    }

    /// Leaves the lockspace; it ends with its last user on this node. Twice does nothing.
    ///
    /// # Errors
    /// O2CB_DOMAIN_IN_USE while this process holds or awaits a lock of it, O2CB_DLM_FAILED.
    pub fn close(&self) -> Result<()> {
        self.0.close("close-lockspace")
    }
}

struct Value {
    bytes: Option<[u8; VALUE_BYTES]>,
    written: bool,
    held: bool,
}

/// A lock that is held until it is released, dropped, or the process ends.
pub struct Lock {
    space: Arc<Space>,
    ticket: Arc<Ticket>,
    mode: Mode,
    value: Mutex<Value>,
    releasing: Mutex<()>,
}

impl Lock {
    /// The value that came with the lock or was written since; `None` where it was lost with a holder.
    ///
    /// # Errors
    /// O2CB_DLM_FAILED after the release.
    pub fn read_value(&self) -> Result<Option<[u8; VALUE_BYTES]>> {
        self.held("read-value").map(|value| value.bytes)
    }

    /// Writes the value; others see it after the release.
    ///
    /// # Errors
    /// O2CB_DLM_FAILED after the release and for a lock that is not exclusive.
    pub fn write_value(&self, bytes: [u8; VALUE_BYTES]) -> Result<()> {
        const OPERATION: &str = "write-value";
        let mut value = self.held(OPERATION)?;
        if self.mode != Mode::Exclusive {
            return Err(Error::new(Code::DlmFailed, OPERATION, "only an exclusive lock can write its value"));
        }
        (value.bytes, value.written) = (Some(bytes), true);
        Ok(())
    }

    /// Whether somebody else has wanted the lock since it was taken.
    pub fn is_wanted(&self) -> bool {
        self.ticket.is_wanted()
    }

    /// Waits until somebody else wants the lock.
    ///
    /// # Errors
    /// O2CB_ABORTED, also where the lock is released meanwhile.
    pub fn wanted(&self, cancel: &Cancel) -> Result<()> {
        const OPERATION: &str = "await-blocking";
        drop(self.held(OPERATION)?);
        match cancel.restart(|| self.ticket.wait_until_wanted()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::new(Code::Aborted, OPERATION, "the lock is not held any more")),
            Err(_) => Err(given_up(OPERATION, "poll")),
        }
    }

    /// Gives it up and waits for the DLM to say so; nothing can end that wait. Twice does nothing.
    ///
    /// # Errors
    /// O2CB_DLM_FAILED: it is held still, unless the whole lockspace is gone.
    pub fn release(&self) -> Result<()> {
        let _one_at_a_time = self.releasing.lock().unwrap_or_else(PoisonError::into_inner);
        // Not held from here on, so that nobody writes a value that is lost; nor is its lock kept during the wait.
        let publish = {
            let mut value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
            if !std::mem::take(&mut value.held) {
                return Ok(());
            }
            value.bytes.filter(|_| value.written)
        };
        let released = give_up(&self.space, &self.ticket, publish);
        if released.is_err() {
            self.value.lock().unwrap_or_else(PoisonError::into_inner).held = !self.space.is_gone();
        }
        released
    }

    fn held(&self, operation: &'static str) -> Result<MutexGuard<'_, Value>> {
        let value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        if value.held {
            return Ok(value);
        }
        Err(Error::new(Code::DlmFailed, operation, "the lock is not held any more"))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let value = self.value.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !value.held {
            return;
        }
        // What JavaScript forgot. On a thread of its own, since this may be JavaScript's; without one it goes with the process.
        let (space, ticket, publish) =
            (Arc::clone(&self.space), Arc::clone(&self.ticket), value.bytes.filter(|_| value.written));
        let give_up = move || drop(give_up(&space, &ticket, publish));
        drop(std::thread::Builder::new().name("ocfs2-fsdlm-end".into()).spawn(give_up));
    }
}

fn give_up(space: &Space, ticket: &Arc<Ticket>, publish: Option<[u8; VALUE_BYTES]>) -> Result<()> {
    const OPERATION: &str = "release-lock";
    const FUNCTION: &str = "dlm_ls_unlock";
    const WHAT: &str = "the lock cannot be given up";
    ticket.ask();
    // Looked at after asking, so that its end is either seen here or told to the ticket.
    if space.is_gone() {
        return Err(gone(OPERATION));
    }
    space
        .unlock(ticket, if publish.is_some() { VALBLK } else { 0 }, publish)
        .map_err(|errno| refused(OPERATION, FUNCTION, errno, WHAT))?;
    let answer = loop {
        if let Ok(answer) = ticket.wait() {
            break answer;
        }
    };
    match answer {
        Answer::Status { status: 0 | UNLOCKED, .. } => {
            space.forget(ticket);
            ticket.end();
            Ok(())
        }
        Answer::Status { status, .. } => Err(refused(OPERATION, FUNCTION, status, WHAT)),
        Answer::Gone => Err(gone(OPERATION)),
    }
}

pub(crate) fn check_name(operation: &'static str, code: Code, name: &str) -> Result<()> {
    if name.is_empty() || name.len() > LONGEST_NAME || name.contains(['\0', '/']) {
        let detail =
            format!("a name has 1 to {LONGEST_NAME} bytes, without a slash, not '{}'", name.escape_debug());
        return Err(Error::new(code, operation, detail));
    }
    Ok(())
}

fn has_control_device(devices: &str) -> bool {
    std::fs::read_to_string(devices)
        .is_ok_and(|lines| lines.lines().any(|line| line.split_whitespace().nth(1) == Some("dlm-control")))
}

fn given_up(operation: &'static str, function: &'static str) -> Error {
    Error::os(operation, function, libc::EINTR)
}

fn gone(operation: &'static str) -> Error {
    Error::new(Code::DlmFailed, operation, "the lockspace was taken away from this process")
}
