//! Everything a volume says of itself: superblock, system files, slot map, journals, backups of the superblock.
//!
//! Source: specification disk-format sections 1 to 4. Other nodes may write meanwhile: each block is right in itself, and what
//! stands in two blocks may be of two moments.
//!
//! The contents of journals, bitmaps and allocators are not read.

use crate::directory::{SystemEntry, system_entries};
use crate::fault::{Defect, Fault};
use crate::heartbeat_file::{self, HEARTBEAT_FILE, HeartbeatExtent};
use crate::inode::Inode;
use crate::reader::{BlockReader, MAX_DETAIL_READS, ReadBlock};
use crate::slot_map::{self, SLOT_MAP_FILE, UsedSlot};
use crate::superblock::{SUPERBLOCK_BLOCK, Superblock, probe_superblock};
use crate::superblock_fields::SuperblockFields;
use ocfs2_group_error::{Code, Result};

/// Flag of a journal: it may hold what is not in place yet.
const JOURNAL_DIRTY: u32 = 0x1;
/// First backup of the superblock, in bytes; each next is four times as far, six in all.
const FIRST_BACKUP: u64 = 1 << 30;
const BACKUPS: u32 = 6;
const COMPAT_BACKUP_SUPERBLOCKS: u32 = 0x1;

/// One name in the system directory, and its inode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemFile {
    /// The name and where it leads.
    pub entry: SystemEntry,
    /// The inode, or why it cannot be used.
    pub inode: std::result::Result<Inode, String>,
}

/// The journal of one slot, as its inode tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Journal {
    /// The slot's number.
    pub slot: u16,
    /// Block of the inode.
    pub block: u64,
    /// Generation of the inode.
    pub generation: u32,
    /// The slot is mounted, or needs recovery.
    pub dirty: bool,
    /// How often the slot was recovered.
    pub recovery_generation: u32,
}

/// A backup of the superblock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Where it stands.
    pub block: u64,
    /// Why it cannot be used.
    pub problem: Option<String>,
}

/// Something that should be there and cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What it is: `slot map`, `journal of slot 3`.
    pub what: String,
    /// What is wrong with it.
    pub why: String,
}

/// What `VolumeDetails` of `ts/native-types.ts` says of a volume, without the device's own facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// The superblock, as far as a mount needs it.
    pub superblock: Superblock,
    /// The rest of the superblock.
    pub fields: SuperblockFields,
    /// The heartbeat file's only extent, or why it has none that can be used.
    pub heartbeat: std::result::Result<HeartbeatExtent, String>,
    /// Every system file, in the order of the disk.
    pub files: Vec<SystemFile>,
    /// The slots that are taken.
    pub slot_map: Vec<UsedSlot>,
    /// The journals of all slots.
    pub journals: Vec<Journal>,
    /// The backups that the volume should have.
    pub backups: Vec<Backup>,
    /// Slot map and journals that cannot be used, and are missing above.
    pub problems: Vec<Problem>,
}

impl Details {
    /// These details, where nothing of slot map and journals is missing.
    ///
    /// # Errors
    /// [`Code::BadDirectory`] with the first problem.
    pub fn whole(self) -> Result<Self> {
        match self.problems.first() {
            None => Ok(self),
            Some(Problem { what, why }) => {
                Err(Defect::new(format!("{what}: {why}")).into_error(Code::BadDirectory))
            }
        }
    }
}

