//! Bytes on an OCFS2 disk to structs and back, as far as the group API needs them: find the superblock, find the
//! heartbeat file through the system directory, read and make heartbeat blocks.
//!
//! Facts relied on: the on-disk format of the kernel's `fs/ocfs2/ocfs2_fs.h` and `cluster/ocfs2_heartbeat.h`
//! (specification: disk-format, kernel-abi section 2). All integers are little-endian.
//!
//! Nothing here does I/O: whoever opens the device implements [`ReadBlock`]. Nothing here trusts a byte: every parser is
//! total, the number of reads is bounded by [`MAX_READS`], and a block number is compared with the volume's size before
//! it is read. What the facts mean for a mount (which stack, local or global heartbeat, is it mountable) is decided above.

#![forbid(unsafe_code)]
// A coded error carries its whole context by value; it is made once per failed mount, never in a loop.
#![allow(clippy::result_large_err)]

mod bytes;
mod fault;
mod reader;

pub mod details;
pub mod directory;
pub mod ecc;
pub mod extents;
pub mod heartbeat_file;
pub mod heartbeat_slot;
pub mod identity;
pub mod inode;
pub mod slot_map;
pub mod superblock;
pub mod superblock_change;
pub mod superblock_copies;
pub mod superblock_fields;
pub mod volume;

pub use details::{Details, read_details};
pub use fault::{Defect, Fault};
pub use heartbeat_file::HeartbeatExtent;
pub use heartbeat_slot::{HeartbeatSlot, RegionGeometry};
pub use identity::Identity;
pub use reader::{BlockReader, MAX_DETAIL_READS, MAX_READS, READ_ATTEMPTS, ReadBlock};
pub use slot_map::UsedSlot;
pub use superblock::{Superblock, probe_superblock};
pub use superblock_change::{ClusterStamp, SuperblockChange};
pub use superblock_copies::{SuperblockCopy, SuperblockPlan, SuperblockWrite};
pub use volume::{Volume, read_volume};

/// The operation that errors of this crate name.
pub(crate) const OPERATION: &str = "read-volume";
