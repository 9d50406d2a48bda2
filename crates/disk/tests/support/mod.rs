//! Shared by the tests of this crate: volumes held in memory, and what is said of them as plain text.
//!
//! A fixture (`tests/fixtures/*.volume`) holds the blocks of a real volume that this crate reads, as rows of 32 bytes in
//! hexadecimal after their offset, rows of zeros left out; what is not there reads as zeros. Its `expect` lines are what
//! debugfs.ocfs2 said of the same volume, and were not made by this crate.

#![allow(dead_code)] // each test file uses its part
#![allow(clippy::unwrap_used)] // a panic is how a test fails
#![allow(clippy::result_large_err)] // as in the crate

use ocfs2_group_disk::ecc::Check;
use ocfs2_group_disk::{ReadBlock, Superblock, Volume, read_volume};
use ocfs2_group_error::Result;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

/// Facts of a volume by name, in a form that two sources can be compared in.
pub type Facts = BTreeMap<String, String>;

/// Bytes in one row of a fixture.
pub const ROW: usize = 32;

/// A volume in memory, which checks that it is read within the rules of [`ReadBlock`].
#[derive(Clone, Default)]
pub struct MemoryVolume {
    /// The fixture's name.
    pub name: String,
    /// Length of the device.
    pub device_bytes: u64,
    /// Logical sector size that reads must be aligned to.
    pub sector_bytes: u32,
    /// What debugfs.ocfs2 said.
    pub expect: Facts,
    rows: BTreeMap<u64, [u8; ROW]>,
    /// How often something was read.
    pub reads: u32,
}

impl std::fmt::Debug for MemoryVolume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name) // a failing property prints its input; the bytes are in the fixture
    }
}

impl MemoryVolume {
    /// An empty device of `device_bytes` with 512-byte sectors.
    pub fn new(name: &str, device_bytes: u64) -> Self {
        MemoryVolume { name: name.to_owned(), device_bytes, sector_bytes: 512, ..MemoryVolume::default() }
    }

    /// The bytes at `offset`.
    pub fn bytes(&self, offset: u64, len: usize) -> Vec<u8> {
        let end = offset + len as u64;
        let mut bytes = vec![0; len];
        for (start, row) in self.rows.range(offset.saturating_sub(ROW as u64 - 1)..end) {
            for (at, byte) in (*start..).zip(row).filter(|(at, _)| (offset..end).contains(at)) {
                bytes[(at - offset) as usize] = *byte;
            }
        }
        bytes
    }

    /// Overwrites the bytes at `offset`.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (at, byte) in (offset..).zip(bytes) {
            self.rows.entry(at / 32 * 32).or_insert([0; ROW])[(at % 32) as usize] = *byte;
        }
    }

    /// Block size in bytes.
    pub fn block_bytes(&self) -> u64 {
        self.expect["block-bytes"].parse().unwrap()
    }

    /// Byte offset of block `number`.
    pub fn offset(&self, number: u64) -> u64 {
        number * self.block_bytes()
    }

    /// Whether metadata blocks carry checksums.
    pub fn has_metadata_ecc(&self) -> bool {
        self.expect["feature-incompat"].parse::<u32>().unwrap() & 0x800 != 0
    }

    /// The number that debugfs.ocfs2 gave for `name`.
    pub fn number(&self, name: &str) -> u64 {
        self.expect[name].parse().unwrap()
    }

    /// The first block of the system directory's data; none where they are inline.
    pub fn directory_block(&self) -> Option<u64> {
        let inode = self.offset(self.number("system-block"));
        let inline = self.bytes(inode + 0x76, 1)[0] & 1 != 0;
        let block = u64::from_le_bytes(self.bytes(inode + 0xC0 + 0x10 + 8, 8).try_into().unwrap());
        (!inline).then_some(block)
    }

    /// Makes the checksum of block `number` right, where the volume has them; the structure stands at `check`.
    pub fn seal(&mut self, number: u64, check: u64) {
        if self.has_metadata_ecc() {
            let block = self.bytes(self.offset(number), self.block_bytes() as usize);
            let sealed = Check::compute(&block, check as usize).unwrap().encode();
            self.write(self.offset(number) + check, &sealed);
        }
    }

    /// Reads the volume.
    pub fn facts(&mut self) -> Result<Volume> {
        let (device_bytes, sector_bytes) = (self.device_bytes, self.sector_bytes);
        read_volume(self, device_bytes, sector_bytes)
    }

    /// The fixture as text.
    pub fn print(&self) -> String {
        let mut text = format!("device {} sector {}\n", self.device_bytes, self.sector_bytes);
        for (name, value) in &self.expect {
            text.push_str(&format!("expect {name} = {value}\n"));
        }
        for (offset, row) in self.rows.iter().filter(|(_, row)| row.iter().any(|byte| *byte != 0)) {
            let hex: String = row.iter().map(|byte| format!("{byte:02x}")).collect();
            text.push_str(&format!("{offset:x} {}\n", hex.trim_end_matches("00")));
        }
        text
    }

    /// The fixture in `text`.
    pub fn parse(name: &str, text: &str) -> Self {
        let mut volume = MemoryVolume::new(name, 0);
        for line in text.lines() {
            let (first, rest) = line.split_once(' ').unwrap();
            match first {
                "device" => {
                    let (device, sector) = rest.split_once(" sector ").unwrap();
                    volume.device_bytes = device.parse().unwrap();
                    volume.sector_bytes = sector.parse().unwrap();
                }
                "expect" => {
                    let (name, value) = rest.split_once(" = ").unwrap();
                    volume.expect.insert(name.to_owned(), value.to_owned());
                }
                offset => {
                    let nibbles: Vec<u32> = rest.chars().map(|digit| digit.to_digit(16).unwrap()).collect();
                    let pair = |pair: &[u32]| (pair[0] * 16 + pair.get(1).unwrap_or(&0)) as u8;
                    let bytes: Vec<u8> = nibbles.chunks(2).map(pair).collect();
                    volume.write(u64::from_str_radix(offset, 16).unwrap(), &bytes);
                }
            }
        }
        volume
    }
}

