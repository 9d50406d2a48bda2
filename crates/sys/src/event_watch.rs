//! Deaths of superblocks, changes of directories and of the mount table, awaited in one poll(2) without a timeout.
//!
//! Facts relied on: IN_UNMOUNT comes when a superblock begins to shut down (kernel fs/super.c, generic_shutdown_super), so after a lazy unmount
//! only with the last file; its dismount and the release of the device follow. A watch holds an inode, not the mount (inotify(7)). An
//! open mountinfo polls POLLPRI and POLLERR once per change since it was opened or polled (proc(5)). An open with O_PATH touches no disk,
//! and without O_DIRECTORY or a final slash it triggers no automount; the permission check of inotify_add_watch may ask the cluster.
//!
//! Closing an inotify instance waits for a grace period of the kernel, 20 ms, so it is done on a thread. It judges nothing.

mod table;
#[cfg(test)]
mod tests;

use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ocfs2_group_error::{Code, Error, Result};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags, open, statx};
use rustix::io::{Errno, read, write};

use crate::cancel::Cancel;
use crate::device::DeviceNumber;
use crate::error::{NO_PATH, OrError};
use crate::worker;
pub use table::Event;
use table::{ENTRY, Raw, Role, Table};

/// Opening, as errors and threads name it.
pub const OPEN: &str = "watch-events";
/// Adding a mount, likewise.
pub const ADD_MOUNT: &str = "watch-mount";
/// Adding a directory, likewise.
pub const ADD_DIRECTORY: &str = "watch-directory";
/// Waiting, likewise.
pub const NEXT: &str = "next-events";
const MOUNTS: &str = "/proc/thread-self/mountinfo";
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
/// Events that are read at one go: as many as the kernel queues.
const MOST: usize = 16_384;

#[derive(Debug)]
struct Files {
    inotify: OwnedFd,
    mounts: OwnedFd,
    /// Wakes the thread that waits, where another one has found events or released everything.
    wake: OwnedFd,
}

#[derive(Debug)]
struct State {
    table: Table,
    /// None once released.
    files: Option<Arc<Files>>,
    waiting: bool,
}

/// `EventWatch` of ts/native-types.ts. Shared between threads; only [`Wait::events`] and the adding of watches can block.
#[derive(Debug)]
pub struct EventWatch(Mutex<State>);

impl EventWatch {
    /// Opens everything; what happens from now on is told.
    pub fn open(cancel: &Cancel) -> Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .or_error(OPEN, "inotify_init1", NO_PATH)
            .map_err(|error| limited(error, Errno::MFILE, "max_user_instances"))?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let mounts = cancel.restart(|| open(MOUNTS, flags, Mode::empty())).or_error(OPEN, "open", MOUNTS)?;
        let wake =
            eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).or_error(OPEN, "eventfd2", NO_PATH)?;
        let files = Some(Arc::new(Files { inotify, mounts, wake }));
        Ok(EventWatch(Mutex::new(State { table: Table::default(), files, waiting: false })))
    }

    /// Watches the superblock under `path`; `None` where that is another device's. The id's events wait for [`EventWatch::told`].
    pub fn add_mount(&self, path: &Path, device: DeviceNumber, cancel: &Cancel) -> Result<Option<u32>> {
        let place = Place::open(ADD_MOUNT, path, cancel)?;
        if place.device != device {
            return Ok(None);
        }
        let flags = WatchFlags::from_bits_retain(ReadFlags::UNMOUNT.bits());
        self.add(ADD_MOUNT, path, place, flags, Role::Mount(Some(device)), cancel).map(Some)
    }

    /// Watches the entries of a directory. The id's events wait for [`EventWatch::told`].
    pub fn add_directory(&self, path: &Path, cancel: &Cancel) -> Result<u32> {
        let place = Place::open(ADD_DIRECTORY, path, cancel)?;
        let own = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        let flags = WatchFlags::from_bits_retain(ENTRY.bits()) | own;
        self.add(ADD_DIRECTORY, path, place, flags, Role::Directory, cancel)
    }

    /// The caller that was given an id knows it: its events can be told.
    pub fn told(&self, id: u32) {
        let mut state = self.lock();
        if state.table.told(id) {
            state.wake();
        }
    }

    /// Stops watching. An id that is gone is none of its business.
    pub fn remove(&self, id: u32) {
        let mut state = self.lock();
        state.table.remove(id);
        state.tidy();
    }

    /// Reserves the right to wait, which one at a time has.
    pub fn wait(self: &Arc<Self>) -> Result<Wait> {
        let mut state = self.lock();
        let files = state.files(NEXT)?;
        if std::mem::replace(&mut state.waiting, true) {
            return Err(Error::new(Code::InternalFailure, NEXT, "another call of next waits already"));
        }
        Ok(Wait { watch: self.clone(), files })
    }

    /// Ends everything: what waits is given up. Twice does nothing.
    pub fn release(&self) {
        let mut state = self.lock();
        state.wake();
        state.table = Table::default();
        let Some(files) = state.files.take() else { return };
        drop(state);
        let close = move |_: &Cancel| {
            drop(files);
            Ok(())
        };
        // Where no thread can be had, the closure is dropped here, and the files with it.
        drop(worker::spawn("close-watch", &Cancel::new(), close, |_| ()));
    }

    fn add(
        &self,
        operation: &'static str,
        path: &Path,
        place: Place,
        flags: WatchFlags,
        role: Role,
        cancel: &Cancel,
    ) -> Result<u32> {
        let (files, _adding) = {
            let mut state = self.lock();
            let files = state.files(operation)?;
            state.table.begin_add();
            (files, Adding(self))
        };
        // Through the descriptor: whatever is mounted at the path by now, this is the place that was looked at.
        let link = format!("/proc/thread-self/fd/{}", place.file.as_raw_fd());
        let wd = cancel
            .restart(|| inotify::add_watch(&files.inotify, &*link, flags | WatchFlags::MASK_ADD))
            .or_error(operation, "inotify_add_watch", path)
            .map_err(|error| limited(error, Errno::NOSPC, "max_user_watches"))?;
        // At once: an open descriptor keeps the mount busy.
        drop(place);
        let mut state = self.lock();
        state.files(operation)?;
        if let Role::Mount(Some(device)) = role
            && state.table.is_ambiguous(wd, device)
        {
            state.read(&files, operation)?;
        }
        Ok(state.table.adopt(wd, role))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for EventWatch {
    fn drop(&mut self) {
        self.release();
    }
}

/// A call that adds a watch, however it ends.
struct Adding<'a>(&'a EventWatch);

