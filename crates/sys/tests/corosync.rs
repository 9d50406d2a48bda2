//! corosync's services against a stand-in for its libraries (stub/corosync.c), which the test compiles.
//!
//! Not shown here: more than one process, and corosync itself.

#![allow(clippy::unwrap_used, clippy::result_large_err)]

mod support;

use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ocfs2_group_error::{Code, Error, Result};
use ocfs2_group_sys::Cancel;
use ocfs2_group_sys::corosync::process_group::{Event, Member, ProcessGroup, Reason};
use ocfs2_group_sys::corosync::{cluster_map, libcpg, quorum};
use support::{SOON, code, compile, started};

const NODE: u32 = 0xffff_fff0;

fn cpg() -> &'static libcpg::Library {
    static STUB: OnceLock<&'static libcpg::Library> = OnceLock::new();
    STUB.get_or_init(|| {
        libcpg::LIBRARY.only_for_tests(&compile("corosync.c", "libcpg-stub.so", &[])).unwrap()
    })
}

fn join(name: &str) -> Arc<ProcessGroup> {
    Arc::new(ProcessGroup::join(cpg(), name, &Cancel::new()).unwrap())
}

fn next(group: &ProcessGroup) -> Result<Vec<Event>> {
    let wait = group.wait()?;
    started(&Cancel::new(), move |cancel| wait.events(cancel)).recv_timeout(SOON).unwrap()
}

fn failure(name: &str) -> Error {
    next(&join(name)).unwrap_err()
}

fn this_process() -> Member {
    Member { node: NODE, pid: std::process::id() }
}

fn joined() -> Event {
    Event::Change { members: vec![this_process()], left: vec![], joined: vec![this_process()] }
}

