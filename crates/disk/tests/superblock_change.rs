//! Changes of a superblock on real ones: what changes and what does not, what is refused, and what a torn write leaves.

#![allow(clippy::unwrap_used)] // a panic is how a test fails
#![allow(clippy::result_large_err)] // as in the crate

mod support;

use ocfs2_group_disk::ecc::{INODE_CHECK, verified};
use ocfs2_group_disk::superblock_change::{Field, Values, differences};
use ocfs2_group_disk::superblock_copies::{SuperblockPlan, plan};
use ocfs2_group_disk::{ClusterStamp, Superblock, SuperblockChange, SuperblockWrite};
use ocfs2_group_error::{Code, Result};
use proptest::prelude::*;
use std::borrow::Cow;
use support::{MemoryVolume, fixture, fixtures};

const GIB: u64 = 1 << 30;
/// Block of the superblock.
const PRIMARY: u64 = 2;

/// Every fixture that can be changed: all but heartbeat devices.
fn changeable() -> Vec<MemoryVolume> {
    let volumes = fixtures();
    volumes.into_iter().filter(|volume| !volume.name.contains("heartbeat-device")).collect()
}

fn superblock_of(volume: &MemoryVolume) -> Vec<u8> {
    volume.bytes(volume.offset(PRIMARY), volume.block_bytes() as usize)
}

fn planned(volume: &mut MemoryVolume, change: &SuperblockChange) -> Result<SuperblockPlan> {
    let (device_bytes, sector_bytes) = (volume.device_bytes, volume.sector_bytes);
    plan(volume, device_bytes, sector_bytes, change)
}

fn stamp(stack: &[u8; 4], flags: u8, cluster: &str) -> ClusterStamp {
    ClusterStamp { stack: *stack, flags, cluster: cluster.as_bytes().to_vec() }
}

fn label(text: &str) -> SuperblockChange {
    SuperblockChange { label: Some(text.as_bytes().to_vec()), ..SuperblockChange::default() }
}

/// The volume grown to six GiB on paper, with its two backups.
fn with_backups(name: &str) -> MemoryVolume {
    let mut volume = fixture(name);
    let clusters = (6 * GIB / volume.number("cluster-bytes")) as u32;
    let primary = volume.offset(PRIMARY);
    volume.write(primary + 0x14, &clusters.to_le_bytes());
    volume.device_bytes = 6 * GIB;
    volume.seal(PRIMARY, INODE_CHECK as u64);
    let block = superblock_of(&volume);
    for offset in [GIB, 4 * GIB] {
        let number = offset / volume.block_bytes();
        volume.write(offset, &block);
        volume.write(offset + 0x50, &number.to_le_bytes());
        volume.seal(number, INODE_CHECK as u64);
    }
    volume
}

fn any_change() -> impl Strategy<Value = SuperblockChange> {
    let stamps = prop_oneof![
        Just(None),
        ("[a-zA-Z0-9]{1,16}", 0u8..=1).prop_map(|(cluster, flags)| Some(stamp(b"o2cb", flags, &cluster))),
        "[a-z]{1,16}".prop_map(|cluster| Some(stamp(b"pcmk", 0, &cluster))),
    ];
    (
        prop::option::of(prop::collection::vec(1u8..=255, 0..=64)),
        prop::option::of(any::<[u8; 16]>().prop_filter("not zeros", |uuid| *uuid != [0; 16])),
        prop::option::of(any::<bool>()),
        prop::option::of(stamps),
    )
        .prop_map(|(label, uuid, local, stamp)| SuperblockChange { label, uuid, local, stamp })
}

fn has_old_slot_map(volume: &MemoryVolume) -> bool {
    volume.number("feature-incompat") & 0x100 == 0
}

