//! Reading blocks of a volume through somebody else's I/O, within bounds.
//!
//! A block may be read while another node rewrites it, so a block that does not check is read again before it counts as
//! bad (disk-format section 8, rule 3). There is no pause in between: a torn read is over in microseconds.

use crate::fault::{Defect, Fault};
use crate::superblock::Superblock;
use ocfs2_group_error::Result;

/// How many blocks one [`BlockReader`] reads at the most, repetitions included. The system directory of 255 slots at
/// 512-byte blocks takes about 130; what needs more than this is damaged or hostile.
pub const MAX_READS: u32 = 2048;
/// The same for everything that a volume says of itself: 2040 inodes of 255 slots, and each block three times.
pub const MAX_DETAIL_READS: u32 = 8192;
/// How often a block that does not check is read before it counts as bad.
pub const READ_ATTEMPTS: u32 = 3;

/// The device, as this crate needs it. Implemented for closures.
pub trait ReadBlock {
    /// `len` bytes at byte `offset`. Both are multiples of the sector size that the caller gave, at most 4096 bytes are
    /// asked for, and never beyond the device size that the caller gave. Fewer bytes mean that the device ends there.
    ///
    /// # Errors
    /// Whatever the device said; it is passed through unchanged.
    fn read(&mut self, offset: u64, len: usize) -> Result<Vec<u8>>;
}

impl<F: FnMut(u64, usize) -> Result<Vec<u8>>> ReadBlock for F {
    fn read(&mut self, offset: u64, len: usize) -> Result<Vec<u8>> {
        self(offset, len)
    }
}

/// Exactly `len` bytes at `offset` of a device of `device_bytes`.
pub(crate) fn read_exactly<R: ReadBlock + ?Sized>(
    source: &mut R,
    device_bytes: u64,
    offset: u64,
    len: u32,
) -> std::result::Result<Vec<u8>, Fault> {
    let short =
        || Defect::new(format!("the device ends before byte {}", offset.saturating_add(u64::from(len))));
    let length = usize::try_from(len).map_err(|_| short())?;
    if offset.checked_add(u64::from(len)).is_none_or(|end| end > device_bytes) {
        return Err(short().into());
    }
    let mut bytes = source.read(offset, length)?;
    if bytes.len() < length {
        return Err(short().into());
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// Blocks of one volume by their number, a bounded number of times.
pub struct BlockReader<'a, R: ?Sized> {
    source: &'a mut R,
    device_bytes: u64,
    block_bytes: u32,
    blocks: u64,
    allowed: u32,
    reads_left: u32,
}

impl<'a, R: ReadBlock + ?Sized> BlockReader<'a, R> {
    /// A reader of `volume` on a device of `device_bytes`.
    pub fn new(source: &'a mut R, device_bytes: u64, volume: &Superblock) -> Self {
        let block_bytes = volume.block_bytes;
        let on_device = device_bytes.checked_div(u64::from(block_bytes)).unwrap_or(0);
        let blocks = volume.volume_blocks().min(on_device);
        BlockReader { source, device_bytes, block_bytes, blocks, allowed: MAX_READS, reads_left: MAX_READS }
    }

    /// The same reader, for `reads` blocks in place of [`MAX_READS`].
    #[must_use]
    pub fn allowing(self, reads: u32) -> Self {
        BlockReader { allowed: reads, reads_left: reads, ..self }
    }

    /// How many blocks the volume and the device both have; block numbers are below.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// The bytes of block `number`.
    ///
    /// # Errors
    /// A defect where the number lies outside the volume or the device, or the reads are used up.
    pub fn block(&mut self, number: u64) -> std::result::Result<Vec<u8>, Fault> {
        if number >= self.blocks {
            return Err(Defect::new(format!(
                "it lies outside the {} blocks that volume and device have",
                self.blocks
            ))
            .into());
        }
        let Some(offset) = number.checked_mul(u64::from(self.block_bytes)) else {
            return Err(Defect::new("its byte offset does not fit 64 bits").into());
        };
        let Some(left) = self.reads_left.checked_sub(1) else {
            return Err(Defect::new(format!(
                "more than {} block reads are needed to get there",
                self.allowed
            ))
            .into());
        };
        self.reads_left = left;
        read_exactly(self.source, self.device_bytes, offset, self.block_bytes)
    }

    /// What `parse` makes of block `number`; the block is read up to [`READ_ATTEMPTS`] times while `parse` refuses it.
    ///
    /// # Errors
    /// As [`BlockReader::block`], and the last refusal of `parse`; a defect names the block.
    pub fn parsed<T>(
        &mut self,
        number: u64,
        parse: impl Fn(&[u8]) -> std::result::Result<T, Defect>,
    ) -> std::result::Result<T, Fault> {
        let mut attempt = 1;
        loop {
            let block = self.block(number).map_err(|fault| fault.of(format_args!("block {number}")))?;
            match parse(&block) {
                Ok(value) => return Ok(value),
                Err(_) if attempt < READ_ATTEMPTS => attempt += 1,
                Err(defect) => return Err(defect.of(format_args!("block {number}")).into()),
            }
        }
    }
}
