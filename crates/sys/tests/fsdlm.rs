//! Locks of fs/dlm against a stand-in for libdlm (stub/libdlm.c), which the test compiles; and the real library where it is installed.
//!
//! Not shown here: the kernel. Its answers are those that the stand-in gives.

#![allow(clippy::unwrap_used, clippy::result_large_err)]

mod support;

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ocfs2_group_error::{Code, Result};
use ocfs2_group_sys::Cancel;
use ocfs2_group_sys::fsdlm::{Lock, Lockspace, Mode, VALUE_BYTES};
use ocfs2_group_sys::libdlm::{self, Library};
use support::{SOON, code, compile, started};

fn stub() -> &'static Library {
    static STUB: OnceLock<&'static Library> = OnceLock::new();
    STUB.get_or_init(|| libdlm::LIBRARY.only_for_tests(&compile("libdlm.c", "libdlm-stub.so", &[])).unwrap())
}

fn open(name: &str) -> Result<Lockspace> {
    Lockspace::open(stub(), name, &Cancel::new())
}

fn take(space: &Lockspace, name: &str, trylock: bool) -> Result<Option<Lock>> {
    space.lock(name, Mode::Exclusive, trylock, &Cancel::new())
}

#[test]
fn a_lock_is_taken_and_given_up_and_the_lockspace_left() {
    let space = open("AAAA").unwrap();
    let lock = take(&space, "free", true).unwrap().unwrap();
    assert_eq!(code(space.close()), Code::DomainInUse);
    lock.release().unwrap();
    lock.release().unwrap();
    assert_eq!(code(lock.read_value()), Code::DlmFailed);
    space.close().unwrap();
    space.close().unwrap();
    assert_eq!(code(take(&space, "free", true)), Code::DlmFailed);
}

#[test]
fn a_trylock_is_refused_at_once_or_by_an_answer() {
    let space = open("AAAA").unwrap();
    assert!(take(&space, "busy", true).unwrap().is_none());
    assert!(take(&space, "refused-later", true).unwrap().is_none());
    let error = take(&space, "refused-later", false).err().unwrap();
    assert_eq!((error.code, error.errno), (Code::DlmFailed, Some(libc::EAGAIN)));
    space.close().unwrap();
}

#[test]
fn other_answers_are_failures_and_nothing_is_held() {
    let space = open("AAAA").unwrap();
    let error = take(&space, "cancelled-by-others", false).err().unwrap();
    assert_eq!((error.code, error.errno), (Code::DlmFailed, None));
    let error = take(&space, "deadlock", false).err().unwrap();
    assert_eq!((error.code, error.errno), (Code::DlmFailed, Some(libc::EDEADLK)));
    assert_eq!(code(take(&space, "no-memory", false)), Code::NoMemory);
    for name in ["", "a/b", "a\0b", &"x".repeat(65)] {
        assert_eq!(code(take(&space, name, true)), Code::InvalidLockName, "{name:?}");
        assert_eq!(code(open(name)), Code::InvalidDomainName, "{name:?}");
    }
    assert!(take(&space, &"x".repeat(64), true).unwrap().is_some_and(|lock| lock.release().is_ok()));
    space.close().unwrap();
}

#[test]
fn the_value_travels_with_an_exclusive_lock() {
    let space = open("AAAA").unwrap();
    let value = |lock: &Lock| lock.read_value().unwrap();
    let first = take(&space, "value", false).unwrap().unwrap();
    assert_eq!(value(&first), Some([0; VALUE_BYTES]));
    first.write_value([7; VALUE_BYTES]).unwrap();
    assert_eq!(value(&first), Some([7; VALUE_BYTES]));
    first.release().unwrap();
    let reader = space.lock("value", Mode::ProtectedRead, false, &Cancel::new()).unwrap().unwrap();
    assert_eq!(value(&reader), Some([7; VALUE_BYTES]));
    assert_eq!(code(reader.write_value([8; VALUE_BYTES])), Code::DlmFailed);
    reader.release().unwrap();
}

