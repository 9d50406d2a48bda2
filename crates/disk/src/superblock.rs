//! The superblock: where it is, whether it is one, and what it says.
//!
//! Source: kernel `fs/ocfs2/super.c` (ocfs2_sb_probe, ocfs2_verify_volume) and `ocfs2_fs.h`; specification: disk-format
//! section 1. Backup superblocks are not read: a volume whose primary is damaged is a case for fsck.ocfs2.

use crate::OPERATION;
use crate::bytes::{bytes_at, text, u8_at, u16_at, u32_at, u64_at};
use crate::ecc;
use crate::fault::{Defect, Fault};
use crate::reader::{READ_ATTEMPTS, ReadBlock, read_exactly};
use ocfs2_group_error::{Code, Error, Result};
use std::borrow::Cow;

/// Number of the superblock's block, whatever the block size.
pub const SUPERBLOCK_BLOCK: u64 = 2;
/// Smallest block size in bytes, and smallest sector size that counts.
pub const MIN_BLOCK_BYTES: u32 = 512;
/// Largest block size in bytes.
pub const MAX_BLOCK_BYTES: u32 = 4096;
/// Largest number of node slots.
pub const MAX_SLOTS: u16 = 255;

/// Incompat bit: the slot map's entries are of eight bytes.
pub const INCOMPAT_EXTENDED_SLOT_MAP: u32 = 0x0100;
/// Incompat bit: user-space cluster stack label and cluster name are present.
pub const INCOMPAT_USERSPACE_STACK: u32 = 0x0080;
/// Incompat bit: metadata blocks carry CRC and ECC.
pub const INCOMPAT_META_ECC: u32 = 0x0800;
/// Incompat bit: stack label, stack flags and cluster name are present, for any stack.
pub const INCOMPAT_CLUSTERINFO: u32 = 0x4000;

/// Offset of the label, 64 bytes.
pub(crate) const LABEL: usize = 0x110;
/// Offset of the cluster's name, 16 bytes.
pub(crate) const CLUSTER_NAME: usize = 0x168;

const SIGNATURE: &[u8] = b"OCFSV2";
const BLOCK_SIZES: [u32; 4] = [512, 1024, 2048, 4096];

/// What the superblock says, as far as a mount and its group need it. Features and stack are raw facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// Raw bytes, in the order in which they are printed.
    pub uuid: [u8; 16],
    /// Bytes up to the first NUL, at most 64; what is not UTF-8 is replaced.
    pub label: String,
    /// Block size in bytes: 512, 1024, 2048 or 4096.
    pub block_bytes: u32,
    /// Cluster size in bytes: a power of two, 4096 to 1048576.
    pub cluster_bytes: u32,
    /// Length of the volume in clusters.
    pub clusters: u32,
    /// Node slots, 0 to 255; a heartbeat device has none.
    pub max_slots: u16,
    /// Compatible features (disk-format section 1.4).
    pub feature_compat: u32,
    /// Incompatible features.
    pub feature_incompat: u32,
    /// Features that only reading is compatible with.
    pub feature_ro_compat: u32,
    /// Block of the root directory's inode, not zero.
    pub root_block: u64,
    /// Block of the system directory's inode, not zero.
    pub system_block: u64,
    /// Cluster stack's label up to a NUL, at most 4 bytes; none where the volume carries no cluster information (classic).
    pub stack_label: Option<String>,
    /// Bit 0: o2cb global heartbeat. 0 where the volume carries no flags.
    pub stack_flags: u8,
    /// Cluster's name up to a NUL, at most 16 bytes; none where the volume carries no cluster information.
    pub cluster_name: Option<String>,
    /// File system generation, the same in every inode of this volume.
    pub fs_generation: u32,
    /// The block this was read from: 2, or the number of a backup.
    pub block_number: u64,
}

impl Superblock {
    /// Parses the superblock in `block`, which was read as block `expected_block` at a block size of `block_bytes`.
    ///
    /// With the metaecc feature the checksum is verified, and one wrong bit corrected, before any other field counts
    /// (kernel fs/ocfs2/super.c, ocfs2_verify_volume).
    ///
    /// # Errors
    /// A defect that names the first check that fails.
    pub fn parse(block: &[u8], block_bytes: u32, expected_block: u64) -> std::result::Result<Self, Defect> {
        let length = usize::try_from(block_bytes).unwrap_or(usize::MAX);
        let Some(block) = block.get(..length).filter(|_| BLOCK_SIZES.contains(&block_bytes)) else {
            return Err(Defect::new(format!("{} bytes are no block of {block_bytes} bytes", block.len())));
        };
        if !has_signature(block) {
            return Err(Defect::new("it does not carry the OCFS2 signature"));
        }
        let block = if u32_at(block, 0xE0)? & INCOMPAT_META_ECC == 0 {
            Cow::Borrowed(block)
        } else {
            ecc::verified(block, ecc::INODE_CHECK)?
        };
        Self::fields(&block, block_bytes, expected_block)
    }

