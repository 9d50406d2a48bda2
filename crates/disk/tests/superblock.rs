//! Superblocks: each check of the kernel on its own, and every field there and back.

#![allow(clippy::unwrap_used)] // a panic is how a test fails
#![allow(clippy::result_large_err)] // as in the crate

mod support;

use ocfs2_group_disk::ecc::{Check, INODE_CHECK};
use ocfs2_group_disk::{ReadBlock, Superblock, probe_superblock};
use proptest::prelude::*;
use support::{MemoryVolume, fixture};

/// The block that says `superblock`, as mkfs.ocfs2 would write it. Padding is filled with what must not be read.
fn encode(superblock: &Superblock) -> Vec<u8> {
    let mut block = vec![0xA5; superblock.block_bytes as usize];
    let mut put = |offset: usize, bytes: &[u8]| block[offset..offset + bytes.len()].copy_from_slice(bytes);
    put(0, b"OCFSV2\0\0");
    put(0x14, &superblock.clusters.to_le_bytes());
    put(0x50, &superblock.block_number.to_le_bytes());
    put(0x60, &superblock.fs_generation.to_le_bytes());
    put(0xC0, &[0, 0, 90, 0]);
    put(0xDC, &superblock.feature_compat.to_le_bytes());
    put(0xE0, &superblock.feature_incompat.to_le_bytes());
    put(0xE4, &superblock.feature_ro_compat.to_le_bytes());
    put(0xE8, &superblock.root_block.to_le_bytes());
    put(0xF0, &superblock.system_block.to_le_bytes());
    put(0xF8, &superblock.block_bytes.ilog2().to_le_bytes());
    put(0xFC, &superblock.cluster_bytes.ilog2().to_le_bytes());
    put(0x100, &superblock.max_slots.to_le_bytes());
    let padded = |text: &str, len: usize| {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(len, 0);
        bytes
    };
    put(0x110, &padded(&superblock.label, 64));
    put(0x150, &superblock.uuid);
    if let (Some(stack), Some(cluster)) = (&superblock.stack_label, &superblock.cluster_name) {
        put(0x160, &padded(stack, 4));
        put(0x168, &padded(cluster, 16));
    }
    if superblock.feature_incompat & 0x4000 != 0 {
        put(0x164, &[superblock.stack_flags]);
    }
    if superblock.has_metadata_ecc() {
        let check = Check::compute(&block, INODE_CHECK).unwrap().encode();
        block[INODE_CHECK..INODE_CHECK + 8].copy_from_slice(&check);
    }
    block
}

