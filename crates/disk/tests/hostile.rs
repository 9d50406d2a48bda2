//! Volumes that are damaged, cut off, hostile, or being rewritten: always an answer or a coded error, in bounded reads.

#![allow(clippy::unwrap_used)] // a panic is how a test fails
#![allow(clippy::result_large_err)] // as in the crate

mod support;

use ocfs2_group_disk::{MAX_READS, ReadBlock, Volume, read_volume};
use ocfs2_group_error::{Code, Error, Result};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use support::{MemoryVolume, facts_of, fixture, fixtures};

/// Reads besides those of [`MAX_READS`]: sector 0, four sizes of superblock three times, two sectors for the diagnosis.
const PROBE_READS: u32 = 16;

/// Whatever `volume` holds: reads are bounded, an error has one of three codes and a phrase, an extent lies inside.
fn check(volume: &mut MemoryVolume) -> std::result::Result<Result<Volume>, TestCaseError> {
    volume.reads = 0;
    let result = volume.facts();
    prop_assert!(volume.reads <= MAX_READS + PROBE_READS, "{} reads", volume.reads);
    match &result {
        Ok(Volume { superblock, heartbeat: Ok(extent) }) => {
            let blocks =
                u64::from(extent.clusters) * u64::from(superblock.cluster_bytes / superblock.block_bytes);
            let end = extent.start_block.checked_add(blocks).unwrap();
            prop_assert!(extent.start_block > 0 && blocks > 0 && end <= superblock.volume_blocks());
            prop_assert!(end * u64::from(superblock.block_bytes) <= volume.device_bytes);
        }
        Ok(Volume { heartbeat: Err(reason), .. }) => prop_assert!(!reason.is_empty()),
        Err(error) => {
            prop_assert!(matches!(error.code, Code::BadSuperblock | Code::BadDirectory | Code::BadDevice));
            prop_assert!(
                !error.detail.is_empty() && !error.detail.ends_with('.') && !error.detail.contains('\n')
            );
        }
    }
    Ok(result)
}

fn any_fixture() -> impl Strategy<Value = MemoryVolume> {
    select(fixtures())
}

/// The blocks of `volume` that are read, and where each keeps its checksum.
fn blocks_read(volume: &MemoryVolume) -> Vec<(u64, u64)> {
    let mut blocks =
        vec![(2, 0x80), (volume.number("system-block"), 0x80), (volume.number("file heartbeat"), 0x80)];
    blocks.extend(volume.directory_block().map(|block| (block, volume.block_bytes() - 8)));
    blocks
}

/// Numbers at which arithmetic goes wrong, and any other.
fn nasty() -> impl Strategy<Value = u64> {
    prop_oneof![
        select(vec![
            0,
            1,
            2,
            255,
            256,
            65535,
            1 << 31,
            (1 << 32) - 1,
            1 << 52,
            1 << 63,
            u64::MAX,
            u64::MAX - 1,
            u64::MAX / 512
        ]),
        any::<u64>(),
        0u64..60_000,
    ]
}

