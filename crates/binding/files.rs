//! Attributes, directories, links, files, paths.

use std::path::Path;

use napi::Env;
use napi::bindgen_prelude::PromiseRaw;
use napi_derive::napi;
use ocfs2_group_sys::{attribute, directory, durable_file, inspect};

use crate::blocking::{Cancellation, start};
use crate::values::DeviceNumber;

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

/// Names of the sub-directories.
#[napi(catch_unwind)]
pub fn list_directories<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    path: String,
) -> napi::Result<PromiseRaw<'env, Vec<String>>> {
    start(env, "list-directories", cancellation, move |cancel| directory::list(Path::new(&path), cancel))
}

/// mkdir(2).
#[napi(catch_unwind)]
pub fn make_directory<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    path: String,
) -> napi::Result<PromiseRaw<'env, ()>> {
    start(env, "make-directory", cancellation, move |cancel| directory::make(Path::new(&path), cancel))
}

/// rmdir(2).
#[napi(catch_unwind)]
pub fn remove_directory<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    path: String,
) -> napi::Result<PromiseRaw<'env, ()>> {
    start(env, "remove-directory", cancellation, move |cancel| directory::remove(Path::new(&path), cancel))
}

/// readlink(2).
#[napi(catch_unwind)]
pub fn read_link<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    path: String,
) -> napi::Result<PromiseRaw<'env, String>> {
    start(env, "read-link", cancellation, move |cancel| directory::read_link(Path::new(&path), cancel))
}

/// Names of all entries but the sub-directories.
#[napi(catch_unwind)]
pub fn list_files<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    path: String,
) -> napi::Result<PromiseRaw<'env, Vec<String>>> {
    start(env, "list-files", cancellation, move |cancel| directory::list_files(Path::new(&path), cancel))
}

/// The whole content, or no change.
#[napi(catch_unwind)]
pub fn replace_file<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    path: String,
    content: String,
    mode: u32,
) -> napi::Result<PromiseRaw<'env, ()>> {
    start(env, "replace-file", cancellation, move |cancel| {
        durable_file::replace(Path::new(&path), content.as_bytes(), mode, cancel)
    })
}

/// unlink(2).
#[napi(catch_unwind)]
pub fn remove_file<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    path: String,
) -> napi::Result<PromiseRaw<'env, ()>> {
    start(env, "remove-file", cancellation, move |cancel| durable_file::remove(Path::new(&path), cancel))
}

/// `PathFacts` of ts/native-types.ts.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct PathFacts {
    pub real_path: String,
    #[napi(ts_type = "\"directory\" | \"file\" | \"block\" | \"character\" | \"link\" | \"other\"")]
    pub kind: &'static str,
    pub device: DeviceNumber,
    pub represents: Option<DeviceNumber>,
    pub mount_id: u64,
    pub is_mount_root: bool,
    pub filesystem_magic: u32,
}

/// What a path is.
#[napi(catch_unwind)]
pub fn inspect_path<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    path: String,
    namespace: Option<String>,
) -> napi::Result<PromiseRaw<'env, PathFacts>> {
    start(env, "inspect-path", cancellation, move |cancel| {
        inspect::inspect(Path::new(&path), namespace.as_deref().map(Path::new), cancel).map(PathFacts::from)
    })
}

impl From<inspect::PathFacts> for PathFacts {
    fn from(facts: inspect::PathFacts) -> Self {
        PathFacts {
            real_path: facts.real_path,
            kind: facts.kind.name(),
            device: facts.device.into(),
            represents: facts.represents.map(DeviceNumber::from),
            mount_id: facts.mount_id,
            is_mount_root: facts.is_mount_root,
            filesystem_magic: facts.magic,
        }
    }
}
