//! The copies of a volume's superblock: reading them all, and putting a changed one in an old one's place.
//!
//! Facts relied on: O_DIRECT writes and reads go past the page cache (open(2)), and fdatasync(2) makes a device write its own cache out. A device
//! writes a logical sector whole or not at all, and everything that changes lies in one (`disk`, superblock_change): so exactly that sector is
//! written. An image file that cannot be written directly, or not in so small pieces, is written through the cache: its readers are on this node.
//!
//! Devices are opened without O_EXCL, which would be refused beside our own claim; keeping others away is decided above.

use std::path::Path;

use ocfs2_group_disk::superblock_copies::plan;
use ocfs2_group_disk::{SuperblockChange, SuperblockPlan, SuperblockWrite};
use ocfs2_group_error::{Code, Error, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags, fdatasync, fstat, open};
use rustix::io::{Errno, pwrite};

use crate::cancel::Cancel;
use crate::device::{self, DeviceFacts};
use crate::direct_io::{Aligned, Reader};
use crate::error::OrError;
use crate::volume::{at, blocks_of};

const OPERATION: &str = "write-superblock";

/// Reads every copy, and makes `change` of each; writes nothing.
///
/// # Errors
/// As [`Reader::open`] and [`plan`], with the path.
pub fn read(
    path: &Path,
    change: &SuperblockChange,
    cancel: &Cancel,
) -> Result<(DeviceFacts, SuperblockPlan)> {
    let reader = Reader::open("read-superblocks", path, cancel)?;
    let DeviceFacts { bytes, sector_bytes, .. } = *reader.facts();
    let planned = plan(&mut blocks_of(&reader, cancel), bytes, sector_bytes, change);
    planned.map(|planned| (reader.facts().clone(), planned)).map_err(|error| at(error, path))
}

/// Makes block `number` of the volume `new`, where it is `old`; false where it was `new` already. When this returns, the disk has it: it was
/// written out, and read back past the cache. A cancellation counts until something is written and not after.
///
/// # Errors
/// O2CB_UNSUPPORTED_VOLUME for what is no change of a superblock; O2CB_VERIFY_FAILED where the block is neither, or does not read back;
/// else what the device said: the block is then the old one or the new one.
pub fn write(path: &Path, number: u64, old: &[u8], new: &[u8], cancel: &Cancel) -> Result<bool> {
    let write = SuperblockWrite::new(number, old, new).map_err(|error| at(error, path))?;
    replace(&mut Device::open(path, cancel)?, &write).map_err(|error| at(error, path))
}

/// What a device does here; in tests also one that fails.
trait Target {
    fn sector_bytes(&self) -> u32;
    /// past the cache
    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<()>;
    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()>;
    fn sync(&mut self) -> Result<()>;
}

fn replace(target: &mut impl Target, write: &SuperblockWrite) -> Result<bool> {
    let sector = write.sector(target.sector_bytes())?;
    let mut block = vec![0; write.old().len()];
    target.read(write.offset(), &mut block)?;
    if block == write.new_bytes() {
        return Ok(false);
    }
    let offset = write.offset();
    if block != write.old() {
        let detail = format!(
            "the superblock at byte {offset} is no longer what it was: somebody else writes this volume"
        );
        return Err(Error::new(Code::VerifyFailed, OPERATION, detail));
    }
    target.write(offset, sector)?;
    target.sync()?;
    target.read(offset, &mut block)?;
    if block != write.new_bytes() {
        let detail = format!("the superblock at byte {offset} does not read back as it was written");
        return Err(Error::new(Code::VerifyFailed, OPERATION, detail));
    }
    Ok(true)
}

/// A device or an image, open for both.
struct Device<'a> {
    path: &'a Path,
    reader: Reader,
    file: OwnedFd,
    cancel: &'a Cancel,
    written: bool,
}

