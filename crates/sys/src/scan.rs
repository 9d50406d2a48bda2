//! Which of many devices carry a volume: one read of each device's first blocks, some devices at a time.
//!
//! Facts relied on: a superblock is block 2 of its block size, so the first 12 KiB hold it at any size (disk-format 1.1). Reads go past
//! the page cache, as everywhere: another node may have made the volume a moment ago, and a cached read fetches ten times as much.
//! What a device says is no error of the scan. The threads cannot be interrupted while they read; between two devices they stop.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use ocfs2_group_disk::identity::{HEAD_BYTES, Identity};
use ocfs2_group_disk::{BlockReader, Fault, Superblock, UsedSlot, probe_superblock, slot_map};
use ocfs2_group_error::{Code, Error, Result};
use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::direct_io::Reader;

const OPERATION: &str = "scan-volumes";
const STACK_BYTES: usize = 256 * 1024;
/// More would not make any storage faster.
const MAX_THREADS: usize = 64;

/// A device with the signature of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What names the volume.
    pub identity: Identity,
    /// The superblock, or why it is none that can be used.
    pub superblock: std::result::Result<Superblock, String>,
    /// The taken slots, or why the map cannot be used; none where it was not asked for, or the superblock cannot be used.
    pub slot_map: Option<std::result::Result<Vec<UsedSlot>, String>>,
}

/// What each of `paths` holds, in their order, looked at by `threads` threads at a time. `Ok(None)`: no volume.
///
/// # Errors
/// O2CB_ABORTED. What is wrong with one device is that device's.
pub fn scan(
    paths: &[PathBuf],
    slot_maps: bool,
    threads: usize,
    cancel: &Cancel,
) -> Result<Vec<Result<Option<Seen>>>> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<Result<Option<Seen>>>>> = Mutex::new(vec![None; paths.len()]);
    let work = || {
        while !cancel.asked() {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = paths.get(index) else { return };
            let seen = look(path, slot_maps, cancel);
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = results.get_mut(index) {
                *place = Some(seen);
            }
        }
    };
    std::thread::scope(|scope| {
        // This thread works too: it is there in any case, and is enough where no other can be had.
        for _ in 1..threads.min(MAX_THREADS).min(paths.len()) {
            let builder = std::thread::Builder::new().name(OPERATION.into()).stack_size(STACK_BYTES);
            if builder.spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    if cancel.asked() {
        return Err(Error::os(OPERATION, "pread", Errno::INTR.raw_os_error()).code(Code::Aborted));
    }
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(results.into_iter().map(|one| one.unwrap_or(Ok(None))).collect())
}

fn look(path: &Path, slot_maps: bool, cancel: &Cancel) -> Result<Option<Seen>> {
    let reader = Reader::open(OPERATION, path, cancel)?;
    let (bytes, sector_bytes) = (reader.facts().bytes, reader.facts().sector_bytes);
    let mut head = vec![0; usize::try_from(bytes).unwrap_or(HEAD_BYTES).min(HEAD_BYTES)];
    reader.read_at(0, &mut head, cancel)?;
    let Some(identity) = Identity::find(&head) else { return Ok(None) };
    // What was read is parsed; what is asked for twice did not check, and is read again.
    let mut served = Vec::new();
    let mut source = |offset: u64, length: usize| {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        match head.get(start..).and_then(|rest| rest.get(..length)) {
            Some(block) if !served.contains(&offset) => {
                served.push(offset);
                Ok(block.to_vec())
            }
            _ => {
                let mut block = vec![0; length];
                reader.read_at(offset, &mut block, cancel).map(|()| block)
            }
        }
    };
    let superblock = match probe_superblock(&mut source, bytes, sector_bytes) {
        Ok(superblock) => superblock,
        Err(error) if matches!(error.code, Code::BadSuperblock | Code::BadDevice) => {
            return Ok(Some(Seen { identity, superblock: Err(error.detail), slot_map: None }));
        }
        Err(error) => return Err(error),
    };
    let slot_map = match slot_maps {
        true => Some(slots(&mut BlockReader::new(&mut source, bytes, &superblock), &superblock)?),
        false => None,
    };
    Ok(Some(Seen { identity, superblock: Ok(superblock), slot_map }))
}

fn slots<F: FnMut(u64, usize) -> Result<Vec<u8>>>(
    reader: &mut BlockReader<'_, F>,
    superblock: &Superblock,
) -> Result<std::result::Result<Vec<UsedSlot>, String>> {
    match slot_map::find_and_read(reader, superblock) {
        Ok(slots) => Ok(Ok(slots)),
        Err(Fault::Defect(defect)) => Ok(Err(defect.to_string())),
        Err(Fault::Read(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    #[allow(clippy::disallowed_methods, reason = "a plain file of a test")]
    fn image(scratch: &Scratch, name: &str, bytes: usize, at: Option<usize>) -> PathBuf {
        let mut content = vec![0; bytes];
        if let Some(room) = at.and_then(|at| content.get_mut(at..at + 6)) {
            room.copy_from_slice(b"OCFSV2");
        }
        let path = scratch.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn every_path_has_its_own_answer_in_its_place() {
        let scratch = Scratch::new();
        let mut paths: Vec<PathBuf> = (0..40)
            .map(|index| {
                image(&scratch, &format!("{index}"), 20_000 + index, (index % 3 == 0).then_some(2048))
            })
            .collect();
        paths.insert(7, scratch.path("none"));
        paths.insert(9, image(&scratch, "tiny", 100, None));
        paths.insert(11, image(&scratch, "empty", 0, None));
        for threads in [0, 1, 5, 1000] {
            let seen = scan(&paths, true, threads, &Cancel::new()).unwrap();
            assert_eq!(seen.len(), paths.len());
            for (path, one) in paths.iter().zip(&seen) {
                match path.file_name().unwrap().to_str().unwrap() {
                    "none" => assert_eq!(one.as_ref().unwrap_err().code, Code::BadDevice),
                    "tiny" | "empty" => assert_eq!(one, &Ok(None)),
                    name => {
                        let seen = one.as_ref().unwrap();
                        assert_eq!(seen.is_some(), name.parse::<u32>().unwrap() % 3 == 0, "{name}");
                        let damage =
                            seen.as_ref().map(|seen| seen.superblock.is_err() && seen.slot_map.is_none());
                        assert!(damage.unwrap_or(true));
                    }
                }
            }
        }
        assert_eq!(scan(&[], true, 8, &Cancel::new()).unwrap(), []);
    }

    #[test]
    fn a_scan_that_was_given_up_says_so() {
        let scratch = Scratch::new();
        let cancel = Cancel::new();
        cancel.cancel();
        let paths = [image(&scratch, "one", 4096, None)];
        assert_eq!(scan(&paths, false, 2, &cancel).unwrap_err().code, Code::Aborted);
    }
}
