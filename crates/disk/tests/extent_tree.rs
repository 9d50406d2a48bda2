//! Directories in extent trees, well formed and hostile. mkfs.ocfs2 makes none that deep, so they are made here, in a
//! recorded volume, with right checksums.

#![allow(clippy::unwrap_used)] // a panic is how a test fails
#![allow(clippy::result_large_err)] // as in the crate

mod support;

use ocfs2_group_disk::directory::{DirectoryEntries, find_system_file};
use ocfs2_group_disk::{BlockReader, MAX_READS};
use ocfs2_group_error::Result;
use proptest::prelude::*;
use support::{MemoryVolume, fixture};

/// Volumes with 512-byte blocks, eight to a cluster, without and with checksums.
const NAMES: [&str; 2] = ["512-max-compat", "512-metaecc"];
/// Blocks from here on are free in these volumes.
const FREE: u64 = 100_000;
const CLUSTER_BLOCKS: u64 = 8;

/// An extent list's bytes: depth, then records of offset, clusters and block.
fn list(depth: u16, capacity: u16, records: &[(u32, u32, u64)]) -> Vec<u8> {
    let mut bytes = vec![0; 16];
    bytes[..2].copy_from_slice(&depth.to_le_bytes());
    bytes[2..4].copy_from_slice(&capacity.to_le_bytes());
    bytes[4..6].copy_from_slice(&(records.len() as u16).to_le_bytes());
    for (offset, clusters, block) in records {
        bytes.extend(offset.to_le_bytes());
        bytes.extend(clusters.to_le_bytes()); // a leaf's 16 bits, then reserved and flags: zeros while it is small
        bytes.extend(block.to_le_bytes());
    }
    bytes
}

/// Makes `records` the extent list of the system directory, whose length becomes `size`.
fn set_root(volume: &mut MemoryVolume, depth: u16, records: &[(u32, u32, u64)], size: u64) {
    let number = volume.number("system-block");
    let inode = volume.offset(number);
    volume.write(inode + 0x76, &[0, 0]); // not inline, not indexed
    volume.write(inode + 0x20, &size.to_le_bytes());
    volume.write(inode + 0xC0, &list(depth, 19, records));
    volume.seal(number, 0x80);
}

/// Writes an extent block.
fn set_extent_block(volume: &mut MemoryVolume, number: u64, depth: u16, records: &[(u32, u32, u64)]) {
    let block = volume.offset(number);
    volume.write(block, b"EXBLK01\0");
    volume.write(block + 0x14, &(volume.number("fs-generation") as u32).to_le_bytes());
    volume.write(block + 0x18, &number.to_le_bytes());
    volume.write(block + 0x30, &list(depth, 28, records));
    volume.seal(number, 0x08);
}

/// Writes a directory block with one entry.
fn set_directory_block(volume: &mut MemoryVolume, number: u64, inode: u64, name: &str) {
    let block = volume.offset(number);
    let end: u16 = if volume.has_metadata_ecc() { 512 - 64 } else { 512 };
    volume.write(block, &inode.to_le_bytes());
    volume.write(block + 8, &end.to_le_bytes());
    volume.write(block + 10, &[name.len() as u8, 1]);
    volume.write(block + 12, name.as_bytes());
    if volume.has_metadata_ecc() {
        volume.write(block + 512 - 64 + 8, &[64, 0, 0, 0]);
        volume.write(block + 512 - 64 + 16, b"DIRTRL1\0");
        volume.seal(number, 512 - 8);
    }
}

fn found(volume: &mut MemoryVolume, name: &str) -> Result<Option<u64>> {
    let device_bytes = volume.device_bytes;
    let superblock = ocfs2_group_disk::probe_superblock(volume, device_bytes, 512)?;
    volume.reads = 0;
    let mut reader = BlockReader::new(volume, device_bytes, &superblock);
    find_system_file(&mut reader, &superblock, name)
        .map_err(|fault| fault.into_error(ocfs2_group_error::Code::BadDirectory))
}

/// Fills the subtree of `depth` with `fanout` records a level; clusters and blocks are taken from the counters.
/// Returns the record that leads to it.
fn grow(
    volume: &mut MemoryVolume,
    depth: u16,
    fanout: u32,
    cluster: &mut u32,
    next: &mut u64,
) -> (u32, u32, u64) {
    let first = *cluster;
    let number = *next;
    *next += CLUSTER_BLOCKS;
    if depth == 0 {
        *cluster += 1;
        for index in 0..CLUSTER_BLOCKS {
            let file = u64::from(first) * CLUSTER_BLOCKS + index;
            set_directory_block(volume, number + index, 7_000 + file, &format!("entry-{file}"));
        }
    } else {
        let records: Vec<_> = (0..fanout).map(|_| grow(volume, depth - 1, fanout, cluster, next)).collect();
        set_extent_block(volume, number, depth - 1, &records);
    }
    (first, *cluster - first, number)
}

