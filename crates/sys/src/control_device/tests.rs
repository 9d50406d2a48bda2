//! The handshake against a device in memory, which answers as the real one was seen to (userspace-stack 3.1), and against a plain file.

use std::io::Write;

use super::*;
use crate::testing::Scratch;

const VERSION: LockingVersion = LockingVersion { major: 1, minor: 0 };
const REGION: &str = "0123456789ABCDEF0123456789ABCDEF";

/// Gives its list in small pieces, and refuses what the kernel refuses.
struct Kernel {
    list: Vec<u8>,
    piece: usize,
    at: usize,
    ended: bool,
    messages: Vec<String>,
    /// the message that is refused, and how
    refuses: Option<(&'static str, Errno)>,
    /// what it takes of each message
    most: usize,
}

impl Kernel {
    fn new(list: &[u8], piece: usize) -> Self {
        let list = list.to_vec();
        Kernel { list, piece, at: 0, ended: false, messages: Vec::new(), refuses: None, most: usize::MAX }
    }

    fn shake(&mut self) -> Result<()> {
        shake_hands(self, Path::new("/dev/misc/ocfs2_control"), 1, VERSION)
    }
}

impl Wire for Kernel {
    fn read(&mut self, buffer: &mut [u8]) -> std::result::Result<usize, Errno> {
        let rest = self.list.get(self.at..).unwrap_or_default();
        let length = rest.len().min(self.piece).min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.at += length;
        self.ended |= length == 0;
        Ok(length)
    }

    fn write(&mut self, bytes: &[u8]) -> std::result::Result<usize, Errno> {
        let message = String::from_utf8(bytes.to_vec()).unwrap();
        match self.refuses {
            _ if !self.ended => return Err(Errno::INVAL),
            Some((start, errno)) if message.starts_with(start) => return Err(errno),
            _ => self.messages.push(message),
        }
        Ok(bytes.len().min(self.most))
    }
}

#[test]
fn the_list_is_read_to_its_end_and_three_messages_follow() {
    for piece in [1, 2, 4, 100] {
        let mut kernel = Kernel::new(b"S00\nT01\nT02\n", piece);
        kernel.shake().unwrap();
        assert_eq!(kernel.messages, ["T01\n", "SETN 00000001\n", "SETV 01 00\n"]);
    }
}

#[test]
fn numbers_are_upper_case_and_as_wide_as_the_kernel_wants() {
    let mut kernel = Kernel::new(b"T01\n", 64);
    shake_hands(&mut kernel, Path::new(""), 0xdead_beef, LockingVersion { major: 0xab, minor: 255 }).unwrap();
    assert_eq!(kernel.messages[1..], ["SETN DEADBEEF\n", "SETV AB FF\n"]);
}

#[test]
fn a_kernel_that_does_not_speak_it_gets_no_message() {
    for list in [&b""[..], b"T02\n", b"xT01\n", b"T01", b"\xff\xff\xff\xff"] {
        let mut kernel = Kernel::new(list, 64);
        assert_eq!(kernel.shake().unwrap_err().code, Code::BadVersion, "{list:?}");
        assert!(kernel.messages.is_empty());
    }
    let mut endless = Kernel::new(&b"T01\n".repeat(5000), 64);
    assert_eq!(endless.shake().unwrap_err().code, Code::BadVersion);
}

#[test]
fn a_refusal_says_what_was_refused() {
    for (start, phrase) in [("T01", "protocol T01"), ("SETN", "node number 1"), ("SETV", "version 1.0")] {
        let mut kernel = Kernel::new(b"T01\n", 64);
        kernel.refuses = Some((start, Errno::INVAL));
        let error = kernel.shake().unwrap_err();
        assert!(error.detail.contains(phrase), "{error}");
        assert_eq!((error.syscall, error.errno), (Some("write"), Some(libc::EINVAL)));
    }
    let mut kernel = Kernel::new(b"T01\n", 64);
    kernel.most = 5;
    assert!(kernel.shake().unwrap_err().detail.contains("took 5 of 14 bytes"));
}

#[test]
fn down_has_47_bytes() {
    let message = down(REGION, 0xa).unwrap();
    assert_eq!(message, b"DOWN 0123456789ABCDEF0123456789ABCDEF 0000000A\n");
    assert_eq!(message.len(), 47);
    for bad in
        ["", &REGION[1..], &REGION.to_lowercase(), &format!("{REGION}0"), "Ä23456789ABCDEF0123456789ABCDEF"]
    {
        assert_eq!(down(bad, 1).unwrap_err().code, Code::InvalidRegionName, "{bad}");
    }
}

#[test]
fn only_a_release_closes_it() {
    let scratch = Scratch::new();
    let path = scratch.path("device");
    let open = || {
        std::fs::File::create(&path).unwrap().write_all(b"T01\n").unwrap();
        ControlDevice::open(&path, 3, VERSION, &Cancel::new()).unwrap()
    };
    let is_open = || {
        let all = std::fs::read_dir("/proc/self/fd").unwrap();
        all.filter_map(|one| std::fs::read_link(one.ok()?.path()).ok()).any(|one| one == path)
    };
    let device = open();
    device.node_down(REGION, 2, &Cancel::new()).unwrap();
    let text = "T01\nT01\nSETN 00000003\nSETV 01 00\nDOWN 0123456789ABCDEF0123456789ABCDEF 00000002\n";
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    assert!(is_open());
    device.release();
    device.release();
    assert!(!is_open());
    assert_eq!(device.node_down(REGION, 2, &Cancel::new()).unwrap_err().code, Code::Aborted);
    drop(open());
    assert!(is_open());
}
