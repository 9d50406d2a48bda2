//! Attributes, directories, links, paths.

use std::path::Path;

use napi::Env;
use napi::bindgen_prelude::PromiseRaw;
use napi_derive::napi;
use ocfs2_group_sys::attribute;

use crate::blocking::{Cancellation, start};

/// The whole file as text.
#[napi(catch_unwind)]
pub fn read_attribute<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    path: String,
) -> napi::Result<PromiseRaw<'env, String>> {
    start(env, "read-attribute", cancellation, move |cancel| {
        let bytes = attribute::read_attribute(Path::new(&path), cancel)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    })
}

/// The whole value in one write(2).
#[napi(catch_unwind)]
pub fn write_attribute<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    path: String,
    value: String,
) -> napi::Result<PromiseRaw<'env, ()>> {
    start(env, "write-attribute", cancellation, move |cancel| {
        attribute::write_attribute(Path::new(&path), value.as_bytes(), cancel)
    })
}