impl<'a> Device<'a> {
    fn open(path: &'a Path, cancel: &'a Cancel) -> Result<Self> {
        let reader = Reader::open(OPERATION, path, cancel)?;
        let facts = reader.facts();
        if facts.read_only {
            return Err(Error::new(Code::PermissionDenied, OPERATION, "the device is read-only")
                .path(path.to_string_lossy()));
        }
        let is_direct = facts.number.is_some() || reader.alignment() <= u64::from(facts.sector_bytes);
        let direct = if is_direct { OFlags::DIRECT } else { OFlags::empty() };
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK | direct;
        let file = cancel
            .restart(|| open(path, flags, Mode::empty()))
            .or_error(OPERATION, "open", path)
            .map_err(device::open_failed)?;
        let device = Device { path, reader, file, cancel, written: false };
        device.same()?;
        Ok(device)
    }

    /// Both descriptors have to be of one device: the path may have been turned to another in between.
    fn same(&self) -> Result<()> {
        let stat = fstat(&self.file).or_error(OPERATION, "fstat", self.path)?;
        let is_block = FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice;
        if device::facts(OPERATION, &self.file, self.path)? == *self.reader.facts()
            && is_block == self.reader.facts().number.is_some()
        {
            return Ok(());
        }
        Err(Error::new(Code::BadDevice, OPERATION, "it became another device meanwhile")
            .path(self.path.to_string_lossy()))
    }
}

