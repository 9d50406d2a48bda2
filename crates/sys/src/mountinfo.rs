//! The mount table: /proc/thread-self/mountinfo, of this namespace or another.
//!
//! Facts relied on: proc(5). Fields are separated by one space; in paths and sources the kernel writes space, tab, newline, backslash and
//! `#` as a backslash and three octal digits; between options and type stand any number of tags and a lone `-`. Which namespace a table shows is
//! decided when it is opened, by the opening thread: `/proc/self` would be the process's.
//!
//! The parser takes any bytes; a line that is no entry is left out. Text that is not UTF-8 is replaced.

use std::path::Path;

use ocfs2_group_error::{Code, Error, Result};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::read;

use crate::cancel::Cancel;
use crate::device::DeviceNumber;
use crate::error::OrError;
use crate::namespace::Namespace;

const THREAD: &str = "/proc/thread-self";
/// Far above any real table: 100000 mounts take some 15 MB.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// One entry of the mount table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountEntry {
    /// The mount's id.
    pub id: u64,
    /// The id of the mount it sits on.
    pub parent: u64,
    /// The file system's device number.
    pub device: DeviceNumber,
    /// The path within the file system that is mounted.
    pub root: String,
    /// Where it is mounted.
    pub target: String,
    /// Options of the mount.
    pub options: String,
    /// File system type.
    pub kind: String,
    /// What was mounted, as the mounter called it.
    pub source: String,
    /// Options of the superblock.
    pub super_options: String,
}

/// Reads the mount table of `namespace` (a path), or of this process. Enters the namespace: see [`Namespace`].
pub fn read_table(namespace: Option<&Path>, cancel: &Cancel) -> Result<Vec<MountEntry>> {
    const OPERATION: &str = "read-mounts";
    let namespace = Namespace::open(OPERATION, namespace, cancel)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    // Opened before entering: the other namespace may have no /proc. What is opened below it afterwards is still this thread's.
    let thread = cancel
        .restart(|| openat(CWD, THREAD, flags | OFlags::DIRECTORY, Mode::empty()))
        .or_error(OPERATION, "open", THREAD)?;
    namespace.enter(OPERATION)?;
    let file = cancel.restart(|| openat(&thread, "mountinfo", flags, Mode::empty())).or_error(
        OPERATION,
        "open",
        format!("{THREAD}/mountinfo"),
    )?;
    let mut table = Vec::new();
    let mut chunk = vec![0_u8; 64 * 1024];
    loop {
        let count = cancel.restart(|| read(&file, &mut chunk)).or_error(OPERATION, "read", THREAD)?;
        if count == 0 {
            return Ok(parse(&table));
        }
        table.extend_from_slice(chunk.get(..count).unwrap_or_default());
        if table.len() > MAX_BYTES {
            return Err(Error::new(
                Code::InternalFailure,
                OPERATION,
                "the mount table is longer than 64 MiB",
            ));
        }
    }
}

/// Every entry of a mount table, in its order.
pub fn parse(table: &[u8]) -> Vec<MountEntry> {
    table.split(|byte| *byte == b'\n').filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<MountEntry> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = number(fields.next()?)?;
    let parent = number(fields.next()?)?;
    let device = device_number(fields.next()?)?;
    let [root, target] = [unescape(fields.next()?), unescape(fields.next()?)];
    let options = text(fields.next()?);
    fields.find(|field| *field == b"-")?;
    let kind = unescape(fields.next()?);
    let source = unescape(fields.next()?);
    let super_options = text(fields.next()?);
    Some(MountEntry { id, parent, device, root, target, options, kind, source, super_options })
}

fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field).into_owned()
}

fn number<T: std::str::FromStr>(field: &[u8]) -> Option<T> {
    // FromStr would take a plus sign.
    field.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(field).ok()?.parse().ok())?
}

fn device_number(field: &[u8]) -> Option<DeviceNumber> {
    let colon = field.iter().position(|byte| *byte == b':')?;
    Some(DeviceNumber { major: number(field.get(..colon)?)?, minor: number(field.get(colon + 1..)?)? })
}

fn unescape(field: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    text(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_with_tags_escapes_and_an_empty_source() {
        let table = b"36 35 98:0 /a\\040b /mnt\\134x\\011 rw,noatime shared:5 master:1 - ocfs2 /dev/sd\\043a rw,_netdev\n\
                      37 36 0:45 / /tmp rw - tmpfs  rw,size=1k\nnot a line\n\n38 36 0:45 / /t";
        let entries = parse(table);
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].root, "/a b");
        assert_eq!(entries[0].target, "/mnt\\x\t");
        assert_eq!(entries[0].source, "/dev/sd#a");
        assert_eq!((entries[0].id, entries[0].parent), (36, 35));
        assert_eq!(entries[0].device, DeviceNumber { major: 98, minor: 0 });
        assert_eq!(entries[0].super_options, "rw,_netdev");
        assert_eq!((entries[1].kind.as_str(), entries[1].source.as_str()), ("tmpfs", ""));
    }

    #[test]
    fn this_process_has_a_root() {
        let entries = read_table(None, &Cancel::new()).unwrap();
        assert!(entries.iter().any(|entry| entry.target == "/"), "{entries:?}");
    }

    #[test]
    fn a_file_that_is_no_namespace_is_refused() {
        // On a thread of its own, as always: the unshare before it stays.
        let error =
            std::thread::spawn(|| read_table(Some(Path::new("/dev/null")), &Cancel::new()).unwrap_err());
        assert!(matches!(error.join().unwrap().errno, Some(22 | 1)));
    }

    fn escape(path: &str) -> String {
        path.chars()
            .map(|c| if " \t\n\\#".contains(c) { format!("\\{:03o}", c as u32) } else { c.to_string() })
            .collect()
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed(table in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&table);
        }

        #[test]
        fn any_line_like_text_is_parsed(table in "[0-9: /a\\\\\\-\n]{0,200}") {
            let _ = parse(table.as_bytes());
        }

        #[test]
        fn what_the_kernel_would_write_comes_back(
            id in any::<u32>(), parent in any::<u32>(), target in "/[a-z \t\n\\\\#é]{0,20}", source in "[a-z \\\\]{0,10}",
        ) {
            let line = format!("{id} {parent} 8:1 / {} rw a:1 b - ocfs2 {} ro\n", escape(&target), escape(&source));
            let entries = parse(line.as_bytes());
            prop_assert_eq!(entries.len(), 1);
            prop_assert_eq!((&entries[0].target, &entries[0].source), (&target, &source));
            prop_assert_eq!((entries[0].id, entries[0].parent), (u64::from(id), u64::from(parent)));
        }
    }
}
