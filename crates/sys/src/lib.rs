//! Every system call of ocfs2-group's core: one file per subject.
//!
//! Facts relied on: Linux only; everything here may block, so it is called on a thread of its own ([`worker`]) and takes
//! a [`Cancel`] that interrupts it. An error always names the operation, the system call and the path ([`error`]).
//!
//! This crate does not know Node and holds no policy: order of steps, retries and defaults live in TypeScript.
//! `unsafe` stands only in files that say so in their first line.

// A coded error carries its whole context by value; it is made once per failed call, never in a loop.
#![allow(clippy::result_large_err)]

pub mod attribute;
pub mod block_devices;
pub mod byte_range;
pub mod cancel;
pub mod claim;
mod closable;
pub mod code_pages;
pub mod control_device;
pub mod corosync;
pub mod device;
pub mod direct_io;
pub mod directory;
pub mod dlm_control;
pub mod dlm_version;
pub mod dlmfs;
pub mod dlmfs_apart;
pub mod durable_file;
pub mod error;
pub mod event_watch;
pub mod foreground;
mod fs_context;
pub mod fsdlm;
pub mod heartbeat;
pub mod inspect;
pub mod kernel_log;
pub mod libdlm;
pub mod lock_file;
pub mod mount;
pub mod mount_namespaces;
pub mod mountinfo;
pub mod namespace;
mod not_inherited;
pub mod peer;
pub mod priority;
pub mod program;
pub mod region_lock;
pub mod scan;
mod semaphore;
pub mod shared_library;
pub mod socket;
pub mod superblocks;
#[cfg(test)]
mod testing;
pub mod volume;
pub mod worker;
mod write_apart;

pub use cancel::Cancel;
