//! A call that can block, as a promise: its own thread (`sys::worker`), settled on the JavaScript thread.
//!
//! Facts relied on: a deferred may be settled from any thread, and becomes a no-op when its environment (process, worker thread)
//! is gone; the result is then dropped, which releases what it holds. Values and errors are made on the JavaScript thread only.

use napi::bindgen_prelude::{PromiseRaw, ToNapiValue};
use napi::{Env, JsValue};
use napi_derive::napi;
use ocfs2_group_error::Result;
use ocfs2_group_sys::{Cancel, worker};

use crate::errors::to_js;

/// Gives up the one call it is passed to.
#[napi]
pub struct Cancellation(Cancel);

#[napi]
impl Cancellation {
    /// One for one call.
    #[napi(constructor, catch_unwind)]
    #[allow(clippy::new_without_default, reason = "a constructor for JavaScript")]
    pub fn new() -> Self {
        Cancellation(Cancel::new())
    }

    /// Interrupts the call until its thread has finished. Doing it twice, or too late, does nothing.
    #[napi(catch_unwind)]
    pub fn cancel(&self) {
        self.0.cancel();
    }
}

type Settle<T> = Box<dyn FnOnce(Env) -> napi::Result<T> + Send>;

/// Runs `work` on a thread of its own and settles the promise with what it returns.
pub fn start<'env, T: ToNapiValue + Send + 'static>(
    env: &'env Env,
    operation: &'static str,
    cancellation: Option<&Cancellation>,
    work: impl FnOnce(&Cancel) -> Result<T> + Send + 'static,
) -> napi::Result<PromiseRaw<'env, T>> {
    start_with_stack(worker::STACK_BYTES, env, operation, cancellation, work)
}

/// The same on a stack of `bytes`.
pub fn start_with_stack<'env, T: ToNapiValue + Send + 'static>(
    bytes: usize,
    env: &'env Env,
    operation: &'static str,
    cancellation: Option<&Cancellation>,
    work: impl FnOnce(&Cancel) -> Result<T> + Send + 'static,
) -> napi::Result<PromiseRaw<'env, T>> {
    let (deferred, promise) = env.create_deferred::<T, Settle<T>>()?;
    let spare = deferred.clone();
    let settle =
        |result: Result<T>| -> Settle<T> { Box::new(move |env| result.map_err(|error| to_js(&env, &error))) };
    let cancel = cancellation.map_or_else(Cancel::new, |cancellation| cancellation.0.clone());
    // Without a thread the closure is dropped, and with it the deferred: its clone settles the promise then.
    if let Err(error) = worker::spawn_with_stack(bytes, operation, &cancel, work, move |result| {
        deferred.resolve(settle(result))
    }) {
        spare.resolve(settle(Err(error)));
    }
    Ok(PromiseRaw::new(env.raw(), promise.raw()))
}