/// Offsets of fields that are read: of superblocks, inodes with their extents, directory entries.
const FIELDS: &[u64] = &[
    0x00, 0x08, 0x0A, 0x0B, 0x10, 0x14, 0x18, 0x20, 0x28, 0x2C, 0x50, 0x60, 0x76, 0xC0, 0xC2, 0xC4, 0xC8,
    0xD0, 0xD4, 0xD6, 0xD8, 0xDC, 0xE0, 0xE4, 0xE8, 0xF0, 0xF8, 0xFC, 0x100, 0x110, 0x150, 0x160, 0x164,
    0x168,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_bytes_are_no_volume(bytes in prop::collection::vec(any::<u8>(), 0..20_000), sector in prop_oneof![any::<u32>(), Just(512), Just(4096)]) {
        let device_bytes = bytes.len() as u64;
        let mut reads = 0;
        let mut reader = |offset: u64, len: usize| {
            reads += 1;
            Ok(bytes[offset as usize..][..len].to_vec())
        };
        let error = read_volume(&mut reader, device_bytes, sector).unwrap_err();
        prop_assert!(matches!(error.code, Code::BadSuperblock | Code::BadDevice) && !error.detail.is_empty());
        prop_assert!(reads <= PROBE_READS);
    }

    #[test]
    fn random_bytes_behind_a_signature(bits in 9u32..=12, bytes in prop::collection::vec(any::<u8>(), 16_384), plant in 0usize..5) {
        let size = 1usize << bits;
        let mut volume = MemoryVolume::new("random", bytes.len() as u64);
        volume.write(0, &bytes);
        let superblock = 2 * size as u64;
        volume.write(4, &[0; 4]);
        // The more of it is right, the deeper the rest gets.
        let right: [(u64, &[u8]); 5] =
            [(0, b"OCFSV2\0\0"), (0xC0, &[0, 0, 90, 0]), (0xF8, &[bits as u8, 0, 0, 0, 12, 0, 0, 0]), (0x50, &[2, 0, 0, 0, 0, 0, 0, 0]), (0xE0, &[0; 4])];
        for (offset, bytes) in right.iter().take(plant + 1) {
            volume.write(superblock + offset, bytes);
        }
        prop_assert!(check(&mut volume)?.is_err());
    }

    #[test]
    fn a_volume_cut_off_anywhere(mut volume in any_fixture(), cut in prop_oneof![any::<u64>(), 0u64..3_000_000], shift in 0u32..64) {
        let whole = volume.facts().unwrap();
        volume.device_bytes = volume.device_bytes.min(cut >> shift);
        match check(&mut volume)? {
            Ok(read) => prop_assert_eq!(read.superblock, whole.superblock),
            Err(error) => prop_assert!(matches!(error.code, Code::BadSuperblock | Code::BadDirectory)),
        }
    }

    #[test]
    fn a_reader_that_comes_back_short(volume in any_fixture(), from in 0u32..12, keep in 0usize..4096) {
        let mut volume = volume;
        let device_bytes = volume.device_bytes;
        let mut count = 0;
        let mut reader = |offset: u64, len: usize| {
            let mut bytes = volume.read(offset, len)?;
            if count >= from {
                bytes.truncate(keep);
            }
            count += 1;
            Ok(bytes)
        };
        if let Err(error) = read_volume(&mut reader, device_bytes, 512) {
            prop_assert!(matches!(error.code, Code::BadSuperblock | Code::BadDirectory));
            prop_assert!(error.detail.contains("the device ends before byte"), "{}", error);
        }
    }

    #[test]
    fn flipped_bits_anywhere_in_what_is_read(volume in any_fixture(), flips in prop::collection::vec((any::<Index>(), any::<Index>()), 1..6)) {
        let mut volume = volume;
        let blocks = blocks_read(&volume);
        for (block, bit) in flips {
            let bit = bit.index(volume.block_bytes() as usize * 8) as u64;
            let offset = volume.offset(block.get(&blocks).0) + bit / 8;
            let byte = volume.bytes(offset, 1)[0] ^ (1 << (bit % 8));
            volume.write(offset, &[byte]);
        }
        check(&mut volume)?.ok();
    }

    #[test]
    fn one_flipped_bit_changes_nothing_where_there_are_checksums(
        volume in select(fixtures().into_iter().filter(MemoryVolume::has_metadata_ecc).collect::<Vec<_>>()),
        block in any::<Index>(), bit in any::<Index>(),
    ) {
        let mut volume = volume;
        let whole = volume.facts().unwrap();
        let (number, check_offset) = *block.get(&blocks_read(&volume));
        let bit = bit.index(volume.block_bytes() as usize * 8) as u64;
        // The CRC itself cannot be corrected; of the superblock, signature and feature bit are read before it.
        let needed = number == 2 && (bit / 8 < 6 || bit == 0xE1 * 8 + 3);
        prop_assume!(!needed && !(check_offset..check_offset + 4).contains(&(bit / 8)));
        let offset = volume.offset(number) + bit / 8;
        let byte = volume.bytes(offset, 1)[0] ^ (1 << (bit % 8));
        volume.write(offset, &[byte]);
        prop_assert_eq!(check(&mut volume)?.unwrap(), whole);
    }

    #[test]
    fn hostile_numbers_under_right_checksums(
        volume in any_fixture(),
        changes in prop::collection::vec((any::<Index>(), select(FIELDS), prop_oneof![Just(1usize), Just(2), Just(4), Just(8)], nasty()), 1..5),
    ) {
        let mut volume = volume;
        let blocks = blocks_read(&volume);
        for (block, field, width, value) in changes {
            let (number, check_offset) = *block.get(&blocks);
            let offset = volume.offset(number) + field;
            volume.write(offset, &value.to_le_bytes()[..width]);
            volume.seal(number, check_offset);
        }
        check(&mut volume)?.ok();
    }

    #[test]
    fn a_block_that_is_being_rewritten_is_read_again(
        volume in select(fixtures().into_iter().filter(MemoryVolume::has_metadata_ecc).collect::<Vec<_>>()),
        block in any::<Index>(), garbage in any::<u8>(), times in 1u32..=3,
    ) {
        let mut volume = volume;
        let whole = volume.facts().unwrap();
        let torn = volume.offset(block.get(&blocks_read(&volume)).0);
        let device_bytes = volume.device_bytes;
        let mut left = times;
        let mut reader = |offset: u64, len: usize| {
            let mut bytes = volume.read(offset, len)?;
            if offset == torn && left > 0 {
                left -= 1;
                let half = bytes.len() / 2;
                bytes[half..half + 64].fill(garbage | 1);
                bytes[half - 64..half].fill(garbage | 2);
            }
            Ok(bytes)
        };
        let result = read_volume(&mut reader, device_bytes, 512);
        if times < 3 {
            prop_assert_eq!(result.unwrap(), whole);
        } else {
            // The superblock says itself whether it has a checksum; another check may speak first.
            let words = if torn == 2 * volume.block_bytes() { "the superblock at byte" } else { "its checksum does not hold" };
            match result {
                Err(error) => prop_assert!(error.detail.contains(words), "{}", error),
                Ok(read) => prop_assert!(read.heartbeat.unwrap_err().contains(words)),
            }
        }
    }
}

