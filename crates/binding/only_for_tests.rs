//! Only for tests and benchmarks: what no correct call does, so that the tests can see the core survive it, and what is measured against. `ts/native.ts` passes none of it on.

use std::path::{Path, PathBuf};

use napi::Env;
use napi::bindgen_prelude::{BigInt, PromiseRaw};
use napi_derive::napi;
use ocfs2_group_sys::corosync::{cluster_map, libcpg, quorum};
use ocfs2_group_sys::{direct_io, dlm_control, libdlm};

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

/// Takes a stand-in for a library, before any of it was loaded.
#[napi(catch_unwind)]
pub fn only_for_tests_library<'env>(
    env: &'env Env,
    name: String,
    path: String,
) -> napi::Result<PromiseRaw<'env, ()>> {
    start(env, "load-stand-in", None, move |_| {
        let path = Path::new(&path);
        match name.as_str() {
            "libdlm" => libdlm::LIBRARY.only_for_tests_install(path),
            "libcpg" => libcpg::LIBRARY.only_for_tests_install(path),
            "libcmap" => cluster_map::LIBRARY.only_for_tests_install(path),
            "libquorum" => quorum::LIBRARY.only_for_tests_install(path),
            "libdlmcontrol" => dlm_control::LIBRARY.only_for_tests_install(path),
            _ => panic!("no such library"),
        }
    })
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
