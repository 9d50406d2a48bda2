//! Who is at the other end of dlm_controld's sockets: only root may answer, since libdlmcontrol trusts what it reads.
//!
//! Facts relied on: unix(7): the names are abstract, so anybody may take one that is free; SO_PEERCRED tells who listened. The library connects by itself
//! for each question, so between this look and that dlm_controld would have to end and another to take its place.

use std::os::fd::AsFd;

use ocfs2_group_error::{Code, Error, Result};
use rustix::net::sockopt::socket_peercred;

use crate::cancel::Cancel;
use crate::error::{NO_PATH, OrError};
use crate::socket::connected;

/// The socket of questions.
const QUESTIONS: &str = "dlmc_query_sock";

/// Nothing is asked where this fails.
pub(super) fn check_questions(operation: &'static str, cancel: &Cancel) -> Result<()> {
    check(operation, &connected(operation, QUESTIONS, cancel)?)
}

/// Whether root listened where this connection goes.
pub(super) fn check(operation: &'static str, connection: impl AsFd) -> Result<()> {
    let user = socket_peercred(connection).or_error(operation, "getsockopt", NO_PATH)?.uid;
    if user.is_root() {
        return Ok(());
    }
    let detail = format!("user {} listens in dlm_controld's place, and is not asked", user.as_raw());
    Err(Error::new(Code::ServiceUnavailable, operation, detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn the_other_end_is_roots_or_nobody_is_asked() {
        let (one, _other) = UnixStream::pair().unwrap();
        let result = check("test", &one);
        if crate::testing::is_root() {
            result.unwrap();
        } else {
            assert_eq!(result.unwrap_err().code, Code::ServiceUnavailable);
        }
    }
}
