//! This crate against recorded volumes and what debugfs.ocfs2 said of them.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

use ocfs2_group_disk::directory::find_system_file;
use ocfs2_group_disk::{BlockReader, read_volume};
use support::{Facts, MemoryVolume, facts_of, fixtures};

#[test]
fn every_fixture_reads_as_debugfs_said() {
    for mut volume in fixtures() {
        let device_bytes = volume.device_bytes;
        let read = read_volume(&mut volume, device_bytes, 512).unwrap();
        let (files, facts): (Facts, Facts) =
            volume.expect.clone().into_iter().partition(|(name, _)| name.starts_with("file "));
        assert_eq!(facts_of(&read), facts, "{}", volume.name);
        for (title, block) in files {
            let name = title.strip_prefix("file ").unwrap();
            let mut reader = BlockReader::new(&mut volume, device_bytes, &read.superblock);
            let found = find_system_file(&mut reader, &read.superblock, name).unwrap();
            assert_eq!(found.unwrap().to_string(), block, "{name}");
        }
    }
}

#[test]
fn the_fixtures_cover_block_sizes_layouts_and_stacks() {
    let has = |name: &str, value: &str| fixtures().iter().any(|volume| volume.expect[name] == value);
    for size in ["512", "1024", "2048", "4096"] {
        assert!(has("block-bytes", size), "{size}");
    }
    assert!(has("stack", "classic") && has("stack", "o2cb") && has("stack", "pcmk"));
    assert!(has("stack-flags", "1") && has("cluster", "0123456789abcdef") && has("label", ""));
    let set = |bit: u64| {
        fixtures().iter().any(|volume| volume.expect["feature-incompat"].parse::<u64>().unwrap() & bit != 0)
    };
    assert!(set(0x2) && set(0x8) && set(0x80) && set(0x800) && set(0x4000));
}

#[test]
fn a_device_of_larger_sectors_is_refused_or_read() {
    for volume in fixtures() {
        for sector_bytes in [1024, 2048, 4096] {
            let mut volume = volume.clone();
            volume.sector_bytes = sector_bytes;
            let device_bytes = volume.device_bytes;
            let result = read_volume(&mut volume, device_bytes, sector_bytes);
            if volume.expect["block-bytes"].parse::<u32>().unwrap() >= sector_bytes {
                assert_eq!(facts_of(&result.unwrap())["uuid"], volume.expect["uuid"]);
            } else {
                let error = result.unwrap_err();
                assert_eq!(error.code.name(), "O2CB_BAD_SUPERBLOCK");
                assert!(error.detail.contains("smaller than the device's logical sectors"), "{error}");
            }
        }
    }
}

#[test]
fn the_device_may_be_larger_than_the_volume() {
    for mut volume in fixtures() {
        let whole = volume.facts().unwrap();
        for device_bytes in [volume.device_bytes + 1, 1 << 60, u64::MAX] {
            volume.device_bytes = device_bytes;
            assert_eq!(volume.facts().unwrap(), whole);
        }
    }
}

#[test]
fn fixtures_print_and_parse() {
    for volume in fixtures() {
        assert_eq!(MemoryVolume::parse(&volume.name, &volume.print()).print(), volume.print());
    }
}
