//! Heartbeat blocks and the place of a region.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use ocfs2_group_disk::{HeartbeatSlot, RegionGeometry, heartbeat_slot::checksum};
use proptest::prelude::*;

/// A block that a kernel wrote when it left (kernel-abi section 2.2).
fn written_by_a_kernel() -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..8].copy_from_slice(&[0xc0, 0x59, 0x04, 0x6b, 0, 0, 0, 0]);
    block[8] = 1;
    block[12..16].copy_from_slice(&[0x21, 0x00, 0x2c, 0xfa]);
    block[24..28].copy_from_slice(&[0x30, 0xf2, 0, 0]);
    block
}

#[test]
fn a_kernels_block_is_read_and_made_byte_by_byte() {
    let block = written_by_a_kernel();
    let slot = HeartbeatSlot::parse(&block, 1).unwrap();
    let sequence = 0x6b04_59c0;
    let expected = HeartbeatSlot { slot: 1, valid: true, sequence, node: 1, generation: 0, dead_ms: 62_000 };
    assert_eq!(slot, expected);
    assert_eq!(checksum(&block), 0xFA2C_0021);
    assert_eq!(slot.encode(512).unwrap(), block);
}

#[test]
fn a_block_nobody_wrote_is_valid_and_empty() {
    let slot = HeartbeatSlot::parse(&[0; 4096], 7).unwrap();
    let expected = HeartbeatSlot { slot: 7, valid: true, sequence: 0, node: 0, generation: 0, dead_ms: 0 };
    assert_eq!(slot, expected);
}

#[test]
fn a_region_is_checked() {
    let code = |start, size, blocks| RegionGeometry::new(start, size, blocks).unwrap_err().code.name();
    for size in [0, 1, 256, 513, 8192, u32::MAX] {
        assert_eq!(code(1, size, 255), "O2CB_INVALID_BLOCK_SIZE");
    }
    for blocks in [0, 256, u32::MAX] {
        assert_eq!(code(1, 512, blocks), "O2CB_INVALID_BLOCK_COUNT");
    }
    for start in [0, u64::MAX, u64::MAX / 512, (i64::MAX as u64) / 512] {
        assert_eq!(code(start, 512, 255), "O2CB_BAD_HEARTBEAT_FILE");
    }
    let region = RegionGeometry::new(2184, 512, 255).unwrap();
    assert_eq!((region.offset(), region.length()), (2184 * 512, 255 * 512));
    assert_eq!(region.slot_offset(0), Some(2184 * 512));
    assert_eq!(region.slot_offset(254), Some((2184 + 254) * 512));
    assert_eq!(region.slot_offset(255), None);
    assert_eq!(region.slot_offset(u32::MAX), None);
}

fn any_slot() -> impl Strategy<Value = HeartbeatSlot> {
    (0u32..255, any::<bool>(), any::<u64>(), any::<u8>(), any::<u64>(), any::<u32>()).prop_map(
        |(slot, valid, sequence, node, generation, dead_ms)| HeartbeatSlot {
            slot,
            valid,
            sequence,
            node,
            generation,
            dead_ms,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_made_is_read(slot in any_slot(), bits in 9u32..=12) {
        let block = slot.encode(1 << bits).unwrap();
        prop_assert_eq!(block.len(), 1 << bits);
        prop_assert_eq!(HeartbeatSlot::parse(&block, slot.slot).unwrap(), slot);
    }

    #[test]
    fn a_flipped_bit_is_noticed(mut slot in any_slot(), bits in 9u32..=12, bit in any::<prop::sample::Index>()) {
        slot.valid = true;
        let mut block = slot.encode(1 << bits).unwrap();
        let bit = bit.index(block.len() * 8);
        block[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!HeartbeatSlot::parse(&block, slot.slot).unwrap().valid);
    }

    #[test]
    fn any_bytes_are_a_slot_or_too_short(bytes in prop::collection::vec(any::<u8>(), 0..5000), slot in any::<u32>()) {
        prop_assert_eq!(HeartbeatSlot::parse(&bytes, slot).is_ok(), bytes.len() >= 0x1C);
        let short = &bytes[..bytes.len().min(64)];
        prop_assert_eq!(HeartbeatSlot::parse(short, slot).is_ok(), short.len() >= 0x1C);
    }

    #[test]
    fn any_region_is_refused_or_addressable(
        start in any::<u64>(), shift in 0u32..64, size in prop_oneof![any::<u32>(), Just(512), Just(4096)],
        blocks in prop_oneof![any::<u32>(), 0u32..300], slot in prop_oneof![any::<u32>(), 0u32..300],
    ) {
        if let Ok(region) = RegionGeometry::new(start >> shift, size, blocks) {
            prop_assert_eq!(region.slot_offset(slot).is_some(), slot < blocks);
            let end = region.offset() + u64::from(region.length());
            prop_assert!(region.slot_offset(slot).is_none_or(|at| at >= region.offset() && at + u64::from(size) <= end));
            prop_assert!(i64::try_from(end).is_ok());
        }
    }

    #[test]
    fn the_slots_of_a_region_stand_in_order(slots in prop::collection::vec(any_slot(), 1..40), cut in 0usize..600) {
        let region = RegionGeometry::new(9, 512, slots.len() as u32).unwrap();
        let numbered: Vec<_> = (0u32..).zip(slots).map(|(slot, written)| HeartbeatSlot { slot, ..written }).collect();
        let mut bytes: Vec<u8> = numbered.iter().flat_map(|slot| slot.encode(512).unwrap()).collect();
        bytes.extend([0xFF; 1024]); // what stands behind the region is not of it
        prop_assert_eq!(&region.parse_slots(&bytes), &numbered);
        let whole = cut.min(bytes.len()) / 512;
        prop_assert_eq!(region.parse_slots(&bytes[..cut.min(bytes.len())]).len(), whole.min(numbered.len()));
    }
}
