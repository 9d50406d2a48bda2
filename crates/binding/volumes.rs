//! Volumes and devices.

use std::path::Path;

use napi::Env;
use napi::bindgen_prelude::{BigInt, PromiseRaw};
use napi_derive::napi;
use ocfs2_group_disk::Volume;
use ocfs2_group_sys::device::DeviceFacts;
use ocfs2_group_sys::{claim, volume};

use crate::blocking::{Cancellation, start};
use crate::held::HeldDescriptor;
use crate::values::{DeviceNumber, bits};

/// `HeartbeatExtent` of a volume.
#[napi(object, object_from_js = false)]
pub struct HeartbeatExtent {
    pub start_block: u64,
    pub clusters: u32,
}

/// `VolumeFacts` of ts/native-types.ts.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct VolumeFacts {
    pub device: String,
    pub device_number: Option<DeviceNumber>,
    pub is_block_device: bool,
    pub is_read_only: bool,
    pub device_bytes: u64,
    pub sector_bytes: u32,
    pub uuid: String,
    pub label: String,
    pub block_bytes: u32,
    pub cluster_bytes: u32,
    pub clusters: u32,
    pub max_slots: u32,
    pub feature_compat: u32,
    pub feature_incompat: u32,
    pub feature_ro_compat: u32,
    pub stack_label: Option<String>,
    pub stack_flags: u32,
    pub cluster_name: Option<String>,
    pub heartbeat: Option<HeartbeatExtent>,
    pub heartbeat_problem: Option<String>,
}

/// `HeartbeatSlot` of ts/native-types.ts.
#[napi(object, object_from_js = false)]
pub struct HeartbeatSlot {
    pub slot: u32,
    pub valid: bool,
    pub sequence: u64,
    pub node: u32,
    pub generation: u64,
    pub dead_ms: u32,
}

/// What a volume says of itself.
#[napi(catch_unwind)]
pub fn read_volume<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    device: String,
) -> napi::Result<PromiseRaw<'env, VolumeFacts>> {
    start(env, "read-volume", cancellation, move |cancel| {
        volume::read(Path::new(&device), cancel).map(|(facts, volume)| volume_facts(device, &facts, volume))
    })
}

/// Every slot of a region.
#[napi(catch_unwind)]
pub fn read_heartbeat_slots<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    device: String,
    start_block: BigInt,
    block_bytes: u32,
    blocks: u32,
) -> napi::Result<PromiseRaw<'env, Vec<HeartbeatSlot>>> {
    let first = bits(&start_block)?;
    start(env, "read-heartbeat-slots", cancellation, move |cancel| {
        let slots = volume::read_slots(Path::new(&device), first, block_bytes, blocks, cancel)?;
        Ok(slots.into_iter().map(HeartbeatSlot::from).collect())
    })
}

/// The exclusive claim; null where something has it.
#[napi(catch_unwind)]
pub fn claim_device<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    device: String,
) -> napi::Result<PromiseRaw<'env, Option<HeldDescriptor>>> {
    start(env, "claim-device", cancellation, move |cancel| {
        Ok(claim::claim(Path::new(&device), cancel)?.map(HeldDescriptor::new))
    })
}

/// Device and volume as JavaScript sees them.
pub fn volume_facts(device: String, facts: &DeviceFacts, volume: Volume) -> VolumeFacts {
    let Volume { superblock, heartbeat } = volume;
    let (heartbeat, heartbeat_problem) = match heartbeat {
        Ok(extent) => {
            (Some(HeartbeatExtent { start_block: extent.start_block, clusters: extent.clusters }), None)
        }
        Err(problem) => (None, Some(problem)),
    };
    VolumeFacts {
        device,
        device_number: facts.number.map(DeviceNumber::from),
        is_block_device: facts.number.is_some(),
        is_read_only: facts.read_only,
        device_bytes: facts.bytes,
        sector_bytes: facts.sector_bytes,
        uuid: superblock.uuid_text(),
        label: superblock.label,
        block_bytes: superblock.block_bytes,
        cluster_bytes: superblock.cluster_bytes,
        clusters: superblock.clusters,
        max_slots: superblock.max_slots.into(),
        feature_compat: superblock.feature_compat,
        feature_incompat: superblock.feature_incompat,
        feature_ro_compat: superblock.feature_ro_compat,
        stack_label: superblock.stack_label,
        stack_flags: superblock.stack_flags.into(),
        cluster_name: superblock.cluster_name,
        heartbeat,
        heartbeat_problem,
    }
}

impl From<ocfs2_group_disk::HeartbeatSlot> for HeartbeatSlot {
    fn from(slot: ocfs2_group_disk::HeartbeatSlot) -> Self {
        HeartbeatSlot {
            slot: slot.slot,
            valid: slot.valid,
            sequence: slot.sequence,
            node: slot.node.into(),
            generation: slot.generation,
            dead_ms: slot.dead_ms,
        }
    }
}
