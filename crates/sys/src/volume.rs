//! A volume's facts and its heartbeat slots, read from a device or an image: `disk`'s parsers over direct reads.
//!
//! Facts relied on: another node may have written any block a moment ago, so nothing comes from the page cache (`direct_io`). What the
//! bytes mean stands in `ocfs2-group-disk`; whether the volume can be mounted is decided in TypeScript.

use std::path::Path;

use ocfs2_group_disk::{Details, HeartbeatSlot, RegionGeometry, Volume, read_details, read_volume};
use ocfs2_group_error::{Error, Result};

use crate::cancel::Cancel;
use crate::device::DeviceFacts;
use crate::direct_io::Reader;

/// Reads what a volume says of itself, and what the kernel says of its device.
///
/// # Errors
/// As [`Reader::open`] and [`read_volume`], with the path.
pub fn read(path: &Path, cancel: &Cancel) -> Result<(DeviceFacts, Volume)> {
    let reader = Reader::open("read-volume", path, cancel)?;
    let DeviceFacts { bytes, sector_bytes, .. } = *reader.facts();
    let volume = read_volume(&mut blocks_of(&reader, cancel), bytes, sector_bytes);
    volume.map(|volume| (reader.facts().clone(), volume)).map_err(|error| at(error, path))
}

/// Reads everything a volume says of itself. `partial`: slot map and journals that cannot be used are missing and among the
/// problems; else they are an error.
///
/// # Errors
/// As [`Reader::open`], [`read_details`] and [`Details::whole`], with the path.
pub fn read_all(path: &Path, partial: bool, cancel: &Cancel) -> Result<(DeviceFacts, Details)> {
    let reader = Reader::open("inspect-volume", path, cancel)?;
    let DeviceFacts { bytes, sector_bytes, .. } = *reader.facts();
    let details = read_details(&mut blocks_of(&reader, cancel), bytes, sector_bytes);
    let details = if partial { details } else { details.and_then(Details::whole) };
    details.map(|details| (reader.facts().clone(), details)).map_err(|error| at(error, path))
}

/// What the parsers of `disk` read blocks through.
pub(crate) fn blocks_of(reader: &Reader, cancel: &Cancel) -> impl FnMut(u64, usize) -> Result<Vec<u8>> {
    |offset, length| {
        let mut bytes = vec![0; length];
        reader.read_at(offset, &mut bytes, cancel).map(|()| bytes)
    }
}

/// Reads every heartbeat slot of a region.
///
/// # Errors
/// As [`RegionGeometry::new`] and [`Reader::read_at`], with the path.
pub fn read_slots(
    path: &Path,
    start_block: u64,
    block_bytes: u32,
    blocks: u32,
    cancel: &Cancel,
) -> Result<Vec<HeartbeatSlot>> {
    let geometry = RegionGeometry::new(start_block, block_bytes, blocks).map_err(|error| at(error, path))?;
    let reader = Reader::open("read-heartbeat-slots", path, cancel)?;
    let length = usize::try_from(geometry.length()).unwrap_or(usize::MAX);
    // In place: the longest region has 1020 KiB, and a second copy would take as long as the checksums.
    reader.with_piece(geometry.offset(), length, cancel, |bytes| geometry.parse_slots(bytes))
}

/// The error, with the path where it has none.
pub(crate) fn at(error: Error, path: &Path) -> Error {
    if error.path.is_some() { error } else { error.path(path.to_string_lossy()) }
}
