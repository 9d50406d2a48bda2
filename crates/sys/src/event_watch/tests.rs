//! With the kernel: scratch directories, and file systems in a mount namespace of the test's own where root.

use super::*;
use crate::testing::{Scratch, is_root, with_mounts};
use rustix::fs::{major, minor};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
/// Long enough for an event to come that must not.
const WHILE: Duration = Duration::from_millis(100);

fn watch() -> Arc<EventWatch> {
    Arc::new(EventWatch::open(&Cancel::new()).unwrap())
}

/// One call of next on a thread of its own.
fn next(watch: &Arc<EventWatch>, cancel: &Cancel) -> Receiver<Result<Vec<Event>>> {
    let (send, receive) = channel();
    let wait = watch.wait().unwrap();
    let work = move |cancel: &Cancel| wait.events(cancel);
    worker::spawn(NEXT, cancel, work, move |result| drop(send.send(result))).unwrap();
    receive
}

fn events(watch: &Arc<EventWatch>) -> Vec<Event> {
    next(watch, &Cancel::new()).recv_timeout(SOON).unwrap().unwrap()
}

/// What the next calls tell until nothing comes any more, without the mount table's changes.
fn all(watch: &Arc<EventWatch>) -> Vec<Event> {
    let mut told = Vec::new();
    loop {
        let cancel = Cancel::new();
        let receive = next(watch, &cancel);
        match receive.recv_timeout(WHILE) {
            Ok(events) => told.extend(events.unwrap()),
            Err(_) => {
                cancel.cancel();
                if let Ok(events) = receive.recv_timeout(SOON).unwrap() {
                    told.extend(events);
                } else {
                    told.retain(|event| *event != Event::Mounts);
                    return told;
                }
            }
        }
    }
}

fn directory(watch: &EventWatch, path: &Path) -> u32 {
    let id = watch.add_directory(path, &Cancel::new()).unwrap();
    watch.told(id);
    id
}

fn device(path: &Path) -> DeviceNumber {
    let stat = rustix::fs::stat(path).unwrap();
    DeviceNumber { major: major(stat.st_dev), minor: minor(stat.st_dev) }
}

fn mounted(watch: &EventWatch, path: &Path, device: DeviceNumber) -> Option<u32> {
    let id = watch.add_mount(path, device, &Cancel::new()).unwrap();
    id.inspect(|id| watch.told(*id))
}

fn make(path: &Path) -> std::path::PathBuf {
    std::fs::create_dir(path).unwrap();
    path.to_owned()
}

fn file(path: &Path) -> std::fs::File {
    std::fs::File::create(path).unwrap()
}

#[test]
fn entries_that_come_and_go_are_told_and_then_the_directory_itself() {
    let scratch = Scratch::new();
    let place = make(&scratch.path("place"));
    let watch = watch();
    let id = directory(&watch, &scratch.path("place/"));
    assert_eq!(directory(&watch, &place), id);
    let changed = |name: &str| Event::Changed(id, Some(name.into()));
    file(&place.join("a"));
    make(&place.join("b"));
    assert_eq!(events(&watch), [changed("a"), changed("b")]);
    std::fs::rename(place.join("a"), place.join("c")).unwrap();
    std::fs::remove_dir(place.join("b")).unwrap();
    std::fs::remove_file(place.join("c")).unwrap();
    assert_eq!(events(&watch), [changed("a"), changed("c"), changed("b")]);
    std::fs::remove_dir(&place).unwrap();
    assert_eq!(all(&watch), [Event::Gone(id)]);
    make(&place);
    assert_ne!(directory(&watch, &place), id);
}

#[test]
fn a_directory_that_is_moved_away_is_gone_and_not_heard_of_any_more() {
    let scratch = Scratch::new();
    let place = make(&scratch.path("place"));
    let watch = watch();
    let id = directory(&watch, &place);
    std::fs::rename(&place, scratch.path("elsewhere")).unwrap();
    assert_eq!(all(&watch), [Event::Gone(id)]);
    file(&scratch.path("elsewhere/a"));
    assert!(all(&watch).is_empty());
}