#[test]
fn a_tree_of_any_depth_is_searched_to_its_last_block() {
    for name in NAMES {
        for (depth, fanout) in [(0, 5), (1, 3), (2, 3), (3, 2)] {
            let mut volume = fixture(name);
            let (mut cluster, mut next) = (0, FREE);
            let records: Vec<_> =
                (0..fanout).map(|_| grow(&mut volume, depth, fanout, &mut cluster, &mut next)).collect();
            let blocks = u64::from(cluster) * CLUSTER_BLOCKS;
            assert_eq!(cluster, fanout.pow(u32::from(depth) + 1));
            set_root(&mut volume, depth, &records, blocks * 512);
            for file in [0, 1, 7, 8, blocks / 2, blocks - 1] {
                assert_eq!(found(&mut volume, &format!("entry-{file}")).unwrap(), Some(7_000 + file));
            }
            assert_eq!(found(&mut volume, "entry-").unwrap(), None);
            // What lies behind the directory's length is not of it.
            set_root(&mut volume, depth, &records, (blocks - 1) * 512);
            assert_eq!(found(&mut volume, &format!("entry-{}", blocks - 1)).unwrap(), None);
        }
    }
}

/// The error of looking for something in a volume that `change` made hostile.
fn refused(name: &str, change: impl Fn(&mut MemoryVolume)) -> String {
    let mut volume = fixture(name);
    change(&mut volume);
    let error = found(&mut volume, "nowhere").unwrap_err();
    assert!(volume.reads <= MAX_READS);
    assert_eq!(error.code.name(), "O2CB_BAD_DIRECTORY");
    assert_eq!(volume.facts().unwrap_err().code.name(), "O2CB_BAD_DIRECTORY");
    error.detail
}

#[test]
fn a_tree_that_leads_back_to_itself_is_refused() {
    for name in NAMES {
        let detail = refused(name, |volume| {
            set_extent_block(volume, FREE, 1, &[(0, 1, FREE)]);
            set_root(volume, 2, &[(0, 1, FREE)], 1 << 20);
        });
        assert_eq!(detail, format!("block {FREE}: its extent list has depth 1 in place of 0"));
        let own = fixture(name).number("system-block");
        let detail = refused(name, |volume| set_root(volume, 1, &[(0, 1, own)], 1 << 20));
        assert!(detail.starts_with(&format!("block {own}: ")), "{detail}");
    }
}

#[test]
fn a_tree_that_visits_the_same_blocks_for_ever_ends() {
    for name in NAMES {
        let detail = refused(name, |volume| {
            for depth in 0..9 {
                let below = FREE + u64::from(depth); // 28 records that all lead to the same block
                let records = [(0, 1, if depth == 0 { 0 } else { below })].repeat(28);
                let records = if depth == 0 { vec![] } else { records };
                set_extent_block(volume, below + 1, depth, &records);
            }
            set_root(volume, 9, &[(0, 1, FREE + 9)].repeat(19), u64::MAX);
        });
        assert!(detail.contains(&format!("more than {MAX_READS} block reads")), "{detail}");
        let detail = refused(name, |volume| {
            set_directory_block(volume, FREE, 1, "again");
            for index in 1..CLUSTER_BLOCKS {
                set_directory_block(volume, FREE + index, 1, "again");
            }
            set_extent_block(volume, FREE + 8, 0, &[(0, 1, FREE)].repeat(28));
            set_root(volume, 1, &[(0, 1, FREE + 8)].repeat(19), u64::MAX);
        });
        assert!(detail.contains(&format!("more than {MAX_READS} block reads")), "{detail}");
    }
}

#[test]
fn impossible_lists_and_places_are_refused() {
    for name in NAMES {
        let blocks = fixture(name).number("clusters") * CLUSTER_BLOCKS;
        let outside = format!("it lies outside the {blocks} blocks that volume and device have");
        for block in [blocks, u64::MAX, u64::MAX / 512, 1 << 63] {
            for depth in [0, 1] {
                let detail = refused(name, |volume| set_root(volume, depth, &[(0, 1, block)], 512));
                assert_eq!(detail, format!("block {block}: {outside}"));
            }
        }
        let own = fixture(name).number("system-block");
        let says = |change: &dyn Fn(&mut MemoryVolume), words: &str| {
            assert_eq!(refused(name, change), format!("block {own}: {words}"));
        };
        says(&|volume| set_root(volume, 10, &[], 512), "an extent tree of depth 10 is deeper than 9");
        says(&|volume| set_root(volume, 65535, &[], 512), "an extent tree of depth 65535 is deeper than 9");
        let counts = |capacity: u16, used: u16| {
            move |volume: &mut MemoryVolume| {
                set_root(volume, 0, &[], 512);
                let list = volume.offset(own) + 0xC0;
                volume.write(list + 2, &capacity.to_le_bytes());
                volume.write(list + 4, &used.to_le_bytes());
                volume.seal(own, 0x80);
            }
        };
        says(&counts(19, 20), "20 of 19 extent records do not fit its block");
        says(&counts(20, 1), "1 of 20 extent records do not fit its block");
        says(&counts(65535, 65535), "65535 of 65535 extent records do not fit its block");
    }
}

