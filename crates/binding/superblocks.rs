//! The copies of a volume's superblock.

use std::path::Path;

use napi::Env;
use napi::bindgen_prelude::{BigInt, PromiseRaw, Uint8Array};
use napi_derive::napi;
use ocfs2_group_disk as disk;
use ocfs2_group_sys::device::DeviceFacts;
use ocfs2_group_sys::superblocks;

use crate::blocking::{Cancellation, start};
use crate::values::{DeviceNumber, bits};

/// `ClusterStamp` of ts/native-types.ts.
#[napi(object, object_to_js = false)]
pub struct ClusterStamp {
    pub stack: Uint8Array,
    pub flags: u8,
    pub cluster: Uint8Array,
}

/// `SuperblockChange` of ts/native-types.ts, as `ts/native.ts` passes it.
#[napi(object, object_to_js = false)]
pub struct SuperblockChange {
    pub label: Option<Uint8Array>,
    pub uuid: Option<Uint8Array>,
    pub local: Option<bool>,
    pub classic: bool,
    pub stamp: Option<ClusterStamp>,
}

/// `SuperblockField` of ts/native-types.ts.
#[napi(object, object_from_js = false)]
pub struct SuperblockField {
    #[napi(ts_type = "\"check\" | \"features\" | \"label\" | \"uuid\" | \"stamp\"")]
    pub field: &'static str,
    pub start: u32,
    pub length: u32,
}

/// `SuperblockCopy` of ts/native-types.ts.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct SuperblockCopy {
    pub block: u64,
    pub offset: u64,
    pub old: Uint8Array,
    pub new: Uint8Array,
    pub fields: Vec<SuperblockField>,
    pub problem: Option<String>,
}

/// `Superblocks` of ts/native-types.ts.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct Superblocks {
    pub device: String,
    pub device_number: Option<DeviceNumber>,
    pub is_read_only: bool,
    pub device_bytes: u64,
    pub sector_bytes: u32,
    pub uuid: String,
    pub label: Uint8Array,
    pub block_bytes: u32,
    pub cluster_bytes: u32,
    pub max_slots: u32,
    pub root_block: u64,
    pub system_block: u64,
    pub first_group_block: u64,
    pub feature_compat: u32,
    pub feature_incompat: u32,
    pub feature_ro_compat: u32,
    pub copies: Vec<SuperblockCopy>,
}

/// Every copy, and what a change makes of it.
#[napi(catch_unwind)]
pub fn read_superblocks<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    device: String,
    change: SuperblockChange,
) -> napi::Result<PromiseRaw<'env, Superblocks>> {
    let change = change_of(change)?;
    start(env, "read-superblocks", cancellation, move |cancel| {
        superblocks::read(Path::new(&device), &change, cancel)
            .map(|(facts, plan)| superblocks_of(device, &facts, plan))
    })
}

/// A changed copy in the place of the old one; false where it was there already.
#[napi(catch_unwind)]
pub fn write_superblock<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    device: String,
    block: BigInt,
    before: Uint8Array,
    after: Uint8Array,
) -> napi::Result<PromiseRaw<'env, bool>> {
    let (number, old, new) = (bits(&block)?, before.to_vec(), after.to_vec());
    start(env, "write-superblock", cancellation, move |cancel| {
        superblocks::write(Path::new(&device), number, &old, &new, cancel)
    })
}

fn change_of(change: SuperblockChange) -> napi::Result<disk::SuperblockChange> {
    let stamp = match change.stamp {
        Some(stamp) => Some(Some(disk::ClusterStamp {
            stack: exactly(&stamp.stack, "a stack's label has 4 bytes")?,
            flags: stamp.flags,
            cluster: stamp.cluster.to_vec(),
        })),
        None => change.classic.then_some(None),
    };
    Ok(disk::SuperblockChange {
        label: change.label.map(|label| label.to_vec()),
        uuid: change.uuid.map(|uuid| exactly(&uuid, "a UUID has 16 bytes")).transpose()?,
        local: change.local,
        stamp,
    })
}

fn exactly<const N: usize>(bytes: &[u8], wanted: &'static str) -> napi::Result<[u8; N]> {
    <[u8; N]>::try_from(bytes).map_err(|_| napi::Error::new(napi::Status::InvalidArg, wanted))
}

fn superblocks_of(device: String, facts: &DeviceFacts, plan: disk::SuperblockPlan) -> Superblocks {
    let disk::SuperblockPlan { superblock, label, first_group_block, copies } = plan;
    Superblocks {
        device,
        device_number: facts.number.map(DeviceNumber::from),
        is_read_only: facts.read_only,
        device_bytes: facts.bytes,
        sector_bytes: facts.sector_bytes,
        uuid: superblock.uuid_text(),
        label: Uint8Array::from(label),
        block_bytes: superblock.block_bytes,
        cluster_bytes: superblock.cluster_bytes,
        max_slots: superblock.max_slots.into(),
        root_block: superblock.root_block,
        system_block: superblock.system_block,
        first_group_block,
        feature_compat: superblock.feature_compat,
        feature_incompat: superblock.feature_incompat,
        feature_ro_compat: superblock.feature_ro_compat,
        copies: copies.into_iter().map(SuperblockCopy::from).collect(),
    }
}

impl From<disk::SuperblockCopy> for SuperblockCopy {
    fn from(copy: disk::SuperblockCopy) -> Self {
        let fields = copy.fields.into_iter().map(|field| {
            let range = field.range();
            let number = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
            SuperblockField { field: field.name(), start: number(range.start), length: number(range.len()) }
        });
        SuperblockCopy {
            block: copy.number,
            offset: copy.offset,
            fields: fields.collect(),
            old: Uint8Array::from(copy.old),
            new: Uint8Array::from(copy.new),
            problem: copy.problem,
        }
    }
}
