//! Small files that are replaced whole or not at all, also over a crash; and removed.
//!
//! Facts relied on: rename(2) within a directory puts one file in another's place in one step, but only fsync(2) of the file before it and
//! of the directory after it make that last. The mode of a new file passes the umask, fchmod(2) does not. Some file systems
//! answer fsync of a directory with EINVAL: they have nothing to do.
//!
//! Owner and attributes of the replaced file are not kept. What is no regular file is never replaced.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use ocfs2_group_error::{Code, Error, Result};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, chmod, fchmod, fsync, lstat, mkdir, open, openat, readlinkat,
    renameat, unlink, unlinkat,
};
use rustix::io::{Errno, retry_on_intr, write};

use crate::cancel::Cancel;
use crate::error::OrError;

const OPERATION: &str = "replace-file";
/// The most that is written; configuration and records are far smaller.
pub const MAX_BYTES: usize = 1024 * 1024;
/// As many as the kernel follows.
const MAX_LINKS: usize = 40;
const MAX_NAMES: usize = 1000;
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// unlink(2).
pub fn remove(path: &Path, cancel: &Cancel) -> Result<()> {
    cancel.restart(|| unlink(path)).or_error("remove-file", "unlink", path)
}

/// Makes `content` the whole of the file that `path` leads to, with exactly this mode. Missing directories are made, 0755.
/// A failure leaves the old content, but for one: when only the last fsync, of the directory, fails, the new content is there.
pub fn replace(path: &Path, content: &[u8], mode: u32, cancel: &Cancel) -> Result<()> {
    if content.len() > MAX_BYTES {
        let detail = format!("{} bytes are more than the {MAX_BYTES} that are written", content.len());
        return Err(Error::new(Code::InternalFailure, OPERATION, detail).path(path.to_string_lossy()));
    }
    let target = followed(path)?;
    let not_a_file = || {
        Error::new(Code::InternalFailure, OPERATION, "it is no regular file").path(target.to_string_lossy())
    };
    if lstat(&target).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile) {
        return Err(not_a_file());
    }
    let name = target.file_name().ok_or_else(not_a_file)?;
    let parent = parent(&target);
    let directory = open_directory(parent, cancel)?;
    let mut temporary = Temporary::create(&directory, &name.to_string_lossy(), &target, cancel)?;
    temporary.fill(content, mode, &target, cancel)?;
    cancel
        .restart(|| renameat(&directory, &*temporary.name, &directory, name))
        .or_error(OPERATION, "rename", &target)?;
    temporary.renamed = true;
    // The new content is there: giving up has no meaning any more.
    settle(&directory, parent)
}

/// The path without symbolic links at its end; the last need not lead to anything.
fn followed(path: &Path) -> Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match readlinkat(CWD, &path, Vec::new()) {
            Ok(target) => {
                path = parent(&path).join(OsStr::from_bytes(target.as_bytes()));
            }
            // No link, or nothing at all; what else is wrong shows when it is opened.
            Err(_) => return Ok(path),
        }
    }
    Err(Errno::LOOP).or_error(OPERATION, "readlink", path)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Opens a directory, which is made with all above it where missing.
fn open_directory(path: &Path, cancel: &Cancel) -> Result<OwnedFd> {
    let open_it = || cancel.restart(|| open(path, DIRECTORY, Mode::empty()));
    match open_it() {
        Err(Errno::NOENT) => {}
        result => return result.or_error(OPERATION, "open", path),
    }
    let mut missing = VecDeque::new();
    for above in path.ancestors().filter(|above| !above.as_os_str().is_empty()) {
        if lstat(above).is_ok() {
            break;
        }
        missing.push_front(above);
    }
    for one in missing {
        let mode = Mode::from_raw_mode(0o755);
        match cancel.restart(|| mkdir(one, mode)) {
            // The umask may have taken some of it.
            Ok(()) => retry_on_intr(|| chmod(one, mode)).or_error(OPERATION, "chmod", one)?,
            Err(Errno::EXIST) => continue,
            result => result.or_error(OPERATION, "mkdir", one)?,
        }
        let above = parent(one);
        settle(
            retry_on_intr(|| open(above, DIRECTORY, Mode::empty())).or_error(OPERATION, "open", above)?,
            above,
        )?;
    }
    open_it().or_error(OPERATION, "open", path)
}

