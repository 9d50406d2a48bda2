//! The table by itself: made-up descriptors and events.

use super::*;

const DEVICE: DeviceNumber = DeviceNumber { major: 8, minor: 1 };
const MOUNT: Role = Role::Mount(Some(DEVICE));

fn raw(wd: i32, flags: ReadFlags) -> Raw {
    Raw { wd, flags, name: None }
}

fn named(wd: i32, name: &str) -> Raw {
    Raw { wd, flags: ReadFlags::CREATE, name: Some(name.into()) }
}

/// A row whose caller knows its id.
fn add(table: &mut Table, wd: i32, role: Role) -> u32 {
    table.begin_add();
    let id = table.adopt(wd, role);
    table.end_add();
    table.told(id);
    id
}

#[test]
fn two_directories_of_one_superblock_are_one_id_and_die_once() {
    let mut table = Table::default();
    let id = add(&mut table, 1, MOUNT);
    assert!(table.is_ambiguous(2, DEVICE) && !table.is_ambiguous(1, DEVICE));
    assert_eq!((add(&mut table, 2, MOUNT), add(&mut table, 1, MOUNT)), (id, id));
    for wd in [2, 1] {
        table.read(raw(wd, ReadFlags::UNMOUNT));
        table.read(raw(wd, ReadFlags::IGNORED));
    }
    assert_eq!(table.take(), [Event::Unmounted(id)]);
    assert!(!table.has_events() && !table.is_ambiguous(3, DEVICE));
    assert_ne!(add(&mut table, 3, MOUNT), id);
}

#[test]
fn what_is_read_before_the_row_is_there_is_not_lost() {
    let mut table = Table::default();
    table.begin_add();
    table.read(named(7, "a"));
    table.read(raw(8, ReadFlags::UNMOUNT));
    table.read(raw(8, ReadFlags::IGNORED));
    let directory = table.adopt(7, Role::Directory);
    let mount = table.adopt(8, MOUNT);
    table.end_add();
    assert!(table.take().is_empty(), "nobody knows the ids yet");
    assert!(table.told(directory));
    assert_eq!(table.take(), [Event::Changed(directory, Some("a".into()))]);
    assert!(table.told(mount));
    assert_eq!(table.take(), [Event::Unmounted(mount)]);
    // Without a call in flight the same is of no interest, and nothing is kept.
    table.read(named(9, "a"));
    assert!(table.early.is_empty() && !table.has_events());
}

#[test]
fn an_id_that_two_calls_return_is_held_back_for_both() {
    let mut table = Table::default();
    let id = table.adopt(1, MOUNT);
    assert_eq!(table.adopt(1, MOUNT), id);
    table.read(raw(1, ReadFlags::UNMOUNT));
    assert!(!table.told(id));
    assert!(table.told(id));
}

#[test]
fn a_death_that_a_known_row_took_counts_for_a_call_in_flight_too() {
    let mut table = Table::default();
    let first = add(&mut table, 1, MOUNT);
    table.begin_add();
    table.read(raw(1, ReadFlags::UNMOUNT));
    let second = table.adopt(1, MOUNT);
    table.end_add();
    table.told(second);
    assert_eq!(table.take(), [Event::Unmounted(first), Event::Unmounted(second)]);
}

#[test]
fn one_inode_in_both_roles_is_two_ids_and_one_descriptor() {
    let mut table = Table::default();
    let mount = add(&mut table, 1, MOUNT);
    let directory = add(&mut table, 1, Role::Directory);
    assert_ne!(mount, directory);
    table.remove(directory);
    assert!(table.unneeded().is_empty());
    table.read(named(1, "a"));
    assert!(!table.has_events());
    table.remove(mount);
    table.begin_add();
    assert!(table.unneeded().is_empty(), "the call may be adding just that one");
    table.end_add();
    assert_eq!(table.unneeded(), [1]);
}

#[test]
fn the_same_is_told_once_and_removed_ids_not_at_all() {
    let mut table = Table::default();
    let [one, two] = [1, 2].map(|wd| add(&mut table, wd, Role::Directory));
    for wd in [1, 1, 2] {
        table.read(named(wd, "a"));
    }
    table.push(Event::Mounts);
    table.push(Event::Mounts);
    table.remove(two);
    for flags in [ReadFlags::DELETE_SELF, ReadFlags::IGNORED] {
        table.read(raw(1, flags));
    }
    assert_eq!(table.take(), [Event::Changed(one, Some("a".into())), Event::Mounts, Event::Gone(one)]);
    table.push(Event::Mounts);
    assert_eq!(table.take(), [Event::Mounts]);
}

#[test]
fn after_an_overflow_a_device_proves_no_identity() {
    let mut table = Table::default();
    let id = add(&mut table, 1, MOUNT);
    table.read(raw(-1, ReadFlags::QUEUE_OVERFLOW));
    assert_eq!(table.take(), [Event::Lost]);
    assert!(!table.is_ambiguous(2, DEVICE));
    assert_ne!(add(&mut table, 2, MOUNT), id);
    assert_eq!(add(&mut table, 1, MOUNT), id);
}

#[test]
fn a_mount_whose_only_inode_was_deleted_has_to_be_looked_at_again() {
    let mut table = Table::default();
    let id = add(&mut table, 1, MOUNT);
    assert_eq!(add(&mut table, 2, MOUNT), id);
    table.read(raw(1, ReadFlags::IGNORED));
    assert!(!table.has_events());
    table.read(raw(2, ReadFlags::IGNORED));
    assert_eq!(table.take(), [Event::Lost]);
}
