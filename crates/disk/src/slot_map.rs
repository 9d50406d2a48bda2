//! The slot map: which node has which slot of a volume.
//!
//! Source: kernel `fs/ocfs2/slot_map.c`; specification: disk-format section 3. The file is longer than its content; only the first
//! `max_slots` entries count. Its blocks carry no checksum, so a block that is being rewritten cannot be told from a good one; an
//! entry lies within a sector, and a sector is written whole.
//!
//! A used slot means that the node has the volume mounted, or died and nobody has recovered it. Which of the two takes the heartbeat.

use crate::bytes::{u8_at, u16_at, u32_at};
use crate::extents::{self, FLAG_UNWRITTEN};
use crate::fault::{Defect, Fault};
use crate::inode::Inode;
use crate::reader::{BlockReader, ReadBlock};
use crate::superblock::Superblock;
use std::ops::ControlFlow;

/// Name of the slot map in the system directory.
pub const SLOT_MAP_FILE: &str = "slot_map";

/// Entry of the old format: nobody's.
const OLD_EMPTY: u16 = 0xFFFF;

/// One slot that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedSlot {
    /// The slot's number.
    pub slot: u16,
    /// The node that has it. User-space stacks have numbers beyond 255.
    pub node: u32,
}

/// The taken slots in `bytes`, the first bytes of the slot map.
///
/// # Errors
/// A defect where the bytes end before the last slot.
pub fn parse(bytes: &[u8], volume: &Superblock) -> Result<Vec<UsedSlot>, Defect> {
    let mut used = Vec::new();
    for slot in 0..volume.max_slots {
        let at = usize::from(slot).saturating_mul(entry_bytes(volume));
        if volume.has_extended_slot_map() {
            if u8_at(bytes, at)? != 0 {
                used.push(UsedSlot { slot, node: u32_at(bytes, at.saturating_add(4))? });
            }
        } else {
            match u16_at(bytes, at)? {
                OLD_EMPTY => {}
                node => used.push(UsedSlot { slot, node: node.into() }),
            }
        }
    }
    Ok(used)
}

fn entry_bytes(volume: &Superblock) -> usize {
    if volume.has_extended_slot_map() { 8 } else { 2 }
}

/// Reads the slot map whose inode stands in block `number`.
///
/// # Errors
/// The reader's errors, and a defect where inode, extents or length are not those of a slot map.
pub fn read<R: ReadBlock + ?Sized>(
    reader: &mut BlockReader<'_, R>,
    volume: &Superblock,
    number: u64,
) -> Result<Vec<UsedSlot>, Fault> {
    let inode = reader.parsed(number, |block| Inode::parse(block, volume, number))?;
    read_of(reader, volume, &inode)
}

/// Reads the slot map of `inode`.
pub(crate) fn read_of<R: ReadBlock + ?Sized>(
    reader: &mut BlockReader<'_, R>,
    volume: &Superblock,
    inode: &Inode,
) -> Result<Vec<UsedSlot>, Fault> {
    let length = usize::from(volume.max_slots).saturating_mul(entry_bytes(volume));
    let of_inode = |defect: Defect| defect.of(format_args!("block {}", inode.block_number));
    if inode.size < length as u64 {
        let phrase = format!("its {} bytes are too few for {} slots", inode.size, volume.max_slots);
        return Err(of_inode(Defect::new(phrase)).into());
    }
    let list = inode.extent_list().map_err(of_inode)?;
    let mut bytes = Vec::new();
    let visit = &mut |reader: &mut BlockReader<'_, R>, extent: extents::Extent| {
        // A hole, or a written part that overlaps: the next byte must be where this extent begins.
        let start = u64::from(extent.offset).saturating_mul(u64::from(volume.cluster_bytes));
        if start != bytes.len() as u64 || extent.flags & FLAG_UNWRITTEN != 0 {
            return Err(Defect::new(format!("block {}: a part was never written", extent.block)).into());
        }
        let blocks = u64::from(extent.clusters).saturating_mul(volume.blocks_per_cluster());
        for index in 0..blocks {
            if bytes.len() >= length {
                break;
            }
            let number = extent.block.saturating_add(index); // beyond 2^64 is beyond the volume, and refused as such
            let block = reader.block(number).map_err(|fault| fault.of(format_args!("block {number}")))?;
            bytes.extend_from_slice(&block);
        }
        Ok(if bytes.len() >= length { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    if length > 0 {
        // A file that ends early is found to be short below.
        let _ = extents::walk(reader, volume, &list, visit)?;
    }
    Ok(parse(&bytes, volume).map_err(of_inode)?)
}