    fn fields(block: &[u8], block_bytes: u32, expected_block: u64) -> std::result::Result<Self, Defect> {
        let block_bits = u32_at(block, 0xF8)?;
        if 1u32.checked_shl(block_bits) != Some(block_bytes) {
            let named = 1u64
                .checked_shl(block_bits)
                .map_or_else(|| format!("2^{block_bits}"), |size| size.to_string());
            return Err(Defect::new(format!(
                "it names a block size of {named} bytes and stands at that of {block_bytes}"
            )));
        }
        let revision = (u16_at(block, 0xC0)?, u16_at(block, 0xC2)?);
        if revision != (0, 90) {
            return Err(Defect::new(format!("revision {}.{} is not 0.90", revision.0, revision.1)));
        }
        let block_number = u64_at(block, 0x50)?;
        if block_number != expected_block {
            return Err(Defect::new(format!("it names itself block {block_number}")));
        }
        let cluster_bits = u32_at(block, 0xFC)?;
        let Some(cluster_bytes) =
            1u32.checked_shl(cluster_bits).filter(|_| (12..=20).contains(&cluster_bits))
        else {
            return Err(Defect::new(format!(
                "cluster size 2^{cluster_bits} is not between 2^12 and 2^20 bytes"
            )));
        };
        let (root_block, system_block) = (u64_at(block, 0xE8)?, u64_at(block, 0xF0)?);
        if root_block == 0 || system_block == 0 {
            return Err(Defect::new("it names no root or system directory"));
        }
        let max_slots = u16_at(block, 0x100)?;
        if max_slots > MAX_SLOTS {
            return Err(Defect::new(format!("{max_slots} node slots are more than {MAX_SLOTS}")));
        }
        let feature_incompat = u32_at(block, 0xE0)?;
        let stamped = feature_incompat & (INCOMPAT_USERSPACE_STACK | INCOMPAT_CLUSTERINFO) != 0;
        let has_flags = feature_incompat & INCOMPAT_CLUSTERINFO != 0;
        Ok(Superblock {
            uuid: bytes_at(block, 0x150)?,
            label: text(&bytes_at::<64>(block, LABEL)?),
            block_bytes,
            cluster_bytes,
            clusters: u32_at(block, 0x14)?,
            max_slots,
            feature_compat: u32_at(block, 0xDC)?,
            feature_incompat,
            feature_ro_compat: u32_at(block, 0xE4)?,
            root_block,
            system_block,
            stack_label: if stamped { Some(text(&bytes_at::<4>(block, 0x160)?)) } else { None },
            stack_flags: if has_flags { u8_at(block, 0x164)? } else { 0 },
            cluster_name: if stamped { Some(text(&bytes_at::<16>(block, CLUSTER_NAME)?)) } else { None },
            fs_generation: u32_at(block, 0x60)?,
            block_number,
        })
    }

    /// The UUID as 32 upper-case hexadecimal digits without separators: the name of the heartbeat region and of the DLM
    /// domain (kernel fs/ocfs2/super.c, ocfs2_setup_osb_uuid).
    pub fn uuid_text(&self) -> String {
        format!("{:032X}", u128::from_be_bytes(self.uuid))
    }

    /// Length of the volume in bytes; at most 2^52.
    pub fn volume_bytes(&self) -> u64 {
        u64::from(self.clusters).saturating_mul(u64::from(self.cluster_bytes))
    }

    /// Length of the volume in blocks.
    pub fn volume_blocks(&self) -> u64 {
        self.volume_bytes().checked_div(u64::from(self.block_bytes)).unwrap_or(0)
    }

    /// Blocks in one cluster.
    pub fn blocks_per_cluster(&self) -> u64 {
        u64::from(self.cluster_bytes).checked_div(u64::from(self.block_bytes)).unwrap_or(0)
    }

    /// Whether the slot map has entries of eight bytes; else of two.
    pub fn has_extended_slot_map(&self) -> bool {
        self.feature_incompat & INCOMPAT_EXTENDED_SLOT_MAP != 0
    }

    /// Whether metadata blocks carry checksums.
    pub fn has_metadata_ecc(&self) -> bool {
        self.feature_incompat & INCOMPAT_META_ECC != 0
    }
}

fn has_signature(block: &[u8]) -> bool {
    block.starts_with(SIGNATURE)
}

