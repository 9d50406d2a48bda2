//! Answers and failures without a library.

use super::*;
use proptest::prelude::*;

fn raw(name: &[u8], kind: i32, node: i32, result: i32) -> RawAnswer {
    let mut whole = [0; 64];
    whole[..name.len()].copy_from_slice(name);
    RawAnswer { name: whole, kind, node, result }
}

#[test]
fn answers_have_positive_statuses_and_whole_names() {
    let registered = |name: &str, status| Answer::Registered { name: name.to_owned(), status };
    assert_eq!(answer(&raw(b"A", 1, 0, 0)).unwrap(), registered("A", 0));
    assert_eq!(answer(&raw(b"A", 1, 0, -95)).unwrap(), registered("A", 95));
    assert_eq!(answer(&raw(b"A", 1, 0, i32::MIN)).unwrap(), registered("A", i32::MAX));
    assert_eq!(answer(&raw(&[b'Z'; 64], 1, 0, 0)).unwrap(), registered(&"Z".repeat(64), 0));
    let notified = Answer::Notified { name: "A".to_owned(), node: u32::MAX, status: 11 };
    assert_eq!(answer(&raw(b"A\0x", 2, -1, -11)).unwrap(), notified);
}

#[test]
fn answers_that_cannot_be_are_refused() {
    for bad in [raw(b"A", 0, 0, 0), raw(b"A", 3, 0, 0), raw(&[0xff], 1, 0, 0)] {
        assert_eq!(answer(&bad).unwrap_err().code, Code::BadMessage);
    }
}

#[test]
fn failures_say_who_should_run() {
    let code = |failure| failed("test", "call", failure).code;
    assert_eq!(code(Failure::System(libc::ECONNREFUSED)), Code::ServiceUnavailable);
    assert_eq!(code(Failure::System(libc::EPIPE)), Code::ServiceUnavailable);
    assert_eq!(code(Failure::System(libc::EACCES)), Code::PermissionDenied);
    assert_eq!(code(Failure::Refused(libc::EOPNOTSUPP)), Code::DaemonRefused);
    assert_eq!(code(Failure::Ended), Code::ServiceUnavailable);
    assert_eq!(code(Failure::Count(-3)), Code::BadMessage);
}

proptest! {
    /// Whatever a socket carries is an answer with a status that is positive, or refused.
    #[test]
    fn no_answer_does_harm(name in proptest::array::uniform32(any::<u8>()), kind in -1..4, node: i32, result: i32) {
        match answer(&raw(&name, kind, node, result)) {
            Ok(Answer::Registered { name, status } | Answer::Notified { name, status, .. }) => {
                prop_assert!(status >= 0 && name.len() <= 32 && !name.contains('\0'));
            }
            Err(error) => prop_assert_eq!(error.code, Code::BadMessage),
        }
    }
}
