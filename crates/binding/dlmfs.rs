//! Locks of the distributed lock manager, and what keeps this node's processes apart.

use std::path::Path;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::{BigInt, PromiseRaw, Uint8Array};
use napi_derive::napi;
use ocfs2_group_sys::dlmfs::{self, Level};
use ocfs2_group_sys::{byte_range, dlmfs_apart};

use crate::blocking::{Cancellation, start};
use crate::values::bits;

fn level(exclusive: bool) -> Level {
    if exclusive { Level::Ex } else { Level::Pr }
}

/// Opens a lock's file; null where `trylock` is refused.
#[napi(catch_unwind)]
pub fn open_dlm_lock<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    path: String,
    exclusive: bool,
    trylock: bool,
) -> napi::Result<PromiseRaw<'env, Option<DlmLock>>> {
    start(env, "open-dlm-lock", cancellation, move |cancel| {
        Ok(dlmfs::open(Path::new(&path), level(exclusive), trylock, cancel)?.map(DlmLock::new))
    })
}

/// Opens a lock's file in a process apart, which may wait for ever.
#[napi(catch_unwind)]
pub fn open_dlm_lock_apart<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    path: String,
    exclusive: bool,
    place: Option<&RangeLock>,
) -> napi::Result<PromiseRaw<'env, DlmLock>> {
    let place = place.and_then(|place| place.0.clone());
    start(env, "open-dlm-lock-apart", cancellation, move |cancel| {
        dlmfs_apart::open_apart(Path::new(&path), level(exclusive), place.as_deref(), cancel)
            .map(DlmLock::new)
    })
}

/// Makes the node give a cached lock up; false where somebody on it holds it.
#[napi(catch_unwind)]
pub fn unlink_dlm_lock<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    path: String,
) -> napi::Result<PromiseRaw<'env, bool>> {
    start(env, "unlink-dlm-lock", cancellation, move |cancel| dlmfs::unlink(Path::new(&path), cancel))
}

/// `DlmLock` of ts/native-types.ts. The collector closes what JavaScript forgot.
#[napi]
pub struct DlmLock(Arc<dlmfs::DlmLock>);

impl DlmLock {
    fn new(lock: dlmfs::DlmLock) -> Self {
        DlmLock(Arc::new(lock))
    }
}

#[napi]
impl DlmLock {
    /// The value block.
    #[napi(catch_unwind)]
    pub fn read_value<'env>(
        &self,
        env: &'env Env,
        cancellation: Option<&Cancellation>,
    ) -> napi::Result<PromiseRaw<'env, Uint8Array>> {
        let lock = self.0.clone();
        start(env, "read-dlm-value", cancellation, move |cancel| lock.read_value(cancel).map(Uint8Array::new))
    }

    /// Replaces the value block.
    #[napi(catch_unwind)]
    pub fn write_value<'env>(
        &self,
        env: &'env Env,
        cancellation: Option<&Cancellation>,
        value: Uint8Array,
    ) -> napi::Result<PromiseRaw<'env, ()>> {
        let (lock, value) = (self.0.clone(), value.to_vec());
        start(env, "write-dlm-value", cancellation, move |cancel| lock.write_value(&value, cancel))
    }

    /// Waits until another node waits for this lock.
    #[napi(catch_unwind)]
    pub fn wait_blocked<'env>(
        &self,
        env: &'env Env,
        cancellation: Option<&Cancellation>,
    ) -> napi::Result<PromiseRaw<'env, ()>> {
        let lock = self.0.clone();
        start(env, dlmfs::BLOCKED, cancellation, move |cancel| lock.wait_blocked(cancel))
    }

    /// Whether another node waits for this lock now.
    #[napi(catch_unwind)]
    pub fn is_blocked(&self) -> bool {
        self.0.is_blocked()
    }

    /// Ends this holder once no call is at work on it; twice does nothing.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.0.close();
    }
}

/// Locks a place of a file against other processes of this node.
#[napi(catch_unwind)]
pub fn lock_range<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    path: String,
    place: BigInt,
    exclusive: bool,
    wait: bool,
) -> napi::Result<PromiseRaw<'env, Option<RangeLock>>> {
    let place = bits(&place)?;
    start(env, byte_range::OPERATION, cancellation, move |cancel| {
        let held = byte_range::lock(Path::new(&path), place, exclusive, wait, cancel)?;
        Ok(held.map(|held| RangeLock(Some(Arc::new(held)))))
    })
}

/// `RangeLock` of ts/native-types.ts. The collector releases what JavaScript forgot.
#[napi]
pub struct RangeLock(Option<Arc<byte_range::RangeLock>>);

#[napi]
impl RangeLock {
    /// Whether another process waits for it.
    #[napi(catch_unwind)]
    pub fn is_awaited(&self) -> bool {
        self.0.as_ref().is_some_and(|held| held.is_awaited())
    }

    /// Releases it; twice does nothing.
    #[napi(catch_unwind)]
    pub fn release(&mut self) {
        self.0 = None;
    }
}
