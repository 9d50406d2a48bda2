//! All copies of a volume's superblock, what a change makes of each, and the only writes to a volume that there are.
//!
//! Source: specification disk-format section 1.2. The primary stands in block 2, backups at 1 GiB times 4^n as far as the volume reaches,
//! where the feature says so. A backup differs from the primary in its own block number and check, and in what the kernel or
//! fsck.ocfs2 wrote to the primary alone; that difference is left as it is. Nobody reads a backup but fsck.ocfs2, and only when told to
//! (`-r`): neither mounts nor checks mind one that says something else (seen with 1.8.7).
//!
//! A backup gets the values that the primary has or is to have. So a change that was interrupted is completed by the next one.

use crate::OPERATION;
use crate::bytes::{bytes_at, u64_at};
use crate::fault::{Defect, Fault};
use crate::reader::{READ_ATTEMPTS, ReadBlock, read_exactly};
use crate::superblock::{SUPERBLOCK_BLOCK, Superblock, probe_superblock};
use crate::superblock_change::{CHANGED_WITHIN, Field, SuperblockChange, Values, differences, obstacle};
use ocfs2_group_error::{Code, Error, Result};

/// Compat bit: there are backup superblocks.
const COMPAT_BACKUP_SUPERBLOCKS: u32 = 0x1;
/// Incompat bit: entries of the slot map have room for any node number.
const INCOMPAT_EXTENDED_SLOT_MAP: u32 = 0x0100;
/// Byte offset of the first backup; each is four times as far out as the one before.
const FIRST_BACKUP: u64 = 1 << 30;
const MOST_BACKUPS: u32 = 6;

/// One copy of the superblock, and what a change makes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuperblockCopy {
    /// The block it stands in.
    pub number: u64,
    /// The same in bytes.
    pub offset: u64,
    /// The whole block as it is.
    pub old: Vec<u8>,
    /// The whole block as it would be.
    pub new: Vec<u8>,
    /// In what the two differ.
    pub fields: Vec<Field>,
    /// Why it must not be written; `new` is then what `old` is.
    pub problem: Option<String>,
}

/// The superblock and its copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuperblockPlan {
    /// The primary as it is.
    pub superblock: Superblock,
    /// Its label's bytes up to the first NUL.
    pub label: Vec<u8>,
    /// First block of the first group of clusters.
    pub first_group_block: u64,
    /// The primary, then the backups by their place.
    pub copies: Vec<SuperblockCopy>,
}

/// Reads every copy of the superblock on a device of `device_bytes` with logical sectors of `sector_bytes`, and makes `change` of each.
///
/// # Errors
/// As [`probe_superblock`]; [`Code::UnsupportedVolume`] for a change that this volume cannot hold. A copy that must not be written is no
/// error but a fact.
pub fn plan<R: ReadBlock + ?Sized>(
    source: &mut R,
    device_bytes: u64,
    sector_bytes: u32,
    change: &SuperblockChange,
) -> Result<SuperblockPlan> {
    let probed = probe_superblock(source, device_bytes, sector_bytes)?;
    let bad = |fault: Fault| fault.of("the superblock").into_error(Code::BadSuperblock);
    let unsupported = |defect: Defect| defect.into_error(Code::UnsupportedVolume);
    let damaged = |defect: Defect| defect.of("the superblock").into_error(Code::BadSuperblock);
    let (old, superblock) = copy(source, device_bytes, probed.block_bytes, SUPERBLOCK_BLOCK).map_err(bad)?;
    let has_old_slot_map = superblock.feature_incompat & INCOMPAT_EXTENDED_SLOT_MAP == 0;
    if has_old_slot_map && matches!(change.stamp, Some(Some(_))) {
        let phrase = "a volume with the old form of the slot map takes no stamp (tunefs.ocfs2 --fs-features=extended-slotmap)";
        return Err(unsupported(Defect::new(phrase)));
    }
    let values = Values::of(&old).map_err(damaged)?.changed(change).map_err(unsupported)?;
    let problem = obstacle(&old, &superblock).map_err(damaged)?;
    let (label, first_group_block) =
        (label_of(&old).map_err(damaged)?, u64_at(&old, 0x108).map_err(damaged)?);
    let mut copies = vec![changed(SUPERBLOCK_BLOCK, &superblock, old, &values, problem).map_err(damaged)?];
    for number in backup_blocks(&superblock) {
        copies.push(backup(source, device_bytes, &superblock, number, &values).map_err(bad)?);
    }
    Ok(SuperblockPlan { superblock, label, first_group_block, copies })
}

/// The blocks of the backups that this volume has.
pub fn backup_blocks(superblock: &Superblock) -> impl Iterator<Item = u64> {
    let block_bytes = u64::from(superblock.block_bytes);
    let end = superblock.volume_bytes();
    let has_them = superblock.feature_compat & COMPAT_BACKUP_SUPERBLOCKS != 0;
    let count = if has_them { MOST_BACKUPS } else { 0 };
    (0..count)
        .map(|index| FIRST_BACKUP << (2 * index))
        .take_while(move |offset| offset.saturating_add(block_bytes) <= end)
        .map(move |offset| offset.checked_div(block_bytes).unwrap_or(0))
}