/// `block` with every byte that may change set to zero.
fn rest(block: &[u8]) -> Vec<u8> {
    let mut rest = block.to_vec();
    rest[0x80..0x88].fill(0);
    rest[0x110..0x178].fill(0);
    rest[0xE0] &= !0x88; // local mount, user-space stack
    rest[0xE1] &= !0x40; // cluster information
    rest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn nothing_but_the_fields_and_the_check_changes(mut volume in prop::sample::select(changeable()), change in any_change()) {
        let old = superblock_of(&volume);
        prop_assume!(!(has_old_slot_map(&volume) && matches!(change.stamp, Some(Some(_)))));
        let planned = planned(&mut volume, &change).unwrap();
        let [copy] = planned.copies.as_slice() else { panic!("{} copies", planned.copies.len()) };
        prop_assert_eq!(&copy.old, &old);
        prop_assert_eq!(&copy.problem, &None);
        prop_assert_eq!(rest(&copy.new), rest(&old));
        if volume.has_metadata_ecc() {
            prop_assert!(matches!(verified(&copy.new, INODE_CHECK).unwrap(), Cow::Borrowed(_)));
        } else {
            prop_assert_eq!(&copy.new[0x80..0x88], &old[0x80..0x88]);
        }
        let after = Superblock::parse(&copy.new, volume.block_bytes() as u32, PRIMARY).unwrap();
        let before = planned.superblock;
        let expected = Superblock {
            uuid: change.uuid.unwrap_or(before.uuid),
            label: change.label.as_ref().map_or_else(|| before.label.clone(), |label| String::from_utf8_lossy(label).into_owned()),
            feature_incompat: after.feature_incompat,
            stack_label: after.stack_label.clone(),
            stack_flags: after.stack_flags,
            cluster_name: after.cluster_name.clone(),
            ..before.clone()
        };
        prop_assert_eq!(&after, &expected);
        prop_assert_eq!(after.feature_incompat & 8 != 0, change.local.unwrap_or(before.feature_incompat & 8 != 0));
        match &change.stamp {
            None => prop_assert_eq!((&after.stack_label, &after.cluster_name, after.stack_flags), (&before.stack_label, &before.cluster_name, before.stack_flags)),
            Some(None) => prop_assert_eq!((&after.stack_label, &copy.new[0x160..0x178]), (&None, &[0u8; 24][..])),
            Some(Some(stamp)) => {
                prop_assert_eq!(after.stack_label.as_deref(), std::str::from_utf8(&stamp.stack).ok());
                prop_assert_eq!(after.cluster_name.as_deref(), std::str::from_utf8(&stamp.cluster).ok());
                prop_assert_eq!(after.stack_flags, stamp.flags);
            }
        }
        prop_assert_eq!(differences(&old, &copy.new).unwrap(), copy.fields.clone());

        // What was written can be written back, and asking again asks for nothing.
        SuperblockWrite::new(PRIMARY, &old, &copy.new).unwrap();
        prop_assert_eq!(Values::of(&old).unwrap().put_into(&copy.new).unwrap(), old.clone());
        volume.write(volume.offset(PRIMARY), &copy.new);
        prop_assert!(planned_again(&mut volume, &change).is_empty());
    }

    /// A write that a power cut tears leaves some sectors new and the others old. All that changes lies in one.
    #[test]
    fn whatever_sectors_a_torn_write_leaves_it_is_the_old_superblock_or_the_new(
        mut volume in prop::sample::select(changeable()), change in any_change(), written in any::<u8>(),
    ) {
        prop_assume!(!(has_old_slot_map(&volume) && matches!(change.stamp, Some(Some(_)))));
        let copy = planned(&mut volume, &change).unwrap().copies.remove(0);
        let torn: Vec<u8> = copy.old.chunks(512).zip(copy.new.chunks(512)).enumerate()
            .flat_map(|(sector, (old, new))| if written >> sector & 1 == 1 { new } else { old }).copied().collect();
        prop_assert!(torn == copy.old || torn == copy.new);
        let write = SuperblockWrite::new(PRIMARY, &copy.old, &copy.new).unwrap();
        let sector = write.sector(512).unwrap();
        prop_assert_eq!([sector, &copy.old[512..]].concat(), copy.new);
    }

    #[test]
    fn no_other_byte_can_be_written(volume in prop::sample::select(changeable()), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let old = superblock_of(&volume);
        let mut new = old.clone();
        let at = at.index(old.len());
        new[at] ^= 1 << bit;
        prop_assume!(rest(&new) != rest(&old));
        if volume.has_metadata_ecc() {
            let check = ocfs2_group_disk::ecc::Check::compute(&new, INODE_CHECK).unwrap().encode();
            new[INODE_CHECK..INODE_CHECK + 8].copy_from_slice(&check);
        }
        let refused = [SuperblockWrite::new(PRIMARY, &old, &new), SuperblockWrite::new(PRIMARY, &new, &old)];
        prop_assert!(refused.iter().any(|result| result.as_ref().is_err_and(|error| error.code == Code::UnsupportedVolume)));
        prop_assert!(refused[0].is_err());
    }

    #[test]
    fn any_bytes_are_refused_or_a_superblock(number in any::<u64>(), old in prop::collection::vec(any::<u8>(), 0..5000), new in prop::collection::vec(any::<u8>(), 0..5000)) {
        prop_assert!(SuperblockWrite::new(number, &old, &new).is_err());
    }
}

