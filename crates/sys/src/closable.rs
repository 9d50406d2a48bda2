//! Something open that one thread at a time waits on and that another may close meanwhile.
//!
//! Facts relied on: eventfd(2): what is written to it makes a poll return. Who uses the open thing holds a share of it, so that it ends with
//! its last user, never under one. Closing never blocks: the end itself, which may, is left to that last user or to a thread.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ocfs2_group_error::{Code, Error, Result};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::write;

use crate::cancel::Cancel;
use crate::error::{NO_PATH, OrError};
use crate::worker;

/// The open thing, and what wakes the thread that waits on it.
pub(crate) struct Inner<T> {
    pub(crate) thing: T,
    wake: OwnedFd,
}

struct State<T> {
    /// None once closed.
    open: Option<Arc<Inner<T>>>,
    waiting: bool,
}

pub(crate) struct Closable<T: Send + Sync + 'static> {
    /// for errors: "the group"
    what: &'static str,
    state: Mutex<State<T>>,
}

impl<T: Send + Sync + 'static> Closable<T> {
    pub(crate) fn new(operation: &'static str, what: &'static str, thing: T) -> Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let wake = eventfd(0, flags).or_error(operation, "eventfd2", NO_PATH)?;
        let open = Some(Arc::new(Inner { thing, wake }));
        Ok(Closable { what, state: Mutex::new(State { open, waiting: false }) })
    }

    /// A share of it, where it is open.
    pub(crate) fn share(&self, operation: &'static str) -> Result<Arc<Inner<T>>> {
        self.lock().open.clone().ok_or_else(|| self.closed(operation))
    }

    /// Reserves the right to wait, which one at a time has.
    pub(crate) fn turn(self: &Arc<Self>, operation: &'static str) -> Result<Turn<T>> {
        let mut state = self.lock();
        let inner = state.open.clone().ok_or_else(|| self.closed(operation))?;
        if std::mem::replace(&mut state.waiting, true) {
            return Err(Error::new(Code::InternalFailure, operation, "another call of next waits already"));
        }
        Ok(Turn { closable: Arc::clone(self), inner })
    }

    /// Closes it: what waits is given up. Twice does nothing.
    pub(crate) fn close(&self) {
        let Some(inner) = self.lock().open.take() else { return };
        // A counter that is full wakes as well.
        let _ = write(&inner.wake, &1_u64.to_ne_bytes());
        let end = move |_: &Cancel| {
            drop(inner);
            Ok(())
        };
        // Where no thread can be had, the closure is dropped here, and the share with it.
        drop(worker::spawn("close", &Cancel::new(), end, |_| ()));
    }

    fn closed(&self, operation: &'static str) -> Error {
        Error::new(Code::Aborted, operation, format!("{} was closed", self.what))
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + Sync + 'static> Drop for Closable<T> {
    fn drop(&mut self) {
        self.close();
    }
}

/// The right to wait.
pub(crate) struct Turn<T: Send + Sync + 'static> {
    closable: Arc<Closable<T>>,
    inner: Arc<Inner<T>>,
}

impl<T: Send + Sync + 'static> Turn<T> {
    pub(crate) fn thing(&self) -> &T {
        &self.inner.thing
    }

    /// Sleeps until the descriptor is ready, the thing is closed, or the caller gives up. What the descriptor is ready for.
    pub(crate) fn poll(
        &self,
        operation: &'static str,
        descriptor: BorrowedFd<'_>,
        cancel: &Cancel,
    ) -> Result<PollFlags> {
        let mut both = [
            PollFd::from_borrowed_fd(descriptor, PollFlags::IN),
            PollFd::from_borrowed_fd(self.inner.wake.as_fd(), PollFlags::IN),
        ];
        cancel.restart(|| poll(&mut both, None)).or_error(operation, "poll", NO_PATH)?;
        let [ready, wake] = both.map(|file| file.revents());
        if wake.is_empty() { Ok(ready) } else { Err(self.closable.closed(operation)) }
    }
}

impl<T: Send + Sync + 'static> Drop for Turn<T> {
    fn drop(&mut self) {
        self.closable.lock().waiting = false;
    }
}
