//! Only for tests: what no correct call does, so that the tests can see the core survive it. `ts/native.ts` passes none of it on.

use std::path::Path;

use napi::Env;
use napi::bindgen_prelude::PromiseRaw;
use napi_derive::napi;
use ocfs2_group_sys::libdlm;

use crate::blocking::{Cancellation, start};

/// Panics on a worker thread.
#[napi(catch_unwind)]
pub fn only_for_tests_panic<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
) -> napi::Result<PromiseRaw<'env, ()>> {
    start(env, "panic-for-tests", cancellation, |_| panic!("on purpose"))
}

/// Takes a stand-in for libdlm, before any was loaded.
#[napi(catch_unwind)]
pub fn only_for_tests_libdlm<'env>(env: &'env Env, path: String) -> napi::Result<PromiseRaw<'env, ()>> {
    start(env, "load-libdlm", None, move |_| libdlm::only_for_tests_install(Path::new(&path)))
}
