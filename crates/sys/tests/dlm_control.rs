//! dlm_controld's answers against a stand-in for libdlmcontrol (stub/libdlmcontrol.c), which the test compiles.
//!
//! Not shown here: dlm_controld, and who listens in its place.

#![allow(clippy::unwrap_used, clippy::result_large_err)]

mod support;

use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ocfs2_group_error::{Code, Result};
use ocfs2_group_sys::Cancel;
use ocfs2_group_sys::dlm_control::{Answer, DlmControl, LIBRARY, Library, Lockspace, Wait, lockspace};
use support::{SOON, code, compile, started};

fn stub() -> &'static Library {
    static STUB: OnceLock<&'static Library> = OnceLock::new();
    STUB.get_or_init(|| {
        LIBRARY.only_for_tests(&compile("libdlmcontrol.c", "libdlmcontrol-stub.so", &[])).unwrap()
    })
}

fn state(name: &str) -> Result<Option<Lockspace>> {
    lockspace(stub(), name, &Cancel::new())
}

fn connect() -> Arc<DlmControl> {
    Arc::new(DlmControl::connect(stub()).unwrap())
}

fn next(control: &DlmControl) -> Result<Answer> {
    let wait = control.wait()?;
    started(&Cancel::new(), move |cancel| wait.answer(cancel)).recv_timeout(SOON).unwrap()
}

#[test]
fn a_lockspace_as_dlm_controld_has_it() {
    let plain = Lockspace {
        is_joining: false,
        is_leaving: true,
        is_stopped: false,
        is_registered: true,
        waits_for: None,
        members: vec![1, u32::MAX - 1],
        fencing: vec![2],
    };
    assert_eq!(state("plain").unwrap(), Some(plain));
    let joining = state("joining").unwrap().unwrap();
    assert!(joining.is_joining && joining.is_stopped && !joining.is_leaving && !joining.is_registered);
    let waits = [Some(Wait::Ring), Some(Wait::Quorum), Some(Wait::Fencing), Some(Wait::FileSystem), None];
    for (number, wait) in (1..).zip(waits) {
        assert_eq!(state(&format!("waits{number}")).unwrap().unwrap().waits_for, wait);
    }
    assert_eq!(state("messages").unwrap().unwrap().waits_for, None);
}

#[test]
fn a_lockspace_that_is_not_known_is_none() {
    assert_eq!(state("unknown").unwrap(), None);
    assert_eq!(state("vanishes").unwrap(), None);
}

#[test]
fn refusals_and_counts_that_cannot_be() {
    let error = state("denied").unwrap_err();
    assert_eq!((error.code, error.errno), (Code::DaemonRefused, Some(libc::EACCES)));
    for name in ["not-running", "ends"] {
        assert_eq!(code(state(name)), Code::ServiceUnavailable, "{name}");
    }
    for name in ["too-many", "negative"] {
        assert_eq!(code(state(name)), Code::BadMessage, "{name}");
    }
    for name in ["", &"x".repeat(65), "a\0", "a/b"] {
        assert_eq!(code(state(name)), Code::InvalidDomainName, "{name}");
    }
}

#[test]
fn answers_come_in_their_order() {
    let control = connect();
    let long = "x".repeat(64);
    for name in ["plain", "refused", &long] {
        control.register(name).unwrap();
    }
    for name in ["plain", "not-yet"] {
        control.notified(name, u32::MAX).unwrap();
    }
    control.unregister("plain").unwrap();
    let registered = |name: &str, status| Answer::Registered { name: name.to_owned(), status };
    assert_eq!(next(&control).unwrap(), registered("plain", 0));
    assert_eq!(next(&control).unwrap(), registered("refused", libc::EOPNOTSUPP));
    assert_eq!(next(&control).unwrap(), registered(&long, 0));
    let notified = |name: &str, status| Answer::Notified { name: name.to_owned(), node: u32::MAX, status };
    assert_eq!(next(&control).unwrap(), notified("plain", 0));
    assert_eq!(next(&control).unwrap(), notified("not-yet", libc::EAGAIN));
    control.register("odd-kind").unwrap();
    assert_eq!(code(next(&control)), Code::BadMessage);
    assert_eq!(code(control.register("broken")), Code::ServiceUnavailable);
    assert_eq!(code(control.register("")), Code::InvalidDomainName);
}

#[test]
fn the_end_of_dlm_controld_is_heard() {
    let control = connect();
    control.register("ends").unwrap();
    for _ in 0..2 {
        assert_eq!(code(next(&control)), Code::ServiceUnavailable);
    }
}

#[test]
fn one_waits_at_a_time_and_can_give_up_or_be_closed() {
    let control = connect();
    for by_close in [false, true] {
        let cancel = Cancel::new();
        let wait = control.wait().unwrap();
        let waiting = started(&cancel, move |cancel| wait.answer(cancel));
        assert_eq!(code(control.wait()), Code::InternalFailure);
        assert_eq!(waiting.recv_timeout(Duration::from_millis(100)).unwrap_err(), RecvTimeoutError::Timeout);
        if by_close {
            control.close()
        } else {
            cancel.cancel()
        }
        assert_eq!(code(waiting.recv_timeout(SOON).unwrap()), Code::Aborted);
    }
    control.close();
    assert_eq!(code(control.register("plain")), Code::Aborted);
}

/// How many sockets this process has besides its standard streams, and how many of them a child would get.
fn sockets() -> (usize, usize) {
    let (mut all, mut inherited) = (0, 0);
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let name = entry.unwrap().file_name();
        if ["0", "1", "2"].iter().any(|standard| name == *standard) {
            continue;
        }
        let (fd, info) = (Path::new("/proc/self/fd").join(&name), Path::new("/proc/self/fdinfo").join(&name));
        let (Ok(target), Ok(info)) = (std::fs::read_link(fd), std::fs::read_to_string(info)) else {
            continue;
        };
        if target.to_string_lossy().starts_with("socket:") {
            all += 1;
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
            inherited += usize::from(i32::from_str_radix(flags, 8).unwrap() & libc::O_CLOEXEC == 0);
        }
    }
    (all, inherited)
}

#[test]
fn nothing_is_left_of_many_connections_and_children_get_none() {
    let kept = connect();
    for _ in 0..200 {
        drop(connect());
    }
    // The other tests run side by side: they have a few, for a moment one without the flag.
    for _ in 0..1000 {
        if matches!(sockets(), (2..12, 0)) {
            return kept.close();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{:?} sockets", sockets());
}
