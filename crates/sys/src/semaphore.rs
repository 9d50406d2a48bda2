#![allow(unsafe_code)]
//! SysV semaphore calls, one function each; errnos are returned as they come. What they mean stands in `region_lock`.
//!
//! Facts relied on: semget(2), semop(2), semctl(2). The C library has no wrapper for semtimedop in every version, so that one
//! is called by number. libc is used since no other crate here has System V IPC.

use std::time::Duration;

use rustix::io::Errno;

use crate::error::last_errno;

/// One operation of a vector.
pub use libc::sembuf as Operation;

/// The kernel undoes the operation when this process ends.
pub const UNDO: i16 = libc::SEM_UNDO as i16;
/// Do not sleep.
pub const NO_WAIT: i16 = libc::IPC_NOWAIT as i16;

/// `value` added to semaphore `index`; 0 waits for zero.
pub fn operation(index: u16, value: i16, flags: i16) -> Operation {
    Operation { sem_num: index, sem_op: value, sem_flg: flags }
}

/// semget(2) for a set of two, which is created with mode 0600 where `create` says so and there is none.
pub fn get(key: i32, create: bool) -> Result<i32, Errno> {
    let flags = if create { libc::IPC_CREAT | 0o600 } else { 0 };
    // SAFETY: no pointers are passed.
    check(unsafe { libc::semget(key, 2, flags) })
}

/// The whole vector at once, or nothing; sleeps at most `timeout` (EAGAIN then).
pub fn operate(id: i32, operations: &mut [Operation], timeout: Duration) -> Result<(), Errno> {
    let timeout = libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(timeout.subsec_nanos() as i32),
    };
    // SAFETY: the pointer and the length describe one slice, and the timeout outlives the call.
    let result = unsafe {
        libc::syscall(libc::SYS_semtimedop, id, operations.as_mut_ptr(), operations.len(), &timeout)
    };
    check(i32::try_from(result).unwrap_or(0)).map(drop)
}

/// The value of semaphore `index`.
pub fn value(id: i32, index: i32) -> Result<i32, Errno> {
    // SAFETY: GETVAL takes no fourth argument.
    check(unsafe { libc::semctl(id, index, libc::GETVAL) })
}

/// The last process that operated on semaphore `index`; none where none did.
pub fn last_pid(id: i32, index: i32) -> Result<Option<i32>, Errno> {
    // SAFETY: GETPID takes no fourth argument.
    check(unsafe { libc::semctl(id, index, libc::GETPID) }).map(|pid| Some(pid).filter(|pid| *pid > 0))
}

/// Removes the set; everybody asleep on it wakes with EIDRM.
pub fn remove(id: i32) -> Result<(), Errno> {
    // SAFETY: IPC_RMID takes no fourth argument.
    check(unsafe { libc::semctl(id, 0, libc::IPC_RMID) }).map(drop)
}

fn check(result: i32) -> Result<i32, Errno> {
    if result == -1 { Err(last_errno()) } else { Ok(result) }
}

#[cfg(test)]
pub(crate) mod for_tests {
    //! Sets that only tests make.
    use super::*;

    /// A set of one under the key, which is the wrong kind.
    pub(crate) fn squat(key: i32) -> i32 {
        // SAFETY: no pointers are passed.
        check(unsafe { libc::semget(key, 1, libc::IPC_CREAT | libc::IPC_EXCL | 0o600) }).unwrap()
    }

    /// Sets the value of semaphore `index`.
    pub(crate) fn set(id: i32, index: i32, value: i32) {
        // SAFETY: SETVAL takes an int as its fourth argument.
        check(unsafe { libc::semctl(id, index, libc::SETVAL, value) }).unwrap();
    }
}
