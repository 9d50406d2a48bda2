//! Mounting through fsopen(2), fsconfig(2), fsmount(2) and move_mount(2).
//!
//! Facts relied on: Linux 5.2 and later; the context holds messages, one per read, `e ` `w ` or `i ` before the text, until ENODATA;
//! flags of the superblock are flag parameters, flags of the mount are attributes of fsmount; file systems without context code of
//! their own take the parameters through the kernel's wrapper and leave fewer messages. Remount, bind, move and propagation are not for these calls.

use std::os::fd::AsFd;

use ocfs2_group_error::{Code, Error, Result};
use rustix::fd::OwnedFd;
use rustix::fs::CWD;
use rustix::io::{Errno, read};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount,
};

use crate::error::OrError;
use crate::mount::{OPERATION, Request};
use crate::namespace::Namespace;

const MAX_MESSAGES: usize = 50;

const MS_RDONLY: u32 = 1;
const MS_NOATIME: u32 = 1 << 10;
const MS_STRICTATIME: u32 = 1 << 24;
/// MS_REMOUNT, MS_BIND, MS_MOVE, MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED.
const NOT_HERE: u32 = 1 << 5 | 1 << 12 | 1 << 13 | 1 << 17 | 1 << 18 | 1 << 19 | 1 << 20;

/// Flags of the superblock.
const PARAMETERS: [(u32, &str); 5] =
    [(MS_RDONLY, "ro"), (1 << 4, "sync"), (1 << 6, "mand"), (1 << 7, "dirsync"), (1 << 25, "lazytime")];

/// Flags of the mount, but for the access time.
const ATTRIBUTES: [(u32, MountAttrFlags); 6] = [
    (MS_RDONLY, MountAttrFlags::MOUNT_ATTR_RDONLY),
    (1 << 1, MountAttrFlags::MOUNT_ATTR_NOSUID),
    (1 << 2, MountAttrFlags::MOUNT_ATTR_NODEV),
    (1 << 3, MountAttrFlags::MOUNT_ATTR_NOEXEC),
    (1 << 8, MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW),
    (1 << 11, MountAttrFlags::MOUNT_ATTR_NODIRATIME),
];

pub(crate) fn mount(request: &Request, namespace: &Namespace) -> Result<()> {
    if request.flags & NOT_HERE != 0 {
        let detail = format!("flags {:#x} are for mount(2), not for fsopen(2)", request.flags & NOT_HERE);
        return Err(Error::new(Code::InternalFailure, OPERATION, detail));
    }
    let context = fsopen(request.kind.as_str(), FsOpenFlags::FSOPEN_CLOEXEC).or_error(
        OPERATION,
        "fsopen",
        &request.target,
    )?;
    let mounted = configure(request, &context).and_then(|()| {
        fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes(request.flags)).or_error(
            OPERATION,
            "fsmount",
            &request.target,
        )
    });
    let mounted = mounted.map_err(|error| Error { kernel_messages: messages(&context), ..error })?;
    namespace.enter(OPERATION)?;
    move_mount(mounted.as_fd(), "", CWD, &request.target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).or_error(
        OPERATION,
        "move_mount",
        &request.target,
    )
}

/// Source, options and superblock flags, then the superblock itself.
fn configure(request: &Request, context: &OwnedFd) -> Result<()> {
    let refused = |result: std::result::Result<(), Errno>, what: &str| {
        result.or_error(OPERATION, "fsconfig", &request.target).map_err(|error| match error.errno {
            Some(libc::EINVAL) => {
                error.code(Code::BadMountOption).detail(format!("the kernel refused the option '{what}'"))
            }
            _ => error,
        })
    };
    fsconfig_set_string(context.as_fd(), "source", request.source.as_str()).or_error(
        OPERATION,
        "fsconfig",
        &request.target,
    )?;
    for option in &request.options {
        let result = match option.split_once('=') {
            Some((key, value)) => fsconfig_set_string(context.as_fd(), key, value),
            None => fsconfig_set_flag(context.as_fd(), option.as_str()),
        };
        refused(result, option)?;
    }
    for (bit, name) in PARAMETERS {
        if request.flags & bit != 0 {
            refused(fsconfig_set_flag(context.as_fd(), name), name)?;
        }
    }
    fsconfig_create(context.as_fd()).or_error(OPERATION, "fsconfig", &request.target)
}

fn attributes(flags: u32) -> MountAttrFlags {
    let plain = ATTRIBUTES
        .iter()
        .filter(|(bit, _)| flags & bit != 0)
        .fold(MountAttrFlags::empty(), |all, (_, one)| all | *one);
    // As mount(2) decides between them: strict wins over none, and relative is what nothing said.
    plain
        | match flags {
            _ if flags & MS_STRICTATIME != 0 => MountAttrFlags::MOUNT_ATTR_STRICTATIME,
            _ if flags & MS_NOATIME != 0 => MountAttrFlags::MOUNT_ATTR_NOATIME,
            _ => MountAttrFlags::MOUNT_ATTR_RELATIME,
        }
}

/// What the context has to say, oldest first, without the letter of its weight.
fn messages(context: &OwnedFd) -> Vec<String> {
    let mut messages = Vec::new();
    let mut message = [0_u8; 4096];
    while messages.len() < MAX_MESSAGES {
        match read(context, &mut message) {
            Ok(0) | Err(Errno::NODATA) => break,
            Ok(count) => {
                let text = String::from_utf8_lossy(message.get(..count).unwrap_or_default());
                let text = text.trim();
                let unweighted = ["e ", "w ", "i "].iter().find_map(|weight| text.strip_prefix(weight));
                messages.push(unweighted.unwrap_or(text).to_owned());
            }
            // A message longer than the buffer is lost, not in the way of the next.
            Err(Errno::MSGSIZE | Errno::INTR) => {}
            Err(_) => break,
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_access_time_flags_exclude_each_other() {
        assert_eq!(attributes(0), MountAttrFlags::MOUNT_ATTR_RELATIME);
        assert_eq!(attributes(MS_NOATIME), MountAttrFlags::MOUNT_ATTR_NOATIME);
        assert_eq!(attributes(MS_NOATIME | MS_STRICTATIME), MountAttrFlags::MOUNT_ATTR_STRICTATIME);
    }

    #[test]
    fn flags_are_attributes() {
        let wanted = MountAttrFlags::MOUNT_ATTR_RDONLY
            | MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODIRATIME;
        assert_eq!(attributes(1 | 2 | 2048), wanted);
    }
}
