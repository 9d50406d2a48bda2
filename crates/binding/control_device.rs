//! The kernel's control device of a userspace stack.

use std::path::Path;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::PromiseRaw;
use napi_derive::napi;
use ocfs2_group_sys::control_device::{self, LockingVersion};

use crate::blocking::{Cancellation, start};

/// Opens it and shakes hands.
#[napi(catch_unwind)]
pub fn open_control_device<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    path: String,
    node: u32,
    major: u8,
    minor: u8,
) -> napi::Result<PromiseRaw<'env, ControlDevice>> {
    start(env, control_device::OPEN, cancellation, move |cancel| {
        let version = LockingVersion { major, minor };
        let device = control_device::ControlDevice::open(Path::new(&path), node, version, cancel)?;
        Ok(ControlDevice(Arc::new(device)))
    })
}

/// `ControlDevice` of ts/native-stack-types.ts. What JavaScript forgot stays open until the process ends: its close can restart the machine.
#[napi]
pub struct ControlDevice(Arc<control_device::ControlDevice>);

#[napi]
impl ControlDevice {
    /// Tells the kernel that a node has died.
    #[napi(catch_unwind)]
    pub fn node_down<'env>(
        &self,
        env: &'env Env,
        cancellation: Option<&Cancellation>,
        region: String,
        node: u32,
    ) -> napi::Result<PromiseRaw<'env, ()>> {
        let device = Arc::clone(&self.0);
        start(env, control_device::NODE_DOWN, cancellation, move |cancel| {
            device.node_down(&region, node, cancel)
        })
    }

    /// Closes it; twice does nothing.
    #[napi(catch_unwind)]
    pub fn release(&self) {
        self.0.release();
    }
}