#[test]
fn what_was_removed_is_silent_and_removing_it_twice_does_nothing() {
    let scratch = Scratch::new();
    let watch = watch();
    let id = directory(&watch, scratch.root());
    file(&scratch.path("a"));
    watch.remove(id);
    watch.remove(id);
    watch.remove(4711);
    file(&scratch.path("b"));
    assert!(all(&watch).is_empty());
}

#[test]
fn what_is_missing_or_no_directory_is_an_error_and_another_device_is_none() {
    let scratch = Scratch::new();
    file(&scratch.path("file"));
    let watch = watch();
    let here = device(scratch.root());
    for (name, errno) in [("none", libc::ENOENT), ("file", libc::ENOTDIR), ("file/x", libc::ENOTDIR)] {
        let error = watch.add_directory(&scratch.path(name), &Cancel::new()).unwrap_err();
        assert_eq!((error.errno, error.path.as_deref()), (Some(errno), scratch.path(name).to_str()));
        let error = watch.add_mount(&scratch.path(name), here, &Cancel::new()).unwrap_err();
        assert_eq!(error.errno, Some(errno));
    }
    let other = DeviceNumber { major: here.major, minor: here.minor ^ 1 };
    assert_eq!(mounted(&watch, scratch.root(), other), None);
    let given_up = Cancel::new();
    given_up.cancel();
    assert_eq!(watch.add_directory(scratch.root(), &given_up).unwrap_err().code, Code::Aborted);
}

#[test]
fn a_cancellation_ends_the_wait_and_loses_nothing() {
    let scratch = Scratch::new();
    let watch = watch();
    let id = directory(&watch, scratch.root());
    for round in 0..200 {
        let cancel = Cancel::new();
        let receive = next(&watch, &cancel);
        let name = round.to_string();
        let maker = std::thread::spawn({
            let path = scratch.path(&name);
            move || drop(file(&path))
        });
        cancel.cancel();
        let mut told = match receive.recv_timeout(SOON).unwrap() {
            Ok(events) => events,
            Err(error) => {
                assert_eq!((error.code, error.operation), (Code::Aborted, NEXT));
                Vec::new()
            }
        };
        maker.join().unwrap();
        if told.is_empty() {
            told = events(&watch);
        }
        assert_eq!(told, [Event::Changed(id, Some(name))]);
    }
}

#[test]
fn only_one_waits_and_a_release_gives_it_up() {
    let watch = watch();
    let receive = next(&watch, &Cancel::new());
    assert_eq!(watch.wait().unwrap_err().code, Code::InternalFailure);
    assert_eq!(receive.recv_timeout(WHILE).unwrap_err(), RecvTimeoutError::Timeout);
    watch.release();
    watch.release();
    assert_eq!(receive.recv_timeout(SOON).unwrap().unwrap_err().code, Code::Aborted);
    assert_eq!(watch.wait().unwrap_err().code, Code::Aborted);
    assert_eq!(watch.add_directory(Path::new("/"), &Cancel::new()).unwrap_err().code, Code::Aborted);
    watch.remove(1);
}

#[test]
fn an_id_is_told_of_only_when_its_caller_knows_it() {
    let scratch = Scratch::new();
    let watch = watch();
    let receive = next(&watch, &Cancel::new());
    let id = watch.add_directory(scratch.root(), &Cancel::new()).unwrap();
    file(&scratch.path("a"));
    assert_eq!(receive.recv_timeout(WHILE).unwrap_err(), RecvTimeoutError::Timeout);
    watch.told(id);
    assert_eq!(receive.recv_timeout(SOON).unwrap().unwrap(), [Event::Changed(id, Some("a".into()))]);
}

#[test]
fn more_than_the_kernel_queues_is_told_as_lost() {
    let scratch = Scratch::new();
    let watch = watch();
    let id = directory(&watch, scratch.root());
    let queue = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    for _ in 0..=queue.trim().parse::<usize>().unwrap() / 2 {
        file(&scratch.path("a"));
        std::fs::remove_file(scratch.path("a")).unwrap();
    }
    assert_eq!(all(&watch), [Event::Changed(id, Some("a".into())), Event::Lost]);
}

