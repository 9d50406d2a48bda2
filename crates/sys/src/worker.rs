#![allow(unsafe_code)]
//! One named thread for one operation that can block.
//!
//! Facts relied on: the write that starts a heartbeat fails with EIO when any signal reaches its thread (kernel
//! fs/ocfs2/cluster/heartbeat.c, o2hb_region_dev_store), and Node installs handlers for the whole process; so a worker blocks
//! every signal but the cancel signal and those that a fault raises on the thread itself. libuv's pool is never used: four
//! blocked calls there stop every fs call, and Node joins that pool when it exits.
//!
//! A panic becomes an error. There is no pool and no queue: a thread costs some 50 microseconds, these calls milliseconds.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use ocfs2_group_error::{Code, Error, Result};

use crate::cancel::{self, Cancel};

/// What an operation has, where it does not ask for more.
pub const STACK_BYTES: usize = 512 * 1024;

/// Runs `work` on a new thread, then `done` with its result on the same thread. `operation` names both errors and thread.
///
/// # Errors
/// O2CB_NO_MEMORY when no thread can be started; `done` is then dropped without being called.
pub fn spawn<T: Send + 'static>(
    operation: &'static str,
    cancel: &Cancel,
    work: impl FnOnce(&Cancel) -> Result<T> + Send + 'static,
    done: impl FnOnce(Result<T>) + Send + 'static,
) -> Result<()> {
    spawn_with_stack(STACK_BYTES, operation, cancel, work, done)
}

/// The same on a stack of `bytes`, for a library that needs more than others.
///
/// # Errors
/// As [`spawn`].
pub fn spawn_with_stack<T: Send + 'static>(
    bytes: usize,
    operation: &'static str,
    cancel: &Cancel,
    work: impl FnOnce(&Cancel) -> Result<T> + Send + 'static,
    done: impl FnOnce(Result<T>) + Send + 'static,
) -> Result<()> {
    cancel::install_handler();
    remember_panics();
    let cancel = cancel.clone();
    let name: String = operation.chars().take(15).collect();
    let body = move || {
        block_signals();
        let result = {
            let _attached = cancel.attach();
            catch_unwind(AssertUnwindSafe(|| work(&cancel)))
        };
        done(result.unwrap_or_else(|_| Err(panicked(operation))));
    };
    match std::thread::Builder::new().name(name).stack_size(bytes).spawn(body) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::os(operation, "clone", error.raw_os_error().unwrap_or(0))
            .code(Code::NoMemory)
            .detail("no thread can be started for it")),
    }
}

/// Blocks every signal on this thread but the cancel signal and the synchronous faults.
fn block_signals() {
    let open = [
        cancel::signal(),
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGILL,
        libc::SIGFPE,
        libc::SIGTRAP,
        libc::SIGSYS,
        libc::SIGABRT,
    ];
    // SAFETY: sigset_t is plain data, filled before use; the pointers are valid for the calls.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut set);
        for signal in open {
            libc::sigdelset(&mut set, signal);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &set, std::ptr::null_mut());
    }
}

/// Runs `call` with every signal blocked, for a library that does not expect its system calls to be interrupted.
pub(crate) fn without_signals<T>(call: impl FnOnce() -> T) -> T {
    with_mask(libc::sigfillset, call)
}

/// Runs `call` with no signal blocked, so that a child started in it inherits an open mask.
pub(crate) fn with_open_signals<T>(call: impl FnOnce() -> T) -> T {
    with_mask(libc::sigemptyset, call)
}

/// Runs `call` with the mask that `fill` makes.
fn with_mask<T>(
    fill: unsafe extern "C" fn(*mut libc::sigset_t) -> libc::c_int,
    call: impl FnOnce() -> T,
) -> T {
    // SAFETY: as in block_signals; the old mask is restored on the same thread.
    unsafe {
        let mut mask: libc::sigset_t = std::mem::zeroed();
        let mut old: libc::sigset_t = std::mem::zeroed();
        fill(&mut mask);
        libc::pthread_sigmask(libc::SIG_SETMASK, &mask, &mut old);
        let result = call();
        libc::pthread_sigmask(libc::SIG_SETMASK, &old, std::ptr::null_mut());
        result
    }
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps a panic's message for the error instead of printing it: a library writes to no stream.
fn remember_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let text = info.to_string();
            let _ = PANIC.try_with(|slot| slot.try_borrow_mut().map(|mut slot| *slot = Some(text)));
        }));
    });
}

