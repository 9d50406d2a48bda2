//! Extent lists and extent trees.
//!
//! Source: kernel `fs/ocfs2/ocfs2_fs.h` (struct ocfs2_extent_list, ocfs2_extent_block), `alloc.c`; specification:
//! disk-format section 2.2. Hostile trees are bounded three times: the depth falls by one with each level and starts at
//! [`MAX_DEPTH`] at the most, a list has no more records than its block holds, and [`BlockReader`] counts the reads.

use crate::bytes::{bytes_at, u8_at, u16_at, u32_at, u64_at};
use crate::ecc;
use crate::fault::{Defect, Fault};
use crate::reader::{BlockReader, ReadBlock};
use crate::superblock::Superblock;
use std::borrow::Cow;
use std::ops::ControlFlow;

/// Deepest tree that is followed. Even at 512-byte blocks, 19 records in the inode and 28 in each extent block, half full,
/// address the 2^32 clusters a volume can have with less.
pub const MAX_DEPTH: u16 = 9;
/// Record flag: allocated, never written; reads as zeros.
pub const FLAG_UNWRITTEN: u8 = 0x1;

const RECORDS: usize = 0x10;
const RECORD_BYTES: usize = 16;
const EXTENT_BLOCK_LIST: usize = 0x30;
const EXTENT_BLOCK_SIGNATURE: [u8; 8] = *b"EXBLK01\0";

/// One record of an extent list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where in the file it starts, in clusters.
    pub offset: u32,
    /// How many clusters it covers.
    pub clusters: u32,
    /// Flags; 0 in a tree's interior.
    pub flags: u8,
    /// In a leaf the first block of the data, else the extent block one level down.
    pub block: u64,
}

/// One extent list: the used records of one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtentList {
    /// 0 = the records are data; else the levels below this one.
    pub depth: u16,
    /// The used records, in the order of the disk.
    pub records: Vec<Extent>,
}

impl ExtentList {
    /// Parses the list that starts at byte 0 of `bytes`, which reach to the end of the block.
    ///
    /// # Errors
    /// A defect where depth or counts are impossible.
    pub fn parse(bytes: &[u8]) -> Result<Self, Defect> {
        let (depth, capacity, used) = (u16_at(bytes, 0)?, u16_at(bytes, 2)?, u16_at(bytes, 4)?);
        if depth > MAX_DEPTH {
            return Err(Defect::new(format!("an extent tree of depth {depth} is deeper than {MAX_DEPTH}")));
        }
        let area = bytes.get(RECORDS..).unwrap_or_default();
        if used > capacity || usize::from(capacity) > area.len() / RECORD_BYTES {
            return Err(Defect::new(format!("{used} of {capacity} extent records do not fit its block")));
        }
        let records = area
            .chunks_exact(RECORD_BYTES)
            .take(usize::from(used))
            .map(|record| Extent::parse(record, depth))
            .collect::<Result<_, _>>()?;
        Ok(ExtentList { depth, records })
    }

    /// Parses the extent block in `block`, which was read as block `expected_block` and must hold a list of `depth`.
    ///
    /// # Errors
    /// A defect that names the first check that fails.
    pub fn parse_block(
        block: &[u8],
        volume: &Superblock,
        expected_block: u64,
        depth: u16,
    ) -> Result<Self, Defect> {
        let block = if volume.has_metadata_ecc() {
            ecc::verified(block, ecc::EXTENT_BLOCK_CHECK)?
        } else {
            Cow::Borrowed(block)
        };
        if bytes_at::<8>(&block, 0)? != EXTENT_BLOCK_SIGNATURE {
            return Err(Defect::new("it does not carry an extent block's signature"));
        }
        if u64_at(&block, 0x18)? != expected_block {
            return Err(Defect::new("its extent block names itself another block"));
        }
        if u32_at(&block, 0x14)? != volume.fs_generation {
            return Err(Defect::new("its extent block is of another file system (the generation differs)"));
        }
        let list = Self::parse(block.get(EXTENT_BLOCK_LIST..).unwrap_or_default())?;
        if list.depth != depth {
            return Err(Defect::new(format!("its extent list has depth {} in place of {depth}", list.depth)));
        }
        Ok(list)
    }
}

impl Extent {
    fn parse(record: &[u8], depth: u16) -> Result<Self, Defect> {
        let (clusters, flags) = if depth == 0 {
            (u32::from(u16_at(record, 4)?), u8_at(record, 7)?)
        } else {
            (u32_at(record, 4)?, 0)
        };
        Ok(Extent { offset: u32_at(record, 0)?, clusters, flags, block: u64_at(record, 8)? })
    }
}

/// Calls `visit` with each data extent of the tree under `list`, in the order of the tree, until it breaks.
///
/// # Errors
/// What reading or parsing an extent block says, and what `visit` says.
pub fn walk<R: ReadBlock + ?Sized, T>(
    reader: &mut BlockReader<'_, R>,
    volume: &Superblock,
    list: &ExtentList,
    visit: &mut impl FnMut(&mut BlockReader<'_, R>, Extent) -> Result<ControlFlow<T>, Fault>,
) -> Result<ControlFlow<T>, Fault> {
    for extent in &list.records {
        let flow = match list.depth.checked_sub(1) {
            None => visit(reader, *extent)?,
            Some(depth) => {
                let below = reader.parsed(extent.block, |block| {
                    ExtentList::parse_block(block, volume, extent.block, depth)
                })?;
                walk(reader, volume, &below, visit)?
            }
        };
        if flow.is_break() {
            return Ok(flow);
        }
    }
    Ok(ControlFlow::Continue(()))
}
