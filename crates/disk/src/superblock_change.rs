//! Changing what a superblock says of the volume's name and cluster: label, UUID, local or cluster mount, and the stamp.
//!
//! Source: specification disk-format sections 1.2 to 1.4 and 6. All these fields and the check stand in the first 512 bytes of the
//! block, so that a device which writes a sector whole or not at all leaves the old superblock or the new one, whatever the block size.
//!
//! The hash of the UUID (byte 0x104) deliberately keeps its value: the kernel starts the hash of each extended attribute's name with it
//! (fs/ocfs2/xattr.c), so that with another one the names that lie in buckets would not be found again (seen on 6.1, and fsck.ocfs2
//! says nothing of it). tunefs.ocfs2 1.8.7 keeps it, too.
//! Bytes only: which changes make sense, and in which order the copies are written, is decided above.

use crate::bytes::{bytes_at, u16_at, u32_at};
use crate::ecc::{self, Check};
use crate::fault::Defect;
use crate::superblock::{INCOMPAT_CLUSTERINFO, INCOMPAT_META_ECC, INCOMPAT_USERSPACE_STACK, Superblock};
use std::borrow::Cow;
use std::ops::Range;

/// Incompat bit: holds heartbeat slots only.
pub const INCOMPAT_HEARTBEAT_DEVICE: u32 = 0x0002;
/// Incompat bit: mounted by one node, without a cluster.
pub const INCOMPAT_LOCAL_MOUNT: u32 = 0x0008;
/// Longest label in bytes.
pub const LABEL_BYTES: usize = 64;
/// Longest cluster name in bytes.
pub const CLUSTER_NAME_BYTES: usize = 16;

/// Incompat bits of work that was begun and not ended: a resize, and tunefs.ocfs2's larger changes.
const INCOMPAT_UNFINISHED: u32 = 0x0004 | 0x0020;
/// Every incompat bit of disk-format 1.4.
const INCOMPAT_KNOWN: u32 = 0xFFFE;
const RO_COMPAT_KNOWN: u32 = 0x7;
const COMPAT_KNOWN: u32 = 0x3;
/// The incompat bits that change here.
const INCOMPAT_CHANGED: u32 = INCOMPAT_LOCAL_MOUNT | INCOMPAT_USERSPACE_STACK | INCOMPAT_CLUSTERINFO;

/// The one stack whose stamp has flags.
const O2CB: &[u8; 4] = b"o2cb";

const INCOMPAT: usize = 0xE0;
const TUNEFS_FLAGS: usize = 0x102;
const LABEL: usize = 0x110;
const UUID: usize = 0x150;
const STAMP: usize = 0x160;
const STAMP_BYTES: usize = 24;
/// Everything that can change lies before this byte of the block.
pub const CHANGED_WITHIN: usize = 512;

/// What a field is, in the order of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// CRC and ECC of the block.
    Check,
    /// The incompatible features: local mount, and how the stamp is to be read.
    Features,
    /// The label.
    Label,
    /// The UUID.
    Uuid,
    /// Stack, flags and cluster name.
    Stamp,
}

impl Field {
    const ALL: [Field; 5] = [Field::Check, Field::Features, Field::Label, Field::Uuid, Field::Stamp];

    /// Its bytes in the block.
    pub fn range(self) -> Range<usize> {
        match self {
            Field::Check => ecc::INODE_CHECK..ecc::INODE_CHECK + ecc::CHECK_BYTES,
            Field::Features => INCOMPAT..INCOMPAT + 4,
            Field::Label => LABEL..LABEL + LABEL_BYTES,
            Field::Uuid => UUID..UUID + 16,
            Field::Stamp => STAMP..STAMP + STAMP_BYTES,
        }
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Field::Check => "check",
            Field::Features => "features",
            Field::Label => "label",
            Field::Uuid => "uuid",
            Field::Stamp => "stamp",
        }
    }
}

/// Which cluster a volume belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterStamp {
    /// The stack's label; no NUL in it.
    pub stack: [u8; 4],
    /// Bit 0: o2cb's global heartbeat.
    pub flags: u8,
    /// The cluster's name, 1 to 16 bytes without a NUL.
    pub cluster: Vec<u8>,
}