impl Drop for Adding<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.table.end_add();
        state.tidy();
        if state.table.has_events() {
            state.wake();
        }
    }
}

/// An open directory, its file system's device.
struct Place {
    file: OwnedFd,
    device: DeviceNumber,
}

impl Place {
    fn open(operation: &'static str, path: &Path, cancel: &Cancel) -> Result<Self> {
        // Without the slashes at its end, which would trigger an automount.
        let bare = path.components().as_path();
        let file = cancel
            .restart(|| open(bare, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()))
            .or_error(operation, "open", path)?;
        // What is known here, without asking the cluster: an open file keeps the mount busy for as long as that takes.
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let stat = cancel
            .restart(|| statx(&file, "", flags, StatxFlags::TYPE))
            .or_error(operation, "statx", path)?;
        if FileType::from_raw_mode(stat.stx_mode.into()) != FileType::Directory {
            return Err(Errno::NOTDIR).or_error(operation, "open", path);
        }
        let device = DeviceNumber { major: stat.stx_dev_major, minor: stat.stx_dev_minor };
        Ok(Place { file, device })
    }
}

/// The right to wait for events.
#[derive(Debug)]
pub struct Wait {
    watch: Arc<EventWatch>,
    files: Arc<Files>,
}

impl Wait {
    /// Waits for events, one at least. A cancellation loses none: what was read before is returned, or kept for the next call.
    pub fn events(self, cancel: &Cancel) -> Result<Vec<Event>> {
        loop {
            let ready = {
                let mut state = self.watch.lock();
                state.files(NEXT)?;
                state.read(&self.files, NEXT)?;
                state.table.has_events()
            };
            self.poll(ready, cancel)?;
            if ready {
                let events = self.watch.lock().table.take();
                if !events.is_empty() {
                    return Ok(events);
                }
            }
        }
    }

    /// Sleeps until a descriptor is ready, or only looks, where there are events already: the mount table has its turn then too.
    fn poll(&self, ready: bool, cancel: &Cancel) -> Result<()> {
        let mut files = [
            PollFd::new(&self.files.mounts, PollFlags::PRI),
            PollFd::new(&self.files.wake, PollFlags::IN),
            PollFd::new(&self.files.inotify, PollFlags::IN),
        ];
        match ready {
            true if poll(&mut files, Some(&AT_ONCE)).is_err() => return Ok(()),
            true => {}
            false => {
                cancel.restart(|| poll(&mut files, None)).or_error(NEXT, "poll", NO_PATH)?;
            }
        }
        let [mounts, wake, _] = files.map(|file| file.revents());
        if mounts.intersects(PollFlags::PRI | PollFlags::ERR) {
            self.watch.lock().table.push(Event::Mounts);
        }
        if wake.contains(PollFlags::IN) {
            // It only says that the state is to be looked at again, which is done next.
            let _ = read(&self.files.wake, &mut [0_u8; 8]);
        }
        Ok(())
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.watch.lock().waiting = false;
    }
}

impl State {
    fn files(&self, operation: &'static str) -> Result<Arc<Files>> {
        self.files.clone().ok_or_else(|| Error::new(Code::Aborted, operation, "the watch was released"))
    }

    /// Takes in what the kernel has queued.
    fn read(&mut self, files: &Files, operation: &'static str) -> Result<()> {
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut reader = inotify::Reader::new(&files.inotify, &mut buffer);
        let mut count = 0;
        while count < MOST || !reader.is_buffer_empty() {
            count += 1;
            match reader.next() {
                Ok(event) => self.table.read(Raw {
                    wd: event.wd(),
                    flags: event.events(),
                    name: event.file_name().map(|name| name.to_string_lossy().into_owned()),
                }),
                Err(Errno::WOULDBLOCK) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).or_error(operation, "read", NO_PATH),
            }
        }
        self.tidy();
        Ok(())
    }

    /// Removes the watches that nothing needs; most of them the kernel has removed itself.
    fn tidy(&mut self) {
        let Some(files) = &self.files else { return };
        for wd in self.table.unneeded() {
            let _ = inotify::remove_watch(&files.inotify, wd);
        }
    }

    fn wake(&self) {
        if let Some(files) = &self.files {
            // A counter that is full wakes as well.
            let _ = write(&files.wake, &1_u64.to_ne_bytes());
        }
    }
}

/// Says which limit was reached, where it was one.
fn limited(error: Error, errno: Errno, limit: &str) -> Error {
    if error.errno != Some(errno.raw_os_error()) {
        return error;
    }
    error.detail(format!("the limit fs.inotify.{limit} is reached: raise it with sysctl"))
}
