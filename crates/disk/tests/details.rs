//! Slot maps, journals and system files of volumes that are damaged, hostile, or being rewritten: an answer or a coded error, in
//! bounded reads; what is damaged is told, and does not hide the rest.

#![allow(clippy::unwrap_used)] // a panic is how a test fails
#![allow(clippy::result_large_err)] // as in the crate

mod support;

use ocfs2_group_disk::details::{Details, read_details};
use ocfs2_group_disk::{MAX_DETAIL_READS, ReadBlock, UsedSlot};
use ocfs2_group_error::{Code, Error, Result};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use support::{MemoryVolume, fixture, fixtures};

/// Reads besides those of the block reader, as in hostile.rs.
const PROBE_READS: u32 = 16;

fn details(volume: &mut MemoryVolume) -> Result<Details> {
    let (device_bytes, sector_bytes) = (volume.device_bytes, volume.sector_bytes);
    read_details(volume, device_bytes, sector_bytes)
}

/// Whatever the volume holds.
fn check(volume: &mut MemoryVolume) -> std::result::Result<(), TestCaseError> {
    volume.reads = 0;
    let result = details(volume);
    prop_assert!(volume.reads <= MAX_DETAIL_READS + PROBE_READS, "{} reads", volume.reads);
    match result {
        Ok(details) => {
            let slots = usize::from(details.superblock.max_slots);
            let missing =
                details.problems.iter().filter(|problem| problem.what.starts_with("journal")).count();
            prop_assert_eq!(details.journals.len() + missing, slots);
            prop_assert!(details.slot_map.iter().all(|used| usize::from(used.slot) < slots));
            prop_assert!(details.problems.iter().all(|problem| !problem.why.is_empty()));
            prop_assert_eq!(details.problems.is_empty(), details.whole().is_ok());
        }
        Err(error) => prop_assert!(
            matches!(error.code, Code::BadSuperblock | Code::BadDirectory | Code::BadDevice)
                && !error.detail.is_empty()
        ),
    }
    Ok(())
}

/// The first block of the slot map's data.
fn slot_map_data(volume: &MemoryVolume) -> u64 {
    let inode = volume.offset(volume.number("file slot_map"));
    volume.offset(u64::from_le_bytes(volume.bytes(inode + 0xC0 + 0x10 + 8, 8).try_into().unwrap()))
}

fn with_slots() -> Vec<MemoryVolume> {
    fixtures().into_iter().filter(|volume| volume.number("max-slots") > 0).collect()
}

#[test]
fn every_fixture_is_whole() {
    for mut volume in fixtures() {
        let read = details(&mut volume).unwrap().whole().unwrap();
        assert_eq!(read.journals.len() as u64, volume.number("max-slots"), "{}", volume.name);
        assert!(read.slot_map.is_empty() && read.files.iter().all(|file| file.inode.is_ok()));
        for file in &read.files {
            let title = format!("file {}", std::str::from_utf8(&file.entry.name).unwrap());
            assert_eq!(file.entry.inode, volume.number(&title), "{}", volume.name);
        }
        assert_eq!(
            read.heartbeat.unwrap().start_block.to_string(),
            volume.expect["heartbeat"].rsplit(' ').next().unwrap()
        );
    }
}

#[test]
fn an_old_map_and_an_extended_one() {
    for mut volume in with_slots() {
        let slots = volume.number("max-slots") as u16;
        let extended = volume.expect["feature-incompat"].parse::<u32>().unwrap() & 0x100 != 0;
        let data = slot_map_data(&volume);
        for slot in 0..slots {
            // Every second slot is free; an extended entry keeps the number of its last node.
            let used = slot % 2 == 0;
            if extended {
                let [low, high] = (slot + 70).to_le_bytes();
                volume.write(data + u64::from(slot) * 8, &[u8::from(used), 0, 0, 0, low, high, 1, 0]);
            } else {
                volume
                    .write(data + u64::from(slot) * 2, &if used { slot + 70 } else { 0xFFFF }.to_le_bytes());
            }
        }
        // What is behind the last slot does not count.
        volume.write(data + u64::from(slots) * if extended { 8 } else { 2 }, &[1, 0, 1, 0]);
        let base = if extended { 0x1_0000 + 70 } else { 70 };
        let expected: Vec<_> =
            (0..slots).step_by(2).map(|slot| UsedSlot { slot, node: base + u32::from(slot) }).collect();
        assert_eq!(details(&mut volume).unwrap().slot_map, expected, "{}", volume.name);
    }
}