/// Finds the superblock on a device of `device_bytes` with logical sectors of `sector_bytes` (0 to 511 count as 512), as
/// the kernel does: at each block size from the sector's up, until one carries the signature; what carries the signature
/// and fails a check ends the search (kernel fs/ocfs2/super.c, ocfs2_sb_probe).
///
/// # Errors
/// [`Code::BadDevice`] for a sector size that cannot hold a volume, [`Code::BadSuperblock`] with the cause for everything
/// that is no superblock, and the reader's own errors.
pub fn probe_superblock<R: ReadBlock + ?Sized>(
    source: &mut R,
    device_bytes: u64,
    sector_bytes: u32,
) -> Result<Superblock> {
    let sector_bytes = sector_bytes.max(MIN_BLOCK_BYTES);
    if !BLOCK_SIZES.contains(&sector_bytes) {
        let detail = format!("no volume can be used on logical sectors of {sector_bytes} bytes");
        return Err(Error::new(Code::BadDevice, OPERATION, detail));
    }
    let bad = |fault: Fault| fault.into_error(Code::BadSuperblock);
    if device_bytes == 0 {
        return Err(bad(Defect::new("the device is empty (0 bytes)").into()));
    }
    refuse_version_1(source, device_bytes, sector_bytes).map_err(bad)?;
    for block_bytes in BLOCK_SIZES.into_iter().filter(|size| *size >= sector_bytes) {
        if let Some(superblock) = superblock_at(source, device_bytes, block_bytes).map_err(bad)? {
            return Ok(superblock);
        }
    }
    for block_bytes in BLOCK_SIZES.into_iter().filter(|size| *size < sector_bytes) {
        refuse_smaller_blocks(source, device_bytes, sector_bytes, block_bytes).map_err(bad)?;
    }
    let detail = format!(
        "no OCFS2 signature in block {SUPERBLOCK_BLOCK} at any block size from {sector_bytes} to {MAX_BLOCK_BYTES} \
         bytes (the device has {device_bytes} bytes)"
    );
    Err(Error::new(Code::BadSuperblock, OPERATION, detail))
}

/// The superblock at one block size; none where the signature is not there or the device ends before.
fn superblock_at<R: ReadBlock + ?Sized>(
    source: &mut R,
    device_bytes: u64,
    block_bytes: u32,
) -> std::result::Result<Option<Superblock>, Fault> {
    let offset = SUPERBLOCK_BLOCK.saturating_mul(u64::from(block_bytes));
    if offset.saturating_add(u64::from(block_bytes)) > device_bytes {
        return Ok(None);
    }
    let mut attempt = 1;
    loop {
        let block = read_exactly(source, device_bytes, offset, block_bytes)?;
        if attempt == 1 && !has_signature(&block) {
            return Ok(None);
        }
        match Superblock::parse(&block, block_bytes, SUPERBLOCK_BLOCK) {
            Ok(superblock) => return Ok(Some(superblock)),
            Err(_) if attempt < READ_ATTEMPTS => attempt += 1,
            Err(defect) => return Err(defect.of(format_args!("the superblock at byte {offset}")).into()),
        }
    }
}

/// Sector 0 of a volume of OCFS version 1: major version 2 at byte 4, or its name at byte 8
/// (kernel fs/ocfs2/ocfs1_fs_compat.h; super.c looks at it first).
fn refuse_version_1<R: ReadBlock + ?Sized>(
    source: &mut R,
    device_bytes: u64,
    sector_bytes: u32,
) -> std::result::Result<(), Fault> {
    if device_bytes < u64::from(sector_bytes) {
        return Ok(());
    }
    let sector = read_exactly(source, device_bytes, 0, sector_bytes)?;
    if u32_at(&sector, 4)? == 2 || sector.get(8..).is_some_and(|rest| rest.starts_with(b"OracleCFS")) {
        return Err(Defect::new("it is a volume of OCFS version 1, which must be upgraded").into());
    }
    Ok(())
}

/// Blocks smaller than a sector cannot be read or written by the kernel; without this the search would say that there is
/// no volume at all. Two sectors are read at the most.
fn refuse_smaller_blocks<R: ReadBlock + ?Sized>(
    source: &mut R,
    device_bytes: u64,
    sector_bytes: u32,
    block_bytes: u32,
) -> std::result::Result<(), Fault> {
    let (sector, offset) = (u64::from(sector_bytes), SUPERBLOCK_BLOCK.saturating_mul(u64::from(block_bytes)));
    let within = offset.checked_rem(sector).unwrap_or(0);
    let start = offset.saturating_sub(within);
    if start.saturating_add(sector) > device_bytes {
        return Ok(());
    }
    let bytes = read_exactly(source, device_bytes, start, sector_bytes)?;
    let block = usize::try_from(within).ok().and_then(|within| bytes.get(within..)).unwrap_or_default();
    if has_signature(block)
        && u32_at(block, 0xF8).is_ok_and(|bits| 1u32.checked_shl(bits) == Some(block_bytes))
    {
        let phrase = format!(
            "the volume's blocks of {block_bytes} bytes are smaller than the device's logical sectors of {sector_bytes}"
        );
        return Err(Defect::new(phrase).into());
    }
    Ok(())
}
