//! The block devices of this host, as the kernel lists them, with what stands on what.
//!
//! Facts relied on: `/proc/partitions` lists every device with a size and its partitions, in KiB (kernel block/genhd.c); below
//! `/sys/dev/block/MAJOR:MINOR`, a link whose last but one part is the whole disk of a partition, a partition has a file
//! `partition`, `holders` has a link for each device that stands on this one (device mapper, md, bcache), and a mapped device has
//! its name in `dm/name`. Its node in `/dev/mapper` is user space's, and need not be there. A device that goes away meanwhile is told without these.

use std::path::{Path, PathBuf};

use ocfs2_group_error::Result;
use rustix::fs::{Access, FileType, access, major, minor, stat};

use crate::attribute::read_attribute;
use crate::cancel::Cancel;
use crate::device::DeviceNumber;
use crate::directory;

/// One device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockDevice {
    /// As the kernel calls it.
    pub name: String,
    /// Its number.
    pub number: DeviceNumber,
    /// Size in bytes, to the KiB.
    pub bytes: u64,
    /// The whole disk that this is a partition of.
    pub parent: Option<String>,
    /// The kernel's names of what stands on it.
    pub holders: Vec<String>,
    /// Of a mapped device that has a node of this name in `/dev/mapper`.
    pub mapper_name: Option<String>,
}

/// All devices, in the kernel's order.
///
/// # Errors
/// Those of reading `/proc/partitions`.
pub fn list(cancel: &Cancel) -> Result<Vec<BlockDevice>> {
    list_of(Path::new("/"), cancel)
}

/// The same below another root.
fn list_of(root: &Path, cancel: &Cancel) -> Result<Vec<BlockDevice>> {
    let table = read_attribute(&root.join("proc/partitions"), cancel)?;
    let table = String::from_utf8_lossy(&table);
    Ok(table
        .lines()
        .filter_map(entry)
        .map(|device| {
            let number = format!("{}:{}", device.number.major, device.number.minor);
            placed(device, root, &root.join("sys/dev/block").join(number), cancel)
        })
        .collect())
}

/// `   8       17     102400 sdb1`
fn entry(line: &str) -> Option<BlockDevice> {
    let mut columns = line.split_whitespace();
    let (major, minor) = (columns.next()?.parse().ok()?, columns.next()?.parse().ok()?);
    let kibibytes: u64 = columns.next()?.parse().ok()?;
    let name = columns.next()?.to_owned();
    let number = DeviceNumber { major, minor };
    let bytes = kibibytes.saturating_mul(1024);
    Some(BlockDevice { name, number, bytes, parent: None, holders: Vec::new(), mapper_name: None })
}

fn placed(device: BlockDevice, root: &Path, link: &Path, cancel: &Cancel) -> BlockDevice {
    let parent =
        if access(link.join("partition"), Access::EXISTS).is_ok() { parent(link, cancel) } else { None };
    let holders = directory::list_files(&link.join("holders"), cancel).unwrap_or_default();
    let mapper_name = device
        .name
        .starts_with("dm-")
        .then(|| mapper_name(link, cancel))
        .flatten()
        .filter(|name| is_node(&root.join("dev/mapper").join(name), device.number));
    BlockDevice { parent, holders, mapper_name, ..device }
}

fn parent(link: &Path, cancel: &Cancel) -> Option<String> {
    let target = PathBuf::from(directory::read_link(link, cancel).ok()?);
    Some(target.parent()?.file_name()?.to_string_lossy().into_owned())
}