/// Makes the names in a directory last.
fn settle(directory: impl AsFd, path: &Path) -> Result<()> {
    match retry_on_intr(|| fsync(&directory)) {
        Err(Errno::INVAL) => Ok(()),
        result => result.or_error(OPERATION, "fsync", path),
    }
}

/// The new file under its first name, which goes away unless it was renamed.
struct Temporary<'a> {
    directory: &'a OwnedFd,
    name: String,
    file: OwnedFd,
    renamed: bool,
}

impl<'a> Temporary<'a> {
    fn create(directory: &'a OwnedFd, name: &str, target: &Path, cancel: &Cancel) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut last = Errno::EXIST;
        // A process of the same number may have left one when it was killed.
        for _ in 0..MAX_NAMES {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!(".{name}.{}.{number}.tmp", std::process::id());
            match cancel.restart(|| openat(directory, &*name, flags, Mode::RUSR | Mode::WUSR)) {
                Ok(file) => return Ok(Temporary { directory, name, file, renamed: false }),
                Err(errno) => last = errno,
            }
            if last != Errno::EXIST {
                break;
            }
        }
        Err(last).or_error(OPERATION, "open", target)
    }

    fn fill(&self, content: &[u8], mode: u32, target: &Path, cancel: &Cancel) -> Result<()> {
        let mut rest = content;
        while !rest.is_empty() {
            let count = cancel.restart(|| write(&self.file, rest)).or_error(OPERATION, "write", target)?;
            rest = rest.get(count..).unwrap_or_default();
        }
        // After the writing, which clears set-user-ID bits.
        let mode = Mode::from_raw_mode(mode & 0o7777);
        cancel.restart(|| fchmod(&self.file, mode)).or_error(OPERATION, "fchmod", target)?;
        cancel.restart(|| fsync(&self.file)).or_error(OPERATION, "fsync", target)
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = retry_on_intr(|| unlinkat(self.directory, &*self.name, AtFlags::empty()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::list_files;
    use crate::testing::{Scratch, is_root, with_mounts};
    use std::fs::{metadata, read_to_string};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn put(path: &Path, content: &str) -> Result<()> {
        replace(path, content.as_bytes(), 0o644, &Cancel::new())
    }

    fn mode(path: &Path) -> u32 {
        metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_file_and_its_directories_are_made_with_their_modes_and_replaced() {
        let scratch = Scratch::new();
        let path = scratch.path("a/b/file");
        replace(&path, b"one\n", 0o666, &Cancel::new()).unwrap();
        assert_eq!(
            (mode(&path), mode(&scratch.path("a")), mode(&scratch.path("a/b"))),
            (0o666, 0o755, 0o755)
        );
        replace(&path, b"two\n", 0o600, &Cancel::new()).unwrap();
        assert_eq!((read_to_string(&path).unwrap().as_str(), mode(&path)), ("two\n", 0o600));
        assert_eq!(list_files(&scratch.path("a/b"), &Cancel::new()).unwrap(), ["file"]);
        replace(&path, b"", 0o600, &Cancel::new()).unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "");
        remove(&path, &Cancel::new()).unwrap();
        assert_eq!(remove(&path, &Cancel::new()).unwrap_err().errno, Some(libc::ENOENT));
    }

    #[test]
    fn links_stay_and_lead_to_the_new_content() {
        let scratch = Scratch::new();
        make(&scratch.path("deep"));
        symlink("deep/link", scratch.path("first")).unwrap();
        symlink("../file", scratch.path("deep/link")).unwrap();
        // The last leads to nothing at first, and to a file then.
        for content in ["one", "two"] {
            put(&scratch.path("first"), content).unwrap();
            assert_eq!(read_to_string(scratch.path("file")).unwrap(), content);
        }
        assert!(scratch.path("first").is_symlink() && scratch.path("deep/link").is_symlink());
        symlink("loop", scratch.path("loop")).unwrap();
        assert_eq!(put(&scratch.path("loop"), "x").unwrap_err().errno, Some(libc::ELOOP));
    }

    #[test]
    fn what_is_no_file_or_too_long_is_refused() {
        let scratch = Scratch::new();
        make(&scratch.path("directory"));
        for path in [scratch.path("directory"), "/dev/null".into(), "/".into(), scratch.path("x/..")] {
            assert_eq!(put(&path, "x").unwrap_err().code, Code::InternalFailure, "{path:?}");
        }
        assert!(!metadata("/dev/null").unwrap().is_file());
        let long = vec![b'x'; MAX_BYTES + 1];
        let error = replace(&scratch.path("f"), &long, 0o600, &Cancel::new()).unwrap_err();
        assert!(error.detail.contains("1048576"), "{error}");
        replace(&scratch.path("f"), &long[1..], 0o600, &Cancel::new()).unwrap();
        put(&scratch.path("file"), "").unwrap();
        assert_eq!(put(&scratch.path("file/x"), "x").unwrap_err().errno, Some(libc::ENOTDIR));
    }

    #[test]
    fn what_another_process_left_behind_is_in_nobodys_way() {
        let scratch = Scratch::new();
        // More numbers than this process's other tests use up.
        for number in 0..300 {
            let name = format!(".file.{}.{number}.tmp", std::process::id());
            std::fs::File::create(scratch.path(&name)).unwrap();
        }
        put(&scratch.path("file"), "new").unwrap();
        assert_eq!(read_to_string(scratch.path("file")).unwrap(), "new");
        assert_eq!(list_files(scratch.root(), &Cancel::new()).unwrap().len(), 301);
    }

    #[test]
    fn a_call_given_up_leaves_the_old_content_and_nothing_else() {
        let scratch = Scratch::new();
        put(&scratch.path("file"), "old").unwrap();
        let directory = open(scratch.root(), DIRECTORY, Mode::empty()).unwrap();
        let temporary = Temporary::create(&directory, "file", &scratch.path("file"), &Cancel::new()).unwrap();
        let given_up = Cancel::new();
        given_up.cancel();
        let error = temporary.fill(b"new", 0o600, &scratch.path("file"), &given_up).unwrap_err();
        assert_eq!((error.code, error.syscall), (Code::Aborted, Some("write")));
        drop(temporary);
        assert_eq!(list_files(scratch.root(), &Cancel::new()).unwrap(), ["file"]);
        assert_eq!(read_to_string(scratch.path("file")).unwrap(), "old");
    }

    #[test]
    fn a_full_or_read_only_file_system_keeps_the_old_content_where_root() {
        if !is_root() {
            return;
        }
        let scratch = Scratch::new();
        let root = scratch.root().to_owned();
        with_mounts(move |mounts| {
            mounts.tmpfs(&root, "size=16k");
            let path = root.join("file");
            put(&path, "old").unwrap();
            let full = put(&path, &"x".repeat(200_000)).unwrap_err();
            assert_eq!((full.errno, full.syscall), (Some(libc::ENOSPC), Some("write")));
            assert_eq!(list_files(&root, &Cancel::new()).unwrap(), ["file"]);
            assert_eq!(read_to_string(&path).unwrap(), "old");
            mounts.read_only(&root);
            let refused = put(&path, "x").unwrap_err();
            assert_eq!((refused.errno, refused.code), (Some(libc::EROFS), Code::PermissionDenied));
        });
    }

    fn make(path: &Path) {
        crate::directory::make(path, &Cancel::new()).unwrap();
    }
}
