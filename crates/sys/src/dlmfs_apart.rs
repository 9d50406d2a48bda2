#![allow(unsafe_code)]
//! The open of a lock that may sleep for ever, in a process of its own: the lock comes back as a descriptor over a socket.
//!
//! Facts relied on: an open that queues for a lock sleeps where not even SIGKILL counts until the lock is granted (kernel-abi 5, surprise 3),
//! so a process that does it itself cannot end before. A forked child can wait in its place: SCM_RIGHTS hands over the open file, which is the
//! same holder. Where its parent has gone meanwhile the child gives the lock up as the parent would have: it closes and unlinks it, since a lock
//! that is only closed stays cached and refuses other nodes. It is no member of its parent's process group.
//!
//! The child runs only system calls between fork and exit, on values made before. It closes every descriptor but its socket and the place that
//! keeps this node's other processes away from the lock (`byte_range`), which thus stays held for as long as the kernel's queue has it.

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ocfs2_group_error::{Code, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::byte_range::RangeLock;
use crate::cancel::{self, Cancel};
use crate::dlmfs::{DlmLock, Level, MODE, OPEN, refused};
use crate::error::OrError;

/// Between two signals to a child whose work was given up: it sleeps through most of them.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
/// Kernels before 5.9 have no close_range(2).
const MOST_DESCRIPTORS: RawFd = 65_536;

/// Takes a lock, queueing for it. `place` stays held by the child for as long as it waits. A cancellation ends it only where the kernel looks
/// at signals: mostly it returns the lock, later.
///
/// # Errors
/// As [`crate::dlmfs::open`]; O2CB_DLM_FAILED with EIO where somebody killed the child.
pub fn open_apart(path: &Path, level: Level, place: Option<&RangeLock>, cancel: &Cancel) -> Result<DlmLock> {
    if cancel.asked() {
        return Err(refused(Errno::INTR, path, cancel));
    }
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| refused(Errno::INVAL, path, cancel))?;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .or_error(OPEN, "socketpair", path)?;
    let flags = level.flags().bits() as i32;
    let spared = place.map_or(-1, |place| std::os::fd::AsFd::as_fd(place).as_raw_fd());
    // SAFETY: the child calls async-signal-safe functions only (signal-safety(7)) on values made before, and ends with _exit in
    // `wait_in_child`, which never returns.
    let child = unsafe {
        match libc::fork() {
            0 => wait_in_child(&name, flags, theirs.as_raw_fd(), spared),
            pid => Pid::from_raw(pid).filter(|_| pid > 0).ok_or(Errno::AGAIN).or_error(OPEN, "fork", path)?,
        }
    };
    drop(theirs);
    let answer = answer(&ours, child, cancel);
    if answer.is_ok() {
        // From here on the lock is this process's own. A child that does not hear it gives up one holder of two.
        let _ = send(&ours, b"k", SendFlags::NOSIGNAL);
    }
    drop(ours);
    while let Err(Errno::INTR) = waitpid(Some(child), WaitOptions::empty()) {}
    match answer {
        Ok(file) => Ok(DlmLock::new(path, file)),
        Err(Errno::INTR) if !cancel.asked() => Err(refused(Errno::IO, path, cancel)),
        Err(errno) => {
            let error = refused(errno, path, cancel);
            Err(if errno == Errno::IO { error.code(Code::DlmFailed) } else { error })
        }
    }
}

/// What the child says: the open file, or why there is none.
fn answer(socket: &OwnedFd, child: Pid, cancel: &Cancel) -> std::result::Result<OwnedFd, Errno> {
    loop {
        if cancel.asked() {
            // SAFETY: the child was not waited for yet, so the number is its own.
            unsafe { libc::kill(child.as_raw_nonzero().get(), cancel::signal()) };
        }
        let pause = cancel.asked().then_some(&PAUSE);
        match poll(&mut [PollFd::new(socket, PollFlags::IN)], pause) {
            Err(Errno::INTR) | Ok(0) => {}
            Err(errno) => return Err(errno),
            Ok(_) => return receive(socket),
        }
    }
}

