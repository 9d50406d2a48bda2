//! Every mount namespace of this node that has a process.
//!
//! Facts relied on: the link /proc/PID/ns/mnt names a process's namespace as `mnt:[INODE]` (namespaces(7)); to read it takes the right to
//! trace the process. A namespace that only a mount or a descriptor keeps alive has no process and is not seen. Nothing is entered.

use std::collections::HashSet;
use std::ffi::CStr;

use ocfs2_group_error::{Code, Error, Result};
use rustix::fd::AsFd;
use rustix::fs::{Dir, Mode, OFlags, open, readlinkat};
use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::error::OrError;

/// As errors and the thread name it.
pub const OPERATION: &str = "list-namespaces";
const PROC: &str = "/proc";

/// A mount namespace, and a process in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountNamespace {
    /// As the link names it.
    pub inode: String,
    /// The first process found in it, as this /proc numbers it.
    pub pid: i32,
}

/// One entry per namespace, this process's first. Processes that vanish or may not be looked at are left out.
pub fn list(cancel: &Cancel) -> Result<Vec<MountNamespace>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = cancel.restart(|| open(PROC, flags, Mode::empty())).or_error(OPERATION, "open", PROC)?;
    let own = readlinkat(&proc, c"self", Vec::new()).or_error(OPERATION, "readlink", "/proc/self")?;
    let own = of(&proc, &own)
        .or_error(OPERATION, "readlink", "/proc/self/ns/mnt")?
        .ok_or_else(|| Error::new(Code::InternalFailure, OPERATION, "this process has no mount namespace"))?;
    let mut seen = HashSet::from([own.inode.clone()]);
    let mut namespaces = vec![own];
    for entry in Dir::read_from(&proc).or_error(OPERATION, "getdents", PROC)? {
        let entry = entry.or_error(OPERATION, "getdents", PROC)?;
        if cancel.asked() {
            return Err(Errno::INTR).or_error(OPERATION, "getdents", PROC);
        }
        if let Ok(Some(one)) = of(&proc, entry.file_name())
            && seen.insert(one.inode.clone())
        {
            namespaces.push(one);
        }
    }
    Ok(namespaces)
}

/// The namespace of an entry of /proc; `None` for what is no process.
fn of(proc: impl AsFd, name: &CStr) -> std::result::Result<Option<MountNamespace>, Errno> {
    let Some(pid) = name.to_str().ok().and_then(|name| name.parse().ok()) else { return Ok(None) };
    let link = readlinkat(proc, format!("{pid}/ns/mnt"), Vec::new())?;
    let link = link.to_string_lossy();
    let inode = link.strip_prefix("mnt:[").and_then(|rest| rest.strip_suffix(']'));
    Ok(inode.map(|inode| MountNamespace { inode: inode.to_owned(), pid }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{is_root, with_mounts};
    use std::sync::mpsc::channel;

    #[test]
    fn this_process_is_first_and_no_namespace_comes_twice() {
        let all = list(&Cancel::new()).unwrap();
        let link = std::fs::read_link("/proc/self/ns/mnt").unwrap();
        assert_eq!(format!("mnt:[{}]", all[0].inode), link.to_string_lossy());
        assert_eq!(all[0].pid.unsigned_abs(), std::process::id());
        let inodes: HashSet<_> = all.iter().map(|one| &one.inode).collect();
        assert_eq!(inodes.len(), all.len());
        let given_up = Cancel::new();
        given_up.cancel();
        assert_eq!(list(&given_up).unwrap_err().code, Code::Aborted);
    }

    #[test]
    fn a_process_in_another_namespace_stands_for_it_where_root() {
        if !is_root() {
            return;
        }
        // A child of a thread is in the thread's namespace, where a thread itself is no process.
        let (send, receive) = channel();
        let (done, wait) = channel::<()>();
        let test = std::thread::spawn(move || {
            with_mounts(move |_| {
                let mut child = std::process::Command::new("/bin/sleep").arg("1000").spawn().unwrap();
                send.send(i32::try_from(child.id()).unwrap()).unwrap();
                let _ = wait.recv();
                child.kill().unwrap();
                child.wait().unwrap();
            });
        });
        let pid = receive.recv().unwrap();
        let all = list(&Cancel::new()).unwrap();
        let link = std::fs::read_link(format!("/proc/{pid}/ns/mnt")).unwrap();
        let link = link.to_string_lossy();
        drop(done);
        test.join().unwrap();
        let found = all.iter().find(|one| one.pid == pid).unwrap();
        assert_eq!(format!("mnt:[{}]", found.inode), link);
        assert_ne!(found.inode, all[0].inode);
    }
}
