#![allow(unsafe_code)]
//! The I/O priority of a process, such as a region's heartbeat thread.
//!
//! Facts relied on: ioprio_set(2): which 1 is one process, and process 0 would be the caller; the class stands above bit 13.
//! Only schedulers that know priorities heed it.

use ocfs2_group_error::{Code, Error, Result};

use crate::error::last_errno;

const WHO_PROCESS: libc::c_long = 1;
const CLASS_SHIFT: u32 = 13;

/// Sets class (0 none, 1 real-time, 2 best effort, 3 idle) and level (0 highest to 7) of one process.
pub fn set(pid: i32, class: u32, level: u32) -> Result<()> {
    const OPERATION: &str = "set-io-priority";
    if pid <= 0 || class > 3 || level > 7 {
        let detail = format!("process {pid}, class {class}, level {level} is out of range");
        return Err(Error::new(Code::InternalFailure, OPERATION, detail));
    }
    let value = libc::c_long::from((class << CLASS_SHIFT | level).cast_signed());
    // SAFETY: no pointers are passed.
    match unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, libc::c_long::from(pid), value) } {
        -1 => Err(Error::os(OPERATION, "ioprio_set", last_errno().raw_os_error())
            .detail(format!("for process {pid}"))),
        _ => Ok(()),
    }
}
