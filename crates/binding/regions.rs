//! Heartbeat regions: start, mutex, references.

use std::path::Path;
use std::time::Duration;

use napi::Env;
use napi::bindgen_prelude::PromiseRaw;
use napi_derive::napi;
use ocfs2_group_error::Result;
use ocfs2_group_sys::{heartbeat, region_lock};

use crate::blocking::{Cancellation, start};
use crate::errors::to_js;

/// `SemaphoreFacts` of ts/native-types.ts.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct SemaphoreFacts {
    pub references: i32,
    pub mutex_held: bool,
    pub last_pid: Option<i32>,
}

/// What `RegionLock.drop` returns.
#[napi(object, object_from_js = false)]
pub struct Dropped {
    pub dropped: bool,
    pub references: i32,
}

/// Opens the device and writes its descriptor to the region.
#[napi(catch_unwind)]
pub fn start_heartbeat<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    directory: String,
    device: String,
) -> napi::Result<PromiseRaw<'env, ()>> {
    start(env, "start-heartbeat", cancellation, move |cancel| {
        heartbeat::start(Path::new(&directory), Path::new(&device), cancel)
    })
}

/// Waits for the region's mutex.
#[napi(catch_unwind)]
pub fn lock_region<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    region: String,
    create: bool,
    timeout_ms: u32,
) -> napi::Result<PromiseRaw<'env, Option<RegionLock>>> {
    start(env, "lock-region", cancellation, move |cancel| {
        let timeout = Duration::from_millis(timeout_ms.into());
        Ok(region_lock::RegionLock::acquire(&region, create, timeout, cancel)?.map(RegionLock))
    })
}

/// The region's set, seen without the mutex.
#[napi(catch_unwind)]
pub fn region_semaphores<'env>(
    env: &'env Env,
    region: String,
) -> napi::Result<PromiseRaw<'env, Option<SemaphoreFacts>>> {
    start(env, "query-region", None, move |_| {
        Ok(region_lock::query(&region)?.map(|facts| SemaphoreFacts {
            references: facts.references,
            mutex_held: facts.mutex_held,
            last_pid: facts.last_pid,
        }))
    })
}

/// `RegionLock` of ts/native-types.ts. None of its methods can block; the collector releases what JavaScript forgot.
#[napi]
pub struct RegionLock(region_lock::RegionLock);

fn settle<T>(env: &Env, result: Result<T>) -> napi::Result<T> {
    result.map_err(|error| to_js(env, &error))
}

#[napi]
impl RegionLock {
    /// The count.
    #[napi(catch_unwind)]
    pub fn references(&self, env: &Env) -> napi::Result<i32> {
        settle(env, self.0.references())
    }

    /// One more.
    #[napi(catch_unwind)]
    pub fn take(&mut self, env: &Env, undo: bool) -> napi::Result<i32> {
        settle(env, self.0.take(undo))
    }

    /// One less.
    #[napi(catch_unwind)]
    pub fn drop(&mut self, env: &Env, undo: bool) -> napi::Result<Dropped> {
        settle(env, self.0.drop_reference(undo)).map(|(dropped, references)| Dropped { dropped, references })
    }

    /// One of this process's references outlives it.
    #[napi(catch_unwind)]
    pub fn hand_over(&mut self, env: &Env) -> napi::Result<()> {
        settle(env, self.0.hand_over())
    }

    /// Removes the set.
    #[napi(catch_unwind)]
    pub fn destroy(&mut self, env: &Env) -> napi::Result<()> {
        settle(env, self.0.destroy())
    }

    /// Releases the mutex; twice does nothing.
    #[napi(catch_unwind)]
    pub fn release(&mut self, env: &Env) -> napi::Result<()> {
        settle(env, self.0.release())
    }
}
