//! What a path is: its real path, kind, device, the mount it lies on.
//!
//! Facts relied on: statx(2) reports the mount's id and whether a path is a mount's root since Linux 5.8; before, the mount table
//! says it, where the last entry wins among those that share a target. A path is resolved once and looked at through one descriptor.

use std::os::fd::AsFd;
use std::path::Path;

use ocfs2_group_error::Result;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Statx, StatxAttributes, StatxFlags, fstatfs, open, statx};

use crate::cancel::Cancel;
use crate::device::DeviceNumber;
use crate::error::OrError;
use crate::mountinfo::{self, MountEntry};
use crate::namespace::Namespace;

const OPERATION: &str = "inspect-path";

/// What kind of thing a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A block device.
    Block,
    /// A character device.
    Character,
    /// A symbolic link, which could not be followed.
    Link,
    /// A pipe or a socket.
    Other,
}

impl Kind {
    /// The kind's name, as TypeScript compares it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Directory => "directory",
            Kind::File => "file",
            Kind::Block => "block",
            Kind::Character => "character",
            Kind::Link => "link",
            Kind::Other => "other",
        }
    }

    fn of(kind: FileType) -> Self {
        match kind {
            FileType::Directory => Kind::Directory,
            FileType::RegularFile => Kind::File,
            FileType::BlockDevice => Kind::Block,
            FileType::CharacterDevice => Kind::Character,
            FileType::Symlink => Kind::Link,
            _ => Kind::Other,
        }
    }
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathFacts {
    /// The path without symbolic links.
    pub real_path: String,
    /// What it is.
    pub kind: Kind,
    /// The device of the file system that holds it.
    pub device: DeviceNumber,
    /// The device that it is.
    pub represents: Option<DeviceNumber>,
    /// The id of the mount it lies on, as in the mount table.
    pub mount_id: u64,
    /// Whether it is that mount's root.
    pub is_mount_root: bool,
    /// The file system's magic number, 32 bits as statfs(2) lists them.
    pub magic: u32,
}

/// Looks at `path` in `namespace` (a path), or here. Enters the namespace: see [`Namespace`].
pub fn inspect(path: &Path, namespace: Option<&Path>, cancel: &Cancel) -> Result<PathFacts> {
    Namespace::open(OPERATION, namespace, cancel)?.enter(OPERATION)?;
    let real = std::fs::canonicalize(path)
        .map_err(|error| rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::INVAL))
        .or_error(OPERATION, "realpath", path)?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = cancel.restart(|| open(&real, flags, Mode::empty())).or_error(OPERATION, "open", path)?;
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    let facts = statx(&file, "", AtFlags::EMPTY_PATH, wanted).or_error(OPERATION, "statx", path)?;
    let system = fstatfs(file.as_fd()).or_error(OPERATION, "fstatfs", path)?;
    let real_path = real.to_string_lossy().into_owned();
    let device = DeviceNumber { major: facts.stx_dev_major, minor: facts.stx_dev_minor };
    let (mount_id, is_mount_root) = match by_statx(&facts) {
        Some(mount) => mount,
        // The thread stands in the namespace by now, so this is the table of the namespace.
        None => by_table(&mountinfo::read_table(None, cancel)?, &real_path, device).unwrap_or_default(),
    };
    let kind = Kind::of(FileType::from_raw_mode(facts.stx_mode.into()));
    let is_device = matches!(kind, Kind::Block | Kind::Character);
    Ok(PathFacts {
        real_path,
        kind,
        device,
        represents: is_device
            .then_some(DeviceNumber { major: facts.stx_rdev_major, minor: facts.stx_rdev_minor }),
        mount_id,
        is_mount_root,
        magic: magic(system.f_type),
    })
}

/// The low 32 bits: some kernels report magic numbers above 2^31 sign-extended.
fn magic(kind: i64) -> u32 {
    u32::try_from(kind & 0xffff_ffff).unwrap_or(0)
}

fn by_statx(facts: &Statx) -> Option<(u64, bool)> {
    let known = facts.stx_mask & StatxFlags::MNT_ID.bits() != 0
        && facts.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT);
    known.then(|| (facts.stx_mnt_id, facts.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)))
}

/// The mount with the longest target that leads to the path and has its device; the last one where several do.
fn by_table(table: &[MountEntry], real_path: &str, device: DeviceNumber) -> Option<(u64, bool)> {
    let leads_to =
        |entry: &&MountEntry| entry.device == device && Path::new(real_path).starts_with(&entry.target);
    let mount =
        table.iter().filter(leads_to).max_by_key(|entry| Path::new(&entry.target).components().count())?;
    Some((mount.id, mount.target == real_path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statx_and_the_table_agree_on_root_and_proc() {
        let table = mountinfo::read_table(None, &Cancel::new()).unwrap();
        for path in ["/", "/proc", "/proc/self/stat", "/etc/passwd"] {
            let facts = inspect(Path::new(path), None, &Cancel::new()).unwrap();
            let expected = by_table(&table, &facts.real_path, facts.device).unwrap();
            assert_eq!((facts.mount_id, facts.is_mount_root), expected, "{path}");
        }
    }

    #[test]
    fn a_later_mount_on_the_same_target_hides_the_earlier() {
        let table = mountinfo::parse(
            b"1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /m rw - ext4 b rw\n3 2 8:2 / /m rw - ext4 b rw\n4 1 8:2 / /mm rw - ext4 b rw\n",
        );
        let device = DeviceNumber { major: 8, minor: 2 };
        assert_eq!(by_table(&table, "/m", device), Some((3, true)));
        assert_eq!(by_table(&table, "/m/x", device), Some((3, false)));
        assert_eq!(by_table(&table, "/mmx", device), None);
    }

    #[test]
    fn links_are_followed_and_devices_named() {
        let facts = inspect(Path::new("/dev/stdin/../null"), None, &Cancel::new());
        assert!(facts.is_err());
        let facts = inspect(Path::new("/dev/../dev/null"), None, &Cancel::new()).unwrap();
        assert_eq!((facts.real_path.as_str(), facts.kind), ("/dev/null", Kind::Character));
        assert_eq!(facts.represents, Some(DeviceNumber { major: 1, minor: 3 }));
    }
}
