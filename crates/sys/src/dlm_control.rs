//! dlm_controld, the daemon behind the kernel's fs/dlm: what it does with a lockspace, and a file system's part in its recovery.
//!
//! Facts relied on: libdlmcontrol.h of dlm 4 (flags, conditions, kinds of answers), userspace-stack 2.6; those of `library`. A change of members waits
//! for a condition, or for a number of messages where `wait_messages` is set. Statuses are negative on the wire and positive here.
//!
//! What to do about a state is TypeScript's. A call blocks on dlm_controld's socket, which answers at once where it runs; one that is stopped
//! holds its callers.

mod library;

use std::ffi::{CStr, CString};
use std::sync::{Arc, Mutex, PoisonError};

use ocfs2_group_error::{Code, Error, Result};
use rustix::event::PollFlags;

use crate::cancel::Cancel;
use crate::closable::{Closable, Turn};
use crate::fsdlm::check_name;
use crate::peer::require_service;
use crate::socket::connected;
use library::{Client, Failure, MOST_NODES, RawAnswer};

pub use library::{LIBRARY, Library};

/// Looking at a lockspace, as errors and threads name it.
pub const LOOK: &str = "read-lockspace";
/// Connecting, likewise.
pub const CONNECT: &str = "connect-dlm-controld";
/// Registering, likewise.
pub const REGISTER: &str = "register-lockspace";
/// Unregistering, likewise.
pub const UNREGISTER: &str = "unregister-lockspace";
/// Saying that a death was dealt with, likewise.
pub const NOTIFIED: &str = "say-notified";
/// Waiting for an answer, likewise.
pub const NEXT: &str = "next-dlm-answer";

/// The socket of questions.
const QUESTIONS: &str = "dlmc_query_sock";

/// What a change of members waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// corosync's membership.
    Ring,
    /// More votes.
    Quorum,
    /// A node that has to be fenced.
    Fencing,
    /// A file system that has to say that it is notified.
    FileSystem,
}

/// What dlm_controld does with a lockspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lockspace {
    /// this node is about to join it
    pub is_joining: bool,
    /// this node is about to leave it
    pub is_leaving: bool,
    /// the kernel's part is stopped
    pub is_stopped: bool,
    /// a file system has registered for it
    pub is_registered: bool,
    /// what the change under way waits for
    pub waits_for: Option<Wait>,
    /// its nodes, after the change under way
    pub members: Vec<u32>,
    /// nodes that have to be fenced
    pub fencing: Vec<u32>,
}

/// What dlm_controld does with a lockspace; `None` where it knows none of that name.
///
/// # Errors
/// O2CB_SERVICE_UNAVAILABLE where dlm_controld does not run, O2CB_INVALID_DOMAIN_NAME.
pub fn lockspace(library: &'static Library, name: &str, cancel: &Cancel) -> Result<Option<Lockspace>> {
    const JOINING: u32 = 0x01;
    const LEAVING: u32 = 0x02;
    const KERNEL_STOPPED: u32 = 0x04;
    const REGISTERED: u32 = 0x08;
    const MEMBER: u32 = 0x01;
    const NEED_FENCING: u32 = 0x08;
    let name = c_name(LOOK, name)?;
    if cancel.asked() {
        return Err(Error::new(Code::Aborted, LOOK, "the caller gave up before it asked"));
    }
    if library.has_sockets {
        // libdlmcontrol connects by itself for each question, and trusts what it reads: who serves it is looked at before. Between this look
        // and that dlm_controld would have to end and another to take its place.
        connected(LOOK, QUESTIONS, cancel).map_err(named)?;
    }
    let facts = match library.lockspace(&name) {
        Err(Failure::Refused(libc::ENOENT)) => return Ok(None),
        result => result.map_err(|failure| failed(LOOK, "dlmc_lockspace_info", failure))?,
    };
    let nodes = match library.nodes(&name) {
        Err(Failure::Refused(libc::ENOENT)) => return Ok(None),
        result => result.map_err(|failure| failed(LOOK, "dlmc_lockspace_nodes", failure))?,
    };
    let with = |flag| {
        let some = nodes.iter().filter(|node| node.flags & flag != 0);
        some.map(|node| node.id.cast_unsigned()).collect()
    };
    let waits_for = match (facts.next.wait_messages, facts.next.wait_condition) {
        (0, 1) => Some(Wait::Ring),
        (0, 2) => Some(Wait::Quorum),
        (0, 3) => Some(Wait::Fencing),
        (0, 4) => Some(Wait::FileSystem),
        _ => None,
    };
    let is = |flag| facts.flags & flag != 0;
    Ok(Some(Lockspace {
        is_joining: is(JOINING),
        is_leaving: is(LEAVING),
        is_stopped: is(KERNEL_STOPPED),
        is_registered: is(REGISTERED),
        waits_for,
        members: with(MEMBER),
        fencing: with(NEED_FENCING),
    }))
}

/// What dlm_controld answers a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To a registration.
    Registered {
        /// of this lockspace
        name: String,
        /// 0, or the errno of the refusal
        status: i32,
    },
    /// To "notified".
    Notified {
        /// of this lockspace
        name: String,
        /// about this node
        node: u32,
        /// not 0 where dlm_controld has not seen that death yet
        status: i32,
    },
}

/// A file system's connection to dlm_controld. Dropping it ends that.
pub struct DlmControl(Arc<Closable<Connection>>);

struct Connection {
    client: Client,
    /// held during a write, so that two do not mix
    writes: Mutex<()>,
}