/// The fields that the same change would change once more.
fn planned_again(volume: &mut MemoryVolume, change: &SuperblockChange) -> Vec<Field> {
    planned(volume, change).unwrap().copies.into_iter().flat_map(|copy| copy.fields).collect()
}

/// Every subset of the eight sectors of the largest block, and every cut in order.
#[test]
fn every_subset_of_sectors_is_old_or_new() {
    for name in ["4096-metaecc", "4096-o2cb", "2048-metaecc", "1024-metaecc", "512-metaecc"] {
        let mut volume = fixture(name);
        let change = SuperblockChange { uuid: Some([0x5A; 16]), local: Some(true), ..label("another") };
        let copy = planned(&mut volume, &change).unwrap().copies.remove(0);
        let sectors = copy.old.len() / 512;
        for written in 0u32..1 << sectors {
            let mut torn = copy.old.clone();
            for sector in (0..sectors).filter(|sector| written >> sector & 1 == 1) {
                torn[sector * 512..][..512].copy_from_slice(&copy.new[sector * 512..][..512]);
            }
            let read = Superblock::parse(&torn, copy.old.len() as u32, PRIMARY).unwrap();
            let expected = if written & 1 == 1 { "another" } else { "lab" };
            assert_eq!(read.label, expected, "{name}, sectors {written:08b}");
            assert_eq!(read.uuid == [0x5A; 16], expected == "another", "{name}, sectors {written:08b}");
        }
    }
}

/// Where a volume has the hash at all, it is that of the UUID it was made with; a change of the UUID leaves it.
#[test]
fn the_hash_of_the_uuid_keeps_its_value() {
    for mut volume in changeable() {
        let copy = planned(&mut volume, &SuperblockChange { uuid: Some([7; 16]), ..Default::default() })
            .unwrap()
            .copies
            .remove(0);
        let stored = |block: &[u8]| u32::from_le_bytes(block[0x104..0x108].try_into().unwrap());
        let computed =
            copy.old[0x150..0x160].iter().fold(0u32, |hash, byte| hash.rotate_left(5) ^ u32::from(*byte));
        assert!([0, computed].contains(&stored(&copy.old)), "{}", volume.name);
        assert_eq!(stored(&copy.new), stored(&copy.old), "{}", volume.name);
        assert_eq!(copy.new[0x150..0x160], [7; 16]);
    }
}

