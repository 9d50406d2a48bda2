//! CRC-32 without inversions, and the metadata checks of a volume with the metaecc feature: CRC and Hamming code.
//!
//! Source: kernel `fs/ocfs2/blockcheck.c`; specification: disk-format section 6. The check structure is u32 CRC, u16 ECC,
//! u16 zero, and counts as zeros while it is computed. The Hamming code, a hundred times as dear as the CRC, is only computed for a
//! block whose CRC does not hold.

use crate::bytes::{u16_at, u32_at};
use crate::fault::Defect;
use std::borrow::Cow;

/// Length of the check structure in bytes.
pub const CHECK_BYTES: usize = 8;
/// Offset of the check structure in an inode block, the superblock included.
pub const INODE_CHECK: usize = 0x80;
/// Offset of the check structure in an extent block.
pub const EXTENT_BLOCK_CHECK: usize = 0x08;

/// Longest block that the 16 bits of the ECC cover, in bytes.
const MAX_BLOCK: usize = 4096;

/// Reflected CRC-32 (polynomial 0xEDB88320) that starts at `initial` and is not inverted at the end, so that the result
/// of one piece is the initial value of the next. Metadata checks start at 0xFFFFFFFF, heartbeat blocks at 0.
pub fn crc32(initial: u32, bytes: &[u8]) -> u32 {
    // The common function inverts before and after; inverted once more, neither is left.
    let mut hasher = crc32fast::Hasher::new_with_initial(!initial);
    hasher.update(bytes);
    !hasher.finalize()
}

/// Hamming code of `bytes`: the XOR of the positions of all set bits, where bit 0 is the least significant bit of byte 0
/// and positions count from 1 and leave out the powers of two (kernel fs/ocfs2/blockcheck.c, ocfs2_hamming_encode).
/// Fits 16 bits for up to 4096 bytes.
pub fn hamming(bytes: &[u8]) -> u32 {
    let mut position = 3u32;
    let mut code = 0;
    for byte in bytes {
        for bit in 0..8 {
            if position.is_power_of_two() {
                position = position.wrapping_add(1);
            }
            if byte >> bit & 1 == 1 {
                code ^= position;
            }
            position = position.wrapping_add(1);
        }
    }
    code
}

/// The index of the data bit that stands at `position`; none for parity positions.
fn data_bit(position: u16) -> Option<usize> {
    let powers_below = usize::try_from(position.checked_ilog2()?).ok()?.checked_add(1)?;
    if position.is_power_of_two() {
        return None;
    }
    usize::from(position).checked_sub(powers_below)?.checked_sub(1)
}

/// The two checks of one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// CRC-32, initial value 0xFFFFFFFF, not inverted.
    pub crc: u32,
    /// Hamming code.
    pub ecc: u16,
}

impl Check {
    /// The checks of `block` with the check structure at `check_offset` taken as zeros. `None` where the structure does
    /// not fit the block, or the block is longer than 4096 bytes.
    pub fn compute(block: &[u8], check_offset: usize) -> Option<Check> {
        let zeroed = zeroed(block, check_offset)?;
        Some(Check { crc: crc32(u32::MAX, &zeroed), ecc: u16::try_from(hamming(&zeroed)).ok()? })
    }

    /// The check structure's bytes.
    pub fn encode(self) -> [u8; CHECK_BYTES] {
        let [a, b, c, d] = self.crc.to_le_bytes();
        let [e, f] = self.ecc.to_le_bytes();
        [a, b, c, d, e, f, 0, 0]
    }
}

/// The block as it was written: unchanged where the CRC holds, or with the one wrong bit corrected
/// (kernel fs/ocfs2/blockcheck.c, ocfs2_block_check_validate).
///
/// # Errors
/// A defect where neither the CRC holds nor correcting one bit makes it hold.
pub fn verified(block: &[u8], check_offset: usize) -> Result<Cow<'_, [u8]>, Defect> {
    let stored =
        Check { crc: u32_at(block, check_offset)?, ecc: u16_at(block, check_offset.saturating_add(4))? };
    let Some(zeroed) = zeroed(block, check_offset) else {
        return Err(Defect::new(format!(
            "no check structure fits at byte {check_offset} of {} bytes",
            block.len()
        )));
    };
    if crc32(u32::MAX, &zeroed) == stored.crc {
        return Ok(Cow::Borrowed(block));
    }
    u16::try_from(hamming(&zeroed))
        .ok()
        .and_then(|ecc| corrected(block, check_offset, stored, stored.ecc ^ ecc))
        .map(Cow::Owned)
        .ok_or_else(|| Defect::new("its checksum does not hold"))
}

/// The block as its checks are computed over it: the check structure taken as zeros.
fn zeroed(block: &[u8], check_offset: usize) -> Option<Vec<u8>> {
    if block.len() > MAX_BLOCK {
        return None;
    }
    let mut zeroed = block.to_vec();
    zeroed.get_mut(check_offset..check_offset.checked_add(CHECK_BYTES)?)?.fill(0);
    Some(zeroed)
}

