//! Bytes on an OCFS2 disk to structs and back; no I/O.
#![forbid(unsafe_code)]
