//! Starting a region's heartbeat: the device's descriptor number, written to the region's attribute `dev`.
//!
//! Facts relied on (kernel fs/ocfs2/cluster/heartbeat.c, o2hb_region_dev_store): the value is a descriptor of the writing
//! process, which may be closed once the write returns; the write sleeps until the heartbeat is steady, 4 to 12 s; any signal that
//! reaches the thread ends it with EIO. After a failure the region must be removed, never written again: so there is one write.

use std::os::fd::AsRawFd;
use std::path::Path;

use ocfs2_group_error::{Code, Error, Result};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, write};

use crate::cancel::Cancel;
use crate::device;
use crate::error::OrError;
use crate::kernel_log::KernelLog;

const OPERATION: &str = "start-heartbeat";

/// Opens `device` read-write and writes its descriptor's number to `<directory>/dev`. Returns when the heartbeat is steady.
///
/// # Errors
/// O2CB_ABORTED where the write ended because of the cancellation, O2CB_HEARTBEAT_FAILED where it ended otherwise with EIO,
/// O2CB_BAD_DEVICE where the device cannot be opened.
pub fn start(directory: &Path, device: &Path, cancel: &Cancel) -> Result<()> {
    let disk = cancel
        .restart(|| open(device, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()))
        .or_error(OPERATION, "open", device)
        .map_err(device::open_failed)?;
    let attribute = directory.join("dev");
    let file = cancel
        .restart(|| open(&attribute, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()))
        .or_error(OPERATION, "open", &attribute)?;
    let value = disk.as_raw_fd().to_string();
    let log = KernelLog::mark();
    match write(&file, value.as_bytes()) {
        Ok(written) if written == value.len() => Ok(()),
        Ok(written) => {
            let detail = format!("only {written} of {} bytes were taken", value.len());
            Err(Error::new(Code::HeartbeatFailed, OPERATION, detail).path(attribute.to_string_lossy()))
        }
        Err(errno) => Err(failed(errno, &attribute, cancel.asked(), log)),
    }
}

fn failed(errno: Errno, attribute: &Path, asked: bool, log: KernelLog) -> Error {
    let error = Error::os(OPERATION, "write", errno.raw_os_error()).path(attribute.to_string_lossy());
    let error = match errno {
        Errno::IO | Errno::INTR if asked => error.code(Code::Aborted),
        Errno::IO | Errno::INTR => error.code(Code::HeartbeatFailed),
        Errno::INVAL => error.code(Code::HeartbeatFailed).detail(
            "the kernel refused the region: its sizes do not fit the device, it runs already, or this node is not configured",
        ),
        _ => error,
    };
    Error { kernel_messages: log.since(), ..error }
}