impl ReadBlock for MemoryVolume {
    fn read(&mut self, offset: u64, len: usize) -> Result<Vec<u8>> {
        let sector = u64::from(self.sector_bytes);
        assert!(
            offset.is_multiple_of(sector) && (len as u64).is_multiple_of(sector),
            "{len} bytes at {offset}"
        );
        assert!(
            (1..=4096).contains(&len) && offset + len as u64 <= self.device_bytes,
            "{len} bytes at {offset}"
        );
        self.reads += 1;
        Ok(self.bytes(offset, len))
    }
}

/// Every fixture, by name.
pub fn fixtures() -> Vec<MemoryVolume> {
    static FIXTURES: OnceLock<Vec<MemoryVolume>> = OnceLock::new();
    FIXTURES.get_or_init(read_fixtures).clone()
}

fn read_fixtures() -> Vec<MemoryVolume> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(fixture_directory())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "volume"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no fixtures");
    paths
        .iter()
        .map(|path| {
            MemoryVolume::parse(
                path.file_stem().unwrap().to_str().unwrap(),
                &std::fs::read_to_string(path).unwrap(),
            )
        })
        .collect()
}

/// The fixture called `name`.
pub fn fixture(name: &str) -> MemoryVolume {
    fixtures().into_iter().find(|volume| volume.name == name).unwrap()
}

/// Where the fixtures are.
pub fn fixture_directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// What this crate says of a volume.
pub fn facts_of(volume: &Volume) -> Facts {
    let Superblock {
        uuid: _,
        label,
        block_bytes,
        cluster_bytes,
        clusters,
        max_slots,
        feature_compat,
        feature_incompat,
        feature_ro_compat,
        root_block,
        system_block,
        stack_label,
        stack_flags,
        cluster_name,
        fs_generation,
        block_number,
    } = &volume.superblock;
    let heartbeat = match &volume.heartbeat {
        Ok(extent) => format!("{} clusters at {}", extent.clusters, extent.start_block),
        Err(reason) => reason.clone(),
    };
    [
        ("uuid", volume.superblock.uuid_text()),
        ("label", label.clone()),
        ("block-bytes", block_bytes.to_string()),
        ("cluster-bytes", cluster_bytes.to_string()),
        ("clusters", clusters.to_string()),
        ("max-slots", max_slots.to_string()),
        ("feature-compat", feature_compat.to_string()),
        ("feature-incompat", feature_incompat.to_string()),
        ("feature-ro-compat", feature_ro_compat.to_string()),
        ("root-block", root_block.to_string()),
        ("system-block", system_block.to_string()),
        ("stack", stack_label.clone().unwrap_or_else(|| "classic".to_owned())),
        ("stack-flags", stack_flags.to_string()),
        ("cluster", cluster_name.clone().unwrap_or_default()),
        ("fs-generation", fs_generation.to_string()),
        ("block-number", block_number.to_string()),
        ("heartbeat", heartbeat),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
