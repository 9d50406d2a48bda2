#![allow(unsafe_code)]
//! Giving up a blocked system call: a flag, and a signal aimed at the one thread that is blocked.
//!
//! Facts relied on: a handler without SA_RESTART makes a sleeping call return EINTR (signal(7)); glibc keeps real-time
//! signals 32 and 33 and neither Node, V8 nor libuv uses any, so SIGRTMIN+6 is free. One signal can arrive just before the call
//! starts to sleep, so it is repeated until the thread has finished; the pauses grow, since real-time signals queue up
//! against RLIMIT_SIGPENDING while a thread sleeps uninterruptibly.
//!
//! It cannot end an uninterruptible sleep: nothing can. It starts no thread to work on: see `worker`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use rustix::io::Errno;

/// Between two signals to a thread that does not wake up.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The signal that interrupts a worker.
pub fn signal() -> i32 {
    libc::SIGRTMIN() + 6
}

extern "C" fn interrupt(_: i32) {}

/// Gives the cancel signal a handler that does nothing, without SA_RESTART. Once per process.
pub(crate) fn install_handler() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: sigaction is plain data for which all zero bytes are valid; the handler is a function of the required type
        // that touches nothing, and both pointers are valid or null for the call.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = interrupt as extern "C" fn(i32) as usize;
            libc::sigemptyset(&mut action.sa_mask);
            libc::sigaction(signal(), &action, std::ptr::null_mut());
        }
    });
}

#[derive(Debug, Clone, Copy)]
enum Target {
    NotStarted,
    Running(libc::pthread_t),
    Finished,
}

#[derive(Debug)]
struct Shared {
    asked: AtomicBool,
    target: Mutex<Target>,
}

/// Whether one operation was given up, and the thread to interrupt when it is. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Cancel(Arc<Shared>);

impl Default for Cancel {
    fn default() -> Self {
        Cancel::new()
    }
}

impl Cancel {
    /// One for an operation that has not started.
    pub fn new() -> Self {
        Cancel(Arc::new(Shared { asked: AtomicBool::new(false), target: Mutex::new(Target::NotStarted) }))
    }

    /// Whether somebody gave the operation up.
    pub fn asked(&self) -> bool {
        self.0.asked.load(Ordering::SeqCst)
    }

    /// Gives the operation up: sets the flag and interrupts its thread until that has finished. Never blocks.
    /// A thread that has not started yet sees the flag before its first call.
    pub fn cancel(&self) {
        if self.0.asked.swap(true, Ordering::SeqCst) || !self.kick() {
            return;
        }
        let this = self.clone();
        let kicker = std::thread::Builder::new().name("ocfs2-cancel".into()).stack_size(64 * 1024);
        // Without a thread to be had, the one signal that was sent is what remains.
        drop(kicker.spawn(move || this.kick_until_finished()));
    }

    /// Runs a system call again for as long as it is interrupted by anything but the cancellation.
    /// EINTR therefore comes back exactly when the operation was given up.
    pub fn restart<T>(&self, mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
        loop {
            if self.asked() {
                return Err(Errno::INTR);
            }
            match call() {
                Err(Errno::INTR) => {}
                result => return result,
            }
        }
    }

    /// Makes the calling thread the one to interrupt, until the guard is dropped on it.
    pub(crate) fn attach(&self) -> Attached<'_> {
        // SAFETY: pthread_self cannot fail.
        self.set(Target::Running(unsafe { libc::pthread_self() }));
        Attached(self)
    }

    fn set(&self, target: Target) {
        *self.0.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }

    /// One signal to the thread, where it runs; whether it did.
    pub(crate) fn kick(&self) -> bool {
        let target = self.0.target.lock().unwrap_or_else(PoisonError::into_inner);
        let Target::Running(thread) = *target else { return false };
        // SAFETY: the thread detaches under the lock that is held here, before it ends, so its id is valid.
        unsafe { libc::pthread_kill(thread, signal()) };
        true
    }

    fn kick_until_finished(&self) {
        let mut pause = Duration::from_millis(2);
        loop {
            std::thread::sleep(pause);
            if !self.kick() {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// The calling thread is the target of a [`Cancel`]; dropping it ends that.
pub(crate) struct Attached<'a>(&'a Cancel);

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        self.0.set(Target::Finished);
    }
}