impl ClusterStamp {
    /// The bit that says how the stamp is to be read. o2cb has cluster information of its own; the stamp of another stack stays in the
    /// form that the volume `had`, and is in the older one where it had none, as tunefs.ocfs2 and o2cluster 1.8.7 write them.
    fn feature(&self, had: u32) -> u32 {
        if &self.stack == O2CB || had & INCOMPAT_CLUSTERINFO != 0 {
            INCOMPAT_CLUSTERINFO
        } else {
            INCOMPAT_USERSPACE_STACK
        }
    }
}

/// A change; what is none stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SuperblockChange {
    /// Up to 64 bytes without a NUL.
    pub label: Option<Vec<u8>>,
    /// Raw bytes.
    pub uuid: Option<[u8; 16]>,
    /// For one node, or for a cluster.
    pub local: Option<bool>,
    /// The stamp; inside, none makes it a volume without one (classic).
    pub stamp: Option<Option<ClusterStamp>>,
}

/// The values of all fields that can change, without the check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    features: u32,
    label: [u8; LABEL_BYTES],
    uuid: [u8; 16],
    stamp: [u8; STAMP_BYTES],
}

impl Values {
    /// Those of a superblock.
    ///
    /// # Errors
    /// A defect where the block is shorter than a superblock.
    pub fn of(block: &[u8]) -> Result<Self, Defect> {
        Ok(Values {
            features: u32_at(block, INCOMPAT)? & INCOMPAT_CHANGED,
            label: bytes_at(block, LABEL)?,
            uuid: bytes_at(block, UUID)?,
            stamp: bytes_at(block, STAMP)?,
        })
    }

    /// The same after `change`.
    ///
    /// # Errors
    /// A defect of a value that cannot be stored.
    pub fn changed(mut self, change: &SuperblockChange) -> Result<Self, Defect> {
        if let Some(label) = &change.label {
            self.label = padded(label, "label")?;
        }
        if let Some(uuid) = change.uuid {
            if uuid == [0; 16] {
                return Err(Defect::new("a UUID of zeros is none"));
            }
            self.uuid = uuid;
        }
        if let Some(local) = change.local {
            self.features &= !INCOMPAT_LOCAL_MOUNT;
            self.features |= if local { INCOMPAT_LOCAL_MOUNT } else { 0 };
        }
        if let Some(stamp) = &change.stamp {
            let had = self.features & (INCOMPAT_USERSPACE_STACK | INCOMPAT_CLUSTERINFO);
            self.features &= !had;
            self.stamp = [0; STAMP_BYTES];
            if let Some(stamp) = stamp {
                self.features |= stamp.feature(had);
                self.stamp = stamp_bytes(stamp, self.features)?;
            }
        }
        Ok(self)
    }

    /// `block` with these values and the check that belongs to them; all else as it was.
    ///
    /// # Errors
    /// A defect where the block is shorter than a superblock.
    pub fn put_into(&self, block: &[u8]) -> Result<Vec<u8>, Defect> {
        let mut changed = block.to_vec();
        let incompat = (u32_at(block, INCOMPAT)? & !INCOMPAT_CHANGED) | self.features;
        put(&mut changed, INCOMPAT, &incompat.to_le_bytes())?;
        put(&mut changed, LABEL, &self.label)?;
        put(&mut changed, UUID, &self.uuid)?;
        put(&mut changed, STAMP, &self.stamp)?;
        // Where nothing changes, neither does a field of a volume without checks.
        if incompat & INCOMPAT_META_ECC != 0 {
            let check = Check::compute(&changed, ecc::INODE_CHECK)
                .ok_or_else(|| Defect::new(format!("{} bytes are no block", block.len())))?;
            put(&mut changed, ecc::INODE_CHECK, &check.encode())?;
        }
        Ok(changed)
    }
}

fn padded<const N: usize>(text: &[u8], what: &str) -> Result<[u8; N], Defect> {
    if text.contains(&0) {
        return Err(Defect::new(format!("a NUL ends a {what}")));
    }
    let mut field = [0; N];
    field
        .get_mut(..text.len())
        .ok_or_else(|| Defect::new(format!("a {what} has at most {N} bytes, and this one {}", text.len())))?
        .copy_from_slice(text);
    Ok(field)
}

