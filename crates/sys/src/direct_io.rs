//! Reading a device past the page cache, since another node may have written it: O_DIRECT with aligned buffers.
//!
//! Facts relied on: offset, length and memory address must be multiples of what statx(2) reports under STATX_DIOALIGN, or, before
//! Linux 6.1, of the logical sector size; file systems that cannot do it refuse the open with EINVAL (open(2)). Only an image file
//! falls back to cached reads then: its writers are on this node. Devices are opened read-only and not exclusively.

use std::path::{Path, PathBuf};

use ocfs2_group_error::{Code, Error, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags, fstat, open, statx};
use rustix::io::{Errno, pread};

use crate::cancel::Cancel;
use crate::device::{self, DeviceFacts};
use crate::error::OrError;

/// Fits every alignment that a logical sector of 512 to 4096 bytes asks for.
const MEMORY_ALIGNMENT: usize = 4096;
/// The most that one read asks of the kernel.
const CHUNK_BYTES: usize = 1024 * 1024;

/// An open device or image, read in any piece; alignment is taken care of inside.
#[derive(Debug)]
pub struct Reader {
    operation: &'static str,
    path: PathBuf,
    file: OwnedFd,
    facts: DeviceFacts,
    alignment: u64,
    direct: bool,
}

impl Reader {
    /// Opens `path`. `operation` stands in the errors.
    ///
    /// # Errors
    /// O2CB_BAD_DEVICE for what does not exist, is neither block device nor file, or has sectors of an unknown size.
    pub fn open(operation: &'static str, path: &Path, cancel: &Cancel) -> Result<Self> {
        let plain = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let opened = cancel.restart(|| open(path, plain | OFlags::DIRECT, Mode::empty()));
        let (file, direct) = match opened {
            // What that cannot be read past the cache: it is told apart below, on the open file.
            Err(Errno::INVAL) => {
                let file = cancel.restart(|| open(path, plain, Mode::empty()));
                (file.or_error(operation, "open", path).map_err(device::open_failed)?, false)
            }
            file => (file.or_error(operation, "open", path).map_err(device::open_failed)?, true),
        };
        let facts = device::facts(operation, &file, path)?;
        if !facts.sector_bytes.is_power_of_two() || !(512..=4096).contains(&facts.sector_bytes) {
            let detail = format!("logical sectors of {} bytes", facts.sector_bytes);
            return Err(Error::new(Code::BadDevice, operation, detail).path(path.to_string_lossy()));
        }
        if !direct && facts.number.is_some() {
            return Err(Error::os(operation, "open", Errno::INVAL.raw_os_error())
                .code(Code::BadDevice)
                .detail("the device refuses direct reads")
                .path(path.to_string_lossy()));
        }
        let alignment = if direct { alignment(&file, facts.sector_bytes) } else { 1 };
        Ok(Reader { operation, path: path.to_owned(), file, facts, alignment, direct })
    }

    /// What the kernel knows of the device.
    pub fn facts(&self) -> &DeviceFacts {
        &self.facts
    }

    /// Whether reads go past the page cache.
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    /// The unit of offsets and lengths for going past the page cache; the largest number where nothing does.
    pub fn alignment(&self) -> u64 {
        if self.direct { self.alignment } else { u64::MAX }
    }

    /// Fills `into` with the bytes at `offset`.
    ///
    /// # Errors
    /// O2CB_IO where the device ends before, or the read fails.
    pub fn read_at(&self, offset: u64, into: &mut [u8], cancel: &Cancel) -> Result<()> {
        let mut done = 0;
        while done < into.len() {
            let rest = into.get_mut(done..).unwrap_or_default();
            let piece = rest.len().min(CHUNK_BYTES);
            let at = offset.checked_add(done as u64).ok_or_else(|| self.ends(offset))?;
            self.read_piece(at, rest.get_mut(..piece).unwrap_or_default(), cancel)?;
            done += piece;
        }
        Ok(())
    }

    fn read_piece(&self, offset: u64, into: &mut [u8], cancel: &Cancel) -> Result<()> {
        self.with_piece(offset, into.len(), cancel, |bytes| into.copy_from_slice(bytes))
    }

    /// Calls `use_it` with the `length` bytes at `offset`, at most [`CHUNK_BYTES`], where they were read to.
    ///
    /// # Errors
    /// As [`Self::read_at`].
    pub(crate) fn with_piece<T>(
        &self,
        offset: u64,
        length: usize,
        cancel: &Cancel,
        use_it: impl FnOnce(&[u8]) -> T,
    ) -> Result<T> {
        let wanted = length;
        let end = offset.checked_add(wanted as u64).ok_or_else(|| self.ends(offset))?;
        if end > self.facts.bytes {
            return Err(self.ends(end));
        }
        let first = offset - offset % self.alignment;
        let skip = usize::try_from(offset - first).unwrap_or(0);
        let length = (skip + wanted).next_multiple_of(usize::try_from(self.alignment).unwrap_or(1));
        let mut memory = Aligned::new(length);
        let aligned = memory.bytes();
        let mut got = 0;
        // A short read is only good where it ends on the alignment; at the end of a file it holds all there is.
        while got < skip + wanted {
            let rest = aligned.get_mut(got..).unwrap_or_default();
            let count = cancel.restart(|| pread(&self.file, &mut *rest, first + got as u64)).or_error(
                self.operation,
                "pread",
                &self.path,
            )?;
            if count == 0 {
                return Err(self.ends(end));
            }
            got += count;
        }
        Ok(use_it(aligned.get(skip..skip + wanted).unwrap_or_default()))
    }

