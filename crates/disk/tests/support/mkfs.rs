//! Volumes made by mkfs.ocfs2, and what debugfs.ocfs2 says of them.

use crate::support::{Facts, MemoryVolume};
use ocfs2_group_disk::directory::find_system_file;
use ocfs2_group_disk::{BlockReader, ReadBlock, read_details, read_volume};
use ocfs2_group_error::Result;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Name, length in MiB, and options of mkfs.ocfs2, for each volume that the tests make. Small journals keep them small.
pub const VOLUMES: &[(&str, u64, &str)] = &[
    ("4096-o2cb", 200, "-b 4096 -C 4096 -N 4 -J size=4M -L lab --cluster-stack=o2cb --cluster-name=lab"),
    (
        "2048-global",
        200,
        "-b 2048 -C 8192 -N 3 -J size=4M -L lab --cluster-stack=o2cb --cluster-name=0123456789abcdef --global-heartbeat",
    ),
    ("1024-classic", 200, "-b 1024 -C 4096 -N 2 -J size=4M -L lab"),
    ("512-o2cb", 200, "-b 512 -C 4096 -N 2 -J size=4M -L lab --cluster-stack=o2cb --cluster-name=lab"),
    (
        "4096-metaecc",
        200,
        "-b 4096 -C 4096 -N 4 -J size=4M -L lab --cluster-stack=o2cb --cluster-name=lab --fs-features=metaecc,usrquota,grpquota",
    ),
    (
        "4096-metaecc-blocks",
        200,
        "-b 4096 -C 4096 -N 2 -J size=4M -L lab --fs-features=metaecc,noinline-data",
    ),
    (
        "2048-metaecc",
        200,
        "-b 2048 -C 4096 -N 2 -J size=4M -L lab --fs-features=metaecc,noindexed-dirs --cluster-stack=o2cb --cluster-name=lab --global-heartbeat",
    ),
    ("1024-metaecc", 200, "-b 1024 -C 4096 -N 2 -J size=4M -L lab --fs-features=metaecc"),
    ("512-metaecc", 200, "-b 512 -C 4096 -N 16 -J size=4M -L lab --fs-features=metaecc"),
    ("4096-max-compat", 200, "-b 4096 -C 4096 -N 2 -J size=4M -L lab --fs-feature-level=max-compat"),
    ("512-max-compat", 200, "-b 512 -C 4096 -N 2 -J size=4M -L lab --fs-feature-level=max-compat"),
    ("1024-local", 200, "-b 1024 -C 4096 -N 1 -J size=4M -L lab -M local"),
    ("4096-local-unlabelled", 600, "-b 4096 -C 1048576 -N 1 -M local"),
    (
        "4096-pcmk",
        200,
        "-b 4096 -C 65536 -N 2 -J size=4M -L lab --cluster-stack=pcmk --cluster-name=hacluster",
    ),
    ("512-heartbeat-device", 64, "-H -b 512 -L lab"),
    (
        "512-heartbeat-device-o2cb",
        64,
        "-H -b 512 -L lab --cluster-stack=o2cb --cluster-name=lab --global-heartbeat",
    ),
];

/// Why volumes cannot be made here; none where they can.
pub fn missing() -> Option<&'static str> {
    let found = |name: &str| {
        ["/usr/sbin", "/sbin", "/usr/local/sbin"]
            .iter()
            .any(|directory| Path::new(directory).join(name).exists())
    };
    if !found("mkfs.ocfs2") || !found("debugfs.ocfs2") {
        return Some("mkfs.ocfs2 and debugfs.ocfs2 are not installed; they are in the package ocfs2-tools");
    }
    None
}

/// A volume file, removed with this value.
pub struct Image(PathBuf);

impl Drop for Image {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Image {
    /// Makes the volume `name` of `mebibytes` with `options`.
    pub fn make(name: &str, mebibytes: u64, options: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let image = Image(directory.join(format!("{name}-{}.img", std::process::id())));
        File::create(&image.0).unwrap().set_len(mebibytes << 20).unwrap();
        let mut command = Command::new("mkfs.ocfs2");
        command.env("PATH", "/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin").stdin(Stdio::null());
        let output =
            command.args(["-F", "-x"]).args(options.split_whitespace()).arg(&image.0).output().unwrap();
        assert!(output.status.success(), "mkfs.ocfs2 {options}: {}", String::from_utf8_lossy(&output.stderr));
        image
    }

