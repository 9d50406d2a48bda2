//! The mutex and the reference count of one heartbeat region, shared with every OCFS2 tool on this node.
//!
//! Facts relied on (group-api specification, 3.6 and 9.1): key = zlib's CRC-32 of the region's name; a set of two, created all
//! zero by the kernel, so without an initialisation race; semaphore 0 is the mutex (down: wait for zero and +1 in one vector, both with undo),
//! semaphore 1 the count. The set is removed only by the holder of the mutex. Whoever sleeps on it then gets EIDRM; whoever has
//! its id but does not sleep yet gets EINVAL (kernel ipc/util.c, ipc_obtain_object_check): both look the set up anew.
//!
//! When to take, drop or destroy is the caller's business. Undo belongs to the process, not to the thread.

use std::time::{Duration, Instant};

use ocfs2_group_error::{Code, Error, Result};
use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::semaphore::{self, NO_WAIT, Operation, UNDO, operation};

const MUTEX: u16 = 0;
const COUNT: u16 = 1;
/// The longest sleep in the kernel before deadline and cancellation are looked at again.
const SLICE: Duration = Duration::from_millis(250);
/// Sets that vanish between lookup and lock are looked up at least this often, whatever the time allowed.
const MIN_LOOKUPS: u32 = 50;
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
const MAX_NAME: usize = 32;

/// What the set of one region says, seen without the mutex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SemaphoreFacts {
    /// The count.
    pub references: i32,
    /// Whether somebody holds the mutex.
    pub mutex_held: bool,
    /// The last process that operated on the mutex.
    pub last_pid: Option<i32>,
}

/// The key of a region's set: CRC-32 of the name's bytes, reinterpreted as signed.
///
/// # Errors
/// O2CB_INVALID_REGION_NAME for a name that is empty, longer than the kernel's 32 bytes, or whose key would be IPC_PRIVATE.
pub fn key(operation: &'static str, region: &str) -> Result<i32> {
    let key = crc32fast::hash(region.as_bytes()).cast_signed();
    if region.is_empty() || region.len() > MAX_NAME || key == 0 {
        return Err(Error::new(
            Code::InvalidRegionName,
            operation,
            format!("'{region}' cannot be a region's name"),
        ));
    }
    Ok(key)
}

/// Reads a region's set without the mutex and without creating it; `None` where there is none.
pub fn query(region: &str) -> Result<Option<SemaphoreFacts>> {
    const OPERATION: &str = "query-region";
    let id = match semaphore::get(key(OPERATION, region)?, false) {
        Err(Errno::NOENT) => return Ok(None),
        result => result.map_err(|errno| get_failed(OPERATION, errno))?,
    };
    let read = || {
        Ok(SemaphoreFacts {
            references: semaphore::value(id, COUNT.into())?,
            mutex_held: semaphore::value(id, MUTEX.into())? != 0,
            last_pid: semaphore::last_pid(id, MUTEX.into())?,
        })
    };
    match read() {
        Err(Errno::INVAL | Errno::IDRM) => Ok(None),
        result => {
            result.map(Some).map_err(|errno: Errno| Error::os(OPERATION, "semctl", errno.raw_os_error()))
        }
    }
}

/// The mutex of one region, held. Dropping it releases the mutex.
#[derive(Debug)]
pub struct RegionLock {
    region: String,
    id: i32,
    held: bool,
}