/// Reads everything that the volume on a device of `device_bytes` with logical sectors of `sector_bytes` says of itself; at most
/// [`MAX_DETAIL_READS`] and about twenty more reads of up to 4096 bytes are made.
///
/// # Errors
/// As [`crate::read_volume`]. What is wrong with a single system file is no error but a fact.
pub fn read_details<R: ReadBlock + ?Sized>(
    source: &mut R,
    device_bytes: u64,
    sector_bytes: u32,
) -> Result<Details> {
    let probed = probe_superblock(source, device_bytes, sector_bytes)?;
    let mut reader = BlockReader::new(source, device_bytes, &probed).allowing(MAX_DETAIL_READS);
    let (superblock, fields) = reader
        .parsed(SUPERBLOCK_BLOCK, |block| {
            let both = SuperblockFields::parse(block, probed.block_bytes, SUPERBLOCK_BLOCK)?;
            if both.0.uuid == probed.uuid {
                Ok(both)
            } else {
                Err(Defect::new("another volume is being made here"))
            }
        })
        .map_err(|fault| fault.into_error(Code::BadSuperblock))?;
    let volume = &superblock;
    let in_directory = |fault: Fault| fault.of("system directory").into_error(Code::BadDirectory);
    let entries = system_entries(&mut reader, volume).map_err(in_directory)?;
    let number =
        entries.iter().find(|entry| entry.name == HEARTBEAT_FILE.as_bytes()).map(|entry| entry.inode);
    let heartbeat = heartbeat_file::locate_at(&mut reader, volume, number)?;
    let mut files = Vec::with_capacity(entries.len());
    for entry in entries.into_iter().filter(|entry| entry.name != b"." && entry.name != b"..") {
        let number = entry.inode;
        let inode = told(reader.parsed(number, |block| Inode::parse(block, volume, number)))?;
        files.push(SystemFile { entry, inode });
    }
    let mut problems = Vec::new();
    let slot_map = read_slot_map(&mut reader, volume, &files, &mut problems)?;
    let journals = journals(volume, &files, &mut problems);
    let backups = read_backups(&mut reader, volume)?;
    Ok(Details { superblock, fields, heartbeat, files, slot_map, journals, backups, problems })
}

/// A defect as a fact; the reader's own error stays one.
fn told<T>(result: std::result::Result<T, Fault>) -> Result<std::result::Result<T, String>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Fault::Defect(defect)) => Ok(Err(defect.to_string())),
        Err(Fault::Read(error)) => Err(error),
    }
}

/// The inode of the system file `name`, or why there is none.
fn named<'a>(files: &'a [SystemFile], name: &str) -> std::result::Result<&'a Inode, String> {
    match files.iter().find(|file| file.entry.name == name.as_bytes()) {
        Some(file) => file.inode.as_ref().map_err(Clone::clone),
        None => Err(format!("the system directory does not name '{name}'")),
    }
}

fn read_slot_map<R: ReadBlock + ?Sized>(
    reader: &mut BlockReader<'_, R>,
    volume: &Superblock,
    files: &[SystemFile],
    problems: &mut Vec<Problem>,
) -> Result<Vec<UsedSlot>> {
    // A heartbeat device has no slots and no map of them.
    if volume.max_slots == 0 {
        return Ok(Vec::new());
    }
    let read = match named(files, SLOT_MAP_FILE) {
        Ok(inode) => told(slot_map::read_of(reader, volume, inode))?,
        Err(why) => Err(why),
    };
    Ok(read.unwrap_or_else(|why| {
        problems.push(Problem { what: "slot map".to_owned(), why });
        Vec::new()
    }))
}

fn journals(volume: &Superblock, files: &[SystemFile], problems: &mut Vec<Problem>) -> Vec<Journal> {
    let mut journals = Vec::with_capacity(usize::from(volume.max_slots));
    for slot in 0..volume.max_slots {
        match journal(slot, files) {
            Ok(journal) => journals.push(journal),
            Err(why) => problems.push(Problem { what: format!("journal of slot {slot}"), why }),
        }
    }
    journals
}

fn journal(slot: u16, files: &[SystemFile]) -> std::result::Result<Journal, String> {
    let inode = named(files, &format!("journal:{slot:04}"))?;
    let (flags, recovery_generation) = inode
        .journal()
        .ok_or_else(|| format!("block {}: its inode lacks the journal flag", inode.block_number))?;
    Ok(Journal {
        slot,
        block: inode.block_number,
        generation: inode.generation,
        dirty: flags & JOURNAL_DIRTY != 0,
        recovery_generation,
    })
}

/// The backups that lie within the volume.
fn read_backups<R: ReadBlock + ?Sized>(
    reader: &mut BlockReader<'_, R>,
    volume: &Superblock,
) -> Result<Vec<Backup>> {
    let mut backups = Vec::new();
    if volume.feature_compat & COMPAT_BACKUP_SUPERBLOCKS == 0 {
        return Ok(backups);
    }
    for offset in (0..BACKUPS).map(|index| FIRST_BACKUP << (2 * index)) {
        if offset >= volume.volume_bytes() {
            break;
        }
        let number = offset.checked_div(u64::from(volume.block_bytes)).unwrap_or(0);
        let read = told(reader.parsed(number, |block| {
            let backup = Superblock::parse(block, volume.block_bytes, number)?;
            if backup.uuid == volume.uuid { Ok(()) } else { Err(Defect::new("it is of another volume")) }
        }))?;
        backups.push(Backup { block: number, problem: read.err() });
    }
    Ok(backups)
}