/// The bits that tunefs.ocfs2 and o2cluster 1.8.7 left, each from a volume made by mkfs.ocfs2.
#[test]
fn a_stamp_has_the_form_that_the_peer_gives_it() {
    const FORMS: u32 = 0x4080;
    let with = |name: &str, stamp: Option<ClusterStamp>| {
        let change = SuperblockChange { stamp: Some(stamp), ..SuperblockChange::default() };
        let new = planned(&mut fixture(name), &change).unwrap().copies.remove(0).new;
        let bits = u32::from_le_bytes(new[0xE0..0xE4].try_into().unwrap()) & FORMS;
        (bits, new[0x160..0x16E].to_vec())
    };
    assert_eq!(
        with("4096-pcmk", Some(stamp(b"o2cb", 0, "lab"))),
        (0x4000, b"o2cb\0\0\0\0lab\0\0\0".to_vec())
    );
    assert_eq!(
        with("4096-pcmk", Some(stamp(b"o2cb", 1, "lab"))),
        (0x4000, b"o2cb\x01\0\0\0lab\0\0\0".to_vec())
    );
    assert_eq!(
        with("4096-o2cb", Some(stamp(b"pcmk", 0, "foo"))),
        (0x4000, b"pcmk\0\0\0\0foo\0\0\0".to_vec())
    );
    assert_eq!(
        with("1024-classic", Some(stamp(b"pcmk", 0, "foo"))),
        (0x80, b"pcmk\0\0\0\0foo\0\0\0".to_vec())
    );
    assert_eq!(
        with("1024-local", Some(stamp(b"o2cb", 0, "lab"))),
        (0x4000, b"o2cb\0\0\0\0lab\0\0\0".to_vec())
    );
    assert_eq!(with("2048-global", None), (0, vec![0; 14]));
    assert_eq!(with("4096-pcmk", None), (0, vec![0; 14]));
}

#[test]
fn a_value_that_cannot_be_stored_is_refused() {
    let stamped = |stamp: ClusterStamp| SuperblockChange { stamp: Some(Some(stamp)), ..Default::default() };
    let wrong = [
        label(&"x".repeat(65)),
        label("a\0b"),
        SuperblockChange { uuid: Some([0; 16]), ..Default::default() },
        stamped(stamp(b"o2cb", 0, "")),
        stamped(stamp(b"o2cb", 0, "12345678901234567")),
        stamped(stamp(b"o2c\0", 0, "lab")),
        stamped(stamp(b"pcmk", 1, "lab")),
    ];
    for change in wrong {
        let error = planned(&mut fixture("4096-metaecc"), &change).unwrap_err();
        assert_eq!(error.code, Code::UnsupportedVolume, "{change:?}");
    }
    let longest = label(&"x".repeat(64));
    assert_eq!(
        planned(&mut fixture("4096-metaecc"), &longest).unwrap().copies[0].new[0x110..0x150],
        [b'x'; 64]
    );
    let error = planned(&mut fixture("4096-max-compat"), &stamped(stamp(b"o2cb", 0, "lab"))).unwrap_err();
    assert!(error.detail.contains("slot map"));
}

#[test]
fn a_volume_in_a_state_that_is_not_known_is_left_alone() {
    let cases: [(u64, &[u8], &str); 6] = [
        (0xE0, &[0x04 | 0x50], "not finished"),
        (0xE0, &[0x20 | 0x50], "not finished"),
        (0x102, &[1, 0], "not finished"),
        (0xE2, &[1], "does not know"),
        (0xE4, &[9], "does not know"),
        (0xDC, &[7], "does not know"),
    ];
    for name in ["4096-metaecc", "4096-o2cb"] {
        for (offset, bytes, phrase) in cases {
            let mut volume = fixture(name);
            volume.write(volume.offset(PRIMARY) + offset, bytes);
            volume.seal(PRIMARY, INODE_CHECK as u64);
            let copy = planned(&mut volume, &label("new")).unwrap().copies.remove(0);
            assert!(copy.problem.as_ref().unwrap().contains(phrase), "{name}: {:?}", copy.problem);
            assert_eq!((&copy.new, copy.fields.len()), (&copy.old, 0));
            assert!(SuperblockWrite::new(PRIMARY, &copy.old, &copy.old).is_err());
        }
    }
    for name in ["512-heartbeat-device", "512-heartbeat-device-o2cb"] {
        let copy = planned(&mut fixture(name), &label("new")).unwrap().copies.remove(0);
        assert!(copy.problem.unwrap().contains("heartbeat device"));
    }
}