impl Target for Device<'_> {
    fn sector_bytes(&self) -> u32 {
        self.reader.facts().sector_bytes
    }

    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<()> {
        let fresh = Cancel::new();
        self.reader.read_at(offset, into, if self.written { &fresh } else { self.cancel })
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut memory = Aligned::new(bytes.len());
        memory.bytes().copy_from_slice(bytes);
        // Until here it can be given up; a signal does not tear a write of one sector.
        let count = self
            .cancel
            .restart(|| pwrite(&self.file, &*memory.bytes(), offset))
            .or_error(OPERATION, "pwrite", self.path)?;
        self.written = true;
        if count == bytes.len() {
            return Ok(());
        }
        let detail = format!("{count} of {} bytes were written", bytes.len());
        Err(Error::new(Code::Io, OPERATION, detail).path(self.path.to_string_lossy()))
    }

    fn sync(&mut self) -> Result<()> {
        loop {
            match fdatasync(&self.file) {
                Err(Errno::INTR) => {}
                result => return result.or_error(OPERATION, "fdatasync", self.path),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;
    use ocfs2_group_disk::ecc::{Check, INODE_CHECK};

    /// A superblock of a volume of 64 MiB, with checks.
    fn superblock(block_bytes: usize, label: &str) -> Vec<u8> {
        let mut block = vec![0_u8; block_bytes];
        let mut put =
            |offset: usize, bytes: &[u8]| block[offset..offset + bytes.len()].copy_from_slice(bytes);
        put(0, b"OCFSV2");
        put(0x14, &16384_u32.to_le_bytes());
        put(0x50, &2_u64.to_le_bytes());
        put(0xC2, &[90]);
        put(0xE0, &0x0900_u32.to_le_bytes());
        put(0xE8, &[5]);
        put(0xF0, &[6]);
        put(0xF8, &block_bytes.ilog2().to_le_bytes());
        put(0xFC, &[12]);
        put(0x100, &[2]);
        put(0x110, label.as_bytes());
        put(0x150, &[7; 16]);
        let check = Check::compute(&block, INODE_CHECK).unwrap().encode();
        block[INODE_CHECK..INODE_CHECK + 8].copy_from_slice(&check);
        block
    }

    fn image(scratch: &Scratch, block_bytes: usize) -> (std::path::PathBuf, Vec<u8>) {
        let mut content = vec![0_u8; 64 * 1024];
        content[2 * block_bytes..3 * block_bytes].copy_from_slice(&superblock(block_bytes, "old"));
        let path = scratch.path("image");
        #[allow(clippy::disallowed_methods, reason = "a plain file of a test")]
        std::fs::write(&path, &content).unwrap();
        (path, content)
    }

    #[test]
    fn a_change_reads_back_and_is_written_once() {
        for block_bytes in [512, 1024, 2048, 4096] {
            let scratch = Scratch::new();
            let (path, mut content) = image(&scratch, block_bytes);
            let change = SuperblockChange { label: Some(b"new".to_vec()), ..SuperblockChange::default() };
            let (_, planned) = read(&path, &change, &Cancel::new()).unwrap();
            let copy = &planned.copies[0];
            let cancel = Cancel::new();
            assert!(write(&path, copy.number, &copy.old, &copy.new, &cancel).unwrap());
            assert!(
                !write(&path, copy.number, &copy.old, &copy.new, &cancel).unwrap(),
                "it was there already"
            );
            content[2 * block_bytes..3 * block_bytes].copy_from_slice(&superblock(block_bytes, "new"));
            assert!(std::fs::read(&path).unwrap() == content);

            let error = write(&path, 2, &superblock(block_bytes, "third"), &copy.old, &cancel).unwrap_err();
            assert_eq!(error.code, Code::VerifyFailed);
            let error = write(&path, 3, &copy.new, &copy.old, &cancel).unwrap_err();
            assert_eq!(error.code, Code::UnsupportedVolume);
            assert!(std::fs::read(&path).unwrap() == content);
        }
    }

    #[test]
    fn a_cancelled_write_does_not_start() {
        let scratch = Scratch::new();
        let (path, content) = image(&scratch, 1024);
        let cancel = Cancel::new();
        cancel.cancel();
        let (old, new) = (superblock(1024, "old"), superblock(1024, "new"));
        assert_eq!(write(&path, 2, &old, &new, &cancel).unwrap_err().code, Code::Aborted);
        assert!(std::fs::read(&path).unwrap() == content);
    }

    /// A disk behind a cache: what was written is lost without a sync. The n-th call fails, before or after it did its work.
    struct Faulty {
        disk: Vec<u8>,
        cache: Vec<u8>,
        calls: usize,
        fail_at: usize,
        after: bool,
        lying: bool,
    }

    impl Faulty {
        fn call(&mut self, work: impl FnOnce(&mut Self)) -> Result<()> {
            self.calls += 1;
            let fails = self.calls == self.fail_at;
            if !fails || self.after {
                work(self);
            }
            if fails { Err(Error::new(Code::Io, OPERATION, "on purpose")) } else { Ok(()) }
        }
    }

    impl Target for Faulty {
        fn sector_bytes(&self) -> u32 {
            512
        }
        fn read(&mut self, _: u64, into: &mut [u8]) -> Result<()> {
            self.call(|this| into.copy_from_slice(&this.cache))
        }
        fn write(&mut self, _: u64, bytes: &[u8]) -> Result<()> {
            self.call(|this| {
                if !this.lying {
                    this.cache[..bytes.len()].copy_from_slice(bytes);
                }
            })
        }
        fn sync(&mut self) -> Result<()> {
            self.call(|this| this.disk = this.cache.clone())
        }
    }

    #[test]
    fn whichever_call_fails_the_disk_holds_the_old_superblock_or_the_new() {
        let (old, new) = (superblock(4096, "old"), superblock(4096, "new"));
        let change = SuperblockWrite::new(2, &old, &new).unwrap();
        for (fail_at, after) in (1..=4).flat_map(|at| [(at, false), (at, true)]) {
            let mut target =
                Faulty { disk: old.clone(), cache: old.clone(), calls: 0, fail_at, after, lying: false };
            assert_eq!(replace(&mut target, &change).unwrap_err().code, Code::Io, "call {fail_at}");
            assert!(target.disk == old || target.disk == new, "call {fail_at}");
            assert_eq!(target.disk == new, (fail_at, after) >= (3, true), "call {fail_at}");
        }
        let mut target = Faulty {
            disk: old.clone(),
            cache: old.clone(),
            calls: 0,
            fail_at: 0,
            after: false,
            lying: false,
        };
        assert!(replace(&mut target, &change).unwrap());
        assert!(target.disk == new && target.calls == 4);
    }

    #[test]
    fn a_device_that_forgets_a_write_is_found_out() {
        let (old, new) = (superblock(512, "old"), superblock(512, "new"));
        let change = SuperblockWrite::new(2, &old, &new).unwrap();
        let mut target =
            Faulty { disk: old.clone(), cache: old.clone(), calls: 0, fail_at: 0, after: false, lying: true };
        assert_eq!(replace(&mut target, &change).unwrap_err().code, Code::VerifyFailed);
    }
}
