//! Events to wait for; the mount namespaces there are.

use std::path::Path;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::PromiseRaw;
use napi_derive::napi;
use ocfs2_group_sys::device;
use ocfs2_group_sys::event_watch::{self, Event};
use ocfs2_group_sys::mount_namespaces;

use crate::blocking::{Cancellation, start};

/// `MountNamespace` of ts/native-types.ts.
#[napi(object, object_from_js = false)]
pub struct MountNamespace {
    pub inode: String,
    pub pid: i32,
}

/// An event; `id` and `name` have a meaning where `WatchEvent` of ts/native-types.ts has them.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct WatchEvent {
    #[napi(ts_type = "\"unmounted\" | \"changed\" | \"gone\" | \"mounts\" | \"lost\"")]
    pub kind: &'static str,
    pub id: u32,
    pub name: Option<String>,
}

/// Every mount namespace that has a process.
#[napi(catch_unwind)]
pub fn mount_namespaces<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
) -> napi::Result<PromiseRaw<'env, Vec<MountNamespace>>> {
    start(env, mount_namespaces::OPERATION, cancellation, |cancel| {
        let all = mount_namespaces::list(cancel)?;
        Ok(all.into_iter().map(|one| MountNamespace { inode: one.inode, pid: one.pid }).collect())
    })
}

/// Opens what can be waited for.
#[napi(catch_unwind)]
pub fn watch_events<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
) -> napi::Result<PromiseRaw<'env, EventWatch>> {
    start(env, event_watch::OPEN, cancellation, |cancel| {
        Ok(EventWatch(Arc::new(event_watch::EventWatch::open(cancel)?)))
    })
}

/// `EventWatch` of ts/native-types.ts. The collector releases what JavaScript forgot, a call of next that waits excepted.
#[napi]
pub struct EventWatch(Arc<event_watch::EventWatch>);

#[napi]
impl EventWatch {
    /// Watches the superblock under a path; `told` is to be called with the id.
    #[napi(catch_unwind)]
    pub fn add_mount<'env>(
        &self,
        env: &'env Env,
        cancellation: Option<&Cancellation>,
        path: String,
        major: u32,
        minor: u32,
    ) -> napi::Result<PromiseRaw<'env, Option<u32>>> {
        let watch = self.0.clone();
        let number = device::DeviceNumber { major, minor };
        start(env, event_watch::ADD_MOUNT, cancellation, move |cancel| {
            watch.add_mount(Path::new(&path), number, cancel)
        })
    }

    /// Watches a directory's entries; `told` is to be called with the id.
    #[napi(catch_unwind)]
    pub fn add_directory<'env>(
        &self,
        env: &'env Env,
        cancellation: Option<&Cancellation>,
        path: String,
    ) -> napi::Result<PromiseRaw<'env, u32>> {
        let watch = self.0.clone();
        start(env, event_watch::ADD_DIRECTORY, cancellation, move |cancel| {
            watch.add_directory(Path::new(&path), cancel)
        })
    }

    /// The caller knows an id that it was given: from now on its events can come.
    #[napi(catch_unwind)]
    pub fn told(&self, id: u32) {
        self.0.told(id);
    }

    /// Stops watching one.
    #[napi(catch_unwind)]
    pub fn remove(&self, id: u32) {
        self.0.remove(id);
    }

    /// Waits for events. The right to wait is taken here, so that the first of two calls has it.
    #[napi(catch_unwind)]
    pub fn next<'env>(
        &self,
        env: &'env Env,
        cancellation: Option<&Cancellation>,
    ) -> napi::Result<PromiseRaw<'env, Vec<WatchEvent>>> {
        let wait = self.0.wait();
        start(env, event_watch::NEXT, cancellation, move |cancel| {
            Ok(wait?.events(cancel)?.into_iter().map(WatchEvent::from).collect())
        })
    }

    /// Gives up what waits, and closes; twice does nothing.
    #[napi(catch_unwind)]
    pub fn release(&self) {
        self.0.release();
    }
}

impl From<Event> for WatchEvent {
    fn from(event: Event) -> Self {
        let (kind, id, name) = match event {
            Event::Unmounted(id) => ("unmounted", id, None),
            Event::Changed(id, name) => ("changed", id, name),
            Event::Gone(id) => ("gone", id, None),
            Event::Mounts => ("mounts", 0, None),
            Event::Lost => ("lost", 0, None),
        };
        WatchEvent { kind, id, name }
    }
}
