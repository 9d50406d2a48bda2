//! Which inotify watch stands for what, and which events wait to be delivered. No system call is made here.
//!
//! Facts relied on: inotify(7). An inode has one watch descriptor per instance, whoever adds it and how often; descriptors are given out in
//! a circle, so none comes back soon; IN_UNMOUNT is followed by IN_IGNORED, and both come whatever the mask. One superblock can be
//! mounted by several of its directories, each an inode of its own.
//!
//! A watch is made in the kernel before it has a row here: what is read of it in between is kept until the row is there.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use rustix::fs::inotify::ReadFlags;

use crate::device::DeviceNumber;

/// What makes an entry of a directory another one.
pub(super) const ENTRY: ReadFlags =
    ReadFlags::CREATE.union(ReadFlags::DELETE).union(ReadFlags::MOVED_FROM).union(ReadFlags::MOVED_TO);
const OVER: ReadFlags = ReadFlags::UNMOUNT.union(ReadFlags::IGNORED);
const GONE: ReadFlags = OVER.union(ReadFlags::DELETE_SELF).union(ReadFlags::MOVE_SELF);

/// `WatchEvent` of ts/native-types.ts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// The superblock under a mount is dying.
    Unmounted(u32),
    /// An entry of a directory was made, removed or renamed.
    Changed(u32, Option<String>),
    /// A directory is gone itself.
    Gone(u32),
    /// The mount table has changed.
    Mounts,
    /// The kernel dropped events.
    Lost,
}

impl Event {
    fn id(&self) -> Option<u32> {
        match self {
            Event::Unmounted(id) | Event::Changed(id, _) | Event::Gone(id) => Some(*id),
            Event::Mounts | Event::Lost => None,
        }
    }
}

/// One event as inotify tells it.
#[derive(Debug, Clone)]
pub(super) struct Raw {
    pub wd: i32,
    pub flags: ReadFlags,
    pub name: Option<String>,
}

/// What a watch is for. A mount without device is one of before an overflow, which may be dead already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Mount(Option<DeviceNumber>),
    Directory,
}

#[derive(Debug)]
struct Watch {
    wd: i32,
    id: u32,
    role: Role,
}

/// The watches of one inotify instance, and the events that nobody has been told yet.
#[derive(Debug, Default)]
pub(super) struct Table {
    watches: Vec<Watch>,
    last_id: u32,
    /// Calls that are adding a watch now.
    adding: usize,
    /// Events that one of those may turn out to be about.
    early: Vec<Raw>,
    /// Descriptors that no row needs any more.
    unneeded: Vec<i32>,
    pending: Vec<Event>,
    seen: HashSet<Event>,
    /// Ids that a call is returning, and how many calls: their events wait until the caller knows the id.
    untold: HashMap<u32, usize>,
}

impl Table {
    /// A call that adds a watch begins.
    pub fn begin_add(&mut self) {
        self.adding += 1;
    }

    /// It has ended, with a row or without.
    pub fn end_add(&mut self) {
        self.adding = self.adding.saturating_sub(1);
        if self.adding == 0 {
            self.early.clear();
        }
    }

    /// Whether a row of another descriptor has this device: the same superblock, or one that died before and was not heard of yet.
    pub fn is_ambiguous(&self, wd: i32, device: DeviceNumber) -> bool {
        let role = Role::Mount(Some(device));
        self.watches.iter().any(|watch| watch.role == role)
            && !self.watches.iter().any(|watch| watch.wd == wd && watch.role == role)
    }

    /// The row for a new descriptor, and its id: that of the same inode in the same role, else that of the same superblock.
    /// Its events are held back until [`Table::told`].
    pub fn adopt(&mut self, wd: i32, role: Role) -> u32 {
        let same_kind = |watch: &Watch| watch.role == Role::Directory;
        let is_directory = role == Role::Directory;
        let same_inode =
            self.watches.iter_mut().find(|watch| watch.wd == wd && same_kind(watch) == is_directory);
        if let Some(watch) = same_inode {
            watch.role = role;
            let id = watch.id;
            *self.untold.entry(id).or_default() += 1;
            return id;
        }
        let same_superblock = self.watches.iter().find(|watch| !is_directory && watch.role == role);
        let id = same_superblock.map_or(self.last_id.wrapping_add(1), |watch| watch.id);
        if same_superblock.is_none() {
            self.last_id = id;
        }
        self.watches.push(Watch { wd, id, role });
        *self.untold.entry(id).or_default() += 1;
        for raw in self.early.clone().iter().filter(|raw| raw.wd == wd) {
            self.apply(raw, Some(id));
        }
        id
    }

