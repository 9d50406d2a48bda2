//! This crate against debugfs.ocfs2, on volumes that mkfs.ocfs2 makes now. Skipped by name where the two are missing;
//! `tests/fixtures.rs` then still compares with what they said earlier.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

#[path = "support/mkfs.rs"]
mod mkfs;
mod support;

use mkfs::{Image, VOLUMES};
use ocfs2_group_disk::directory::find_system_file;
use ocfs2_group_disk::{BlockReader, read_details, read_volume};
use std::io::Write;
use support::{facts_of, fixture_directory};

/// Whether the test called `title` can run; says why not where it cannot.
fn can_make_volumes(title: &str) -> bool {
    if let Some(reason) = mkfs::missing() {
        // The harness knows no skipped tests, and hides what the print macros say of a test that passed.
        std::io::stderr().write_all(format!("skipped: {title} ({reason})\n").as_bytes()).unwrap();
        return false;
    }
    true
}

/// Compares everything this crate says of a volume with what debugfs.ocfs2 says.
fn compare(name: &str, mebibytes: u64, options: &str) {
    let image = Image::make(name, mebibytes, options);
    let mut file = image.open();
    let device_bytes = file.device_bytes;
    let volume = read_volume(&mut file, device_bytes, 512).unwrap();
    assert_eq!(facts_of(&volume), image.facts(), "{name}");
    let files = image.system_files();
    assert!(files.len() >= 5, "{name}: {files:?}");
    let step = 1 + files.len() / 200; // of a very large directory, some names of each kind are enough
    for (title, block) in files.into_iter().step_by(step) {
        let name = title.strip_prefix("file ").unwrap();
        let mut reader = BlockReader::new(&mut file, device_bytes, &volume.superblock);
        let found = find_system_file(&mut reader, &volume.superblock, name).unwrap();
        assert_eq!(found.unwrap().to_string(), block, "{name}");
    }
}

/// The same of every system file's inode, the slot map and the journals.
fn compare_details(name: &str, mebibytes: u64, options: &str) {
    let image = Image::make(name, mebibytes, options);
    let mut file = image.open();
    let device_bytes = file.device_bytes;
    let details = read_details(&mut file, device_bytes, 512).unwrap().whole().unwrap();
    assert_eq!(details.slot_map, []);
    assert_eq!(details.journals.len(), usize::from(details.superblock.max_slots), "{name}");
    assert_eq!(details.files.len() + 2, image.system_files().len(), "{name}");
    let step = 1 + details.files.len() / 12; // each takes a run of debugfs.ocfs2
    for file in details.files.iter().step_by(step) {
        let inode = file.inode.as_ref().unwrap();
        let title = std::str::from_utf8(&file.entry.name).unwrap();
        let recovery = inode.journal().map_or_else(|| "-".to_owned(), |(_, recovery)| recovery.to_string());
        let told = format!("{} {} {} {recovery}", inode.generation, inode.size, inode.clusters);
        assert_eq!(told, image.inode(title), "{name}: {title}");
    }
    let backups = details.backups.iter().map(|backup| (backup.block, backup.problem.is_none()));
    let per_gibibyte = (1 << 30) / u64::from(details.superblock.block_bytes);
    let expected = [1, 4, 16].map(|gibibytes| (gibibytes * per_gibibyte, true)).into_iter();
    let expected = expected.filter(|(block, _)| *block < details.superblock.volume_blocks());
    assert_eq!(backups.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{name}");
}

#[test]
fn every_inode_is_what_debugfs_says() {
    if can_make_volumes("every inode is what debugfs.ocfs2 says") {
        for (name, mebibytes, options) in VOLUMES {
            compare_details(&format!("{name}-details"), *mebibytes, options);
        }
        compare_details("4096-backups", 6 << 10, "-b 4096 -C 4096 -N 2 -J size=4M --fs-features=metaecc");
        let options = "-b 512 -C 4096 -N 255 -J size=4M --fs-features=metaecc,noinline-data";
        compare_details("512-255-slots-details", 3 << 10, options);
    }
}

#[test]
fn agrees_with_debugfs_on_every_kind_of_volume() {
    if can_make_volumes("agrees with debugfs.ocfs2 on every kind of volume") {
        for (name, mebibytes, options) in VOLUMES {
            compare(name, *mebibytes, options);
        }
    }
}

#[test]
fn agrees_with_debugfs_on_a_volume_of_255_slots_in_small_blocks() {
    if can_make_volumes("agrees with debugfs.ocfs2 on a volume of 255 slots in small blocks") {
        let options = "-b 512 -C 4096 -N 255 -J size=4M --fs-features=metaecc,noinline-data";
        compare("512-255-slots", 3 << 10, options);
    }
}

#[test]
#[ignore = "writes tests/fixtures anew; run it by name after a change of the list of volumes"]
fn write_fixtures() {
    assert_eq!(mkfs::missing(), None);
    for (name, mebibytes, options) in VOLUMES {
        let recorded = Image::make(name, *mebibytes, options).recorded(name);
        let path = fixture_directory().join(format!("{name}.volume"));
        std::fs::File::create(path).unwrap().write_all(recorded.print().as_bytes()).unwrap();
    }
}
