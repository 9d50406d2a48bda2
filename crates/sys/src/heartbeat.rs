//! Starting a region's heartbeat: the device's descriptor number, written to the region's attribute `dev`.
//!
//! Facts relied on (kernel fs/ocfs2/cluster/heartbeat.c, o2hb_region_dev_store): the value is a descriptor of the writing
//! process, which may be closed once the write returns; the write sleeps until the heartbeat is steady, 4 to 12 s; any signal that
//! reaches the thread ends it with EIO. After a failure the region must be removed, never written again: so there is one write. It is
//! made by a process apart, which sees it to its end where this one is killed ([`write_apart`]).

use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use ocfs2_group_error::{Code, Error, Result};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::device;
use crate::error::OrError;
use crate::kernel_log::KernelLog;
use crate::write_apart::write_apart;

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
    if cancel.asked() {
        return Err(failed(Errno::INTR, &attribute, true, log));
    }
    match write_apart(file.as_fd(), disk.as_fd(), value.as_bytes(), cancel) {
        Ok(()) => Ok(()),
        Err(Errno::MSGSIZE) => {
            let detail = format!("the kernel did not take the {} bytes as a whole", value.len());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;
    use std::os::unix::fs::symlink;

    fn region(dev: &str) -> (Scratch, std::path::PathBuf) {
        let scratch = Scratch::new();
        symlink(dev, scratch.path("dev")).unwrap();
        std::fs::File::create(scratch.path("device")).unwrap();
        let device = scratch.path("device");
        (scratch, device)
    }

    #[test]
    fn the_attribute_gets_the_number_of_a_descriptor_and_the_descriptor_is_closed() {
        let scratch = Scratch::new();
        for name in ["dev", "device"] {
            std::fs::File::create(scratch.path(name)).unwrap();
        }
        start(scratch.root(), &scratch.path("device"), &Cancel::new()).unwrap();
        let number = std::fs::read_to_string(scratch.path("dev")).unwrap();
        assert!(number.parse::<u32>().unwrap() > 2, "{number}");
        assert_ne!(std::fs::read_link(format!("/proc/self/fd/{number}")).ok(), Some(scratch.path("device")));
    }

    #[test]
    fn an_io_error_is_a_heartbeat_that_failed() {
        // Nothing is mapped at address 0, so a write there fails with EIO, as an unstable heartbeat does.
        let (scratch, device) = region("/proc/self/mem");
        let error = start(scratch.root(), &device, &Cancel::new()).unwrap_err();
        assert_eq!((error.code, error.errno), (Code::HeartbeatFailed, Some(libc::EIO)));
        assert_eq!(error.path.as_deref(), scratch.path("dev").to_str());
    }

    #[test]
    fn the_same_errno_is_an_abort_where_it_was_asked_for() {
        let code = |errno, asked| failed(errno, Path::new("dev"), asked, KernelLog::mark()).code;
        assert_eq!(code(Errno::IO, true), Code::Aborted);
        assert_eq!(code(Errno::INTR, true), Code::Aborted);
        assert_eq!(code(Errno::INTR, false), Code::HeartbeatFailed);
        assert_eq!(code(Errno::INVAL, true), Code::HeartbeatFailed);
        assert_eq!(code(Errno::NOMEM, false), Code::NoMemory);
    }

    #[test]
    fn a_device_that_cannot_be_opened_is_named_and_nothing_is_written() {
        let (scratch, _) = region("/dev/full");
        let error = start(scratch.root(), Path::new("/nonexistent/device"), &Cancel::new()).unwrap_err();
        assert_eq!((error.code, error.path.as_deref()), (Code::BadDevice, Some("/nonexistent/device")));
    }
}