fn message(bytes: &[u8]) -> Event {
    Event::Message { from: this_process(), bytes: bytes.to_vec() }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn a_group_is_joined_spoken_to_and_left() {
    let group = join("plain");
    assert_eq!(group.local_node(), NODE);
    assert_eq!(next(&group).unwrap(), [joined()]);
    for bytes in [&b"one"[..], b"", &[7; 1 << 20]] {
        group.send(bytes, &Cancel::new()).unwrap();
    }
    assert_eq!(next(&group).unwrap(), [message(b"one"), message(b""), message(&[7; 1 << 20])]);
    assert_eq!(code(group.send(&[0; (1 << 20) + 1], &Cancel::new())), Code::InternalFailure);
    group.leave(&Cancel::new()).unwrap();
    group.leave(&Cancel::new()).unwrap();
    let left = vec![(this_process(), Reason::Left)];
    assert_eq!(next(&group).unwrap(), [Event::Change { members: vec![], left, joined: vec![] }]);
    group.close();
    group.close();
    assert_eq!(code(next(&group)), Code::Aborted);
    assert_eq!(code(group.send(b"x", &Cancel::new())), Code::Aborted);
    assert_eq!(code(group.leave(&Cancel::new())), Code::Aborted);
}

#[test]
fn reasons_are_told_apart() {
    let other = Member { node: 2, pid: 22 };
    let left = vec![(other, Reason::NodeDown), (Member { node: 3, pid: 33 }, Reason::ProcessDown)];
    let change = Event::Change { members: vec![this_process()], left, joined: vec![] };
    assert_eq!(next(&join("departures")).unwrap(), [change]);
}

#[test]
fn a_busy_corosync_is_asked_again() {
    for name in ["try-again", "closed-just-now"] {
        assert_eq!(next(&join(name)).unwrap(), [joined()], "{name}");
    }
    let group = join("busy");
    let cancel = Cancel::new();
    let sending = started(&cancel, {
        let group = Arc::clone(&group);
        move |cancel| group.send(b"x", cancel)
    });
    assert_eq!(sending.recv_timeout(Duration::from_millis(300)).unwrap_err(), RecvTimeoutError::Timeout);
    // What waits between two tries keeps nobody from being told.
    assert_eq!(next(&group).unwrap(), [joined()]);
    cancel.cancel();
    assert_eq!(code(sending.recv_timeout(SOON).unwrap()), Code::Aborted);
}

#[test]
fn a_group_that_corosync_keeps_for_others_is_not_joined() {
    let error = ProcessGroup::join(cpg(), "not-allowed", &Cancel::new()).err().unwrap();
    assert_eq!(error.code, Code::PermissionDenied);
    for name in ["", &"x".repeat(129)] {
        assert_eq!(code(ProcessGroup::join(cpg(), name, &Cancel::new())), Code::InternalFailure);
    }
    join(&"x".repeat(128));
}

#[test]
fn what_cannot_be_is_refused_and_nothing_comes_after_it() {
    let bad = [
        "too-many",
        "wild-count",
        "without-name",
        "odd-reason",
        "long-name",
        "wild-name",
        "another",
        "wild-message",
    ];
    for name in bad {
        let group = join(name);
        if name == "wild-message" {
            group.send(b"x", &Cancel::new()).unwrap();
            assert_eq!(next(&group).unwrap(), [joined()]);
        }
        assert_eq!(code(next(&group)), Code::BadMessage, "{name}");
        group.send(b"x", &Cancel::new()).unwrap();
        assert_eq!(code(next(&group)), Code::BadMessage, "{name}");
    }
}

#[test]
fn the_parts_of_a_long_message_are_no_events() {
    assert_eq!(next(&join("parts")).unwrap(), [joined()]);
}

#[test]
fn the_end_of_corosync_comes_after_its_last_event() {
    let group = join("lost");
    assert_eq!(next(&group).unwrap(), [joined()]);
    for _ in 0..2 {
        let error = next(&group).unwrap_err();
        assert_eq!(error.code, Code::ServiceUnavailable);
        assert!(error.detail.contains("connection to corosync is lost"), "{error}");
    }
    assert_eq!(failure("hangs-up").code, Code::ServiceUnavailable);
}

#[test]
fn one_waits_at_a_time_and_can_give_up_or_be_closed() {
    let group = join("silent");
    for by_close in [false, true] {
        let cancel = Cancel::new();
        let wait = group.wait().unwrap();
        let waiting = started(&cancel, move |cancel| wait.events(cancel));
        assert_eq!(code(group.wait()), Code::InternalFailure);
        assert_eq!(waiting.recv_timeout(Duration::from_millis(100)).unwrap_err(), RecvTimeoutError::Timeout);
        if by_close {
            group.close()
        } else {
            cancel.cancel()
        }
        assert_eq!(code(waiting.recv_timeout(SOON).unwrap()), Code::Aborted);
    }
    assert_eq!(code(group.wait()), Code::Aborted);
}

/// What this thread has used of a processor: fields 14 and 15 of proc(5), hundredths of a second.
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

#[test]
fn readable_without_an_event_is_no_busy_loop() {
    let group = join("spins");
    let cancel = Cancel::new();
    let wait = group.wait().unwrap();
    let waiting = started(&cancel, move |cancel| {
        let result = wait.events(cancel);
        assert!(ticks() < 20, "{} ticks", ticks());
        result
    });
    assert_eq!(waiting.recv_timeout(Duration::from_millis(500)).unwrap_err(), RecvTimeoutError::Timeout);
    cancel.cancel();
    assert_eq!(code(waiting.recv_timeout(SOON).unwrap()), Code::Aborted);
}

#[test]
fn nothing_is_left_of_many_connections() {
    join("plain").close();
    let before = descriptors();
    for turn in 0..200 {
        let group = join("plain");
        if turn % 2 == 0 {
            next(&group).unwrap();
        }
        if turn % 3 == 0 {
            group.close();
        }
    }
    for _ in 0..1000 {
        if descriptors() <= before + 8 {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{} descriptors, {before} before", descriptors());
}

#[test]
fn closing_under_those_who_work_is_safe() {
    for _ in 0..50 {
        let group = join("plain");
        let workers: Vec<_> = (0..4)
            .map(|number| {
                let group = Arc::clone(&group);
                started(&Cancel::new(), move |cancel| match number {
                    0 => group.wait().and_then(|wait| wait.events(cancel)).map(drop),
                    _ => (0..20).try_for_each(|_| group.send(b"x", cancel)),
                })
            })
            .collect();
        std::thread::sleep(Duration::from_micros(300));
        group.close();
        for one in workers {
            let result = one.recv_timeout(SOON).unwrap();
            assert!(result.is_ok() || code(result) == Code::Aborted);
        }
    }
}

#[test]
fn quorum_is_what_corosync_says() {
    let library = quorum::LIBRARY.only_for_tests(&compile("corosync.c", "libquorum-stub.so", &[])).unwrap();
    assert!(!quorum::read(library, &Cancel::new()).unwrap());
    assert!(quorum::read(library, &Cancel::new()).unwrap());
}

#[test]
fn a_corosync_that_does_not_run_or_has_no_time_is_told_apart() {
    let absent = compile("corosync.c", "corosync-absent.so", &["-DABSENT"]);
    let cpg = libcpg::LIBRARY.only_for_tests(&absent).unwrap();
    let error = ProcessGroup::join(cpg, "plain", &Cancel::new()).err().unwrap();
    assert_eq!(error.code, Code::ServiceUnavailable);
    assert!(error.detail.contains("corosync does not run on this node"), "{error}");
    let absent_map = compile("libcmap.c", "libcmap-absent.so", &["-DABSENT"]);
    let map = cluster_map::LIBRARY.only_for_tests(&absent_map).unwrap();
    assert_eq!(code(cluster_map::read(map, "totem.cluster_name", &Cancel::new())), Code::ServiceUnavailable);
    let votes = quorum::LIBRARY.only_for_tests(&absent).unwrap();
    assert_eq!(code(quorum::read(votes, &Cancel::new())), Code::ServiceUnavailable);

    let busy =
        libcpg::LIBRARY.only_for_tests(&compile("corosync.c", "corosync-busy.so", &["-DBUSY"])).unwrap();
    let cancel = Cancel::new();
    let joining = started(&cancel, move |cancel| ProcessGroup::join(busy, "plain", cancel));
    assert!(joining.recv_timeout(Duration::from_millis(300)).is_err());
    cancel.cancel();
    assert_eq!(code(joining.recv_timeout(SOON).unwrap()), Code::Aborted);
}

#[test]
fn a_library_that_is_missing_or_lacks_a_function_is_named_with_its_package() {
    let error = libcpg::LIBRARY.only_for_tests(Path::new("/nonexistent/libcpg.so.4")).err().unwrap();
    assert_eq!((error.code, error.operation), (Code::ServiceUnavailable, "load-libcpg"));
    assert!(error.detail.contains("/nonexistent/libcpg.so.4"), "{error}");
    assert!(error.detail.ends_with("install the package libcpg4"), "{error}");
    let old = compile("corosync.c", "libcpg-old.so", &["-DWITHOUT_DESCRIPTOR"]);
    let error = libcpg::LIBRARY.only_for_tests(&old).err().unwrap();
    assert!(error.detail.contains("lacks cpg_fd_get"), "{error}");
}
