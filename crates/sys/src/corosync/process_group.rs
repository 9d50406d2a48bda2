//! A closed process group of corosync, as `ProcessGroup` of ts/native-stack-types.ts.
//!
//! Facts relied on: those of `connection`. cpg_dispatch keeps the longest message, 1 MiB, on its stack (seen with 3.1.7: less ends the process). Events that nobody asks for wait in corosync's buffers, and come with the next call; who never asks is
//! cut off by corosync. A message arrives at its sender too.
//!
//! It keeps no list of members and answers nothing: that is TypeScript's. Sends that run side by side have no order.

use std::sync::Arc;

use ocfs2_group_error::{Code, Error, Result};
use rustix::event::PollFlags;

use super::connection::Connection;
use super::libcpg::Library;
use super::pause;
use crate::cancel::Cancel;
use crate::closable::{Closable, Turn};

pub use super::heard::{Event, Member, Reason};

/// Joining, as errors and threads name it.
pub const JOIN: &str = "join-group";
/// Waiting, likewise.
pub const NEXT: &str = "next-group-events";
/// Sending, likewise.
pub const SEND: &str = "send-to-group";
/// Leaving, likewise.
pub const LEAVE: &str = "leave-group";
/// What the thread that waits needs of a stack.
pub const STACK_BYTES: usize = 4 << 20;
/// Events at one go: whoever says much does not keep the caller waiting.
const MOST: usize = 256;
/// More than this is never said in one piece.
const LONGEST_MESSAGE: usize = 1 << 20;

/// This process's membership in a group, with a connection of its own. Dropping it ends that.
pub struct ProcessGroup {
    open: Arc<Closable<Connection>>,
    local_node: u32,
}

impl ProcessGroup {
    /// Connects and joins; the change with us comes as an event.
    ///
    /// # Errors
    /// O2CB_SERVICE_UNAVAILABLE where corosync does not run, O2CB_TIMEOUT where it puts us off for a minute, O2CB_ABORTED.
    pub fn join(library: &'static Library, name: &str, cancel: &Cancel) -> Result<Self> {
        let connection = Connection::open(JOIN, library, name, cancel)?;
        let local_node = connection.local_node();
        Ok(ProcessGroup { open: Arc::new(Closable::new(JOIN, "the process group", connection)?), local_node })
    }

    /// This node's number.
    pub fn local_node(&self) -> u32 {
        self.local_node
    }

    /// Reserves the right to wait, which one at a time has.
    ///
    /// # Errors
    /// O2CB_INTERNAL_FAILURE where another has it, O2CB_ABORTED after the close.
    pub fn wait(&self) -> Result<Wait> {
        self.open.turn(NEXT).map(Wait)
    }

    /// Says something to every member.
    ///
    /// # Errors
    /// O2CB_SERVICE_UNAVAILABLE, O2CB_TIMEOUT, O2CB_ABORTED: before anything was said.
    pub fn send(&self, bytes: &[u8], cancel: &Cancel) -> Result<()> {
        if bytes.len() > LONGEST_MESSAGE {
            let detail = format!("a message has {LONGEST_MESSAGE} bytes at most, not {}", bytes.len());
            return Err(Error::new(Code::InternalFailure, SEND, detail));
        }
        self.open.share(SEND)?.thing.send(SEND, bytes, cancel)
    }

    /// Asks to leave; the change without us comes as an event.
    ///
    /// # Errors
    /// As [`ProcessGroup::send`].
    pub fn leave(&self, cancel: &Cancel) -> Result<()> {
        self.open.share(LEAVE)?.thing.leave(LEAVE, cancel)
    }

    /// Ends the connection, once nothing uses it; what waits is given up. Twice does nothing.
    pub fn close(&self) {
        self.open.close();
    }
}

/// The right to wait for events.
pub struct Wait(Turn<Connection>);

impl Wait {
    /// Waits for events, one at least, on a stack of [`STACK_BYTES`]. A cancellation loses none.
    ///
    /// # Errors
    /// O2CB_SERVICE_UNAVAILABLE where corosync has ended, O2CB_BAD_MESSAGE where it tells what cannot be: no event comes after these.
    pub fn events(self, cancel: &Cancel) -> Result<Vec<Event>> {
        let connection = self.0.thing();
        let (mut events, mut ready) = (Vec::new(), PollFlags::empty());
        loop {
            let mut quiet = true;
            for _ in 0..MOST {
                match connection.dispatch(NEXT, &mut events) {
                    Ok(true) => quiet = false,
                    Ok(false) => break,
                    // What came before is told first; the failure is found again by the next call.
                    Err(_) if !events.is_empty() => return Ok(events),
                    Err(error) => return Err(error),
                }
            }
            if !events.is_empty() {
                return Ok(events);
            }
            if quiet && ready.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
                return Err(connection.lost(NEXT));
            }
            if quiet && !ready.is_empty() {
                // Readable, and yet nothing to read: not again at once.
                pause(NEXT, cancel)?;
            }
            ready = self.0.poll(NEXT, connection.descriptor(), cancel)?;
        }
    }
}