/// The bytes and the fields of the copy in block `number`.
fn copy<R: ReadBlock + ?Sized>(
    source: &mut R,
    device_bytes: u64,
    block_bytes: u32,
    number: u64,
) -> std::result::Result<(Vec<u8>, Superblock), Fault> {
    let mut attempt = 1;
    loop {
        let offset = number.saturating_mul(u64::from(block_bytes));
        let block = read_exactly(source, device_bytes, offset, block_bytes)?;
        match Superblock::parse(&block, block_bytes, number) {
            Ok(superblock) => return Ok((block, superblock)),
            Err(_) if attempt < READ_ATTEMPTS => attempt += 1,
            Err(defect) => return Err(defect.into()),
        }
    }
}

fn backup<R: ReadBlock + ?Sized>(
    source: &mut R,
    device_bytes: u64,
    primary: &Superblock,
    number: u64,
    values: &Values,
) -> std::result::Result<SuperblockCopy, Fault> {
    let (old, superblock) = match copy(source, device_bytes, primary.block_bytes, number) {
        Ok(found) => found,
        Err(Fault::Defect(defect)) => {
            let offset = number.saturating_mul(u64::from(primary.block_bytes));
            let old = read_exactly(source, device_bytes, offset, primary.block_bytes).unwrap_or_default();
            return Ok(untouched(number, offset, old, defect.to_string()));
        }
        Err(fault) => return Err(fault),
    };
    let problem = if is_of(primary, &superblock) {
        obstacle(&old, &superblock)?
    } else {
        Some("it is the superblock of another volume".to_owned())
    };
    Ok(changed(number, &superblock, old, values, problem)?)
}

/// Whether a backup belongs to this volume. Not by the UUID: a change of that may have been interrupted.
fn is_of(primary: &Superblock, backup: &Superblock) -> bool {
    let made = |one: &Superblock| {
        (one.fs_generation, one.block_bytes, one.cluster_bytes, one.root_block, one.system_block)
    };
    made(primary) == made(backup)
}

fn changed(
    number: u64,
    superblock: &Superblock,
    old: Vec<u8>,
    values: &Values,
    problem: Option<String>,
) -> std::result::Result<SuperblockCopy, Defect> {
    let offset = number.saturating_mul(u64::from(superblock.block_bytes));
    if let Some(problem) = problem {
        return Ok(untouched(number, offset, old, problem));
    }
    let new = values.put_into(&old)?;
    let fields = differences(&old, &new)?;
    Ok(SuperblockCopy { number, offset, old, new, fields, problem: None })
}

fn untouched(number: u64, offset: u64, old: Vec<u8>, problem: String) -> SuperblockCopy {
    SuperblockCopy { number, offset, new: old.clone(), old, fields: Vec::new(), problem: Some(problem) }
}

fn label_of(block: &[u8]) -> std::result::Result<Vec<u8>, Defect> {
    let field = bytes_at::<64>(block, 0x110)?;
    Ok(field.split(|byte| *byte == 0).next().unwrap_or_default().to_vec())
}

/// One write to a volume: a superblock in the place of one that differs from it in nothing but the fields of this module's change.
/// There is no other way to make one, so neither a damaged undo file nor a mistake above can write anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuperblockWrite {
    offset: u64,
    old: Vec<u8>,
    new: Vec<u8>,
}

impl SuperblockWrite {
    /// `new` in the place of `old` in block `number`.
    ///
    /// # Errors
    /// [`Code::UnsupportedVolume`] where either is no superblock of that block, or they differ in anything else.
    pub fn new(number: u64, old: &[u8], new: &[u8]) -> Result<Self> {
        Self::checked(number, old, new)
            .map_err(|defect| defect.of(format_args!("block {number}")).into_error(Code::UnsupportedVolume))
    }

    fn checked(number: u64, old: &[u8], new: &[u8]) -> std::result::Result<Self, Defect> {
        let block_bytes = u32::try_from(old.len()).unwrap_or(0);
        let before = Superblock::parse(old, block_bytes, number)?;
        let after = Superblock::parse(new, block_bytes, number)?;
        for (block, superblock) in [(old, &before), (new, &after)] {
            if let Some(problem) = obstacle(block, superblock)? {
                return Err(Defect::new(problem));
            }
        }
        differences(old, new)?;
        let is_backup = backup_blocks(&before).any(|backup| backup == number);
        if number != SUPERBLOCK_BLOCK && !is_backup {
            return Err(Defect::new("no superblock of this volume stands there"));
        }
        let offset = number
            .checked_mul(u64::from(block_bytes))
            .ok_or_else(|| Defect::new("its byte offset does not fit 64 bits"))?;
        Ok(SuperblockWrite { offset, old: old.to_vec(), new: new.to_vec() })
    }

    /// Where the block begins, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The whole block before.
    pub fn old(&self) -> &[u8] {
        &self.old
    }

    /// The whole block after.
    pub fn new_bytes(&self) -> &[u8] {
        &self.new
    }

    /// The part that has to be written to a device with sectors of `sector_bytes`, at [`SuperblockWrite::offset`]: one sector, which the
    /// device writes whole or not at all.
    ///
    /// # Errors
    /// [`Code::BadDevice`] where the block is smaller than a sector.
    pub fn sector(&self, sector_bytes: u32) -> Result<&[u8]> {
        let length = usize::try_from(sector_bytes).unwrap_or(usize::MAX).max(CHANGED_WITHIN);
        self.new.get(..length).ok_or_else(|| {
            let detail = format!("a block of {} bytes is smaller than a sector of {length}", self.new.len());
            Error::new(Code::BadDevice, OPERATION, detail)
        })
    }
}