impl DlmControl {
    /// Connects.
    ///
    /// # Errors
    /// O2CB_SERVICE_UNAVAILABLE where dlm_controld does not run.
    pub fn connect(library: &'static Library) -> Result<Self> {
        let client = library.client().map_err(|failure| failed(CONNECT, "dlmc_fs_connect", failure))?;
        if library.has_sockets {
            require_service(CONNECT, client.descriptor(), "dlm_controld's socket")?;
        }
        let connection = Connection { client, writes: Mutex::new(()) };
        Closable::new(CONNECT, "the connection to dlm_controld", connection)
            .map(|open| DlmControl(Arc::new(open)))
    }

    /// Asks to be told of a lockspace's deaths; the answer comes by itself.
    ///
    /// # Errors
    /// O2CB_SERVICE_UNAVAILABLE where dlm_controld has ended, O2CB_INVALID_DOMAIN_NAME.
    pub fn register(&self, name: &str) -> Result<()> {
        self.say(REGISTER, "dlmc_fs_register", name, Client::register)
    }

    /// Takes a registration back; there is no answer.
    ///
    /// # Errors
    /// As [`DlmControl::register`].
    pub fn unregister(&self, name: &str) -> Result<()> {
        self.say(UNREGISTER, "dlmc_fs_unregister", name, Client::unregister)
    }

    /// Says that the file system has dealt with the death of a node; the answer comes by itself.
    ///
    /// # Errors
    /// As [`DlmControl::register`].
    pub fn notified(&self, name: &str, node: u32) -> Result<()> {
        self.say(NOTIFIED, "dlmc_fs_notified", name, |client, name| client.notified(name, node.cast_signed()))
    }

    fn say(
        &self,
        operation: &'static str,
        function: &'static str,
        name: &str,
        say: impl FnOnce(&Client, &CStr) -> std::result::Result<(), Failure>,
    ) -> Result<()> {
        let name = c_name(operation, name)?;
        let share = self.0.share(operation)?;
        let _writes = share.thing.writes.lock().unwrap_or_else(PoisonError::into_inner);
        say(&share.thing.client, &name).map_err(|failure| failed(operation, function, failure))
    }

    /// Reserves the right to wait, which one at a time has.
    ///
    /// # Errors
    /// O2CB_INTERNAL_FAILURE where another has it, O2CB_ABORTED after the close.
    pub fn wait(&self) -> Result<AnswerWait> {
        self.0.turn(NEXT).map(AnswerWait)
    }

    /// Ends the connection, once nothing uses it; what waits is given up. Twice does nothing.
    pub fn close(&self) {
        self.0.close();
    }
}

/// The right to wait for an answer.
pub struct AnswerWait(Turn<Connection>);

impl AnswerWait {
    /// Waits for the next answer.
    ///
    /// # Errors
    /// O2CB_SERVICE_UNAVAILABLE where dlm_controld has ended, O2CB_BAD_MESSAGE for an answer that cannot be.
    pub fn answer(self, cancel: &Cancel) -> Result<Answer> {
        const FUNCTION: &str = "dlmc_fs_result";
        let client = &self.0.thing().client;
        let ready = self.0.poll(NEXT, client.descriptor(), cancel)?;
        if !ready.contains(PollFlags::IN) {
            return Err(failed(NEXT, FUNCTION, Failure::Ended));
        }
        answer(&client.answer().map_err(|failure| failed(NEXT, FUNCTION, failure))?)
    }
}

fn answer(raw: &RawAnswer) -> Result<Answer> {
    let bytes = raw.name.split(|&byte| byte == 0).next().unwrap_or_default();
    let nonsense = |what: String| Error::new(Code::BadMessage, NEXT, format!("dlm_controld answers {what}"));
    let name =
        String::from_utf8(bytes.to_vec()).map_err(|_| nonsense("about a name that is no text".to_owned()))?;
    let status = raw.result.saturating_abs();
    match raw.kind {
        1 => Ok(Answer::Registered { name, status }),
        2 => Ok(Answer::Notified { name, node: raw.node.cast_unsigned(), status }),
        kind => Err(nonsense(format!("with a kind that is not known, {kind}"))),
    }
}

fn c_name(operation: &'static str, name: &str) -> Result<CString> {
    check_name(operation, Code::InvalidDomainName, name)?;
    // It holds no NUL: that was checked.
    CString::new(name)
        .map_err(|_| Error::new(Code::InvalidDomainName, operation, "a name without a NUL is needed"))
}

fn failed(operation: &'static str, function: &'static str, failure: Failure) -> Error {
    const ENDED: &str = "the connection to dlm_controld is lost: it has ended";
    match failure {
        Failure::System(errno @ (libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN)) => {
            Error::os(operation, function, errno).code(Code::ServiceUnavailable).detail(ENDED)
        }
        Failure::System(errno) => named(Error::os(operation, function, errno)),
        Failure::Refused(errno) => {
            Error::os(operation, function, errno).code(Code::DaemonRefused).detail("dlm_controld refuses")
        }
        Failure::Ended => Error::new(Code::ServiceUnavailable, operation, ENDED),
        Failure::Count(count) => {
            let detail = format!("dlm_controld tells of {count} nodes, where {MOST_NODES} is the most");
            Error::new(Code::BadMessage, operation, detail)
        }
    }
}

/// Nobody listens: says who should.
fn named(error: Error) -> Error {
    match error.errno {
        Some(libc::ECONNREFUSED | libc::ENOENT) => error
            .code(Code::ServiceUnavailable)
            .detail("dlm_controld does not run on this node: start it (dlm.service)"),
        _ => error,
    }
}

#[cfg(test)]
mod tests;