    fn ends(&self, wanted: u64) -> Error {
        let detail = format!("it ends at byte {}, before byte {wanted}", self.facts.bytes);
        Error::new(Code::Io, self.operation, detail).path(self.path.to_string_lossy())
    }
}

/// Memory as direct reads and writes want it.
pub(crate) struct Aligned {
    memory: Vec<u8>,
    length: usize,
}

impl Aligned {
    /// `length` bytes of zeros.
    pub(crate) fn new(length: usize) -> Self {
        Aligned { memory: vec![0; length + MEMORY_ALIGNMENT], length }
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        let start = self.memory.as_ptr().align_offset(MEMORY_ALIGNMENT);
        self.memory.get_mut(start..start + self.length).unwrap_or_default()
    }
}

/// Open, one direct read of whole pages, close, and nothing else: what the benchmark of the other reads is measured against.
///
/// # Errors
/// Those of the two calls; O2CB_IO where the read was short.
pub fn bare_read(path: &Path, offset: u64, length: usize) -> Result<()> {
    const OPERATION: &str = "bare-read";
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECT;
    let file = open(path, flags, Mode::empty()).or_error(OPERATION, "open", path)?;
    match pread(&file, Aligned::new(length).bytes(), offset).or_error(OPERATION, "pread", path)? {
        count if count == length => Ok(()),
        _ => Err(Error::new(Code::Io, OPERATION, "the read was short").path(path.to_string_lossy())),
    }
}

/// The unit of offsets and lengths for direct reads.
fn alignment(file: &OwnedFd, sector_bytes: u32) -> u64 {
    let reported = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN)
        .ok()
        .filter(|facts| facts.stx_mask & StatxFlags::DIOALIGN.bits() != 0)
        .map_or(0, |facts| facts.stx_dio_offset_align);
    if reported.is_power_of_two() && reported <= 65536 {
        return u64::from(reported.max(sector_bytes));
    }
    // Unknown: a device wants its sector, a file the sector of the device below, which is at most a page.
    let is_file =
        fstat(file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    if is_file { 4096 } else { u64::from(sector_bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;
    use proptest::prelude::*;

    fn image(scratch: &Scratch, bytes: usize) -> (PathBuf, Vec<u8>) {
        let content: Vec<u8> = (0..bytes).map(|index| (index * 7 + index / 251) as u8).collect();
        let path = scratch.path("image");
        #[allow(clippy::disallowed_methods, reason = "a plain file of a test")]
        std::fs::write(&path, &content).unwrap();
        (path, content)
    }

    #[test]
    fn what_is_no_device_is_refused() {
        let scratch = Scratch::new();
        for path in [scratch.root().to_owned(), scratch.path("none"), PathBuf::from("/dev/null")] {
            let error = Reader::open("read-volume", &path, &Cancel::new()).unwrap_err();
            assert_eq!(error.code, Code::BadDevice, "{path:?}");
        }
    }

    #[test]
    fn the_end_is_an_error_and_an_empty_image_is_all_end() {
        let scratch = Scratch::new();
        let (path, _) = image(&scratch, 0);
        let reader = Reader::open("read-volume", &path, &Cancel::new()).unwrap();
        assert_eq!(reader.read_at(0, &mut [0; 1], &Cancel::new()).unwrap_err().code, Code::Io);
        assert_eq!(reader.read_at(u64::MAX, &mut [0; 2], &Cancel::new()).unwrap_err().code, Code::Io);
        reader.read_at(0, &mut [], &Cancel::new()).unwrap();
    }

    #[test]
    fn a_cancelled_read_does_not_start() {
        let scratch = Scratch::new();
        let (path, _) = image(&scratch, 512);
        let cancel = Cancel::new();
        cancel.cancel();
        assert_eq!(Reader::open("read-volume", &path, &cancel).unwrap_err().code, Code::Aborted);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_piece_is_what_the_file_holds(size in 1_usize..20_000, offset in 0_usize..20_000, length in 0_usize..9_000) {
            let scratch = Scratch::new();
            let (path, content) = image(&scratch, size);
            let reader = Reader::open("read-volume", &path, &Cancel::new()).unwrap();
            let mut into = vec![0xEE_u8; length + 16];
            let result = reader.read_at(offset as u64, &mut into[..length], &Cancel::new());
            match content.get(offset..offset + length) {
                Some(expected) => {
                    result.unwrap();
                    prop_assert_eq!(&into[..length], expected);
                }
                None => prop_assert!(length == 0 || result.is_err()),
            }
            prop_assert!(into[length..].iter().all(|byte| *byte == 0xEE), "guard bytes");
        }
    }
}