#[test]
fn a_lost_value_stays_lost_until_it_is_written() {
    let space = open("AAAA").unwrap();
    let writer = take(&space, "value", false).unwrap().unwrap();
    writer.write_value([9; VALUE_BYTES]).unwrap();
    writer.release().unwrap();
    let lost = take(&space, "value-lost", false).unwrap().unwrap();
    assert_eq!(lost.read_value().unwrap(), None);
    // The stand-in has one value for all names: an unlock that wrote would have put zeros there.
    lost.release().unwrap();
    let lost = take(&space, "value-lost", false).unwrap().unwrap();
    lost.write_value([3; VALUE_BYTES]).unwrap();
    assert_eq!(lost.read_value().unwrap(), Some([3; VALUE_BYTES]));
    let other = take(&space, "value", false).unwrap().unwrap();
    assert_eq!(other.read_value().unwrap(), Some([9; VALUE_BYTES]));
    other.release().unwrap();
    lost.release().unwrap();
}

#[test]
fn a_lock_that_never_comes_is_cancelled() {
    let space = Arc::new(open("AAAA").unwrap());
    for _ in 0..50 {
        let cancel = Cancel::new();
        let waiting = started(&cancel, {
            let space = Arc::clone(&space);
            move |cancel| space.lock("busy", Mode::Exclusive, false, cancel)
        });
        assert!(waiting.recv_timeout(Duration::from_millis(2)).is_err());
        cancel.cancel();
        assert_eq!(code(waiting.recv_timeout(SOON).unwrap()), Code::Aborted);
    }
    // Nothing is asked for any more.
    space.close().unwrap();
}

#[test]
fn a_grant_that_comes_before_the_cancellation_stands() {
    let space = Arc::new(open("AAAA").unwrap());
    let cancel = Cancel::new();
    let waiting = started(&cancel, {
        let space = Arc::clone(&space);
        move |cancel| space.lock("granted-late", Mode::Exclusive, false, cancel)
    });
    assert!(waiting.recv_timeout(Duration::from_millis(20)).is_err());
    cancel.cancel();
    let lock = waiting.recv_timeout(SOON).unwrap().unwrap().unwrap();
    assert_eq!(code(space.close()), Code::DomainInUse);
    lock.release().unwrap();
    space.close().unwrap();
}

#[test]
fn a_cancellation_before_the_call_asks_for_nothing() {
    let cancel = Cancel::new();
    cancel.cancel();
    assert_eq!(code(Lockspace::open(stub(), "AAAA", &cancel)), Code::Aborted);
    let space = open("AAAA").unwrap();
    assert_eq!(code(space.lock("free", Mode::Exclusive, false, &cancel)), Code::Aborted);
    space.close().unwrap();
}

#[test]
fn who_wants_the_lock_is_heard_of() {
    let space = open("AAAA").unwrap();
    let lock = Arc::new(take(&space, "wanted", false).unwrap().unwrap());
    lock.wanted(&Cancel::new()).unwrap();
    assert!(lock.is_wanted());
    let quiet = Arc::new(take(&space, "quiet", false).unwrap().unwrap());
    assert!(!quiet.is_wanted());
    let wait = |cancel: &Cancel| {
        started(cancel, {
            let quiet = Arc::clone(&quiet);
            move |cancel| quiet.wanted(cancel)
        })
    };
    let cancel = Cancel::new();
    let waiting = wait(&cancel);
    cancel.cancel();
    assert_eq!(code(waiting.recv_timeout(SOON).unwrap()), Code::Aborted);
    let waiting = wait(&Cancel::new());
    assert!(waiting.recv_timeout(Duration::from_millis(20)).is_err());
    quiet.release().unwrap();
    // Its end is heard of too, or, where it came first, that it is not held.
    assert!(matches!(code(waiting.recv_timeout(SOON).unwrap()), Code::Aborted | Code::DlmFailed));
    lock.release().unwrap();
}

