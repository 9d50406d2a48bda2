//! Inode blocks ("dinodes"): header, extent list, inline data.
//!
//! Source: kernel `fs/ocfs2/ocfs2_fs.h` (struct ocfs2_dinode), `inode.c`; specification: disk-format section 2.1.
//! What else the id2 union can hold (chain lists, truncate logs) is not read.

use crate::bytes::{bytes_at, u16_at, u32_at, u64_at};
use crate::ecc;
use crate::extents::ExtentList;
use crate::fault::Defect;
use crate::superblock::Superblock;
use std::borrow::Cow;

/// Inode flag: in use.
pub const FLAG_VALID: u32 = 0x1;
/// Inode flag: the volume's cluster bitmap.
pub const FLAG_BITMAP: u32 = 0x80;
/// Inode flag: a slot's journal.
pub const FLAG_JOURNAL: u32 = 0x100;
/// Inode flag: the heartbeat file.
pub const FLAG_HEARTBEAT: u32 = 0x200;
/// Dynamic feature: the data stand in the inode itself.
pub const DYNAMIC_INLINE_DATA: u16 = 0x1;

/// Start of the id1 union.
const ID1: usize = 0xB8;
/// Start of the id2 union.
const ID2: usize = 0xC0;
const SIGNATURE: [u8; 8] = *b"INODE01\0";

/// One inode that belongs to the volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    /// The block it stands in.
    pub block_number: u64,
    /// Generation of this inode.
    pub generation: u32,
    /// Clusters allocated.
    pub clusters: u32,
    /// Length of the data in bytes.
    pub size: u64,
    /// Type and permissions, as in stat(2).
    pub mode: u16,
    /// `FLAG_*` bits.
    pub flags: u32,
    /// `DYNAMIC_*` bits.
    pub dynamic_features: u16,
    /// The id1 union: of a bitmap {used, all} bits, of a journal {flags, recovery generation}.
    id1: (u32, u32),
    /// The id2 union: from byte 0xC0 to the end of the block.
    id2: Vec<u8>,
}

impl Inode {
    /// Parses the inode in `block`, which was read as block `expected_block` of the volume. The checksum is verified where
    /// the volume has them, then signature, own block number, file system generation and the valid flag
    /// (kernel fs/ocfs2/inode.c, ocfs2_validate_inode_block).
    ///
    /// # Errors
    /// A defect that names the first check that fails.
    pub fn parse(block: &[u8], volume: &Superblock, expected_block: u64) -> Result<Self, Defect> {
        let length = usize::try_from(volume.block_bytes).unwrap_or(usize::MAX);
        let block =
            block.get(..length).ok_or_else(|| Defect::new(format!("{} bytes are no block", block.len())))?;
        let block = if volume.has_metadata_ecc() {
            ecc::verified(block, ecc::INODE_CHECK)?
        } else {
            Cow::Borrowed(block)
        };
        if bytes_at::<8>(&block, 0)? != SIGNATURE {
            return Err(Defect::new("it does not carry an inode's signature"));
        }
        let block_number = u64_at(&block, 0x50)?;
        if block_number != expected_block {
            return Err(Defect::new(format!("its inode names itself block {block_number}")));
        }
        if u32_at(&block, 0x60)? != volume.fs_generation {
            return Err(Defect::new("its inode is of another file system (the generation differs)"));
        }
        let flags = u32_at(&block, 0x2C)?;
        if flags & FLAG_VALID == 0 {
            return Err(Defect::new("its inode is not in use"));
        }
        Ok(Inode {
            block_number,
            generation: u32_at(&block, 0x08)?,
            clusters: u32_at(&block, 0x14)?,
            size: u64_at(&block, 0x20)?,
            mode: u16_at(&block, 0x28)?,
            flags,
            dynamic_features: u16_at(&block, 0x76)?,
            id1: (u32_at(&block, ID1)?, u32_at(&block, ID1 + 4)?),
            id2: block.get(ID2..).unwrap_or_default().to_vec(),
        })
    }

    /// Whether the mode says directory.
    pub fn is_directory(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    /// A bitmap's {used, all} bits; none for another inode.
    pub fn bitmap(&self) -> Option<(u32, u32)> {
        (self.flags & FLAG_BITMAP != 0).then_some(self.id1)
    }

    /// A journal's {flags, recovery generation}; none for another inode.
    pub fn journal(&self) -> Option<(u32, u32)> {
        (self.flags & FLAG_JOURNAL != 0).then_some(self.id1)
    }

    /// Whether the data stand in the inode itself.
    pub fn has_inline_data(&self) -> bool {
        self.dynamic_features & DYNAMIC_INLINE_DATA != 0
    }

    /// The inline data, `size` bytes long.
    ///
    /// # Errors
    /// A defect where the size does not fit the inode, or the data are not inline.
    pub fn inline_data(&self) -> Result<&[u8], Defect> {
        if !self.has_inline_data() {
            return Err(Defect::new("its inode holds no inline data"));
        }
        let capacity = u16_at(&self.id2, 0)?;
        let area = self.id2.get(8..).unwrap_or_default();
        usize::try_from(self.size)
            .ok()
            .filter(|size| *size <= usize::from(capacity))
            .and_then(|size| area.get(..size))
            .ok_or_else(|| Defect::new(format!("{} bytes of inline data do not fit its inode", self.size)))
    }

    /// The extent list.
    ///
    /// # Errors
    /// A defect where the list does not fit the inode, or the data are inline.
    pub fn extent_list(&self) -> Result<ExtentList, Defect> {
        if self.has_inline_data() {
            return Err(Defect::new("its data are inline and have no extents"));
        }
        ExtentList::parse(&self.id2)
    }
}