fn panicked(operation: &'static str) -> Error {
    let what = PANIC.take().unwrap_or_default().replace('\n', " ");
    Error::new(Code::InternalFailure, operation, format!("a fault in this package: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::read_attribute;
    use crate::testing::Scratch;
    use rustix::fs::{Mode, OFlags, mkfifoat, open};
    use std::path::PathBuf;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    const SOON: Duration = Duration::from_secs(20);

    fn result_of<T: Send + 'static>(
        cancel: &Cancel,
        work: impl FnOnce(&Cancel) -> Result<T> + Send + 'static,
    ) -> Receiver<Result<T>> {
        let (send, receive) = channel();
        spawn("test-operation", cancel, work, move |result| drop(send.send(result))).unwrap();
        receive
    }

    fn fifo(scratch: &Scratch) -> PathBuf {
        let path = scratch.path("fifo");
        mkfifoat(rustix::fs::CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        path
    }

    #[test]
    fn a_panic_is_an_error_that_says_where() {
        let result = result_of::<()>(&Cancel::new(), |_| panic!("on purpose")).recv_timeout(SOON).unwrap();
        let error = result.unwrap_err();
        assert_eq!((error.code, error.operation), (Code::InternalFailure, "test-operation"));
        assert!(error.detail.contains("on purpose") && error.detail.contains("worker.rs"), "{error}");
    }

    #[test]
    fn only_the_cancel_signal_and_faults_reach_it() {
        let status = |_: &Cancel| Ok(std::fs::read_to_string("/proc/thread-self/status").unwrap());
        let status = result_of(&Cancel::new(), status).recv_timeout(SOON).unwrap().unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap().trim();
        let mask = u64::from_str_radix(mask, 16).unwrap();
        let blocked = |signal: i32| mask & (1 << (signal - 1)) != 0;
        for signal in
            [libc::SIGCHLD, libc::SIGWINCH, libc::SIGUSR1, libc::SIGTERM, libc::SIGPROF, libc::SIGALRM]
        {
            assert!(blocked(signal), "{signal}");
        }
        for signal in [cancel::signal(), libc::SIGSEGV, libc::SIGABRT] {
            assert!(!blocked(signal), "{signal}");
        }
        assert!(status.contains("Name:\ttest-operation\n"), "{status}");
    }

    #[test]
    fn a_cancellation_interrupts_before_during_and_not_after() {
        let scratch = Scratch::new();
        let path = fifo(&scratch);
        for _ in 0..50 {
            let cancel = Cancel::new();
            let receive = result_of(&cancel, {
                let path = path.clone();
                move |cancel| read_attribute(&path, cancel)
            });
            cancel.cancel();
            cancel.cancel();
            assert_eq!(receive.recv_timeout(SOON).unwrap().unwrap_err().code, Code::Aborted);
        }
        let cancel = Cancel::new();
        assert!(result_of(&cancel, |_| Ok(())).recv_timeout(SOON).unwrap().is_ok());
        cancel.cancel();
    }

    #[test]
    fn the_signal_alone_interrupts_nothing() {
        let scratch = Scratch::new();
        let path = fifo(&scratch);
        let cancel = Cancel::new();
        let receive = result_of(&cancel, {
            let path = path.clone();
            move |cancel| read_attribute(&path, cancel)
        });
        let mut kicks = 0;
        while kicks < 200 {
            kicks += u32::from(cancel.kick());
            std::thread::yield_now();
        }
        assert!(receive.recv_timeout(Duration::from_millis(50)).is_err());
        drop(open(&path, OFlags::WRONLY, Mode::empty()).unwrap());
        assert_eq!(receive.recv_timeout(SOON).unwrap().unwrap(), b"");
    }
}