impl RegionLock {
    /// Waits for the mutex, at most `timeout`. Without `create`, `None` where no set exists.
    ///
    /// # Errors
    /// O2CB_TIMEOUT with the holder, O2CB_ABORTED, O2CB_BAD_SEM where the key belongs to another kind of set, O2CB_NO_SEM where the set
    /// keeps vanishing, O2CB_PERMISSION_DENIED.
    pub fn acquire(region: &str, create: bool, timeout: Duration, cancel: &Cancel) -> Result<Option<Self>> {
        const OPERATION: &str = "lock-region";
        let key = key(OPERATION, region)?;
        let start = Instant::now();
        let mut lookups = 0;
        let mut pause = Duration::ZERO;
        loop {
            if cancel.asked() {
                return Err(Error::os(OPERATION, "semtimedop", Errno::INTR.raw_os_error()));
            }
            let id = match semaphore::get(key, create) {
                Err(Errno::NOENT) if !create => return Ok(None),
                result => result.map_err(|errno| get_failed(OPERATION, errno))?,
            };
            let left = timeout.saturating_sub(start.elapsed());
            let mut down = [operation(MUTEX, 0, UNDO), operation(MUTEX, 1, UNDO)];
            match semaphore::operate(id, &mut down, left.min(SLICE)) {
                Ok(()) => return Ok(Some(RegionLock { region: region.to_owned(), id, held: true })),
                Err(Errno::AGAIN) if start.elapsed() >= timeout => {
                    return Err(timed_out(OPERATION, id, timeout));
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                // Removed before we slept on it, or while: another set stands under the key by now, or none.
                Err(errno @ (Errno::INVAL | Errno::IDRM)) => {
                    lookups += 1;
                    if lookups > MIN_LOOKUPS && start.elapsed() >= timeout {
                        return Err(Error::os(OPERATION, "semtimedop", errno.raw_os_error())
                            .code(Code::NoSem)
                            .detail(format!("it was removed {lookups} times while it was being locked")));
                    }
                    std::thread::sleep(pause);
                    pause = (pause * 2 + Duration::from_micros(100)).min(LONGEST_PAUSE);
                }
                Err(errno) => return Err(operate_failed(OPERATION, errno)),
            }
        }
    }

    /// The region's name.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The count.
    pub fn references(&self) -> Result<i32> {
        self.id("count-references").and_then(|id| count("count-references", id))
    }

    /// Adds a reference; with `undo` it goes when this process ends. Returns the count after.
    pub fn take(&mut self, undo: bool) -> Result<i32> {
        const OPERATION: &str = "take-reference";
        let id = self.id(OPERATION)?;
        now(id, &mut [operation(COUNT, 1, flags(undo))]).map_err(|errno| operate_failed(OPERATION, errno))?;
        count(OPERATION, id)
    }

    /// Takes a reference away, without waiting: whether there was one, and the count after.
    pub fn drop_reference(&mut self, undo: bool) -> Result<(bool, i32)> {
        const OPERATION: &str = "drop-reference";
        let id = self.id(OPERATION)?;
        let dropped = match now(id, &mut [operation(COUNT, -1, flags(undo))]) {
            Err(Errno::AGAIN) => false,
            result => result.map(|()| true).map_err(|errno| operate_failed(OPERATION, errno))?,
        };
        Ok((dropped, count(OPERATION, id)?))
    }

    /// Makes one reference with undo outlive this process: +1 without and -1 with undo, in one vector.
    pub fn hand_over(&mut self) -> Result<()> {
        const OPERATION: &str = "hand-over-reference";
        let id = self.id(OPERATION)?;
        now(id, &mut [operation(COUNT, 1, flags(false)), operation(COUNT, -1, flags(true))])
            .map_err(|errno| operate_failed(OPERATION, errno))
    }

    /// Removes the set, which ends the lock. The caller has seen that the count is 0 and the region gone.
    pub fn destroy(&mut self) -> Result<()> {
        const OPERATION: &str = "destroy-semaphores";
        let id = self.id(OPERATION)?;
        match semaphore::remove(id) {
            Ok(()) | Err(Errno::INVAL | Errno::IDRM) => {
                self.held = false;
                Ok(())
            }
            Err(errno) => Err(Error::os(OPERATION, "semctl", errno.raw_os_error())),
        }
    }

    /// Releases the mutex; doing it twice, or after [`RegionLock::destroy`], does nothing.
    pub fn release(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.held) {
            return Ok(());
        }
        match now(self.id, &mut [operation(MUTEX, -1, flags(true))]) {
            // The set was removed under us, or its mutex set to 0: either way we do not hold it any more.
            Ok(()) | Err(Errno::INVAL | Errno::IDRM | Errno::AGAIN) => Ok(()),
            Err(errno) => Err(operate_failed("release-region", errno)),
        }
    }

    fn id(&self, operation: &'static str) -> Result<i32> {
        if self.held {
            return Ok(self.id);
        }
        Err(Error::new(
            Code::NoSem,
            operation,
            format!("the lock of region {} is not held any more", self.region),
        ))
    }
}

impl Drop for RegionLock {
    fn drop(&mut self) {
        let _ = self.release();
    }
}

fn flags(undo: bool) -> i16 {
    if undo { NO_WAIT | UNDO } else { NO_WAIT }
}

/// A vector that does not sleep; EINTR is not to be expected and tried again.
fn now(id: i32, operations: &mut [Operation]) -> std::result::Result<(), Errno> {
    loop {
        match semaphore::operate(id, operations, Duration::ZERO) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

fn count(operation: &'static str, id: i32) -> Result<i32> {
    semaphore::value(id, COUNT.into()).map_err(|errno| match errno {
        Errno::INVAL | Errno::IDRM => Error::os(operation, "semctl", errno.raw_os_error()).code(Code::NoSem),
        _ => Error::os(operation, "semctl", errno.raw_os_error()),
    })
}

fn get_failed(operation: &'static str, errno: Errno) -> Error {
    let error = Error::os(operation, "semget", errno.raw_os_error());
    match errno {
        Errno::INVAL => error.code(Code::BadSem),
        Errno::NOSPC => {
            error.detail("no more semaphore sets are allowed here: see the limits in /proc/sys/kernel/sem")
        }
        _ => error,
    }
}

fn operate_failed(operation: &'static str, errno: Errno) -> Error {
    let error = Error::os(operation, "semtimedop", errno.raw_os_error());
    match errno {
        Errno::INVAL | Errno::IDRM => error.code(Code::NoSem),
        Errno::RANGE => error.detail("the region has all the 32767 references that a semaphore can count"),
        Errno::NOSPC => {
            error.detail("no more semaphore undo is allowed here: see the limits in /proc/sys/kernel/sem")
        }
        _ => error,
    }
}

fn timed_out(operation: &'static str, id: i32, timeout: Duration) -> Error {
    let holder = semaphore::last_pid(id, MUTEX.into()).ok().flatten();
    let by = holder.map_or_else(String::new, |pid| format!(" by process {pid}"));
    let detail = format!("the region's mutex is held{by}, after {} ms", timeout.as_millis());
    Error { holder, ..Error::os(operation, "semtimedop", Errno::AGAIN.raw_os_error()) }
        .code(Code::Timeout)
        .detail(detail)
}

#[cfg(test)]
mod tests;
