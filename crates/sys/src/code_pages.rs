#![allow(unsafe_code)]
//! Giving back the pages of this process's program code, for one that stays and is at rest.
//!
//! Facts relied on: proc(5): smaps has each mapping with its permissions, its file, and how much of it is this process's own (`Anonymous`);
//! madvise(2): after MADV_DONTNEED a private mapping of a file is read from the file again. Node's code is some 20 MB, which stay resident
//! once they have run, and a fault brings 64 kB along where the page cache has them.

use std::ffi::c_void;

use ocfs2_group_error::Result;
use rustix::io::Errno;
use rustix::mm::{Advice, madvise};

use crate::error::OrError;

/// As errors name it.
pub const RELEASE: &str = "release-code";
const SMAPS: &str = "/proc/self/smaps";

/// The bytes of the mappings that were given back; what is needed of them comes again by itself.
pub fn release() -> Result<u64> {
    let text = std::fs::read(SMAPS)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
        .or_error(RELEASE, "read", SMAPS)?;
    let mut released = 0;
    for (start, length) in code(&String::from_utf8_lossy(&text)) {
        let address = std::ptr::with_exposed_provenance_mut::<c_void>(start);
        // SAFETY: the mapping is code of a file (readable, executable, never writable) without a page of this process's own, so every page of it
        // is what the file has, and is read from there again when it is used next. A mapping that has gone meanwhile is ENOMEM.
        if unsafe { madvise(address, length, Advice::LinuxDontNeed) }.is_ok() {
            released += length as u64;
        }
    }
    Ok(released)
}

/// Start and length of each mapping of code that is the file's alone: without a debugger's breakpoints or relocations in it.
fn code(smaps: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut mapping = None;
    for line in smaps.lines() {
        if let Some(rest) = line.strip_prefix("Anonymous:") {
            if let Some(range) = mapping.take().filter(|_| rest.trim() == "0 kB") {
                found.push(range);
            }
        } else if let Some(header) = Header::of(line) {
            mapping = header.is_code.then_some(header.range);
        }
    }
    found
}

struct Header {
    range: (usize, usize),
    is_code: bool,
}

impl Header {
    /// `None` for the lines below one.
    fn of(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let hexadecimal = |text| usize::from_str_radix(text, 16).ok();
        let (start, end) = (hexadecimal(start)?, hexadecimal(end)?);
        let permissions = words.next()?;
        let inode = words.nth(2)?;
        let is_code = permissions == "r-xp" && inode != "0" && words.next()?.starts_with('/');
        Some(Header { range: (start, end.checked_sub(start)?), is_code })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unchanged_code_of_a_file_is_given_back() {
        let mapping = |header: &str, anonymous: u32| {
            format!("{header}\nSize: 8 kB\nRss: 8 kB\nAnonymous: {anonymous} kB\nVmFlags: rd ex mr mw me\n")
        };
        let text = [
            mapping("00400000-00402000 r--p 00000000 08:01 12 /usr/bin/node", 0),
            mapping("00402000-00405000 r-xp 00002000 08:01 12 /usr/bin/node", 0),
            mapping("00405000-00406000 r-xp 00005000 08:01 12 /usr/bin/node", 4),
            mapping("00406000-00407000 rwxp 00006000 08:01 12 /usr/bin/node", 0),
            mapping("7f0000000000-7f0000001000 r-xp 00000000 00:00 0", 0),
            mapping("7fff00000000-7fff00001000 r-xp 00000000 00:00 0 [vdso]", 0),
            mapping("7f0000002000-7f0000003000 r-xp 00000000 08:01 13 /lib/a b.so", 0),
            mapping("nonsense", 0),
        ]
        .concat();
        assert_eq!(code(&text), [(0x40_2000, 0x3000), (0x7f00_0000_2000, 0x1000)]);
        assert_eq!(code("Anonymous: 0 kB\n9-1 r-xp 0 0 1 /x\nAnonymous: 0 kB\n"), []);
    }

    #[test]
    fn the_process_goes_on_with_less() {
        let resident = || {
            let text = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix("RssFile:")).unwrap();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
        };
        let before = resident();
        assert!(release().unwrap() > 0);
        assert!(resident() < before);
        assert!(release().unwrap() > 0);
    }
}
