//! Only for tests and benchmarks: what no correct call does, so that the tests can see the core survive it, and what is measured against. `ts/native.ts` passes none of it on.

use std::path::{Path, PathBuf};

use napi::Env;
use napi::bindgen_prelude::{BigInt, PromiseRaw};
use napi_derive::napi;
use ocfs2_group_sys::direct_io;
use ocfs2_group_sys::libdlm;

use crate::blocking::{Cancellation, start};
use crate::values::bits;

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

/// Reads bytes of a device on a worker thread and drops them.
#[napi(catch_unwind)]
pub fn only_for_tests_bare_read<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    device: String,
    offset: BigInt,
    length: u32,
) -> napi::Result<PromiseRaw<'env, ()>> {
    let offset = bits(&offset)?;
    let length = usize::try_from(length).unwrap_or(0);
    start(env, "bare-read", cancellation, move |_| {
        direct_io::bare_read(&PathBuf::from(device), offset, length)
    })
}
