//! The block devices of this host, and the volumes on them.

use std::path::PathBuf;

use napi::Env;
use napi::bindgen_prelude::PromiseRaw;
use napi_derive::napi;
use ocfs2_group_error::Result;
use ocfs2_group_sys::{block_devices, scan};

use crate::blocking::{Cancellation, start};
use crate::values::DeviceNumber;
use crate::volume_details::SlotOwner;

/// `BlockDeviceFacts` of ts/native-types.ts.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct BlockDeviceFacts {
    pub name: String,
    pub number: DeviceNumber,
    pub bytes: u64,
    pub parent: Option<String>,
    pub holders: Vec<String>,
    pub mapper_name: Option<String>,
}

/// `ScannedVolume` of ts/native-types.ts.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct ScannedVolume {
    pub uuid: String,
    pub label: String,
    pub feature_incompat: u32,
    pub stack_label: Option<String>,
    pub stack_flags: u32,
    pub cluster_name: Option<String>,
    pub problem: Option<String>,
    pub slot_map: Option<Vec<SlotOwner>>,
    pub slot_map_problem: Option<String>,
}

/// `ScannedDevice` of ts/native-types.ts, with the parts of a failure.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct ScannedDevice {
    pub device: String,
    pub volume: Option<ScannedVolume>,
    pub code: Option<String>,
    pub failure: Option<String>,
}

/// Every block device.
#[napi(catch_unwind)]
pub fn list_block_devices<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
) -> napi::Result<PromiseRaw<'env, Vec<BlockDeviceFacts>>> {
    start(env, "list-block-devices", cancellation, |cancel| {
        Ok(block_devices::list(cancel)?.into_iter().map(BlockDeviceFacts::from).collect())
    })
}

/// The volumes on some devices.
#[napi(catch_unwind)]
pub fn scan_volumes<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    devices: Vec<String>,
    slot_maps: bool,
    threads: u32,
) -> napi::Result<PromiseRaw<'env, Vec<ScannedDevice>>> {
    start(env, "scan-volumes", cancellation, move |cancel| {
        let paths: Vec<PathBuf> = devices.iter().map(PathBuf::from).collect();
        let threads = usize::try_from(threads).unwrap_or(usize::MAX);
        let seen = scan::scan(&paths, slot_maps, threads, cancel)?;
        Ok(devices.into_iter().zip(seen).map(|(device, seen)| scanned(device, seen)).collect())
    })
}

impl From<block_devices::BlockDevice> for BlockDeviceFacts {
    fn from(device: block_devices::BlockDevice) -> Self {
        BlockDeviceFacts {
            name: device.name,
            number: device.number.into(),
            bytes: device.bytes,
            parent: device.parent,
            holders: device.holders,
            mapper_name: device.mapper_name,
        }
    }
}

fn scanned(device: String, seen: Result<Option<scan::Seen>>) -> ScannedDevice {
    match seen {
        Ok(seen) => {
            ScannedDevice { device, volume: seen.map(ScannedVolume::from), code: None, failure: None }
        }
        Err(error) => ScannedDevice {
            device,
            volume: None,
            code: Some(error.code.name().to_owned()),
            failure: Some(error.to_string()),
        },
    }
}

impl From<scan::Seen> for ScannedVolume {
    fn from(seen: scan::Seen) -> Self {
        let scan::Seen { identity, superblock, slot_map } = seen;
        let (slot_map, slot_map_problem) = match slot_map {
            None => (None, None),
            Some(Ok(slots)) => (Some(slots.into_iter().map(SlotOwner::from).collect()), None),
            Some(Err(problem)) => (None, Some(problem)),
        };
        ScannedVolume {
            uuid: format!("{:032X}", u128::from_be_bytes(identity.uuid)),
            label: byte_text(&identity.label),
            feature_incompat: identity.feature_incompat,
            stack_label: identity.stack_label.as_deref().map(byte_text),
            stack_flags: identity.stack_flags.into(),
            cluster_name: identity.cluster_name.as_deref().map(byte_text),
            problem: superblock.err(),
            slot_map,
            slot_map_problem,
        }
    }
}

/// One character for each byte.
fn byte_text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