/// The block with the bit flipped that `syndrome` points to, where the stored CRC then holds. Where only a parity bit is
/// wrong (the syndrome is a power of two) the data would be right, and then the CRC had held already.
fn corrected(block: &[u8], check_offset: usize, stored: Check, syndrome: u16) -> Option<Vec<u8>> {
    let bit = data_bit(syndrome)?;
    let mut fixed = block.to_vec();
    *fixed.get_mut(bit / 8)? ^= 1 << (bit % 8);
    (crc32(u32::MAX, &zeroed(&fixed, check_offset)?) == stored.crc).then_some(fixed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn published_vectors() {
        assert_eq!(crc32(u32::MAX, b"123456789"), 0x340B_C6D9);
        assert_eq!(crc32(0, b"123456789"), 0x2DFD_2D88);
        assert_eq!(hamming(&[1]), 3);
        let mut block = [0; 512];
        block[511] = 0x80;
        assert_eq!(hamming(&block), 0x100D);
        let mut block = [0; 4096];
        block[4095] = 0x80;
        assert_eq!(hamming(&block), 32784);
    }

    #[test]
    fn parity_positions_hold_no_data() {
        assert!((0..16).all(|power| data_bit(1 << power).is_none()) && data_bit(0).is_none());
    }

    #[test]
    fn a_structure_that_does_not_fit_is_a_defect() {
        assert!(verified(&[0; 512], 505).is_err());
        assert!(verified(&[0; 512], usize::MAX).is_err());
        assert!(verified(&[0; 8192], INODE_CHECK).is_err());
        assert!(verified(&[], 0).is_err());
    }

    fn protected() -> impl Strategy<Value = Vec<u8>> {
        (9u32..=12).prop_flat_map(|bits| prop::collection::vec(any::<u8>(), 1 << bits)).prop_map(
            |mut block| {
                let check = Check::compute(&block, INODE_CHECK).unwrap();
                block[INODE_CHECK..INODE_CHECK + CHECK_BYTES].copy_from_slice(&check.encode());
                block
            },
        )
    }

    /// The same bit by bit, straight from the definition.
    fn slow_crc32(initial: u32, bytes: &[u8]) -> u32 {
        bytes.iter().fold(initial, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (crc & 1) * 0xEDB8_8320)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn crc_of_any_bytes_from_any_start(initial in any::<u32>(), bytes in prop::collection::vec(any::<u8>(), 0..5000), cut in any::<prop::sample::Index>()) {
            let expected = slow_crc32(initial, &bytes);
            prop_assert_eq!(crc32(initial, &bytes), expected);
            let (first, second) = bytes.split_at(cut.index(bytes.len() + 1));
            prop_assert_eq!(crc32(crc32(initial, first), second), expected);
        }

        #[test]
        fn every_data_bit_stands_at_its_position(bit in 0usize..32768) {
            let mut block = [0u8; 4096];
            block[bit / 8] = 1 << (bit % 8);
            prop_assert_eq!(data_bit(u16::try_from(hamming(&block)).unwrap()), Some(bit));
        }

        #[test]
        fn one_flipped_bit_is_corrected(block in protected(), bit in any::<prop::sample::Index>()) {
            prop_assert_eq!(&*verified(&block, INODE_CHECK).unwrap(), &block[..]);
            let bit = bit.index(block.len() * 8);
            prop_assume!(!(INODE_CHECK..INODE_CHECK + 4).contains(&(bit / 8)));
            let mut flipped = block.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let result = verified(&flipped, INODE_CHECK).unwrap();
            if (INODE_CHECK + 4..INODE_CHECK + CHECK_BYTES).contains(&(bit / 8)) {
                prop_assert_eq!(&*result, &flipped[..]); // data is right, only the ECC or the reserved field is not
            } else {
                prop_assert_eq!(&*result, &block[..]);
            }
        }

        #[test]
        fn two_flipped_bits_are_refused(block in protected(), bits in any::<[prop::sample::Index; 2]>()) {
            let [first, second] = bits.map(|bit| bit.index(block.len() * 8));
            let in_check = |bit: usize| (INODE_CHECK..INODE_CHECK + CHECK_BYTES).contains(&(bit / 8));
            prop_assume!(first != second && !in_check(first) && !in_check(second));
            let mut flipped = block;
            flipped[first / 8] ^= 1 << (first % 8);
            flipped[second / 8] ^= 1 << (second % 8);
            prop_assert!(verified(&flipped, INODE_CHECK).is_err());
        }

        #[test]
        fn any_bytes_at_any_offset(bytes in prop::collection::vec(any::<u8>(), 0..5000), offset in any::<usize>(), near in 0usize..5000) {
            let _ = verified(&bytes, offset);
            let _ = verified(&bytes, near);
        }
    }
}
