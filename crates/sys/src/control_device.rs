//! The kernel's control device of a userspace stack: its handshake, and the news of a node's death.
//!
//! Facts relied on: userspace-stack 3.1 (the steps, the exact length of each message, what each refusal means). The last close while a volume is
//! mounted through the device **restarts the machine at once**; DOWN ends a kernel that checks the bounds of strings (fortified).
//!
//! So it is closed by its release alone, never because a value went out of use: what a program forgot stays open until the process ends. Whether DOWN
//! may be sent is TypeScript's to know.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ocfs2_group_error::{Code, Error, Result};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, read, write};

use crate::cancel::Cancel;
use crate::error::OrError;

/// Opening, as errors and threads name it.
pub const OPEN: &str = "open-control-device";
/// Telling of a death, likewise.
pub const NODE_DOWN: &str = "tell-node-down";
/// The one protocol there is.
const PROTOCOL: &[u8; 4] = b"T01\n";
/// More than any kernel lists.
const LONGEST_LIST: usize = 4096;
const REGION_BYTES: usize = 32;

/// What the volume's locks speak: its major number is the kernel's, its minor at most that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockingVersion {
    /// Must be the same.
    pub major: u8,
    /// May be less.
    pub minor: u8,
}

/// The device after its handshake.
pub struct ControlDevice(Mutex<Option<Arc<OwnedFd>>>);

impl ControlDevice {
    /// Opens it and shakes hands as this node.
    ///
    /// # Errors
    /// As open(2), O2CB_BAD_VERSION where the kernel speaks no protocol of ours, and what the kernel refuses with a phrase that says what.
    pub fn open(path: &Path, node: u32, version: LockingVersion, cancel: &Cancel) -> Result<Self> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let device = cancel.restart(|| open(path, flags, Mode::empty())).or_error(OPEN, "open", path)?;
        shake_hands(&mut Device { device: &device, cancel }, path, node, version)?;
        Ok(ControlDevice(Mutex::new(Some(Arc::new(device)))))
    }

    /// Tells the kernel that a node has died.
    ///
    /// # Errors
    /// O2CB_INVALID_REGION_NAME, O2CB_ABORTED after the release, what the kernel refuses.
    pub fn node_down(&self, region: &str, node: u32, cancel: &Cancel) -> Result<()> {
        let message = down(region, node)?;
        let device = self.lock().clone();
        let Some(device) = device else {
            return Err(Error::new(Code::Aborted, NODE_DOWN, "the control device was released"));
        };
        send(&mut Device { device: &device, cancel }, NODE_DOWN, Path::new(""), &message, "the node's death")
    }

    /// Closes it, once nothing uses it; twice does nothing.
    pub fn release(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<OwnedFd>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ControlDevice {
    fn drop(&mut self) {
        // Forgotten, not released: see the head of this file.
        std::mem::forget(self.lock().take());
    }
}

/// The two system calls on the device.
trait Wire {
    fn read(&mut self, buffer: &mut [u8]) -> std::result::Result<usize, Errno>;
    fn write(&mut self, bytes: &[u8]) -> std::result::Result<usize, Errno>;
}

struct Device<'a> {
    device: &'a OwnedFd,
    cancel: &'a Cancel,
}

impl Wire for Device<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::result::Result<usize, Errno> {
        self.cancel.restart(|| read(self.device, &mut *buffer))
    }

    fn write(&mut self, bytes: &[u8]) -> std::result::Result<usize, Errno> {
        self.cancel.restart(|| write(self.device, bytes))
    }
}

fn shake_hands(wire: &mut impl Wire, path: &Path, node: u32, version: LockingVersion) -> Result<()> {
    let list = read_list(wire, path)?;
    if !list.chunks(PROTOCOL.len()).any(|tag| tag == PROTOCOL) {
        let detail =
            format!("the kernel speaks '{}', and not T01", String::from_utf8_lossy(&list).escape_debug());
        return Err(Error::new(Code::BadVersion, OPEN, detail).path(path.to_string_lossy()));
    }
    let LockingVersion { major, minor } = version;
    send(wire, OPEN, path, PROTOCOL, "the protocol T01")?;
    let what = format!("the node number {node}: whoever has the device open has another");
    send(wire, OPEN, path, format!("SETN {node:08X}\n").as_bytes(), &what)?;
    let what = format!("the locking version {major}.{minor}: its own is another");
    send(wire, OPEN, path, format!("SETV {major:02X} {minor:02X}\n").as_bytes(), &what)
}

/// The whole list of protocols: before its end the kernel takes no message.
fn read_list(wire: &mut impl Wire, path: &Path) -> Result<Vec<u8>> {
    let (mut list, mut piece) = (Vec::new(), [0; 64]);
    loop {
        match wire.read(&mut piece).or_error(OPEN, "read", path)? {
            0 => return Ok(list),
            length => list.extend_from_slice(&piece[..length]),
        }
        if list.len() > LONGEST_LIST {
            let detail = "its list of protocols has no end";
            return Err(Error::new(Code::BadVersion, OPEN, detail).path(path.to_string_lossy()));
        }
    }
}

/// One message in one write. `what` is what the kernel refuses, where it says EINVAL or ERANGE.
fn send(
    wire: &mut impl Wire,
    operation: &'static str,
    path: &Path,
    message: &[u8],
    what: &str,
) -> Result<()> {
    let sent = wire.write(message).or_error(operation, "write", path).map_err(|error| match error.errno {
        Some(libc::EINVAL | libc::ERANGE) => error.detail(format!("the kernel refuses {what}")),
        _ => error,
    })?;
    if sent == message.len() {
        return Ok(());
    }
    let detail = format!("the kernel took {sent} of {} bytes", message.len());
    Err(Error::new(Code::Io, operation, detail).path(path.to_string_lossy()))
}

/// `DOWN`, exactly 47 bytes.
fn down(region: &str, node: u32) -> Result<Vec<u8>> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
    if region.len() != REGION_BYTES || !region.bytes().all(is_digit) {
        let detail = format!("'{}' cannot be a region's name", region.escape_debug());
        return Err(Error::new(Code::InvalidRegionName, NODE_DOWN, detail));
    }
    Ok(format!("DOWN {region} {node:08X}\n").into_bytes())
}

#[cfg(test)]
mod tests;
