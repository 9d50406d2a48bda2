//! The loadable module: `#[napi]` functions over `ocfs2-group-sys`, one thread per call, and errors. It holds no logic.
//!
//! Facts relied on: only `ts/native.ts` loads this module and checks what it passes. A function that can block returns a
//! promise ([`blocking::start`]); the few that cannot are the methods of things that are held.
//!
//! The macros of `napi` write the glue; there is no `unsafe` in these files.
// In a test build the macros register nothing, so everything looks unused.
#![cfg_attr(test, allow(dead_code))]
// As in the crates below: made once per failed call, never in a loop.
#![allow(clippy::result_large_err)]

mod blocking;
mod control_device;
mod dlm_control;
mod dlmfs;
mod errors;
mod files;
mod fsdlm;
mod held;
mod mounts;
mod only_for_tests;
mod others;
mod process_groups;
mod programs;
mod regions;
mod scan;
mod superblocks;
mod values;
mod volume_details;
mod volumes;
mod watches;
