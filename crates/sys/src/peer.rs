#![allow(unsafe_code)]
//! Whose process is at the other end of a connected Unix socket.
//!
//! Facts relied on: SO_PEERCRED tells the user that the other end was when it connected, or began to listen (unix(7)); an abstract name has no
//! permissions, so whoever comes first can listen on it, and anybody can connect.

use std::os::fd::{AsFd, BorrowedFd, RawFd};

use ocfs2_group_error::{Code, Error, Result};
use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;

use crate::error::OrError;

/// Asking, as errors name it.
pub const ASK: &str = "ask-peer";

/// The user's number.
pub fn peer_user(descriptor: RawFd) -> Result<u32> {
    // SAFETY: the caller's socket owns the descriptor and cannot close it during this call, which is made on its thread. Of a number
    // that is none of a Unix socket getsockopt(2) says so.
    let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor.max(0)) };
    user_of(ASK, descriptor, "socket")
}

/// Refuses a service that neither root nor this process's own user runs: it could say of a join whatever it likes.
pub(crate) fn require_service(operation: &'static str, socket: impl AsFd, shown: &str) -> Result<()> {
    let user = user_of(operation, socket.as_fd(), shown)?;
    if user == 0 || user == geteuid().as_raw() {
        return Ok(());
    }
    let detail =
        format!("a process of user {user} serves it, who is not root: no service of the cluster does");
    Err(Error::new(Code::ServiceUnavailable, operation, detail).path(shown))
}

fn user_of(operation: &'static str, socket: BorrowedFd<'_>, shown: &str) -> Result<u32> {
    let credentials = socket_peercred(socket).or_error(operation, "getsockopt", shown)?;
    Ok(credentials.uid.as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn the_user_of_a_socket_is_told_and_of_nothing_else() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(peer_user(one.as_raw_fd()).unwrap(), geteuid().as_raw());
        require_service(ASK, &one, "@pair").unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(peer_user(file.as_raw_fd()).unwrap_err().errno, Some(libc::ENOTSOCK));
        assert_eq!(peer_user(RawFd::MAX).unwrap_err().errno, Some(libc::EBADF));
    }
}
