//! corosync's map against a stand-in for libcmap (stub/libcmap.c), which the test compiles: texts, integers, what is missing, and what is neither.
//!
//! Not shown here: corosync.

#![allow(clippy::unwrap_used, clippy::result_large_err)]

mod support;

use std::sync::OnceLock;

use ocfs2_group_error::{Code, Result};
use ocfs2_group_sys::Cancel;
use ocfs2_group_sys::corosync::cluster_map::{self, LIBRARY, Library};
use support::compile;

fn read(key: &str) -> Result<Option<String>> {
    static STUB: OnceLock<&'static Library> = OnceLock::new();
    let library =
        STUB.get_or_init(|| LIBRARY.only_for_tests(&compile("libcmap.c", "libcmap-stub.so", &[])).unwrap());
    cluster_map::read(library, key, &Cancel::new())
}

#[test]
fn a_text_is_read_as_it_is_and_an_integer_in_decimal() {
    for (key, value) in [
        ("totem.cluster_name", Some("labpc")),
        ("not.utf8", Some("a\u{fffd}")),
        ("nodelist.node.0.nodeid", Some("3232235777")),
        ("an.int8", Some("-7")),
        ("a.uint64", Some("18446744073709551615")),
        ("not.there", None),
    ] {
        assert_eq!(read(key).unwrap().as_deref(), value, "{key}");
    }
}

#[test]
fn what_is_neither_and_what_cannot_be_a_key_are_errors() {
    for key in ["a.double", "long.binary", "", "ab", "with\0nul", &"x".repeat(256)] {
        assert_eq!(read(key).unwrap_err().code, Code::InternalFailure, "{key}");
    }
}