#[test]
fn journals_follow_their_inodes() {
    for mut volume in with_slots() {
        let name = format!("file journal:{:04}", volume.number("max-slots") - 1);
        let number = volume.number(&name);
        let inode = volume.offset(number);
        volume.write(inode + 0xB8, &[3, 0, 0, 0, 9, 0, 0, 0]);
        volume.write(inode + 8, &[0xEF, 0xBE, 0xAD, 0xDE]);
        volume.seal(number, 0x80);
        let dirty = *details(&mut volume).unwrap().whole().unwrap().journals.last().unwrap();
        assert_eq!((dirty.block, dirty.generation), (number, 0xDEAD_BEEF));
        assert_eq!((dirty.dirty, dirty.recovery_generation), (true, 9));
        // Only the lowest bit says so.
        volume.write(inode + 0xB8, &[2]);
        volume.seal(number, 0x80);
        assert!(!details(&mut volume).unwrap().journals.last().unwrap().dirty);
    }
}

/// The problems once `bytes` stand at `offset` of the inode of `name`, its block's number replaced by N.
fn problems(fixture_name: &str, name: &str, offset: u64, bytes: &[u8]) -> Vec<String> {
    let mut volume = fixture(fixture_name);
    let number = volume.number(&format!("file {name}"));
    let inode = volume.offset(number);
    volume.write(inode + offset, bytes);
    volume.seal(number, 0x80);
    let read = details(&mut volume).unwrap();
    let error = read.clone().whole().unwrap_err();
    assert_eq!(error.code, Code::BadDirectory);
    let told = |what: &str, why: &str| format!("{what}: {}", why.replace(&number.to_string(), "N"));
    read.problems.iter().map(|problem| told(&problem.what, &problem.why)).collect()
}

#[test]
fn what_is_damaged_is_told_and_the_rest_is_there() {
    for name in ["4096-o2cb", "1024-metaecc"] {
        let says = |file: &str, offset: u64, bytes: &[u8], words: &str| {
            assert_eq!(problems(name, file, offset, bytes), [words], "{name}");
        };
        says(
            "journal:0001",
            0x2C,
            &[0x11, 0],
            "journal of slot 1: block N: its inode lacks the journal flag",
        );
        says("journal:0001", 0, b"x", "journal of slot 1: block N: it does not carry an inode's signature");
        says("slot_map", 0x2C, &[0x10], "slot map: block N: its inode is not in use");
        says(
            "slot_map",
            0x20,
            &[3, 0, 0, 0],
            &format!(
                "slot map: block N: its 3 bytes are too few for {} slots",
                fixture(name).number("max-slots")
            ),
        );
        says("slot_map", 0x76, &[1], "slot map: block N: its data are inline and have no extents");
        says("slot_map", 0xC4, &[0, 0], "slot map: block N: 0 bytes are too few for a field at byte 0");
    }
    let mut volume = fixture("4096-o2cb");
    let inode = volume.offset(volume.number("file slot_map"));
    volume.write(inode + 0xD7, &[1]);
    let [unwritten] = details(&mut volume).unwrap().problems.try_into().unwrap();
    assert!(unwritten.why.ends_with("a part was never written"), "{}", unwritten.why);
}