#[test]
fn every_read_error_is_passed_through_unchanged() {
    for volume in fixtures() {
        let mut whole = volume.clone();
        whole.facts().unwrap();
        for failing in 0..whole.reads {
            let mut volume = volume.clone();
            let device_bytes = volume.device_bytes;
            let failure = Error::os("read-block", "pread", 5).path("/dev/x");
            let mut reader = |offset: u64, len: usize| {
                if volume.reads == failing { Err(failure.clone()) } else { volume.read(offset, len) }
            };
            assert_eq!(read_volume(&mut reader, device_bytes, 512).unwrap_err(), failure);
        }
    }
}

/// What the fixture says of its heartbeat file once `bytes` stand at `offset` of that file's inode.
fn problem(name: &str, offset: u64, bytes: &[u8]) -> String {
    let mut volume = fixture(name);
    let number = volume.number("file heartbeat");
    let inode = volume.offset(number);
    volume.write(inode + offset, bytes);
    volume.seal(number, 0x80);
    let read = volume.facts().unwrap();
    assert_eq!(facts_of(&read)["uuid"], volume.expect["uuid"]);
    read.heartbeat.unwrap_err().replace(&number.to_string(), "N")
}

#[test]
fn an_unusable_heartbeat_file_is_a_fact_with_its_reason() {
    for name in ["1024-classic", "4096-metaecc"] {
        let says = |offset, bytes: &[u8], words: &str| {
            assert_eq!(problem(name, offset, bytes), format!("heartbeat file: {words}"));
        };
        says(0x2C, &[0x11, 0], "its inode lacks the heartbeat flag");
        says(0x2C, &[0x10, 2], "block N: its inode is not in use");
        says(0, b"x", "block N: it does not carry an inode's signature");
        says(0x50, &[1, 0], "block N: its inode names itself block 1");
        says(0x60, &[0; 4], "block N: its inode is of another file system (the generation differs)");
        says(0x76, &[1], "its data are inline and have no extents");
        says(0xC0, &[1], "its extent tree has depth 1 in place of 0");
        says(0xC4, &[0], "it has 0 extents in place of one");
        says(0xC4, &[2], "it has 2 extents in place of one");
        let volume = fixture(name);
        let blocks = volume.number("clusters") * volume.number("cluster-bytes") / volume.block_bytes();
        let clusters = u16::from_le_bytes(
            volume.bytes(volume.offset(volume.number("file heartbeat")) + 0xD4, 2).try_into().unwrap(),
        );
        let start = volume.expect["heartbeat"].rsplit(' ').next().unwrap().to_owned();
        let outside = |clusters: u64, start: &str| {
            format!(
                "its extent of {clusters} clusters at block {start} lies outside the {blocks} blocks that volume and device have"
            )
        };
        says(0xD8, &[0; 8], &outside(clusters.into(), "0"));
        says(0xD8, &u64::MAX.to_le_bytes(), &outside(clusters.into(), &u64::MAX.to_string()));
        says(0xD4, &[0, 0], &outside(0, &start));
        says(0xD4, &[255, 255], &outside(65535, &start));
    }
}