/// label[4], flags, three zeros, cluster[16] (disk-format 1.3).
fn stamp_bytes(stamp: &ClusterStamp, features: u32) -> Result<[u8; STAMP_BYTES], Defect> {
    if stamp.stack.contains(&0) || stamp.cluster.is_empty() {
        return Err(Defect::new("a stamp needs a stack of four bytes and a cluster"));
    }
    if stamp.flags != 0 && (features & INCOMPAT_CLUSTERINFO == 0 || &stamp.stack != O2CB) {
        return Err(Defect::new("only a stamp of o2cb has flags"));
    }
    let [a, b, c, d] = stamp.stack;
    let mut bytes = [0; STAMP_BYTES];
    put(&mut bytes, 0, &[a, b, c, d, stamp.flags])?;
    put(&mut bytes, 8, &padded::<CLUSTER_NAME_BYTES>(&stamp.cluster, "cluster name")?)?;
    Ok(bytes)
}

fn put(block: &mut [u8], offset: usize, bytes: &[u8]) -> Result<(), Defect> {
    offset
        .checked_add(bytes.len())
        .and_then(|end| block.get_mut(offset..end))
        .ok_or_else(|| Defect::new(format!("no field fits at byte {offset}")))?
        .copy_from_slice(bytes);
    Ok(())
}

/// The fields in which two superblocks of one block differ, in the order of the disk.
///
/// # Errors
/// A defect where they differ in anything else, or in length.
pub fn differences(old: &[u8], new: &[u8]) -> Result<Vec<Field>, Defect> {
    if old.len() != new.len() {
        return Err(Defect::new(format!("{} bytes do not take the place of {}", new.len(), old.len())));
    }
    let in_field = |at: usize| Field::ALL.into_iter().find(|field| field.range().contains(&at));
    for (at, (before, after)) in old.iter().zip(new).enumerate() {
        if before != after && in_field(at).is_none() {
            return Err(Defect::new(format!(
                "byte {at} would change, which is none of this change's fields"
            )));
        }
    }
    let incompat = u32_at(old, INCOMPAT)? ^ u32_at(new, INCOMPAT)?;
    if incompat & !INCOMPAT_CHANGED != 0 {
        return Err(Defect::new(format!(
            "features {incompat:#x} would change, which are none of this change's"
        )));
    }
    Ok(Field::ALL.into_iter().filter(|field| old.get(field.range()) != new.get(field.range())).collect())
}

/// Why this superblock cannot be changed here; none where it can.
///
/// # Errors
/// A defect where the block is no superblock, or its checksum does not hold exactly: what holds after a correction is written by nobody but
/// fsck.ocfs2.
pub fn obstacle(block: &[u8], superblock: &Superblock) -> Result<Option<String>, Defect> {
    if superblock.has_metadata_ecc() && matches!(ecc::verified(block, ecc::INODE_CHECK)?, Cow::Owned(_)) {
        return Ok(Some("its checksum holds only after a bit is corrected".to_owned()));
    }
    let (incompat, tunefs) = (superblock.feature_incompat, u16_at(block, TUNEFS_FLAGS)?);
    if incompat & INCOMPAT_UNFINISHED != 0 || tunefs != 0 {
        let what = format!("features {:#x}, tunefs flags {tunefs:#x}", incompat & INCOMPAT_UNFINISHED);
        return Ok(Some(format!("an earlier resize or change of the volume was not finished ({what})")));
    }
    let unknown = [
        ("incompatible", incompat & !INCOMPAT_KNOWN),
        ("read-only compatible", superblock.feature_ro_compat & !RO_COMPAT_KNOWN),
        ("compatible", superblock.feature_compat & !COMPAT_KNOWN),
    ];
    if let Some((kind, bits)) = unknown.into_iter().find(|(_, bits)| *bits != 0) {
        return Ok(Some(format!("it has {kind} features {bits:#x}, which this version does not know")));
    }
    if incompat & INCOMPAT_HEARTBEAT_DEVICE != 0 {
        return Ok(Some("it is a heartbeat device, which can only be made again with mkfs.ocfs2".to_owned()));
    }
    Ok(None)
}