#[test]
fn every_read_error_is_passed_through_unchanged() {
    for volume in fixtures().into_iter().step_by(3) {
        let mut whole = volume.clone();
        details(&mut whole).unwrap();
        for failing in 0..whole.reads {
            let mut volume = volume.clone();
            let device_bytes = volume.device_bytes;
            let failure = Error::os("read-block", "pread", 5).path("/dev/x");
            let mut reader = |offset: u64, len: usize| {
                if volume.reads == failing { Err(failure.clone()) } else { volume.read(offset, len) }
            };
            assert_eq!(read_details(&mut reader, device_bytes, 512).unwrap_err(), failure);
        }
    }
}

/// Blocks that are read of a volume with slots, with the place of their checksum.
fn inodes(volume: &MemoryVolume) -> Vec<u64> {
    let names = volume.expect.iter().filter(|(name, _)| name.starts_with("file ") && !name.ends_with('.'));
    let mut blocks: Vec<u64> = names.map(|(_, block)| block.parse().unwrap()).collect();
    blocks.extend([2, volume.number("system-block")]);
    blocks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn flipped_bits_anywhere(volume in select(fixtures()), flips in prop::collection::vec((any::<Index>(), any::<Index>()), 1..8)) {
        let mut volume = volume;
        let mut blocks = inodes(&volume);
        blocks.extend(volume.directory_block());
        for (block, bit) in flips {
            let bit = bit.index(volume.block_bytes() as usize * 8) as u64;
            let offset = volume.offset(*block.get(&blocks)) + bit / 8;
            let byte = volume.bytes(offset, 1)[0] ^ (1 << (bit % 8));
            volume.write(offset, &[byte]);
        }
        check(&mut volume)?;
    }

    #[test]
    fn hostile_numbers_under_right_checksums(
        volume in select(fixtures()),
        changes in prop::collection::vec((any::<Index>(), select(vec![0x08u64, 0x14, 0x20, 0x2C, 0x50, 0x60, 0x76, 0xB8, 0xC0, 0xC2, 0xC4, 0xD0, 0xD4, 0xD7, 0xD8, 0xDC, 0xE0, 0x100]), 1usize..=8, any::<u64>(), 0u32..64), 1..6),
    ) {
        let mut volume = volume;
        let blocks = inodes(&volume);
        for (block, field, width, value, shift) in changes {
            let number = *block.get(&blocks);
            let offset = volume.offset(number) + field;
            volume.write(offset, &(value >> shift).to_le_bytes()[..width]);
            volume.seal(number, 0x80);
        }
        check(&mut volume)?;
    }

    #[test]
    fn any_slot_map(volume in select(with_slots()), bytes in prop::collection::vec(any::<u8>(), 1..2100)) {
        let mut volume = volume;
        let data = slot_map_data(&volume);
        volume.write(data, &bytes);
        check(&mut volume)?;
        prop_assert!(details(&mut volume).unwrap().problems.is_empty());
    }

    #[test]
    fn a_device_cut_off_anywhere(volume in select(fixtures()), cut in any::<u64>(), shift in 0u32..64) {
        let mut volume = volume;
        volume.device_bytes = volume.device_bytes.min(cut >> shift);
        check(&mut volume)?;
    }

    #[test]
    fn a_journal_that_is_being_rewritten_is_read_again(
        volume in select(with_slots().into_iter().filter(MemoryVolume::has_metadata_ecc).collect::<Vec<_>>()),
        times in 1u32..=3,
    ) {
        let mut volume = volume;
        let whole = details(&mut volume).unwrap();
        let torn = volume.offset(volume.number("file journal:0000"));
        let device_bytes = volume.device_bytes;
        let mut left = times;
        let mut reader = |offset: u64, len: usize| {
            let mut bytes = volume.read(offset, len)?;
            if offset == torn && left > 0 {
                left -= 1;
                bytes[200..260].fill(0xA5);
            }
            Ok(bytes)
        };
        let read = read_details(&mut reader, device_bytes, 512).unwrap();
        if times < 3 {
            prop_assert_eq!(read, whole);
        } else {
            prop_assert_eq!(&read.problems[0].what, "journal of slot 0");
            prop_assert!(read.problems[0].why.contains("its checksum does not hold"));
        }
    }
}
