#![allow(unsafe_code)]
//! What the kernel knows of a block device: size, logical sector size, read-only state, number.
//!
//! Facts relied on: ioctls BLKGETSIZE64, BLKSSZGET, BLKROGET (kernel block/ioctl.c). A regular file is an image: its size is the
//! file's and its sectors count as 512 bytes, as ocfs2-tools count them. Nothing else is a volume.

use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use ocfs2_group_error::{Code, Error, Result};
use rustix::fs::{FileType, fstat, major, minor};
use rustix::io::Errno;

use crate::error::{OrError, last_errno};

/// A device's number, or that of the file system that holds a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceNumber {
    /// Major part.
    pub major: u32,
    /// Minor part.
    pub minor: u32,
}

/// Facts of one open device or image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceFacts {
    /// Its own number; none for an image.
    pub number: Option<DeviceNumber>,
    /// Size in bytes.
    pub bytes: u64,
    /// Logical sector size in bytes.
    pub sector_bytes: u32,
    /// The device refuses writes.
    pub read_only: bool,
}

const BLKROGET: libc::Ioctl = 0x125e;
const BLKSSZGET: libc::Ioctl = 0x1268;
const BLKGETSIZE64: libc::Ioctl = 0x8008_1272;

/// Asks the kernel about an open device or image file.
///
/// # Errors
/// O2CB_BAD_DEVICE for what is neither block device nor regular file.
pub fn facts(operation: &'static str, file: impl AsFd, path: &Path) -> Result<DeviceFacts> {
    let file = file.as_fd();
    let stat = fstat(file).or_error(operation, "fstat", path)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(DeviceFacts {
            number: None,
            bytes: u64::try_from(stat.st_size).unwrap_or(0),
            sector_bytes: 512,
            read_only: false,
        }),
        FileType::BlockDevice => {
            let mut bytes = 0_u64;
            let mut sector_bytes = 0_i32;
            let mut read_only = 0_i32;
            ask(file, BLKGETSIZE64, &mut bytes).or_error(operation, "ioctl BLKGETSIZE64", path)?;
            ask(file, BLKSSZGET, &mut sector_bytes).or_error(operation, "ioctl BLKSSZGET", path)?;
            ask(file, BLKROGET, &mut read_only).or_error(operation, "ioctl BLKROGET", path)?;
            Ok(DeviceFacts {
                number: Some(DeviceNumber { major: major(stat.st_rdev), minor: minor(stat.st_rdev) }),
                bytes,
                sector_bytes: u32::try_from(sector_bytes).unwrap_or(0),
                read_only: read_only != 0,
            })
        }
        _ => Err(not_a_device(operation, path)),
    }
}

/// The error for a path that is no block device where one is needed.
pub(crate) fn not_a_device(operation: &'static str, path: &Path) -> Error {
    Error::new(Code::BadDevice, operation, "it is not a block device").path(path.to_string_lossy())
}

/// What a failed open(2) of a device means: the device, unless it is about permission, memory or a cancellation.
pub(crate) fn open_failed(error: Error) -> Error {
    match error.code {
        Code::ServiceUnavailable | Code::InternalFailure | Code::Io => error.code(Code::BadDevice),
        _ => error,
    }
}

fn ask<T>(file: impl AsFd, request: libc::Ioctl, answer: &mut T) -> std::result::Result<(), Errno> {
    // SAFETY: each request above writes one value of the type that its caller passes, and no more, to the pointer.
    match unsafe { libc::ioctl(file.as_fd().as_raw_fd(), request, std::ptr::from_mut(answer)) } {
        -1 => Err(last_errno()),
        _ => Ok(()),
    }
}
