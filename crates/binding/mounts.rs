//! Mounts: made, ended, listed.

use std::path::{Path, PathBuf};

use napi::Env;
use napi::bindgen_prelude::PromiseRaw;
use napi_derive::napi;
use ocfs2_group_sys::{mount as calls, mountinfo};

use crate::blocking::{Cancellation, start};
use crate::values::DeviceNumber;

/// `MountRequest` of ts/native-types.ts.
#[napi(object, object_to_js = false, use_nullable = true)]
pub struct MountRequest {
    pub source: String,
    pub target: String,
    pub r#type: String,
    pub flags: u32,
    pub options: Vec<String>,
    #[napi(ts_type = "\"fsopen\" | \"mount\"")]
    pub api: String,
    pub namespace: Option<String>,
}

/// `UnmountRequest` of ts/native-types.ts.
#[napi(object, object_to_js = false, use_nullable = true)]
pub struct UnmountRequest {
    pub target: String,
    pub flags: u32,
    pub namespace: Option<String>,
}

/// `MountEntry` of ts/native-types.ts.
#[napi(object, object_from_js = false)]
pub struct MountEntry {
    pub id: u64,
    pub parent: u64,
    pub device: DeviceNumber,
    pub root: String,
    pub target: String,
    pub options: String,
    pub r#type: String,
    pub source: String,
    pub super_options: String,
}

/// Mounts.
#[napi(catch_unwind)]
pub fn mount<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    request: MountRequest,
) -> napi::Result<PromiseRaw<'env, ()>> {
    let api = match request.api.as_str() {
        "fsopen" => calls::Api::Fsopen,
        "mount" => calls::Api::Mount,
        _ => return Err(napi::Error::new(napi::Status::InvalidArg, "api is \"fsopen\" or \"mount\"")),
    };
    let request = calls::Request {
        source: request.source,
        target: PathBuf::from(request.target),
        kind: request.r#type,
        flags: request.flags,
        options: request.options,
        api,
        namespace: request.namespace.map(PathBuf::from),
    };
    start(env, calls::OPERATION, cancellation, move |cancel| calls::mount(&request, cancel))
}

/// Unmounts.
#[napi(catch_unwind)]
pub fn unmount<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    request: UnmountRequest,
) -> napi::Result<PromiseRaw<'env, ()>> {
    start(env, "unmount", cancellation, move |cancel| {
        let namespace = request.namespace.as_deref().map(Path::new);
        calls::unmount(Path::new(&request.target), request.flags, namespace, cancel)
    })
}

/// The mount table.
#[napi(catch_unwind)]
pub fn mounts<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    namespace: Option<String>,
) -> napi::Result<PromiseRaw<'env, Vec<MountEntry>>> {
    start(env, "read-mounts", cancellation, move |cancel| {
        let table = mountinfo::read_table(namespace.as_deref().map(Path::new), cancel)?;
        Ok(table.into_iter().map(MountEntry::from).collect())
    })
}

impl From<mountinfo::MountEntry> for MountEntry {
    fn from(entry: mountinfo::MountEntry) -> Self {
        MountEntry {
            id: entry.id,
            parent: entry.parent,
            device: entry.device.into(),
            root: entry.root,
            target: entry.target,
            options: entry.options,
            r#type: entry.kind,
            source: entry.source,
            super_options: entry.super_options,
        }
    }
}
