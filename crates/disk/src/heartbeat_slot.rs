//! Heartbeat blocks and where they stand: one block per node, rewritten by it every two seconds.
//!
//! Source: kernel `fs/ocfs2/cluster/ocfs2_heartbeat.h` (struct o2hb_disk_heartbeat_block), `cluster/heartbeat.c`
//! (o2hb_prepare_block, o2hb_compute_block_crc_le); specification: kernel-abi section 2. Whether a node lives takes two
//! samples and is decided above.

use crate::ecc::crc32;
use crate::fault::Defect;
use ocfs2_group_error::{Code, Error, Result};

/// The operation that errors of a region's geometry name.
const OPERATION: &str = "check-region";

/// Most blocks of a region: one for each possible node number.
pub const MAX_BLOCKS: u32 = 255;

const NODE: usize = 0x08;
const CHECKSUM: usize = 0x0C;
const GENERATION: usize = 0x10;
const DEAD_MS: usize = 0x18;
/// The fields end here.
const HEAD_BYTES: usize = 28;

/// One node's heartbeat block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeartbeatSlot {
    /// Its place in the region, which is the number of the node that owns it.
    pub slot: u32,
    /// Whether the checksum over the block holds. It does for a block of zeros, which nobody has written yet.
    pub valid: bool,
    /// Seconds at the time of writing; 0 = never written.
    pub sequence: u64,
    /// The node that wrote it.
    pub node: u8,
    /// New for each start of the heartbeat; 0 = left cleanly.
    pub generation: u64,
    /// The writer's dead threshold in milliseconds; 0 where the writer does not fill it.
    pub dead_ms: u32,
}

impl HeartbeatSlot {
    /// Parses `block`, the whole block of place `slot`.
    ///
    /// # Errors
    /// A defect where the block is too short to hold the fields.
    pub fn parse(block: &[u8], slot: u32) -> std::result::Result<Self, Defect> {
        Self::parse_in(block, slot, &mut Vec::with_capacity(block.len()))
            .ok_or_else(|| Defect::new(format!("{} bytes are too few for a heartbeat block", block.len())))
    }

    /// None where the block is too short.
    fn parse_in(block: &[u8], slot: u32, scratch: &mut Vec<u8>) -> Option<Self> {
        let head = block.first_chunk::<HEAD_BYTES>()?;
        let [s0, s1, s2, s3, s4, s5, s6, s7, node, _, _, _, c0, c1, c2, c3, rest @ ..] = *head;
        let [g0, g1, g2, g3, g4, g5, g6, g7, d0, d1, d2, d3] = rest;
        Some(HeartbeatSlot {
            slot,
            valid: u32::from_le_bytes([c0, c1, c2, c3]) == checksum_in(block, scratch),
            sequence: u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
            node,
            generation: u64::from_le_bytes([g0, g1, g2, g3, g4, g5, g6, g7]),
            dead_ms: u32::from_le_bytes([d0, d1, d2, d3]),
        })
    }

    /// The block of `block_bytes` that says this; its checksum is wrong where `valid` is false.
    ///
    /// # Errors
    /// [`Code::InvalidBlockSize`] where `block_bytes` is no block size of a region.
    pub fn encode(&self, block_bytes: u32) -> Result<Vec<u8>> {
        let mut block = vec![0; checked_block_bytes(block_bytes)?];
        let fields: [(usize, &[u8]); 4] = [
            (0, &self.sequence.to_le_bytes()),
            (NODE, &[self.node]),
            (GENERATION, &self.generation.to_le_bytes()),
            (DEAD_MS, &self.dead_ms.to_le_bytes()),
        ];
        for (offset, bytes) in fields {
            put(&mut block, offset, bytes);
        }
        let right = checksum(&block);
        put(&mut block, CHECKSUM, &if self.valid { right } else { !right }.to_le_bytes());
        Ok(block)
    }
}

fn put(block: &mut [u8], offset: usize, bytes: &[u8]) {
    if let Some(room) = block.get_mut(offset..).and_then(|rest| rest.get_mut(..bytes.len())) {
        room.copy_from_slice(bytes);
    }
}

