//! Little-endian fields at fixed offsets of a block that may be shorter than it should be.
//!
//! A missing byte is a defect of the block, never a panic and never a zero.

use crate::fault::Defect;

/// `N` bytes at `offset`.
pub(crate) fn bytes_at<const N: usize>(block: &[u8], offset: usize) -> Result<[u8; N], Defect> {
    block
        .get(offset..)
        .and_then(|rest| rest.first_chunk::<N>())
        .copied()
        .ok_or_else(|| Defect::new(format!("{} bytes are too few for a field at byte {offset}", block.len())))
}

/// One byte at `offset`.
pub(crate) fn u8_at(block: &[u8], offset: usize) -> Result<u8, Defect> {
    bytes_at::<1>(block, offset).map(|[byte]| byte)
}

/// Two bytes at `offset`.
pub(crate) fn u16_at(block: &[u8], offset: usize) -> Result<u16, Defect> {
    bytes_at(block, offset).map(u16::from_le_bytes)
}

/// Four bytes at `offset`.
pub(crate) fn u32_at(block: &[u8], offset: usize) -> Result<u32, Defect> {
    bytes_at(block, offset).map(u32::from_le_bytes)
}

/// Eight bytes at `offset`.
pub(crate) fn u64_at(block: &[u8], offset: usize) -> Result<u64, Defect> {
    bytes_at(block, offset).map(u64::from_le_bytes)
}

/// The text of a NUL-padded field that may use all its bytes; what is not UTF-8 becomes U+FFFD.
pub(crate) fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(field.get(..end).unwrap_or_default()).into_owned()
}
