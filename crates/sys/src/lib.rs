//! Every system call of ocfs2-group's core: one file per subject.
//!
//! Facts relied on: Linux only; everything here may block, so it is called on a thread of its own ([`worker`]) and takes
//! a [`Cancel`] that interrupts it. An error always names the operation, the system call and the path ([`error`]).
//!
//! This crate does not know Node and holds no policy: order of steps, retries and defaults live in TypeScript.
//! `unsafe` stands only in files that say so in their first line.

pub mod attribute;
pub mod cancel;
pub mod error;
pub mod worker;

pub use cancel::Cancel;
