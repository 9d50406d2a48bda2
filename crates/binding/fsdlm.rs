//! Lockspaces of fs/dlm, through libdlm.

use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::{PromiseRaw, Uint8Array};
use napi_derive::napi;
use ocfs2_group_sys::fsdlm::{Lock, Lockspace, Mode, VALUE_BYTES};
use ocfs2_group_sys::libdlm;

use crate::blocking::{Cancellation, start};
use crate::errors::to_js;

/// Loads libdlm and joins a lockspace.
#[napi(catch_unwind)]
pub fn open_lockspace<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    name: String,
) -> napi::Result<PromiseRaw<'env, FsdlmSpace>> {
    start(env, "open-lockspace", cancellation, move |cancel| {
        Ok(FsdlmSpace(Arc::new(Lockspace::open(libdlm::LIBRARY.installed()?, &name, cancel)?)))
    })
}

/// `Lockspace` of ts/native-types.ts. The collector leaves what JavaScript forgot.
#[napi]
pub struct FsdlmSpace(Arc<Lockspace>);

#[napi]
impl FsdlmSpace {
    /// A lock of it; null where a trylock is refused.
    #[napi(catch_unwind)]
    pub fn lock<'env>(
        &self,
        env: &'env Env,
        cancellation: Option<&Cancellation>,
        name: String,
        exclusive: bool,
        trylock: bool,
    ) -> napi::Result<PromiseRaw<'env, Option<FsdlmLock>>> {
        let space = Arc::clone(&self.0);
        let mode = if exclusive { Mode::Exclusive } else { Mode::ProtectedRead };
        start(env, "take-lock", cancellation, move |cancel| {
            Ok(space.lock(&name, mode, trylock, cancel)?.map(|lock| FsdlmLock(Arc::new(lock))))
        })
    }

    /// Leaves it; twice does nothing.
    #[napi(catch_unwind)]
    pub fn close<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, ()>> {
        let space = Arc::clone(&self.0);
        start(env, "close-lockspace", None, move |_| space.close())
    }
}

/// `LockspaceLock` of ts/native-types.ts. The collector gives up what JavaScript forgot.
#[napi]
pub struct FsdlmLock(Arc<Lock>);

#[napi]
impl FsdlmLock {
    /// The value; null where it was lost.
    #[napi(catch_unwind)]
    pub fn read_value(&self, env: &Env) -> napi::Result<Option<Uint8Array>> {
        let value = self.0.read_value().map_err(|error| to_js(env, &error))?;
        Ok(value.map(|bytes| Uint8Array::from(bytes.to_vec())))
    }

    /// Another value.
    #[napi(catch_unwind)]
    pub fn write_value(&self, env: &Env, value: Uint8Array) -> napi::Result<()> {
        let bytes = <[u8; VALUE_BYTES]>::try_from(value.as_ref())
            .map_err(|_| napi::Error::new(napi::Status::InvalidArg, "a value of 32 bytes is needed"))?;
        self.0.write_value(bytes).map_err(|error| to_js(env, &error))
    }

    /// Whether somebody else wants it.
    #[napi(catch_unwind)]
    pub fn is_wanted(&self) -> bool {
        self.0.is_wanted()
    }

    /// Waits until somebody else wants it.
    #[napi(catch_unwind)]
    pub fn wanted<'env>(
        &self,
        env: &'env Env,
        cancellation: Option<&Cancellation>,
    ) -> napi::Result<PromiseRaw<'env, ()>> {
        let lock = Arc::clone(&self.0);
        start(env, "await-blocking", cancellation, move |cancel| lock.wanted(cancel))
    }

    /// Gives it up; twice does nothing.
    #[napi(catch_unwind)]
    pub fn release<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, ()>> {
        let lock = Arc::clone(&self.0);
        start(env, "release-lock", None, move |_| lock.release())
    }
}