/// One message: four bytes of an errno, and with 0 a descriptor.
fn receive(socket: &OwnedFd) -> std::result::Result<OwnedFd, Errno> {
    let mut errno = [0_u8; 4];
    let mut room = Room::new();
    let mut part = libc::iovec { iov_base: errno.as_mut_ptr().cast(), iov_len: errno.len() };
    let mut message = room.message(&mut part);
    // SAFETY: every pointer of the message leads to values that live over the call, with their sizes; a descriptor that arrives is new and
    // nobody else's.
    unsafe {
        let count = loop {
            match libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_CMSG_CLOEXEC) {
                -1 if *libc::__errno_location() == libc::EINTR => {}
                count => break count,
            }
        };
        // The end of the socket without a word: somebody killed the child.
        if usize::try_from(count) != Ok(errno.len()) {
            return Err(Errno::IO);
        }
        let header = libc::CMSG_FIRSTHDR(&message);
        match i32::from_ne_bytes(errno) {
            0 if !header.is_null() && (*header).cmsg_type == libc::SCM_RIGHTS => {
                let descriptor = libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned();
                Ok(OwnedFd::from_raw_fd(descriptor))
            }
            0 => Err(Errno::IO),
            errno => Err(Errno::from_raw_os_error(errno)),
        }
    }
}

/// Room for a message with one descriptor, aligned as its header needs it.
#[repr(align(8))]
struct Room([u8; 64]);

impl Room {
    fn new() -> Self {
        Room([0; 64])
    }

    fn message(&mut self, part: &mut libc::iovec) -> libc::msghdr {
        // SAFETY: plain data for which all zero bytes are valid; CMSG_SPACE only computes.
        unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_iov = part;
            message.msg_iovlen = 1;
            message.msg_control = self.0.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(size_of::<RawFd>() as u32) as usize;
            message
        }
    }
}

