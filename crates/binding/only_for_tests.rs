//! Only for tests: what no correct call does, so that the tests can see the core survive it. `ts/native.ts` passes none of it on.

use napi::Env;
use napi::bindgen_prelude::PromiseRaw;
use napi_derive::napi;

use crate::blocking::{Cancellation, start};

/// Panics on a worker thread.
#[napi(catch_unwind)]
pub fn only_for_tests_panic<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
) -> napi::Result<PromiseRaw<'env, ()>> {
    start(env, "panic-for-tests", cancellation, |_| panic!("on purpose"))
}