/// The checksum of a heartbeat block: CRC-32 from 0, not inverted, with the checksum's own four bytes taken as zeros
/// (kernel fs/ocfs2/cluster/heartbeat.c, o2hb_compute_block_crc_le).
pub fn checksum(block: &[u8]) -> u32 {
    checksum_in(block, &mut Vec::with_capacity(block.len()))
}

/// The same in one piece, over a copy in `scratch`: three pieces take twice as long as the copy and one.
fn checksum_in(block: &[u8], scratch: &mut Vec<u8>) -> u32 {
    scratch.clear();
    scratch.extend_from_slice(block);
    scratch.iter_mut().skip(CHECKSUM).take(4).for_each(|byte| *byte = 0);
    crc32(0, scratch)
}

fn checked_block_bytes(block_bytes: u32) -> Result<usize> {
    usize::try_from(block_bytes)
        .ok()
        .filter(|size| size.is_power_of_two() && (512..=4096).contains(size))
        .ok_or_else(|| {
            let detail = format!("{block_bytes} is none of 512, 1024, 2048, 4096");
            Error::new(Code::InvalidBlockSize, OPERATION, detail)
        })
}

/// Where a region lies on its device, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegionGeometry {
    start_block: u64,
    block_bytes: u32,
    blocks: u32,
}

impl RegionGeometry {
    /// A region of `blocks` blocks (1 to 255) of `block_bytes` (512, 1024, 2048, 4096) from `start_block`, in units of
    /// `block_bytes`, not 0. (kernel fs/ocfs2/cluster/heartbeat.c, the region's attributes; kernel-abi section 1.6)
    ///
    /// # Errors
    /// [`Code::InvalidBlockSize`], [`Code::InvalidBlockCount`], or [`Code::BadHeartbeatFile`] for a start of 0 or an end
    /// beyond what a device can have.
    pub fn new(start_block: u64, block_bytes: u32, blocks: u32) -> Result<Self> {
        checked_block_bytes(block_bytes)?;
        if !(1..=MAX_BLOCKS).contains(&blocks) {
            return Err(Error::new(
                Code::InvalidBlockCount,
                OPERATION,
                format!("{blocks} is not from 1 to 255"),
            ));
        }
        let end = start_block
            .checked_add(u64::from(blocks))
            .and_then(|end| end.checked_mul(u64::from(block_bytes)));
        if start_block == 0 || end.is_none_or(|end| i64::try_from(end).is_err()) {
            let detail = format!("a region cannot start at block {start_block}");
            return Err(Error::new(Code::BadHeartbeatFile, OPERATION, detail));
        }
        Ok(RegionGeometry { start_block, block_bytes, blocks })
    }

    /// First block, in units of [`Self::block_bytes`].
    pub fn start_block(&self) -> u64 {
        self.start_block
    }

    /// Length of a block in bytes.
    pub fn block_bytes(&self) -> u32 {
        self.block_bytes
    }

    /// Number of blocks.
    pub fn blocks(&self) -> u32 {
        self.blocks
    }

    /// Byte at which the region starts.
    pub fn offset(&self) -> u64 {
        self.start_block.saturating_mul(u64::from(self.block_bytes))
    }

    /// Length of the region in bytes.
    pub fn length(&self) -> u32 {
        self.blocks.saturating_mul(self.block_bytes)
    }

    /// Byte at which the block of `slot` starts; none where the region has no such block.
    pub fn slot_offset(&self, slot: u32) -> Option<u64> {
        let within = u64::from(slot).checked_mul(u64::from(self.block_bytes))?;
        if slot < self.blocks { self.offset().checked_add(within) } else { None }
    }

    /// The slots in `bytes`, which start where the region starts; whole blocks only, as many as there are.
    pub fn parse_slots(&self, bytes: &[u8]) -> Vec<HeartbeatSlot> {
        let block_bytes = usize::try_from(self.block_bytes).unwrap_or(usize::MAX);
        let count = usize::try_from(self.blocks).unwrap_or(0);
        let mut scratch = Vec::with_capacity(block_bytes.min(4096));
        let mut slots = Vec::with_capacity(count);
        for (block, slot) in bytes.chunks_exact(block_bytes).zip(0..self.blocks) {
            slots.extend(HeartbeatSlot::parse_in(block, slot, &mut scratch));
        }
        slots
    }
}
