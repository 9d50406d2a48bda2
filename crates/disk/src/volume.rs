//! A volume's facts in one piece: what the superblock says, and where the heartbeat file lies.

use crate::heartbeat_file::{self, HeartbeatExtent};
use crate::reader::{BlockReader, ReadBlock};
use crate::superblock::{Superblock, probe_superblock};
use ocfs2_group_error::Result;

/// What `VolumeFacts` of `ts/native-types.ts` says of a volume, without the device's own facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The superblock.
    pub superblock: Superblock,
    /// The heartbeat file's only extent, or why it has none that can be used.
    pub heartbeat: std::result::Result<HeartbeatExtent, String>,
}

/// Reads the facts of the volume on a device of `device_bytes` with logical sectors of `sector_bytes`; an image file has
/// sectors of 512 bytes. At most [`crate::MAX_READS`] and about twenty more reads of up to 4096 bytes are made.
///
/// # Errors
/// `BadDevice` for a sector size no volume can be used on, `BadSuperblock`, `BadDirectory` for a damaged system directory,
/// each with the cause; and the reader's own errors, unchanged. An unusable heartbeat file is no error but a fact.
pub fn read_volume<R: ReadBlock + ?Sized>(
    source: &mut R,
    device_bytes: u64,
    sector_bytes: u32,
) -> Result<Volume> {
    let superblock = probe_superblock(source, device_bytes, sector_bytes)?;
    let mut reader = BlockReader::new(source, device_bytes, &superblock);
    let heartbeat = heartbeat_file::locate(&mut reader, &superblock)?;
    Ok(Volume { superblock, heartbeat })
}
