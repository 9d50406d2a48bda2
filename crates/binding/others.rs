//! The rest: I/O priority, programs, file locks, abstract sockets, this process's own pages.

use std::path::Path;
use std::time::Duration;

use napi::Env;
use napi::bindgen_prelude::PromiseRaw;
use napi_derive::napi;
use ocfs2_group_sys::{code_pages, lock_file as locks, peer, priority, program, socket};

use crate::blocking::{Cancellation, start};
use crate::errors::to_js;
use crate::held::HeldDescriptor;

/// ioprio_set(2).
#[napi(catch_unwind)]
pub fn set_io_priority<'env>(
    env: &'env Env,
    pid: i32,
    io_class: u32,
    level: u32,
) -> napi::Result<PromiseRaw<'env, ()>> {
    start(env, "set-io-priority", None, move |_| priority::set(pid, io_class, level))
}

/// Runs a program to its end.
#[napi(catch_unwind)]
pub fn run_program<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    path: String,
    args: Vec<String>,
) -> napi::Result<PromiseRaw<'env, i32>> {
    start(env, "run-program", cancellation, move |cancel| program::run(Path::new(&path), &args, cancel))
}

/// An exclusive flock(2).
#[napi(catch_unwind)]
pub fn lock_file<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    path: String,
    timeout_ms: u32,
) -> napi::Result<PromiseRaw<'env, HeldDescriptor>> {
    start(env, "lock-file", cancellation, move |cancel| {
        locks::lock(Path::new(&path), Duration::from_millis(timeout_ms.into()), cancel)
            .map(HeldDescriptor::new)
    })
}

/// The descriptor of a connected abstract socket.
#[napi(catch_unwind)]
pub fn connect_abstract<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    name: String,
) -> napi::Result<PromiseRaw<'env, i32>> {
    start(env, socket::CONNECT, cancellation, move |cancel| socket::connect_abstract(&name, cancel))
}

/// The code that is given back, in bytes.
#[napi(catch_unwind)]
pub fn release_code(env: &Env) -> napi::Result<f64> {
    #[allow(clippy::cast_precision_loss, reason = "a program has less than 2^53 bytes")]
    code_pages::release().map(|bytes| bytes as f64).map_err(|error| to_js(env, &error))
}

/// The user at the other end of a connected Unix socket.
#[napi(catch_unwind)]
pub fn peer_user(env: &Env, descriptor: i32) -> napi::Result<u32> {
    peer::peer_user(descriptor).map_err(|error| to_js(env, &error))
}

/// The descriptor of an abstract socket that listens.
#[napi(catch_unwind)]
pub fn listen_abstract<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    name: String,
    backlog: u32,
) -> napi::Result<PromiseRaw<'env, i32>> {
    start(env, socket::LISTEN, cancellation, move |_| socket::listen_abstract(&name, backlog))
}