#[test]
fn a_dying_superblock_is_told_once_through_whatever_mount_it_was_added_where_root() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let [one, two] = ["one", "two"].map(|name| make(&scratch.path(name)));
    with_mounts(move |mounts| {
        let watch = watch();
        assert!(all(&watch).is_empty());
        mounts.tmpfs(&one, "");
        assert_eq!(events(&watch), [Event::Mounts]);
        // However much happens in directories, the mount table has its turn.
        let busy = directory(&watch, &two);
        file(&two.join("a"));
        mounts.tmpfs(&one, "");
        assert_eq!(events(&watch), [Event::Changed(busy, Some("a".into())), Event::Mounts]);
        mounts.unmount(&one);
        watch.remove(busy);
        make(&one.join("part"));
        mounts.bind(&one.join("part"), &two);
        let number = device(&one);
        let id = mounted(&watch, &one, number).unwrap();
        // The same superblock by another directory of it, and by another path.
        assert_eq!(mounted(&watch, &two, number), Some(id));
        assert_eq!(
            mounted(
                &watch,
                &Path::new("/proc/thread-self/root").join(one.strip_prefix("/").unwrap()),
                number
            ),
            Some(id)
        );
        assert_eq!(mounted(&watch, one.parent().unwrap(), number), None);
        // A watch keeps neither mount busy, and one of two mounts is no death.
        mounts.unmount(&one);
        assert!(all(&watch).is_empty());
        mounts.unmount(&two);
        let told = events(&watch);
        assert!(told.contains(&Event::Unmounted(id)) && told.len() <= 2, "{told:?}");
        assert!(all(&watch).is_empty());
        // Another file system, perhaps under the same number, is another id: nothing is left of the old one.
        mounts.tmpfs(&one, "");
        let again = mounted(&watch, &one, device(&one)).unwrap();
        assert_ne!(again, id);
        mounts.unmount(&one);
        assert_eq!(all(&watch), [Event::Unmounted(again)]);
    });
}

#[test]
fn a_death_that_nobody_was_told_yet_is_no_identity_where_root() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let place = make(&scratch.path("place"));
    with_mounts(move |mounts| {
        let watch = watch();
        mounts.tmpfs(&place, "");
        let number = device(&place);
        let first = mounted(&watch, &place, number).unwrap();
        mounts.unmount(&place);
        // The number is free again; others may take it, so more than one attempt.
        let second = (0..1000).find_map(|_| {
            mounts.tmpfs(&place, "");
            let id = mounted(&watch, &place, number);
            if id.is_none() {
                mounts.unmount(&place);
            }
            id
        });
        assert_ne!(second.unwrap(), first);
        assert_eq!(all(&watch), [Event::Unmounted(first)]);
        mounts.unmount(&place);
        assert_eq!(all(&watch), [Event::Unmounted(second.unwrap())]);
    });
}

#[test]
fn a_lazy_unmount_is_told_when_the_last_file_is_closed_where_root() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let place = make(&scratch.path("place"));
    with_mounts(move |mounts| {
        let watch = watch();
        mounts.tmpfs(&place, "");
        let id = mounted(&watch, &place, device(&place)).unwrap();
        let open = file(&place.join("file"));
        mounts.detach(&place);
        assert!(all(&watch).is_empty());
        let receive = next(&watch, &Cancel::new());
        assert_eq!(receive.recv_timeout(WHILE).unwrap_err(), RecvTimeoutError::Timeout);
        drop(open);
        assert_eq!(receive.recv_timeout(SOON).unwrap().unwrap(), [Event::Unmounted(id)]);
    });
}

#[test]
fn a_watched_directory_whose_file_system_ends_is_gone_where_root() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let place = make(&scratch.path("place"));
    with_mounts(move |mounts| {
        let watch = watch();
        mounts.tmpfs(&place, "");
        let id = directory(&watch, &place);
        let mount = mounted(&watch, &place, device(&place)).unwrap();
        assert_ne!(id, mount);
        // The second role does not take the first one's events away.
        file(&place.join("a"));
        assert_eq!(all(&watch), [Event::Changed(id, Some("a".into()))]);
        mounts.unmount(&place);
        let told = all(&watch);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told.contains(&Event::Gone(id)) && told.contains(&Event::Unmounted(mount)), "{told:?}");
    });
}
