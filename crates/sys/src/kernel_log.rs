//! What the kernel said while a call ran: the records of /dev/kmsg that are about the cluster file system.
//!
//! Facts relied on: each read returns one record, `priority,sequence,time,flags;text`, then lines with keys; EPIPE means that
//! records were overwritten, EAGAIN that there is none (kernel Documentation/ABI/testing/dev-kmsg). Other programs' lines of the
//! same moment can be among them. Where the log may not be read, there are simply no messages.

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, SeekFrom, open, seek};
use rustix::io::{Errno, read};

const WORDS: [&str; 6] = ["ocfs2", "o2cb", "o2hb", "o2net", "dlm", "JBD2"];
const MAX_MESSAGES: usize = 20;
const MAX_RECORDS: usize = 4096;
const RECORD_BYTES: usize = 8192;

/// A mark in the kernel's log.
pub struct KernelLog(Option<OwnedFd>);

impl KernelLog {
    /// Marks the end of the log.
    pub fn mark() -> Self {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = open("/dev/kmsg", flags, Mode::empty()).ok();
        KernelLog(file.filter(|file| seek(file, SeekFrom::End(0)).is_ok()))
    }

    /// The messages since the mark that concern OCFS2, oldest first, at most 20.
    pub fn since(self) -> Vec<String> {
        let Some(file) = self.0 else { return Vec::new() };
        let mut record = [0_u8; RECORD_BYTES];
        let mut messages = Vec::new();
        for _ in 0..MAX_RECORDS {
            match read(&file, &mut record) {
                Ok(0) => break,
                Ok(count) => messages.extend(record.get(..count).and_then(text).filter(|text| is_ours(text))),
                Err(Errno::PIPE | Errno::INTR) => {}
                Err(_) => break,
            }
            if messages.len() == MAX_MESSAGES {
                break;
            }
        }
        messages
    }
}

fn is_ours(text: &str) -> bool {
    WORDS.iter().any(|word| text.contains(word))
}

/// The text of one record.
fn text(record: &[u8]) -> Option<String> {
    let start = record.iter().position(|byte| *byte == b';')? + 1;
    let text = record.get(start..)?.split(|byte| *byte == b'\n').next()?;
    Some(String::from_utf8_lossy(text).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_is_its_text_without_prefix_and_keys() {
        let record = b"3,1234,5678,-;o2hb: Unable to stabilize heartbeat\n SUBSYSTEM=x\n";
        assert_eq!(text(record).unwrap(), "o2hb: Unable to stabilize heartbeat");
        assert!(is_ours(&text(record).unwrap()));
        assert!(!is_ours("EXT4-fs: mounted"));
        assert_eq!(text(b"no separator"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_record_or_none(record in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = text(&record);
        }
    }
}
