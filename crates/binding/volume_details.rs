//! Everything a volume says of itself.

use std::path::Path;

use napi::Env;
use napi::bindgen_prelude::PromiseRaw;
use napi_derive::napi;
use ocfs2_group_disk::details::{self, Details};
use ocfs2_group_disk::inode::Inode;
use ocfs2_group_disk::superblock_fields;
use ocfs2_group_disk::{UsedSlot, Volume};
use ocfs2_group_sys::device::DeviceFacts;
use ocfs2_group_sys::volume;

use crate::blocking::{Cancellation, start};
use crate::volumes::{VolumeFacts, volume_facts};

/// `SuperblockFields` of ts/native-types.ts.
#[napi(object, object_from_js = false)]
pub struct SuperblockFields {
    pub root_block: u64,
    pub system_block: u64,
    pub fs_generation: u32,
    pub generation: u32,
    pub mount_count: u32,
    pub max_mount_count: u32,
    pub state: u32,
    pub error_behaviour: u32,
    pub check_interval: u32,
    pub last_check: u64,
    pub creator_os: u32,
    pub tunefs_flags: u32,
    pub uuid_hash: u32,
    pub first_cluster_group: u64,
    pub inline_xattr_bytes: u32,
    pub directory_hash_seeds: Vec<u32>,
    pub check_crc: u32,
    pub check_ecc: u32,
}

/// `InodeFacts` of ts/native-types.ts.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct InodeFacts {
    pub generation: u32,
    pub size: u64,
    pub clusters: u32,
    pub mode: u32,
    pub flags: u32,
    pub bits_used: Option<u32>,
    pub bits_all: Option<u32>,
}

/// `SystemFile` of ts/native-types.ts.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct SystemFile {
    pub name: String,
    pub block: u64,
    pub is_directory: bool,
    pub inode: Option<InodeFacts>,
    pub problem: Option<String>,
}

/// `SlotOwner` of ts/native-types.ts.
#[napi(object, object_from_js = false)]
pub struct SlotOwner {
    pub slot: u32,
    pub node: u32,
}

/// `JournalFacts` of ts/native-types.ts.
#[napi(object, object_from_js = false)]
pub struct JournalFacts {
    pub slot: u32,
    pub block: u64,
    pub generation: u32,
    pub dirty: bool,
    pub recovery_generation: u32,
}

/// `SuperblockBackup` of ts/native-types.ts.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct SuperblockBackup {
    pub block: u64,
    pub problem: Option<String>,
}

/// `VolumeProblem` of ts/native-types.ts.
#[napi(object, object_from_js = false)]
pub struct VolumeProblem {
    pub what: String,
    pub why: String,
}

/// `VolumeDetails` of ts/native-types.ts, with the facts in a part of their own.
#[napi(object, object_from_js = false)]
pub struct VolumeDetails {
    pub facts: VolumeFacts,
    pub superblock: SuperblockFields,
    pub system_files: Vec<SystemFile>,
    pub slot_map: Vec<SlotOwner>,
    pub journals: Vec<JournalFacts>,
    pub backups: Vec<SuperblockBackup>,
    pub problems: Vec<VolumeProblem>,
}

/// Everything a volume says of itself.
#[napi(catch_unwind)]
pub fn inspect_volume<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    device: String,
    partial: bool,
) -> napi::Result<PromiseRaw<'env, VolumeDetails>> {
    start(env, "inspect-volume", cancellation, move |cancel| {
        volume::read_all(Path::new(&device), partial, cancel)
            .map(|(facts, details)| volume_details(device, &facts, details))
    })
}

fn volume_details(device: String, facts: &DeviceFacts, details: Details) -> VolumeDetails {
    let Details { superblock, fields, heartbeat, files, slot_map, journals, backups, problems } = details;
    let (root, system) = (superblock.root_block, superblock.system_block);
    let fs_generation = superblock.fs_generation;
    VolumeDetails {
        facts: volume_facts(device, facts, Volume { superblock, heartbeat }),
        superblock: superblock_fields(root, system, fs_generation, fields),
        system_files: files.into_iter().map(SystemFile::from).collect(),
        slot_map: slot_map.into_iter().map(SlotOwner::from).collect(),
        journals: journals.into_iter().map(JournalFacts::from).collect(),
        backups: backups
            .into_iter()
            .map(|backup| SuperblockBackup { block: backup.block, problem: backup.problem })
            .collect(),
        problems: problems
            .into_iter()
            .map(|problem| VolumeProblem { what: problem.what, why: problem.why })
            .collect(),
    }
}

fn superblock_fields(
    root_block: u64,
    system_block: u64,
    fs_generation: u32,
    fields: superblock_fields::SuperblockFields,
) -> SuperblockFields {
    SuperblockFields {
        root_block,
        system_block,
        fs_generation,
        generation: fields.generation,
        mount_count: fields.mount_count.into(),
        max_mount_count: fields.max_mount_count.into(),
        state: fields.state.into(),
        error_behaviour: fields.error_behaviour.into(),
        check_interval: fields.check_interval,
        last_check: fields.last_check,
        creator_os: fields.creator_os,
        tunefs_flags: fields.tunefs_flags.into(),
        uuid_hash: fields.uuid_hash,
        first_cluster_group: fields.first_cluster_group,
        inline_xattr_bytes: fields.inline_xattr_bytes.into(),
        directory_hash_seeds: fields.directory_hash_seeds.to_vec(),
        check_crc: fields.check.0,
        check_ecc: fields.check.1.into(),
    }
}

impl From<details::SystemFile> for SystemFile {
    fn from(file: details::SystemFile) -> Self {
        let (inode, problem) = match file.inode {
            Ok(inode) => (Some(InodeFacts::from(&inode)), None),
            Err(problem) => (None, Some(problem)),
        };
        SystemFile {
            name: String::from_utf8_lossy(&file.entry.name).into_owned(),
            block: file.entry.inode,
            is_directory: file.entry.kind == 2,
            inode,
            problem,
        }
    }
}

impl From<&Inode> for InodeFacts {
    fn from(inode: &Inode) -> Self {
        let (bits_used, bits_all) = inode.bitmap().unzip();
        InodeFacts {
            generation: inode.generation,
            size: inode.size,
            clusters: inode.clusters,
            mode: inode.mode.into(),
            flags: inode.flags,
            bits_used,
            bits_all,
        }
    }
}

impl From<UsedSlot> for SlotOwner {
    fn from(used: UsedSlot) -> Self {
        SlotOwner { slot: used.slot.into(), node: used.node }
    }
}

impl From<details::Journal> for JournalFacts {
    fn from(journal: details::Journal) -> Self {
        JournalFacts {
            slot: journal.slot.into(),
            block: journal.block,
            generation: journal.generation,
            dirty: journal.dirty,
            recovery_generation: journal.recovery_generation,
        }
    }
}
