//! Sets of semaphores that other tools could have left: keys, wrong kinds, full counts, removal under the holder.

use super::*;
use crate::semaphore::for_tests;

fn name(purpose: &str) -> String {
    format!("TEST{}{purpose}", std::process::id())
}

fn lock(name: &str) -> RegionLock {
    RegionLock::acquire(name, true, Duration::from_secs(20), &Cancel::new()).unwrap().unwrap()
}

#[test]
fn keys_are_those_of_the_specification() {
    let vectors = [
        ("123456789", -873_187_034),
        ("ABC", -1_551_695_032),
        ("77D95EF51C0149D2823674FCC162CF8B", 594_583_031),
        ("77d95ef51c0149d2823674fcc162cf8b", 972_856_691),
        ("DCDA2845177F4D59A0F2DCD8DE507CC3", 2_144_347_208),
        ("BBA1DBD0F73F449384CE75197D9B7098", 134_034_852),
    ];
    for (name, expected) in vectors {
        assert_eq!(key("test", name).unwrap(), expected, "{name}");
    }
    // The CRC of the last is 0, which would be IPC_PRIVATE.
    for name in ["", &"A".repeat(33), "005AEA718C"] {
        assert_eq!(key("test", name).unwrap_err().code, Code::InvalidRegionName, "{name:?}");
    }
}

#[test]
fn a_set_of_the_wrong_kind_is_told_apart() {
    let name = name("squat");
    let id = for_tests::squat(key("test", &name).unwrap());
    let locked = RegionLock::acquire(&name, true, Duration::ZERO, &Cancel::new()).unwrap_err();
    let queried = query(&name).unwrap_err();
    semaphore::remove(id).unwrap();
    assert_eq!((locked.code, queried.code), (Code::BadSem, Code::BadSem));
}

#[test]
fn a_full_count_is_a_sentence() {
    let mut lock = lock(&name("full"));
    for_tests::set(lock.id, COUNT.into(), 32767);
    let error = lock.take(false).unwrap_err();
    assert_eq!(error.errno, Some(libc::ERANGE));
    assert!(error.detail.contains("32767"), "{error}");
    lock.destroy().unwrap();
}

#[test]
fn a_set_removed_under_the_holder_is_reported_once_and_released_quietly() {
    let mut lock = lock(&name("gone"));
    semaphore::remove(lock.id).unwrap();
    assert_eq!(lock.take(true).unwrap_err().code, Code::NoSem);
    assert_eq!(lock.references().unwrap_err().code, Code::NoSem);
    lock.release().unwrap();
}

#[test]
fn dropping_the_lock_releases_it() {
    let name = name("drop");
    drop(lock(&name));
    let mut again = lock(&name);
    assert!(query(&name).unwrap().unwrap().mutex_held);
    again.destroy().unwrap();
    assert_eq!(query(&name).unwrap(), None);
}
