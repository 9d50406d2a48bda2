//! Directories: classic entries in inline or extent data, looked through one after another.
//!
//! Source: kernel `fs/ocfs2/dir.c` (ocfs2_check_dir_entry), `ocfs2_fs.h` (struct ocfs2_dir_entry, ocfs2_dir_block_trailer);
//! specification: disk-format section 2.3. The hash index of indexed directories is not used: a linear scan finds the same.
//! The trailer of a block looks like an unused entry and passes as one.

use crate::bytes::{u8_at, u16_at, u64_at};
use crate::ecc;
use crate::extents::{self, Extent, FLAG_UNWRITTEN};
use crate::fault::{Defect, Fault};
use crate::inode::Inode;
use crate::reader::{BlockReader, ReadBlock};
use crate::superblock::Superblock;
use std::ops::ControlFlow;

/// Most names a system directory has: eight for each of 255 slots, seven for all, and the two that every directory has.
pub const MAX_SYSTEM_ENTRIES: usize = 2049;

const HEADER: usize = 12;
const TRAILER_BYTES: usize = 64;
const TRAILER_CHECK: usize = 0x38;

/// One used entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryEntry<'a> {
    /// Block of the inode, not zero.
    pub inode: u64,
    /// 1 file, 2 directory.
    pub kind: u8,
    /// The name's bytes.
    pub name: &'a [u8],
}

/// The used entries of one run of packed entries (inline data, or one block), up to the first defect, which comes last.
#[derive(Debug, Clone)]
pub struct DirectoryEntries<'a> {
    rest: &'a [u8],
}

impl<'a> DirectoryEntries<'a> {
    /// The entries in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        DirectoryEntries { rest: bytes }
    }

    /// Takes one entry off, used or not.
    fn record(&mut self) -> Result<Option<DirectoryEntry<'a>>, Defect> {
        let left = self.rest.len();
        let (inode, length) = (u64_at(self.rest, 0)?, usize::from(u16_at(self.rest, 8)?));
        let (name_length, kind) = (usize::from(u8_at(self.rest, 10)?), u8_at(self.rest, 11)?);
        let Some((record, rest)) = self.rest.split_at_checked(length) else {
            return Err(Defect::new(format!(
                "a directory entry of {length} bytes crosses the end, {left} bytes on"
            )));
        };
        if length < HEADER || !length.is_multiple_of(4) {
            return Err(Defect::new(format!("{length} bytes are no length of a directory entry")));
        }
        self.rest = rest;
        if inode == 0 {
            return Ok(None);
        }
        match record.get(HEADER..).and_then(|room| room.get(..name_length)) {
            Some(name) if !name.is_empty() => Ok(Some(DirectoryEntry { inode, kind, name })),
            _ => Err(Defect::new(format!(
                "a name of {name_length} bytes does not fit a directory entry of {length}"
            ))),
        }
    }
}

impl<'a> Iterator for DirectoryEntries<'a> {
    type Item = Result<DirectoryEntry<'a>, Defect>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            match self.record() {
                Ok(Some(entry)) => return Some(Ok(entry)),
                Ok(None) => {}
                Err(defect) => {
                    self.rest = &[];
                    return Some(Err(defect));
                }
            }
        }
        None
    }
}

/// Calls `visit` with what `parse` makes of each run of packed entries in `directory` (inline data, or one block after the
/// other), until it breaks.
fn walk_runs<R: ReadBlock + ?Sized, P, T>(
    reader: &mut BlockReader<'_, R>,
    volume: &Superblock,
    directory: &Inode,
    parse: impl Fn(&[u8]) -> Result<P, Defect>,
    mut visit: impl FnMut(P) -> Result<ControlFlow<T>, Defect>,
) -> Result<Option<T>, Fault> {
    if !directory.is_directory() {
        return Err(
            Defect::new(format!("block {}: its inode is no directory", directory.block_number)).into()
        );
    }
    let of_inode = |defect: Defect| defect.of(format_args!("block {}", directory.block_number));
    if directory.has_inline_data() {
        let data = directory.inline_data().map_err(of_inode)?;
        return Ok(parse(data).and_then(visit).map_err(of_inode)?.break_value());
    }
    let list = directory.extent_list().map_err(of_inode)?;
    let file_blocks = directory.size.div_ceil(u64::from(volume.block_bytes).max(1));
    let flow = extents::walk(reader, volume, &list, &mut |reader: &mut BlockReader<'_, R>, extent| {
        walk_extent(reader, volume, file_blocks, extent, &parse, &mut visit)
    })?;
    Ok(flow.break_value())
}