fn mapper_name(link: &Path, cancel: &Cancel) -> Option<String> {
    let name = read_attribute(&link.join("dm/name"), cancel).ok()?;
    let name = String::from_utf8_lossy(&name).trim_end_matches('\n').to_owned();
    // It becomes a path.
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

/// Whether the path leads to the block device of this number.
fn is_node(path: &Path, number: DeviceNumber) -> bool {
    stat(path).is_ok_and(|found| {
        FileType::from_raw_mode(found.st_mode) == FileType::BlockDevice
            && number == DeviceNumber { major: major(found.st_rdev), minor: minor(found.st_rdev) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;
    use std::fs::{create_dir_all, write};
    use std::os::unix::fs::symlink;

    #[allow(clippy::disallowed_methods, reason = "plain files of a test")]
    fn file(path: PathBuf, text: &str) {
        create_dir_all(path.parent().unwrap()).unwrap();
        write(path, text).unwrap();
    }

    #[test]
    fn disks_partitions_holders_and_mapped_names() {
        let scratch = Scratch::new();
        let table = "major minor  #blocks  name\n\n   8        0     102400 sda\n   8        1      51200 sda1\n 253        0       4096 dm-0\nnot a line\n";
        file(scratch.path("proc/partitions"), table);
        let devices = scratch.path("sys/devices/block");
        file(devices.join("sda/sda1/partition"), "1\n");
        create_dir_all(devices.join("sda/sda1/holders")).unwrap();
        symlink("../../../dm-0", devices.join("sda/sda1/holders/dm-0")).unwrap();
        file(devices.join("dm-0/dm/name"), "mpatha\n");
        create_dir_all(scratch.path("sys/dev/block")).unwrap();
        for (number, path) in [("8:0", "sda"), ("8:1", "sda/sda1"), ("253:0", "dm-0")] {
            let target = Path::new("../../devices/block").join(path);
            symlink(target, scratch.path("sys/dev/block").join(number)).unwrap();
        }
        let found = list_of(scratch.root(), &Cancel::new()).unwrap();
        let told: Vec<_> = found
            .iter()
            .map(|one| {
                (
                    one.name.as_str(),
                    one.bytes,
                    one.parent.as_deref(),
                    one.holders.len(),
                    one.mapper_name.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("sda", 102_400 << 10, None, 0, None),
                ("sda1", 51_200 << 10, Some("sda"), 1, None),
                // There is no node for it.
                ("dm-0", 4096 << 10, None, 0, None),
            ]
        );
    }

    #[test]
    fn a_mapped_device_with_a_node_of_its_number() {
        // Only root makes device nodes.
        if !crate::testing::is_root() {
            return;
        }
        let scratch = Scratch::new();
        file(scratch.path("proc/partitions"), " 253 0 4096 dm-0\n 253 1 4096 dm-1\n");
        create_dir_all(scratch.path("dev/mapper")).unwrap();
        for (minor, node) in [(0, 0), (1, 7)] {
            file(scratch.path(&format!("sys/dev/block/253:{minor}/dm/name")), &format!("map{minor}\n"));
            let path = scratch.path(&format!("dev/mapper/map{minor}"));
            let kind = FileType::BlockDevice;
            rustix::fs::mknodat(rustix::fs::CWD, &path, kind, 0o600.into(), rustix::fs::makedev(253, node))
                .unwrap();
        }
        let found = list_of(scratch.root(), &Cancel::new()).unwrap();
        let names: Vec<_> = found.iter().map(|one| one.mapper_name.as_deref()).collect();
        assert_eq!(names, [Some("map0"), None]);
    }

    #[test]
    fn a_device_that_is_gone_from_sysfs_and_a_name_that_is_a_path() {
        let scratch = Scratch::new();
        file(scratch.path("proc/partitions"), " 253 7 4096 dm-7\n8 0 18446744073709551615 sda\n");
        file(scratch.path("sys/dev/block/253:7/dm/name"), "../../etc\n");
        let found = list_of(scratch.root(), &Cancel::new()).unwrap();
        assert_eq!(found.iter().map(|one| one.mapper_name.clone()).collect::<Vec<_>>(), [None, None]);
        assert_eq!(found[1].bytes, u64::MAX);
    }

    #[test]
    fn this_host_has_a_list() {
        assert!(list(&Cancel::new()).unwrap().iter().all(|device| !device.name.is_empty()));
    }
}