    /// Opens it for the tests' reading.
    pub fn open(&self) -> RecordedFile {
        let file = File::open(&self.0).unwrap();
        let device_bytes = file.metadata().unwrap().len();
        RecordedFile { file, device_bytes, blocks: BTreeMap::new() }
    }

    fn debugfs(&self, request: &str) -> String {
        let mut command = Command::new("debugfs.ocfs2");
        command.env("PATH", "/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin").stdin(Stdio::null());
        let output = command.args(["-R", request]).arg(&self.0).output().unwrap();
        assert!(
            output.status.success(),
            "debugfs.ocfs2 {request}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// What debugfs.ocfs2 says of the volume, in the words of `support::facts_of`.
    pub fn facts(&self) -> Facts {
        let stats = self.debugfs("stats");
        let number = |label: &str| field(&stats, label).parse::<u64>().unwrap().to_string();
        let power = |label: &str| (1u64 << field(&stats, label).parse::<u32>().unwrap()).to_string();
        let line = |label: &str| {
            let value = stats.lines().find_map(|line| line.trim_start().strip_prefix(label));
            value.unwrap_or_default().trim().to_owned()
        };
        let stack = line("Cluster stack:");
        let stat = self.debugfs("stat //heartbeat");
        assert!(stat.contains("Tree Depth: 0") && stat.contains("Next Free Rec: 1"), "{stat}");
        let record: Vec<&str> =
            stat.lines().rfind(|line| !line.trim().is_empty()).unwrap().split_whitespace().collect();
        [
            ("uuid", line("UUID:")),
            ("label", line("Label:")),
            ("block-bytes", power("Block Size Bits:")),
            ("cluster-bytes", power("Cluster Size Bits:")),
            ("clusters", number(" Clusters:")),
            ("max-slots", number("Max Node Slots:")),
            ("feature-compat", number("Feature Compat:")),
            ("feature-incompat", number("Feature Incompat:")),
            ("feature-ro-compat", number("Feature RO compat:")),
            ("root-block", number("Root Blknum:")),
            ("system-block", number("System Dir Blknum:")),
            ("stack", if stack == "classic o2cb" { "classic".to_owned() } else { stack }),
            ("stack-flags", number("Cluster flags:")),
            ("cluster", line("Cluster name:")),
            ("fs-generation", number("FS Generation:")),
            ("block-number", number("Inode:")),
            ("heartbeat", format!("{} clusters at {}", record[2], record[3])),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Names in the system directory and the blocks of their inodes.
    pub fn system_files(&self) -> Facts {
        let listing = self.debugfs("ls //");
        listing
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|columns| columns.len() == 5)
            .map(|columns| (format!("file {}", columns[4]), columns[0].to_owned()))
            .collect()
    }

    /// Generation, size, clusters and, of a journal, recovery generation of a system file's inode.
    pub fn inode(&self, name: &str) -> String {
        let stat = self.debugfs(&format!("stat //{name}"));
        let recovery = if name.starts_with("journal") { field(&stat, "Recovery Generation:") } else { "-" };
        let [generation, size, clusters] =
            ["Generation:", "Size:", "Clusters:"].map(|label| field(&stat, label));
        format!("{generation} {size} {clusters} {recovery}")
    }

    /// The blocks that reading the volume and looking for each system file takes, with what debugfs.ocfs2 says.
    pub fn recorded(&self, name: &str) -> MemoryVolume {
        let mut file = self.open();
        let device_bytes = file.device_bytes;
        let volume = read_volume(&mut file, device_bytes, 512).unwrap().superblock;
        let mut reader = BlockReader::new(&mut file, device_bytes, &volume);
        assert_eq!(find_system_file(&mut reader, &volume, "no such file").unwrap(), None);
        read_details(&mut file, device_bytes, 512).unwrap().whole().unwrap();
        let mut recorded = MemoryVolume::new(name, device_bytes);
        for (offset, bytes) in &file.blocks {
            recorded.write(*offset, bytes);
        }
        recorded.expect = self.facts();
        recorded.expect.extend(self.system_files());
        recorded
    }
}

/// The word after `label`.
fn field<'a>(text: &'a str, label: &str) -> &'a str {
    text.split_once(label).and_then(|(_, rest)| rest.split_whitespace().next()).unwrap()
}

/// A file that remembers what was read of it.
pub struct RecordedFile {
    file: File,
    /// Length of the file.
    pub device_bytes: u64,
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl ReadBlock for RecordedFile {
    fn read(&mut self, offset: u64, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, offset).unwrap();
        self.blocks.insert(offset, bytes.clone());
        Ok(bytes)
    }
}