    /// One of the callers that an id was returned to knows it. Whether there are events to deliver.
    pub fn told(&mut self, id: u32) -> bool {
        match self.untold.get_mut(&id) {
            Some(calls) if *calls > 1 => *calls -= 1,
            _ => drop(self.untold.remove(&id)),
        }
        self.has_events()
    }

    /// Forgets an id and what has not been told of it.
    pub fn remove(&mut self, id: u32) {
        self.forget(id);
        self.pending.retain(|event| event.id() != Some(id));
        self.seen.retain(|event| event.id() != Some(id));
    }

    /// Takes in one event of the kernel's queue.
    pub fn read(&mut self, raw: Raw) {
        if raw.flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            self.push(Event::Lost);
            for watch in &mut self.watches {
                if watch.role != Role::Directory {
                    watch.role = Role::Mount(None);
                }
            }
            return;
        }
        let taken = self.apply(&raw, None);
        if self.adding > 0 && (!taken || raw.flags.intersects(OVER)) {
            self.early.push(raw);
        }
    }

    /// Adds an event, once.
    pub fn push(&mut self, event: Event) {
        if self.seen.insert(event.clone()) {
            self.pending.push(event);
        }
    }

    /// Whether there is an event to deliver.
    pub fn has_events(&self) -> bool {
        self.pending.iter().any(|event| self.is_tellable(event))
    }

    /// The events to deliver, oldest first.
    pub fn take(&mut self) -> Vec<Event> {
        let all = std::mem::take(&mut self.pending);
        let (ready, kept) = all.into_iter().partition(|event| self.is_tellable(event));
        self.seen = HashSet::from_iter(Vec::clone(&kept));
        self.pending = kept;
        ready
    }

    /// Descriptors to remove from the kernel. While a call adds a watch there are none: it may be adding just that inode.
    pub fn unneeded(&mut self) -> Vec<i32> {
        if self.adding > 0 {
            return Vec::new();
        }
        let needed: HashSet<i32> = self.watches.iter().map(|watch| watch.wd).collect();
        std::mem::take(&mut self.unneeded).into_iter().filter(|wd| !needed.contains(wd)).collect()
    }

    fn is_tellable(&self, event: &Event) -> bool {
        event.id().is_none_or(|id| !self.untold.contains_key(&id))
    }

    fn forget(&mut self, id: u32) {
        let (gone, kept) =
            std::mem::take(&mut self.watches).into_iter().partition::<Vec<_>, _>(|watch| watch.id == id);
        self.watches = kept;
        self.unneeded.extend(gone.iter().map(|watch| watch.wd));
    }

    /// What an event means to the rows of its descriptor, or to one of them; whether it means anything.
    fn apply(&mut self, raw: &Raw, only: Option<u32>) -> bool {
        let concerned = |watch: &&Watch| watch.wd == raw.wd && only.is_none_or(|id| id == watch.id);
        let rows: Vec<_> =
            self.watches.iter().filter(concerned).map(|watch| (watch.id, watch.role)).collect();
        let mut taken = false;
        for (id, role) in rows {
            taken |= match role {
                Role::Mount(_) => self.apply_to_mount(raw, id),
                Role::Directory => self.apply_to_directory(raw, id),
            };
        }
        taken
    }

    fn apply_to_mount(&mut self, raw: &Raw, id: u32) -> bool {
        if raw.flags.contains(ReadFlags::UNMOUNT) {
            self.forget(id);
            self.push(Event::Unmounted(id));
        } else if raw.flags.contains(ReadFlags::IGNORED) {
            // This inode was deleted, and its superblock lives on: nobody tells its death where this was the last watch.
            self.watches.retain(|watch| watch.wd != raw.wd || watch.id != id);
            if !self.watches.iter().any(|watch| watch.id == id) {
                self.push(Event::Lost);
            }
        }
        raw.flags.intersects(OVER)
    }

    fn apply_to_directory(&mut self, raw: &Raw, id: u32) -> bool {
        if raw.flags.intersects(GONE) {
            self.forget(id);
            self.push(Event::Gone(id));
        } else if raw.flags.intersects(ENTRY) {
            self.push(Event::Changed(id, raw.name.clone()));
        }
        raw.flags.intersects(GONE.union(ENTRY))
    }
}
