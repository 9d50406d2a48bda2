//! The loadable module: `#[napi]` functions over `ocfs2-group-sys`, one thread per call, and errors. It holds no logic.
//!
//! Facts relied on: only `ts/native.ts` loads this module and checks what it passes. A function that can block returns a
//! promise ([`blocking::start`]); the few that cannot are the methods of things that are held.
//!
//! `napi`'s macros write the glue with `unsafe` inside; there is none in these files.
#![allow(unsafe_code)]

mod blocking;
mod errors;
mod files;
mod only_for_tests;