#[test]
fn a_bit_that_only_the_code_corrects_is_left_to_fsck() {
    let mut volume = fixture("4096-metaecc");
    let at = volume.offset(PRIMARY) + 0x300;
    volume.write(at, &[1]);
    let copy = planned(&mut volume, &label("new")).unwrap().copies.remove(0);
    assert!(copy.problem.unwrap().contains("corrected"));
    volume.write(at, &[3]);
    assert_eq!(planned(&mut volume, &label("new")).unwrap_err().code, Code::BadSuperblock);
}

#[test]
fn backups_get_what_the_primary_gets() {
    for name in ["4096-metaecc", "4096-o2cb", "1024-metaecc", "512-metaecc"] {
        let mut volume = with_backups(name);
        let change = SuperblockChange { uuid: Some([3; 16]), ..label("new") };
        let planned = planned(&mut volume, &change).unwrap();
        let offsets: Vec<u64> = planned.copies.iter().map(|copy| copy.offset).collect();
        assert_eq!(offsets, [volume.offset(PRIMARY), GIB, 4 * GIB]);
        for copy in planned.copies {
            assert_eq!(copy.problem, None);
            let read = Superblock::parse(&copy.new, copy.new.len() as u32, copy.number).unwrap();
            assert_eq!((read.label.as_str(), read.uuid, read.block_number), ("new", [3; 16], copy.number));
            assert_eq!(rest(&copy.new), rest(&copy.old));
            assert_eq!(
                copy.offset,
                SuperblockWrite::new(copy.number, &copy.old, &copy.new).unwrap().offset()
            );
            volume.write(copy.offset, &copy.new);
        }
        assert!(planned_again(&mut volume, &change).is_empty(), "{name}");
    }
}

/// What an interrupted change left: the primary is new, the backups are old.
#[test]
fn backups_that_differ_are_completed_by_any_later_change() {
    let mut volume = with_backups("4096-metaecc");
    let first = planned(&mut volume, &SuperblockChange { uuid: Some([9; 16]), ..label("new") })
        .unwrap()
        .copies
        .remove(0);
    volume.write(first.offset, &first.new);
    let copies = planned(&mut volume, &SuperblockChange::default()).unwrap().copies;
    assert_eq!(copies[0].fields, []);
    for copy in &copies[1..] {
        assert_eq!(copy.fields, [Field::Check, Field::Label, Field::Uuid]);
        assert_eq!(Superblock::parse(&copy.new, 4096, copy.number).unwrap().label, "new");
    }
}

#[test]
fn what_stands_in_the_place_of_a_backup_is_not_written() {
    let mut volume = with_backups("4096-o2cb");
    volume.write(GIB, &[0; 8]);
    volume.write(4 * GIB + 0x60, &[1, 2, 3, 4]);
    let copies = planned(&mut volume, &label("new")).unwrap().copies;
    let problems: Vec<&str> = copies[1..].iter().map(|copy| copy.problem.as_deref().unwrap()).collect();
    assert_eq!(problems, ["it does not carry the OCFS2 signature", "it is the superblock of another volume"]);
    assert!(copies[1..].iter().all(|copy| copy.old == copy.new && copy.old.len() == 4096));
    assert_eq!(copies[0].fields, [Field::Label]);

    // Of a device that ends before the volume does.
    let mut volume = with_backups("4096-o2cb");
    volume.device_bytes = 2 * GIB;
    let copies = planned(&mut volume, &label("new")).unwrap().copies;
    assert_eq!(copies[2].problem.as_deref(), Some("the device ends before byte 4294971392"));
}

#[test]
fn a_superblock_is_written_nowhere_else() {
    let volume = with_backups("4096-o2cb");
    let mut block = superblock_of(&volume);
    block[0x50..0x58].copy_from_slice(&77u64.to_le_bytes());
    let error = SuperblockWrite::new(77, &block, &block).unwrap_err();
    assert!(error.detail.contains("no superblock of this volume"));
    assert!(SuperblockWrite::new(PRIMARY, &block, &block).is_err());
    let small = superblock_of(&fixture("1024-classic"));
    let write = SuperblockWrite::new(PRIMARY, &small, &small).unwrap();
    assert_eq!(write.sector(1024).unwrap().len(), 1024);
    assert_eq!(write.sector(4096).unwrap_err().code, Code::BadDevice);
}