#[test]
fn data_that_were_never_written_are_no_directory() {
    for name in NAMES {
        let own = fixture(name).number("system-block");
        let detail = refused(name, |volume| {
            set_root(volume, 0, &[(0, 1, FREE)], 512);
            let record = volume.offset(own) + 0xC0 + 16;
            volume.write(record + 7, &[1]);
            volume.seal(own, 0x80);
        });
        assert_eq!(detail, format!("block {FREE}: a directory's data were never written"));
    }
}

#[test]
fn extent_blocks_of_something_else_are_refused() {
    for name in NAMES {
        for (offset, bytes, words) in [
            (0, &b"INODE01\0"[..], "it does not carry an extent block's signature"),
            (0x14, &[0; 4], "its extent block is of another file system (the generation differs)"),
            (0x18, &[9; 8], "its extent block names itself another block"),
        ] {
            let detail = refused(name, |volume| {
                set_root(volume, 1, &[(0, 1, FREE)], 512);
                set_extent_block(volume, FREE, 0, &[(0, 1, FREE + 8)]);
                let block = volume.offset(FREE);
                volume.write(block + offset, bytes);
                volume.seal(FREE, 0x08);
            });
            assert_eq!(detail, format!("block {FREE}: {words}"));
        }
    }
}

#[test]
fn a_damaged_block_of_a_checked_directory_is_noticed_or_corrected() {
    let mut volume = fixture("512-metaecc");
    set_directory_block(&mut volume, FREE, 4711, "entry");
    set_extent_block(&mut volume, FREE + 8, 0, &[(0, 1, FREE)]);
    set_root(&mut volume, 1, &[(0, 1, FREE + 8)], 512);
    let (data, tree) = (volume.offset(FREE), volume.offset(FREE + 8));
    volume.write(data + 12, b"gntry"); // one bit of the name
    volume.write(tree + 0x30 + 16 + 8, &[0xA1]); // one bit of the block number
    assert_eq!(found(&mut volume, "entry").unwrap(), Some(4711));
    assert_eq!(found(&mut volume, "gntry").unwrap(), None);
    volume.write(data + 12, b"\0\0\0ry");
    let error = found(&mut volume, "entry").unwrap_err();
    assert_eq!(error.detail, format!("block {FREE}: its checksum does not hold"));
}

/// The bytes of packed entries; the last reaches to the end.
fn packed(entries: &[(u64, Vec<u8>)], spare: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, (inode, name)) in entries.iter().enumerate() {
        let last = if index + 1 == entries.len() { spare * 4 } else { 0 };
        let length = (12 + name.len()).next_multiple_of(4) + last;
        let start = bytes.len();
        bytes.extend(inode.to_le_bytes());
        bytes.extend((length as u16).to_le_bytes());
        bytes.extend([name.len() as u8, 1]);
        bytes.extend(name);
        bytes.resize(start + length, 0);
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn entries_are_read_as_they_were_packed(
        entries in prop::collection::vec((prop_oneof![Just(0), any::<u64>()], prop::collection::vec(any::<u8>(), 1..256)), 0..40),
        spare in 0usize..100,
    ) {
        let bytes = packed(&entries, spare);
        let read: Vec<_> = DirectoryEntries::new(&bytes)
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.inode, entry.name.to_vec()))
            .collect();
        let used: Vec<_> = entries.into_iter().filter(|(inode, _)| *inode != 0).collect();
        prop_assert_eq!(read, used);
    }

    #[test]
    fn any_bytes_are_entries_up_to_a_defect(
        entries in prop::collection::vec((any::<u64>(), prop::collection::vec(any::<u8>(), 1..40)), 0..40),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..9),
        cut in 0usize..40,
    ) {
        let mut bytes = packed(&entries, 0);
        bytes.truncate(bytes.len().saturating_sub(cut));
        for (index, byte) in changes {
            if !bytes.is_empty() {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
        }
        let read: Vec<_> = DirectoryEntries::new(&bytes).collect();
        prop_assert!(read.len() <= bytes.len() / 12 + 1);
        let good = read.iter().take_while(|entry| entry.is_ok()).count();
        prop_assert!(good + 1 >= read.len(), "nothing comes after a defect");
    }

    #[test]
    fn any_tree_ends(
        name in prop::sample::select(&NAMES[..]),
        depth in 0u16..12, size in any::<u64>(),
        root in prop::collection::vec((any::<u32>(), any::<u32>(), FREE..FREE + 6), 0..19),
        blocks in prop::collection::vec((0u16..6, prop::collection::vec((any::<u32>(), 0u32..70_000, FREE..FREE + 12), 0..28)), 6),
    ) {
        let mut volume = fixture(name);
        for (number, (depth, records)) in (FREE..).zip(&blocks) {
            set_extent_block(&mut volume, number, *depth, records);
        }
        for number in FREE + 6..FREE + 12 {
            set_directory_block(&mut volume, number, 1, "entry");
        }
        set_root(&mut volume, depth, &root, size);
        let result = found(&mut volume, "nowhere");
        prop_assert!(volume.reads <= MAX_READS);
        if let Err(error) = result {
            prop_assert_eq!(error.code.name(), "O2CB_BAD_DIRECTORY");
        }
    }
}