#[test]
fn an_unlock_that_fails_leaves_the_lock_held() {
    let space = open("AAAA").unwrap();
    for name in ["not-to-be-released", "unlock-fails"] {
        let lock = take(&space, name, false).unwrap().unwrap();
        assert_eq!(code(lock.release()), Code::DlmFailed, "{name}");
        assert!(lock.read_value().is_ok(), "{name}");
        assert_eq!(code(space.close()), Code::DomainInUse, "{name}");
    }
}

#[test]
fn what_is_forgotten_is_given_up() {
    let space = open("AAAA").unwrap();
    drop(take(&space, "free", false).unwrap().unwrap());
    let end = std::time::Instant::now() + SOON;
    while space.close().is_err() {
        assert!(std::time::Instant::now() < end);
        std::thread::yield_now();
    }
    // A lock keeps its lockspace, whose handle the stand-in checks.
    let space = open("AAAA").unwrap();
    let lock = take(&space, "free", false).unwrap().unwrap();
    drop(space);
    lock.release().unwrap();
}

#[test]
fn a_lockspace_that_is_taken_away_ends_every_wait() {
    let space = Arc::new(open("AAAA").unwrap());
    let held = take(&space, "free", false).unwrap().unwrap();
    assert_eq!(code(take(&space, "taken-away", false)), Code::DlmFailed);
    assert_eq!(code(held.release()), Code::DlmFailed);
    assert_eq!(code(take(&space, "free", false)), Code::DlmFailed);
    space.close().unwrap();
}

#[test]
fn many_threads_share_a_lockspace() {
    let space = Arc::new(open("AAAA").unwrap());
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let space = Arc::clone(&space);
            std::thread::spawn(move || {
                for _ in 0..100 {
                    let lock = take(&space, "free", false).unwrap().unwrap();
                    lock.release().unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    space.close().unwrap();
}

#[test]
fn what_the_library_refuses_is_told_with_its_errno() {
    let error = open("another-value-size").err().unwrap();
    assert_eq!(
        (error.code, error.errno, error.syscall),
        (Code::DlmFailed, Some(libc::EPROTO), Some("dlm_create_lockspace"))
    );
    let error = open("silent").err().unwrap();
    assert_eq!((error.code, error.errno), (Code::DlmFailed, None));
    open("used-by-others").unwrap().close().unwrap();
    assert_eq!(code(open("not-to-be-left").unwrap().close()), Code::DlmFailed);
}

#[test]
fn a_library_that_is_missing_or_lacks_a_function_is_named() {
    let error = libdlm::LIBRARY.only_for_tests(Path::new("/nonexistent/libdlm.so.3")).err().unwrap();
    assert_eq!(error.code, Code::DlmUnavailable);
    assert!(error.detail.contains("/nonexistent/libdlm.so.3"), "{error}");
    assert_eq!(error.operation, "load-libdlm");
    let error = libdlm::LIBRARY
        .only_for_tests(&compile("libdlm.c", "libdlm-old.so", &["-DWITHOUT_DISPATCH"]))
        .err()
        .unwrap();
    assert_eq!(error.code, Code::DlmUnavailable);
    assert!(error.detail.contains("lacks dlm_dispatch"), "{error}");
}

/// Where the real library is installed and the kernel's dlm is not loaded, which is how most hosts are.
#[test]
fn the_real_library_without_the_kernel_is_a_coded_error() {
    let devices = std::fs::read_to_string("/proc/misc").unwrap_or_default();
    let (Ok(library), false) = (libdlm::LIBRARY.installed(), devices.contains("dlm-control")) else {
        // Either half is missing: the first is the test above, the second a machine's.
        return;
    };
    let error = Lockspace::open(library, "0123456789ABCDEF0123456789ABCDEF", &Cancel::new()).err().unwrap();
    assert_eq!(error.code, Code::DlmUnavailable);
    assert!(error.detail.contains("control device"), "{error}");
}