/// The child's whole life.
///
/// # Safety
/// Only between fork and exit: it ends the process.
unsafe fn wait_in_child(path: &CString, flags: i32, socket: RawFd, spared: RawFd) -> ! {
    // SAFETY: system calls on values made before the fork and on the stack; nothing is allocated.
    unsafe {
        libc::setsid();
        close_all_but(socket, spared);
        let file = libc::open(path.as_ptr(), flags, MODE.bits());
        let mut errno = if file < 0 { (*libc::__errno_location()).to_ne_bytes() } else { [0; 4] };
        let mut room = Room::new();
        let mut part = libc::iovec { iov_base: errno.as_mut_ptr().cast(), iov_len: errno.len() };
        let mut message = room.message(&mut part);
        if file < 0 {
            message.msg_controllen = 0;
        } else {
            let header = libc::CMSG_FIRSTHDR(&message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as usize;
            libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(file);
        }
        let sent = libc::sendmsg(socket, &message, libc::MSG_NOSIGNAL);
        let mut word = 0_u8;
        let mut heard = -1;
        while sent >= 0 && file >= 0 && heard < 0 {
            heard = libc::read(socket, (&raw mut word).cast(), 1);
            if heard < 0 && *libc::__errno_location() != libc::EINTR {
                break;
            }
        }
        if file >= 0 && heard != 1 {
            libc::close(file);
            libc::unlink(path.as_ptr());
        }
        libc::_exit(0)
    }
}

/// # Safety
/// Only in a child that is about to end.
unsafe fn close_all_but(one: RawFd, other: RawFd) {
    let (low, high) = if one < other { (one, other) } else { (other, one) };
    let mut first = 0;
    for kept in [low, high, RawFd::MAX] {
        if kept >= first {
            // SAFETY: plain numbers; every descriptor in between is given up by this process.
            unsafe {
                if kept > first
                    && libc::syscall(libc::SYS_close_range, first as u32, (kept - 1) as u32, 0) != 0
                {
                    for descriptor in first..kept.min(MOST_DESCRIPTORS) {
                        libc::close(descriptor);
                    }
                }
            }
            first = kept.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::byte_range;
    use crate::testing::Scratch;
    use rustix::fs::{CWD, Mode, OFlags, mkfifoat, open};
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    const SOON: Duration = Duration::from_secs(20);

    /// The open of a FIFO for reading sleeps until there is a writer: it stands for a lock that another node holds.
    fn fifo(scratch: &Scratch) -> std::path::PathBuf {
        let path = scratch.path("fifo");
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        path
    }

    fn waiting(path: &Path, place: Option<RangeLock>, cancel: &Cancel) -> Receiver<Result<DlmLock>> {
        let (send, receive) = channel();
        let path = path.to_owned();
        crate::worker::spawn(
            "dlm-open-apart",
            cancel,
            move |cancel| open_apart(&path, Level::Pr, place.as_ref(), cancel),
            move |result| drop(send.send(result)),
        )
        .unwrap();
        receive
    }

    fn grant(path: &Path) -> OwnedFd {
        open(path, OFlags::WRONLY, Mode::empty()).unwrap()
    }

    #[test]
    fn the_open_file_comes_over() {
        let scratch = Scratch::new();
        let lock = open_apart(&scratch.path("lock"), Level::Ex, None, &Cancel::new()).unwrap();
        lock.write_value(&[7; 64], &Cancel::new()).unwrap();
        assert_eq!(std::fs::read(scratch.path("lock")).unwrap(), [7; 64]);
        let fifo = fifo(&scratch);
        let receive = waiting(&fifo, None, &Cancel::new());
        assert!(receive.recv_timeout(Duration::from_millis(50)).is_err());
        let writer = grant(&fifo);
        let lock = receive.recv_timeout(SOON).unwrap().unwrap();
        assert!(!lock.is_blocked());
        rustix::io::write(&writer, b"x").unwrap();
        assert!(lock.is_blocked(), "it is the same open file");
    }

    #[test]
    fn an_errno_comes_over() {
        let scratch = Scratch::new();
        let error = open_apart(&scratch.path("no/lock"), Level::Ex, None, &Cancel::new()).unwrap_err();
        assert_eq!((error.errno, error.operation), (Some(libc::ENOENT), OPEN));
    }

    #[test]
    fn giving_up_ends_what_can_be_interrupted() {
        let scratch = Scratch::new();
        let fifo = fifo(&scratch);
        let cancel = Cancel::new();
        let receive = waiting(&fifo, None, &cancel);
        assert!(receive.recv_timeout(Duration::from_millis(50)).is_err());
        cancel.cancel();
        assert_eq!(receive.recv_timeout(SOON).unwrap().unwrap_err().code, Code::Aborted);
        let error = waiting(&fifo, None, &cancel).recv_timeout(SOON).unwrap().unwrap_err();
        assert_eq!(error.code, Code::Aborted);
    }

    #[test]
    fn the_child_keeps_the_place_and_no_other_descriptor() {
        let scratch = Scratch::new();
        let (fifo, locks) = (fifo(&scratch), scratch.path("run/locks"));
        let take = |number| byte_range::lock(&locks, number, true, false, &Cancel::new()).unwrap();
        let (place, other) = (take(1).unwrap(), take(2).unwrap());
        let receive = waiting(&fifo, Some(place), &Cancel::new());
        assert!(receive.recv_timeout(Duration::from_millis(100)).is_err());
        drop(other);
        // Children of other tests may have it for a moment.
        let began = std::time::Instant::now();
        while take(2).is_none() {
            assert!(began.elapsed() < Duration::from_secs(5), "this child keeps it");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(take(1).is_none());
        drop(grant(&fifo));
        receive.recv_timeout(SOON).unwrap().unwrap();
    }

    #[test]
    fn without_its_parent_the_child_gives_the_lock_up() {
        let scratch = Scratch::new();
        let path = scratch.path("lock");
        let name = CString::new(path.as_os_str().as_bytes()).unwrap();
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        drop(ours);
        // SAFETY: as in open_apart.
        let child = unsafe {
            match libc::fork() {
                0 => wait_in_child(&name, Level::Ex.flags().bits() as i32, theirs.as_raw_fd(), -1),
                pid => Pid::from_raw(pid).unwrap(),
            }
        };
        waitpid(Some(child), WaitOptions::empty()).unwrap();
        assert!(!path.exists());
    }
}
