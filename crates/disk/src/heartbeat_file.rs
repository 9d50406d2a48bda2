//! The heartbeat file: the part of the volume that its heartbeat region lies on.
//!
//! Source: specification disk-format section 2.4. Region parameters in sectors, and whether 255 slots fit, are decided by
//! the caller, who knows the stack and the device.

use crate::directory::find_system_file;
use crate::fault::{Defect, Fault};
use crate::inode::{FLAG_HEARTBEAT, Inode};
use crate::reader::{BlockReader, ReadBlock};
use crate::superblock::Superblock;
use ocfs2_group_error::{Code, Result};

/// Name of the heartbeat file in the system directory.
pub const HEARTBEAT_FILE: &str = "heartbeat";

/// The heartbeat file's only extent, within the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeartbeatExtent {
    /// First block, in units of the volume's block size; not zero.
    pub start_block: u64,
    /// Length in clusters; not zero.
    pub clusters: u32,
}

/// Finds the heartbeat file's extent. `Ok(Err(reason))` where the volume has no heartbeat file that a region can lie on:
/// only a mount that needs a region fails by that.
///
/// # Errors
/// [`Code::BadDirectory`] where the system directory is damaged, and the reader's own errors.
pub fn locate<R: ReadBlock + ?Sized>(
    reader: &mut BlockReader<'_, R>,
    volume: &Superblock,
) -> Result<std::result::Result<HeartbeatExtent, String>> {
    let in_directory = |fault: Fault| fault.of("system directory").into_error(Code::BadDirectory);
    let number = find_system_file(reader, volume, HEARTBEAT_FILE).map_err(in_directory)?;
    locate_at(reader, volume, number)
}

/// The same, where the heartbeat file's inode is known to stand in block `number`, or not to be there.
pub(crate) fn locate_at<R: ReadBlock + ?Sized>(
    reader: &mut BlockReader<'_, R>,
    volume: &Superblock,
    number: Option<u64>,
) -> Result<std::result::Result<HeartbeatExtent, String>> {
    let Some(number) = number else {
        return Ok(Err("the system directory names no heartbeat file".to_owned()));
    };
    let extent = reader
        .parsed(number, |block| Inode::parse(block, volume, number))
        .and_then(|inode| Ok(only_extent(&inode, volume, reader.blocks())?));
    match extent {
        Ok(extent) => Ok(Ok(extent)),
        Err(Fault::Defect(defect)) => Ok(Err(defect.of("heartbeat file").to_string())),
        Err(Fault::Read(error)) => Err(error),
    }
}

/// The only extent of the heartbeat file's inode; it lies within the first `blocks` blocks.
fn only_extent(
    inode: &Inode,
    volume: &Superblock,
    blocks: u64,
) -> std::result::Result<HeartbeatExtent, Defect> {
    if inode.flags & FLAG_HEARTBEAT == 0 {
        return Err(Defect::new("its inode lacks the heartbeat flag"));
    }
    let list = inode.extent_list()?;
    let [extent] = list.records.as_slice() else {
        return Err(Defect::new(format!("it has {} extents in place of one", list.records.len())));
    };
    if list.depth != 0 {
        return Err(Defect::new(format!("its extent tree has depth {} in place of 0", list.depth)));
    }
    let end = u64::from(extent.clusters)
        .checked_mul(volume.blocks_per_cluster())
        .and_then(|length| extent.block.checked_add(length));
    if extent.block == 0 || extent.clusters == 0 || end.is_none_or(|end| end > blocks) {
        return Err(Defect::new(format!(
            "its extent of {} clusters at block {} lies outside the {blocks} blocks that volume and device have",
            extent.clusters, extent.block
        )));
    }
    Ok(HeartbeatExtent { start_block: extent.block, clusters: extent.clusters })
}
