//! corosync's services, each through its library: process groups, the map, quorum. Here is what their calls have in common.
//!
//! Facts relied on: cs_error_t of corotypes.h (CS_OK is 1); seen with corosync 3.1.7: CS_ERR_LIBRARY from an initialize where corosync does not run,
//! and from any call after it has ended; CS_ERR_TRY_AGAIN while it starts, or makes a new membership of nodes.
//!
//! A call waits for corosync's answer without an end, and nothing interrupts it: a corosync that is stopped, rather than ended, holds
//! its callers. Between two tries a caller can give up. Who names the services' sockets is not checked: that is the libraries' trust.

pub mod cluster_map;
mod connection;
mod heard;
pub mod libcpg;
pub mod process_group;
pub mod quorum;

use std::ffi::c_int;

use ocfs2_group_error::{Code, Error, Result};
use rustix::event::{Timespec, poll};

use crate::cancel::Cancel;
use crate::error::{NO_PATH, OrError};

pub(crate) const OK: c_int = 1;
pub(crate) const LIBRARY: c_int = 2;
pub(crate) const TIMEOUT: c_int = 5;
pub(crate) const TRY_AGAIN: c_int = 6;
pub(crate) const NO_MEMORY: c_int = 8;
pub(crate) const BAD_HANDLE: c_int = 9;
pub(crate) const ACCESS: c_int = 11;
pub(crate) const NOT_EXIST: c_int = 12;
pub(crate) const EXIST: c_int = 14;
pub(crate) const SECURITY: c_int = 100;

/// Between two tries.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// How often a call is tried: a new membership takes as long as corosync's token and consensus, some 25 s where they are long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tries(pub(crate) u32);

/// For what somebody waits for before anything has begun.
pub(crate) const A_LOOK: Tries = Tries(100);
/// For what has to be said to the group.
pub(crate) const A_CHANGE: Tries = Tries(600);

/// Makes a call, again while corosync asks for that. The status is anything but "try again".
pub(crate) fn patient(
    operation: &'static str,
    function: &'static str,
    Tries(tries): Tries,
    cancel: &Cancel,
    mut call: impl FnMut() -> c_int,
) -> Result<c_int> {
    for _ in 0..tries {
        if cancel.asked() {
            return Err(Error::new(
                Code::Aborted,
                operation,
                format!("the caller gave up before {function}"),
            ));
        }
        match call() {
            TRY_AGAIN => pause(operation, cancel)?,
            status => return Ok(status),
        }
    }
    let detail = format!("corosync is busy with its membership: {function} was put off {tries} times");
    Err(Error::new(Code::Timeout, operation, detail))
}

/// A moment, which the caller can give up in.
pub(crate) fn pause(operation: &'static str, cancel: &Cancel) -> Result<()> {
    cancel.restart(|| poll(&mut [], Some(&PAUSE))).or_error(operation, "poll", NO_PATH).map(drop)
}

/// The error for a status; `lost` says what CS_ERR_LIBRARY means here.
pub(crate) fn refused(
    operation: &'static str,
    function: &'static str,
    status: c_int,
    lost: &'static str,
) -> Error {
    let (code, what) = match status {
        LIBRARY | BAD_HANDLE => (Code::ServiceUnavailable, lost),
        TIMEOUT => (Code::Timeout, "corosync does not answer in time"),
        NO_MEMORY => (Code::NoMemory, "corosync has no memory left for this"),
        EXIST => (Code::InternalFailure, "this process is in the group already"),
        ACCESS | SECURITY => {
            (Code::PermissionDenied, "corosync talks to root, and to those that its uidgid names")
        }
        _ => (Code::InternalFailure, "corosync refuses"),
    };
    Error::new(code, operation, format!("{what} (status {status} from {function})"))
}

/// What CS_ERR_LIBRARY means where nothing is open yet.
pub(crate) const NOT_RUNNING: &str = "corosync does not run on this node: start it";
/// What it means of an open connection.
pub(crate) const LOST: &str = "the connection to corosync is lost: it has ended";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_tried_again_but_not_for_ever() {
        let mut left = 3;
        let status = patient("test", "call", Tries(4), &Cancel::new(), || {
            left -= 1;
            if left == 0 { OK } else { TRY_AGAIN }
        });
        assert_eq!((status.unwrap(), left), (OK, 0));
        let error = patient("test", "call", Tries(2), &Cancel::new(), || TRY_AGAIN).unwrap_err();
        assert_eq!(error.code, Code::Timeout);
        assert!(error.detail.contains("call was put off 2 times"), "{error}");
    }

    #[test]
    fn who_gave_up_makes_no_call() {
        let cancel = Cancel::new();
        cancel.cancel();
        let error = patient("test", "call", A_LOOK, &cancel, || unreachable!()).unwrap_err();
        assert_eq!(error.code, Code::Aborted);
    }

    #[test]
    fn statuses_have_codes() {
        let code = |status| refused("test", "call", status, LOST).code;
        assert_eq!([LIBRARY, BAD_HANDLE].map(code), [Code::ServiceUnavailable; 2]);
        assert_eq!([ACCESS, SECURITY].map(code), [Code::PermissionDenied; 2]);
        assert_eq!([7, 0, -3].map(code), [Code::InternalFailure; 3]);
        assert!(refused("test", "cpg_join", 14, LOST).detail.contains("status 14 from cpg_join"));
    }
}
