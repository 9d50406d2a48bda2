#![allow(unsafe_code)]
//! One write(2) in a process of its own, which outlives this one.
//!
//! Facts relied on (measured on Debian's 5.10.223 and 6.1.176; 6.12 and 7.2 are mended): where the process that starts a
//! heartbeat is killed meanwhile, the kernel gives the start up but keeps pointing at a thread that has ended; removing the region is
//! then an oops, and a second start never returns. A forked child is not killed with its parent, nor with the parent's
//! process group, since it has a session of its own: it sees the start to its end, and leaves a region that can be adopted or removed.
//! A descriptor's number means the same in the child. What kills a whole control group kills the child as well.
//!
//! The child runs only system calls between fork and exit: other threads' locks may be held for ever in it. Descriptors 0 to 2 are
//! closed there, so that nobody who waits for the end of our output waits for it, and locks of the lock manager, which could not end else; the
//! others stay, locks on files among them.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::cancel::Cancel;
use crate::not_inherited;

/// The child's exit status where the kernel took a part of the value only; above every errno.
const SHORT: i32 = 254;

/// Writes `value` as a whole. `keep`: a descriptor that the value is about.
///
/// # Errors
/// What write(2) said; EINTR where it was given up (the child is then killed and waited for), EIO where somebody killed the
/// child, EAGAIN where there is none to be had, EMSGSIZE for a short write.
pub(crate) fn write_apart(
    file: BorrowedFd<'_>,
    keep: BorrowedFd<'_>,
    value: &[u8],
    cancel: &Cancel,
) -> Result<(), Errno> {
    let number = file.as_raw_fd();
    let spare = [0, 1, 2]
        .map(|standard| if standard == number || standard == keep.as_raw_fd() { -1 } else { standard });
    let locks = not_inherited::descriptors();
    // SAFETY: the child calls async-signal-safe functions only (signal-safety(7)) on values made before, and ends with _exit; it
    // never returns from this block.
    let child = unsafe {
        match libc::fork() {
            0 => {
                libc::setsid();
                for descriptor in spare {
                    if descriptor >= 0 {
                        libc::close(descriptor);
                    }
                }
                for &descriptor in &locks {
                    if descriptor != number && descriptor != keep.as_raw_fd() {
                        libc::close(descriptor);
                    }
                }
                let written = libc::write(number, value.as_ptr().cast(), value.len());
                libc::_exit(match usize::try_from(written) {
                    Ok(count) if count == value.len() => 0,
                    Ok(_) => SHORT,
                    Err(_) => *libc::__errno_location(),
                })
            }
            pid => Pid::from_raw(pid).ok_or(Errno::AGAIN)?,
        }
    };
    let status = match cancel.restart(|| waitpid(Some(child), WaitOptions::empty())) {
        Err(Errno::INTR) => {
            let _ = kill_process(child, Signal::KILL);
            loop {
                match waitpid(Some(child), WaitOptions::empty()) {
                    Err(Errno::INTR) => {}
                    // The write may have been faster.
                    Ok(Some((_, status))) if status.exit_status() == Some(0) => return Ok(()),
                    _ => return Err(Errno::INTR),
                }
            }
        }
        result => result?,
    };
    match status.and_then(|(_, status)| status.exit_status()) {
        Some(0) => Ok(()),
        Some(SHORT) => Err(Errno::MSGSIZE),
        Some(errno) => Err(Errno::from_raw_os_error(errno)),
        None => Err(Errno::IO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn what_write_says_comes_back() {
        let scratch = Scratch::new();
        let file = File::create(scratch.path("file")).unwrap();
        write_apart(file.as_fd(), file.as_fd(), b"17", &Cancel::new()).unwrap();
        assert_eq!(std::fs::read(scratch.path("file")).unwrap(), b"17");
        let full = File::options().write(true).open("/dev/full").unwrap();
        let error = write_apart(full.as_fd(), full.as_fd(), b"17", &Cancel::new()).unwrap_err();
        assert_eq!(error, Errno::NOSPC);
    }

    #[test]
    fn the_child_keeps_no_lock_of_the_lock_manager() {
        let scratch = Scratch::new();
        let place =
            || crate::byte_range::lock(&scratch.path("locks"), 1, true, false, &Cancel::new()).unwrap();
        let held = place().unwrap();
        let (read, write) = std::io::pipe().unwrap();
        let (send, receive) = channel();
        let cancel = Cancel::new();
        crate::worker::spawn(
            "apart-locks",
            &cancel,
            move |cancel| Ok(write_apart(write.as_fd(), write.as_fd(), &vec![b'x'; 1 << 20], cancel)),
            move |result| drop(send.send(result)),
        )
        .unwrap();
        assert!(receive.recv_timeout(Duration::from_millis(100)).is_err(), "the child is at work");
        drop(held);
        // Children of other tests may have it for a moment.
        let began = std::time::Instant::now();
        while place().is_none() {
            assert!(began.elapsed() < Duration::from_secs(5), "this child keeps it");
            std::thread::sleep(Duration::from_millis(5));
        }
        cancel.cancel();
        let _ = receive.recv_timeout(Duration::from_secs(20)).unwrap();
        drop(read);
    }

    #[test]
    fn giving_up_kills_the_child_and_waits_for_it() {
        let (read, write) = std::io::pipe().unwrap();
        let cancel = Cancel::new();
        let (send, receive) = channel();
        crate::worker::spawn(
            "write-apart",
            &cancel,
            // A pipe that is full blocks the writer.
            move |cancel| {
                let value = vec![b'x'; 1 << 20];
                Ok(write_apart(write.as_fd(), write.as_fd(), &value, cancel))
            },
            move |result| drop(send.send(result)),
        )
        .unwrap();
        assert!(receive.recv_timeout(Duration::from_millis(100)).is_err());
        cancel.cancel();
        let result = receive.recv_timeout(Duration::from_secs(20)).unwrap().unwrap();
        assert_eq!(result, Err(Errno::INTR));
        drop(read);
    }

    #[test]
    fn a_child_that_somebody_kills_is_an_io_error() {
        let (read, write) = std::io::pipe().unwrap();
        let (send, receive) = channel();
        crate::worker::spawn(
            "killed-apart",
            &Cancel::new(),
            move |cancel| {
                let value = vec![b'x'; 1 << 20];
                Ok(write_apart(write.as_fd(), write.as_fd(), &value, cancel))
            },
            move |result| drop(send.send(result)),
        )
        .unwrap();
        // It carries its thread's name, and is no thread of this process.
        let child = loop {
            let found = std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
                let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
                let comm = std::fs::read_to_string(entry.path().join("comm")).ok()?;
                (comm.trim() == "killed-apart").then_some(pid)
            });
            if let Some(pid) = found {
                break pid;
            }
            std::thread::yield_now();
        };
        kill_process(Pid::from_raw(child).unwrap(), Signal::KILL).unwrap();
        assert_eq!(receive.recv_timeout(Duration::from_secs(20)).unwrap().unwrap(), Err(Errno::IO));
        drop(read);
    }
}
