//! The rest of what a superblock says: fields that no mount needs, for people who look at a volume.
//!
//! Source: kernel `fs/ocfs2/ocfs2_fs.h` (struct ocfs2_super_block, struct ocfs2_dinode); specification: disk-format section 1.3.
//! They are raw: what a state or a feature bit is called is decided above.

use crate::bytes::{bytes_at, u16_at, u32_at, u64_at};
use crate::fault::Defect;
use crate::superblock::Superblock;
use crate::{ecc, superblock};
use std::borrow::Cow;

/// Fields of a superblock besides those of [`Superblock`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuperblockFields {
    /// Mounts since the last check; the kernel does not count.
    pub mount_count: u16,
    /// Mounts after which a check is due.
    pub max_mount_count: u16,
    /// Bit 0: errors were seen.
    pub state: u16,
    /// What to do on an error.
    pub error_behaviour: u16,
    /// Seconds between two checks; 0 = none.
    pub check_interval: u32,
    /// Seconds since 1970: the last check, or when it was made.
    pub last_check: u64,
    /// Operating system that made the volume.
    pub creator_os: u32,
    /// Operations of tunefs.ocfs2 that were not finished.
    pub tunefs_flags: u16,
    /// Hash of the UUID; 0 where no feature needs it.
    pub uuid_hash: u32,
    /// Block of the first cluster group.
    pub first_cluster_group: u64,
    /// Bytes that extended attributes take of an inode.
    pub inline_xattr_bytes: u16,
    /// Seeds of the hash of indexed directories.
    pub directory_hash_seeds: [u32; 3],
    /// Generation of the superblock's own inode.
    pub generation: u32,
    /// The label's bytes up to the first NUL.
    pub label: Vec<u8>,
    /// The cluster name's bytes up to the first NUL, whether or not the volume has the feature they count with.
    pub cluster_name: Vec<u8>,
    /// The metadata checks as they stand on the disk: CRC and Hamming code; zeros without the feature.
    pub check: (u32, u16),
}

impl SuperblockFields {
    /// The fields in `block`, which was read as block `expected_block`: what [`Superblock::parse`] reads, and the rest.
    ///
    /// # Errors
    /// As [`Superblock::parse`].
    pub fn parse(
        block: &[u8],
        block_bytes: u32,
        expected_block: u64,
    ) -> Result<(Superblock, SuperblockFields), Defect> {
        let superblock = Superblock::parse(block, block_bytes, expected_block)?;
        let block = block.get(..usize::try_from(block_bytes).unwrap_or(usize::MAX)).unwrap_or(block);
        let block = if superblock.has_metadata_ecc() {
            ecc::verified(block, ecc::INODE_CHECK)?
        } else {
            Cow::Borrowed(block)
        };
        let seed = |index: usize| u32_at(&block, 0x17C + 4 * index);
        let fields = SuperblockFields {
            mount_count: u16_at(&block, 0xC4)?,
            max_mount_count: u16_at(&block, 0xC6)?,
            state: u16_at(&block, 0xC8)?,
            error_behaviour: u16_at(&block, 0xCA)?,
            check_interval: u32_at(&block, 0xCC)?,
            last_check: u64_at(&block, 0xD0)?,
            creator_os: u32_at(&block, 0xD8)?,
            tunefs_flags: u16_at(&block, 0x102)?,
            uuid_hash: u32_at(&block, 0x104)?,
            first_cluster_group: u64_at(&block, 0x108)?,
            inline_xattr_bytes: u16_at(&block, 0x178)?,
            directory_hash_seeds: [seed(0)?, seed(1)?, seed(2)?],
            generation: u32_at(&block, 0x08)?,
            label: until_nul(&bytes_at::<64>(&block, superblock::LABEL)?),
            cluster_name: until_nul(&bytes_at::<16>(&block, superblock::CLUSTER_NAME)?),
            check: (u32_at(&block, ecc::INODE_CHECK)?, u16_at(&block, ecc::INODE_CHECK + 4)?),
        };
        Ok((superblock, fields))
    }
}

fn until_nul(field: &[u8]) -> Vec<u8> {
    field.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}