fn any_superblock() -> impl Strategy<Value = Superblock> {
    let numbers = (9u32..=12, 12u32..=20, any::<u32>(), 0u16..=255, any::<[u32; 4]>(), any::<u64>());
    let blocks = (1..=u64::MAX, 1..=u64::MAX);
    (numbers, blocks, any::<[u8; 16]>(), "[ -~]{0,64}", "[a-z0-9]{0,4}", "[a-zA-Z0-9]{0,16}", any::<u8>())
        .prop_map(|(numbers, (root_block, system_block), uuid, label, stack, cluster, stack_flags)| {
            let (block_bits, cluster_bits, clusters, max_slots, bits, block_number) = numbers;
            let [feature_compat, feature_incompat, feature_ro_compat, fs_generation] = bits;
            let stamped = feature_incompat & 0x4080 != 0;
            Superblock {
                uuid,
                label,
                block_bytes: 1 << block_bits,
                cluster_bytes: 1 << cluster_bits,
                clusters,
                max_slots,
                feature_compat,
                feature_incompat,
                feature_ro_compat,
                root_block,
                system_block,
                stack_label: stamped.then_some(stack),
                stack_flags: if feature_incompat & 0x4000 != 0 { stack_flags } else { 0 },
                cluster_name: stamped.then_some(cluster),
                fs_generation,
                block_number,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_written_is_read(superblock in any_superblock()) {
        let read = Superblock::parse(&encode(&superblock), superblock.block_bytes, superblock.block_number);
        prop_assert_eq!(read.unwrap(), superblock);
    }

    #[test]
    fn every_other_block_number_and_size_is_refused(superblock in any_superblock(), number in any::<u64>(), size in any::<u32>()) {
        let block = encode(&superblock);
        prop_assume!(number != superblock.block_number && size != superblock.block_bytes);
        prop_assert!(Superblock::parse(&block, superblock.block_bytes, number).is_err());
        prop_assert!(Superblock::parse(&block, size, superblock.block_number).is_err());
        for size in [0, 512, 1024, 2048, 4096, 8192] {
            let right = size == superblock.block_bytes;
            prop_assert_eq!(Superblock::parse(&block, size, superblock.block_number).is_ok(), right);
        }
    }

    #[test]
    fn a_shortened_block_is_refused(superblock in any_superblock(), cut in any::<prop::sample::Index>()) {
        let block = encode(&superblock);
        let cut = cut.index(block.len());
        prop_assert!(Superblock::parse(&block[..cut], superblock.block_bytes, superblock.block_number).is_err());
    }
}

/// What reading the fixture says once `bytes` stand at `offset` of its superblock.
fn refusal(name: &str, offset: u64, bytes: &[u8]) -> String {
    let mut volume = fixture(name);
    let superblock = volume.offset(2);
    volume.write(superblock + offset, bytes);
    volume.seal(2, 0x80);
    let error = volume.facts().unwrap_err();
    assert_eq!(error.code.name(), "O2CB_BAD_SUPERBLOCK");
    error.to_string()
}

#[test]
fn each_check_says_what_it_found() {
    for name in ["4096-o2cb", "1024-metaecc"] {
        let size = fixture(name).block_bytes();
        let at = format!("read-volume: the superblock at byte {}: ", 2 * size);
        let says = |offset, bytes: &[u8], words: &str| {
            assert_eq!(refusal(name, offset, bytes), format!("{at}{words}"))
        };
        says(0xF8, &[11], &format!("it names a block size of 2048 bytes and stands at that of {size}"));
        says(
            0xF8,
            &[40],
            &format!("it names a block size of 1099511627776 bytes and stands at that of {size}"),
        );
        says(
            0xF8,
            &[255; 4],
            &format!("it names a block size of 2^4294967295 bytes and stands at that of {size}"),
        );
        says(0xC2, &[91], "revision 0.91 is not 0.90");
        says(0x50, &[3], "it names itself block 3");
        says(0xFC, &[11], "cluster size 2^11 is not between 2^12 and 2^20 bytes");
        says(0xFC, &[21], "cluster size 2^21 is not between 2^12 and 2^20 bytes");
        says(0xFC, &[255; 4], "cluster size 2^4294967295 is not between 2^12 and 2^20 bytes");
        says(0xE8, &[0; 8], "it names no root or system directory");
        says(0xF0, &[0; 8], "it names no root or system directory");
        says(0x100, &[0, 1], "256 node slots are more than 255");
    }
}

#[test]
fn limits_are_allowed() {
    for (offset, bytes) in [(0x100, [255, 0]), (0x100, [0, 0]), (0xFC, [20, 0]), (0xFC, [12, 0])] {
        let mut volume = fixture("4096-o2cb");
        let superblock = volume.offset(2);
        volume.write(superblock + offset, &bytes);
        assert!(volume.facts().is_ok(), "{offset:x} {bytes:?}");
    }
}

#[test]
fn a_superblock_that_vanishes_between_two_reads_is_no_empty_device() {
    let mut volume = fixture("1024-metaecc");
    let (superblock, device_bytes) = (volume.offset(2), volume.device_bytes);
    volume.write(superblock + 0x200, &[3]);
    let mut seen = false;
    let mut reader = |offset: u64, len: usize| {
        let bytes = if offset == superblock && seen { Ok(vec![0; len]) } else { volume.read(offset, len) };
        seen |= offset == superblock && len == 1024;
        bytes
    };
    let error = probe_superblock(&mut reader, device_bytes, 512).unwrap_err();
    assert_eq!(error.detail, "the superblock at byte 2048: it does not carry the OCFS2 signature");
}

#[test]
fn a_wrong_checksum_is_the_cause_that_is_named() {
    let mut volume = fixture("2048-metaecc");
    let superblock = volume.offset(2);
    volume.write(superblock + 0x200, &[3]);
    let error = volume.facts().unwrap_err();
    assert_eq!(error.to_string(), "read-volume: the superblock at byte 4096: its checksum does not hold");
}

#[test]
fn version_1_is_told_apart() {
    for (offset, bytes) in [(4, &[2, 0, 0, 0][..]), (8, b"OracleCFS")] {
        let mut volume = fixture("512-o2cb");
        volume.write(offset, bytes);
        let error = volume.facts().unwrap_err();
        assert_eq!(
            error.to_string(),
            "read-volume: it is a volume of OCFS version 1, which must be upgraded"
        );
    }
}

#[test]
fn a_bad_superblock_at_a_small_size_ends_the_search() {
    let mut volume = fixture("4096-o2cb");
    volume.write(0x400, b"OCFSV2"); // left over from an older volume of 512-byte blocks
    let error = volume.facts().unwrap_err();
    assert!(error.detail.starts_with("the superblock at byte 1024: "), "{error}");
}

#[test]
fn small_devices_and_odd_sectors() {
    let says = |device_bytes, sector_bytes, code: &str, words: &str| {
        let mut volume = MemoryVolume::new("zeros", device_bytes);
        let error = probe_superblock(&mut volume, device_bytes, sector_bytes).unwrap_err();
        assert_eq!((error.code.name(), error.detail.contains(words)), (code, true), "{error}");
        assert!(volume.reads <= 5);
    };
    says(0, 512, "O2CB_BAD_SUPERBLOCK", "the device is empty (0 bytes)");
    for device_bytes in [1, 511, 512, 1535, 1536, 8192, 1 << 20] {
        let words = format!(
            "no OCFS2 signature in block 2 at any block size from 512 to 4096 bytes (the device has {device_bytes} bytes)"
        );
        says(device_bytes, 512, "O2CB_BAD_SUPERBLOCK", &words);
        says(device_bytes, 0, "O2CB_BAD_SUPERBLOCK", &words);
    }
    for sector_bytes in [513, 520, 4224, 8192, u32::MAX] {
        says(1 << 20, sector_bytes, "O2CB_BAD_DEVICE", "no volume can be used on logical sectors of");
    }
}

#[test]
fn a_label_and_names_end_at_a_nul_or_fill_their_field() {
    let mut volume = fixture("4096-o2cb");
    let superblock = volume.offset(2);
    volume.write(superblock + 0x110, &[b'x'; 64]);
    volume.write(superblock + 0x160, b"o\0cb");
    volume.write(superblock + 0x168, b"abc\xFF\0fghijklmnop");
    let read = volume.facts().unwrap().superblock;
    assert_eq!(read.label, "x".repeat(64));
    assert_eq!(read.stack_label.as_deref(), Some("o"));
    assert_eq!(read.cluster_name.as_deref(), Some("abc\u{FFFD}"));
}