#[test]
fn a_heartbeat_file_behind_the_end_of_the_device_is_a_fact() {
    let mut volume = fixture("4096-o2cb");
    volume.device_bytes = 280 * 4096;
    let reason = volume.facts().unwrap().heartbeat.unwrap_err();
    assert!(reason.ends_with("lies outside the 280 blocks that volume and device have"), "{reason}");
}

#[test]
fn a_system_directory_without_a_heartbeat_file() {
    let mut volume = fixture("512-max-compat");
    let block = volume.offset(volume.directory_block().unwrap());
    let data = volume.bytes(block, 512);
    let at = data.windows(9).position(|window| window == b"heartbeat").unwrap() as u64;
    volume.write(block + at, b"h");
    volume.write(block + at + 1, b"i");
    let reason = volume.facts().unwrap().heartbeat.unwrap_err();
    assert_eq!(reason, "the system directory names no heartbeat file");
}

#[test]
fn a_damaged_system_directory_is_an_error_that_says_where() {
    let says = |name: &str, offset: u64, bytes: &[u8], words: &str| {
        let mut volume = fixture(name);
        let number = volume.number("system-block");
        let inode = volume.offset(number);
        volume.write(inode + offset, bytes);
        volume.seal(number, 0x80);
        let error = volume.facts().unwrap_err();
        assert_eq!(error.code, Code::BadDirectory);
        assert_eq!(error.detail, format!("system directory: block {number}: {words}"), "{name}");
    };
    for name in ["4096-o2cb", "2048-metaecc"] {
        says(name, 0x28, &[0xED, 0x81], "its inode is no directory");
        says(
            name,
            0x20,
            &u64::MAX.to_le_bytes(),
            &format!("{} bytes of inline data do not fit its inode", u64::MAX),
        );
        says(
            name,
            0xC0,
            &[1, 0],
            &format!("{} bytes of inline data do not fit its inode", fixture(name).block_bytes() - 200),
        );
        says(name, 0xD0, &[8], "8 bytes are no length of a directory entry");
        says(name, 0xD0, &[0, 0], "0 bytes are no length of a directory entry");
        says(name, 0xD0, &[18], "18 bytes are no length of a directory entry");
        let area = fixture(name).block_bytes() - 200;
        says(
            name,
            0xD0,
            &[255, 255],
            &format!("a directory entry of 65535 bytes crosses the end, {area} bytes on"),
        );
        says(name, 0xD2, &[5], "a name of 5 bytes does not fit a directory entry of 16");
    }
    let mut volume = fixture("4096-o2cb");
    let superblock = volume.offset(2);
    volume.write(superblock + 0xF0, &u64::MAX.to_le_bytes());
    let error = volume.facts().unwrap_err();
    assert_eq!(error.code, Code::BadDirectory);
    assert!(
        error.detail.starts_with(&format!("system directory: block {}: it lies outside", u64::MAX)),
        "{error}"
    );
}