/// The blocks of one extent that lie within the directory's length of `file_blocks`.
fn walk_extent<R: ReadBlock + ?Sized, P, T>(
    reader: &mut BlockReader<'_, R>,
    volume: &Superblock,
    file_blocks: u64,
    extent: Extent,
    parse: &impl Fn(&[u8]) -> Result<P, Defect>,
    visit: &mut impl FnMut(P) -> Result<ControlFlow<T>, Defect>,
) -> Result<ControlFlow<T>, Fault> {
    let per_cluster = volume.blocks_per_cluster();
    let first = u64::from(extent.offset).saturating_mul(per_cluster);
    let count = u64::from(extent.clusters).saturating_mul(per_cluster).min(file_blocks.saturating_sub(first));
    if count > 0 && extent.flags & FLAG_UNWRITTEN != 0 {
        return Err(
            Defect::new(format!("block {}: a directory's data were never written", extent.block)).into()
        );
    }
    for index in 0..count {
        let number = extent.block.saturating_add(index); // beyond 2^64 is beyond the volume, and refused as such
        let run = reader.parsed(number, |block| {
            if volume.has_metadata_ecc() {
                parse(&ecc::verified(block, block.len().saturating_sub(TRAILER_BYTES - TRAILER_CHECK))?)
            } else {
                parse(block)
            }
        })?;
        let flow = visit(run).map_err(|defect| defect.of(format_args!("block {number}")))?;
        if flow.is_break() {
            return Ok(flow);
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Block of the inode that `name` names in a run of packed entries.
fn find_in(bytes: &[u8], name: &[u8]) -> Result<Option<u64>, Defect> {
    for entry in DirectoryEntries::new(bytes) {
        let entry = entry?;
        if entry.name == name {
            return Ok(Some(entry.inode));
        }
    }
    Ok(None)
}

/// Block of the inode that `name` names in `directory`; none where it is not there.
///
/// # Errors
/// The reader's errors, and a defect where a block or an entry on the way is damaged.
pub fn find<R: ReadBlock + ?Sized>(
    reader: &mut BlockReader<'_, R>,
    volume: &Superblock,
    directory: &Inode,
    name: &[u8],
) -> Result<Option<u64>, Fault> {
    walk_runs(
        reader,
        volume,
        directory,
        |run| find_in(run, name),
        |found| Ok(found.map_or(ControlFlow::Continue(()), ControlFlow::Break)),
    )
}

/// The system directory's own inode.
fn system_directory<R: ReadBlock + ?Sized>(
    reader: &mut BlockReader<'_, R>,
    volume: &Superblock,
) -> Result<Inode, Fault> {
    let number = volume.system_block;
    reader.parsed(number, |block| Inode::parse(block, volume, number))
}

/// Block of the inode of the system file `name` (`heartbeat`, `slot_map`, `journal:0000`); none where there is none.
/// (kernel fs/ocfs2/sysfile.c)
///
/// # Errors
/// As [`find`]; the system directory's own inode included.
pub fn find_system_file<R: ReadBlock + ?Sized>(
    reader: &mut BlockReader<'_, R>,
    volume: &Superblock,
    name: &str,
) -> Result<Option<u64>, Fault> {
    let directory = system_directory(reader, volume)?;
    find(reader, volume, &directory, name.as_bytes())
}

/// One name in the system directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemEntry {
    /// The name's bytes.
    pub name: Vec<u8>,
    /// Block of the inode, not zero.
    pub inode: u64,
    /// 1 file, 2 directory.
    pub kind: u8,
}

/// Every name in the system directory, `.` and `..` included, in the order of the disk.
///
/// # Errors
/// As [`find_system_file`], and a defect where there are more than [`MAX_SYSTEM_ENTRIES`].
pub fn system_entries<R: ReadBlock + ?Sized>(
    reader: &mut BlockReader<'_, R>,
    volume: &Superblock,
) -> Result<Vec<SystemEntry>, Fault> {
    let directory = system_directory(reader, volume)?;
    let mut all = Vec::new();
    let owned = |entry: DirectoryEntry<'_>| SystemEntry {
        name: entry.name.to_vec(),
        inode: entry.inode,
        kind: entry.kind,
    };
    walk_runs(
        reader,
        volume,
        &directory,
        |run| DirectoryEntries::new(run).map(|entry| entry.map(owned)).collect::<Result<Vec<_>, _>>(),
        |run| {
            all.extend(run);
            if all.len() > MAX_SYSTEM_ENTRIES {
                return Err(Defect::new(format!("{} names are more than a system directory has", all.len())));
            }
            Ok(ControlFlow::<()>::Continue(()))
        },
    )?;
    Ok(all)
}
