//! Directories of a kernel tree: made, removed, listed; symbolic links read.
//!
//! Facts relied on: configfs creates and destroys kernel objects on mkdir and rmdir; rmdir of a region waits for a concurrent
//! start to end (kernel fs/configfs/dir.c). Nothing here is recursive, and no link is followed at the last component.

use std::path::Path;

use ocfs2_group_error::Result;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, mkdir, open, readlink, rmdir, statat};

use crate::cancel::Cancel;
use crate::error::OrError;

/// mkdir(2) with mode 0755.
pub fn make(path: &Path, cancel: &Cancel) -> Result<()> {
    cancel.restart(|| mkdir(path, Mode::from_raw_mode(0o755))).or_error("make-directory", "mkdir", path)
}

/// rmdir(2).
pub fn remove(path: &Path, cancel: &Cancel) -> Result<()> {
    cancel.restart(|| rmdir(path)).or_error("remove-directory", "rmdir", path)
}

/// The target of a symbolic link, as it stands there.
pub fn read_link(path: &Path, cancel: &Cancel) -> Result<String> {
    let target = cancel.restart(|| readlink(path, Vec::new())).or_error("read-link", "readlink", path)?;
    Ok(target.to_string_lossy().into_owned())
}

/// The names of the sub-directories, in the kernel's order, without `.` and `..`. An entry that vanishes meanwhile is left out.
pub fn list(path: &Path, cancel: &Cancel) -> Result<Vec<String>> {
    names("list-directories", path, true, cancel)
}

/// The names of all other entries, in the kernel's order: files, links, devices.
pub fn list_files(path: &Path, cancel: &Cancel) -> Result<Vec<String>> {
    names("list-files", path, false, cancel)
}

fn names(operation: &'static str, path: &Path, directories: bool, cancel: &Cancel) -> Result<Vec<String>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let file = cancel.restart(|| open(path, flags, Mode::empty())).or_error(operation, "open", path)?;
    let mut names = Vec::new();
    for entry in Dir::read_from(&file).or_error(operation, "getdents", path)? {
        let entry = entry.or_error(operation, "getdents", path)?;
        let name = entry.file_name();
        let kind = match entry.file_type() {
            FileType::Unknown => match statat(&file, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(_) => continue,
            },
            known => known,
        };
        if (kind == FileType::Directory) == directories && name != c"." && name != c".." {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    #[test]
    fn only_real_directories_are_listed() {
        let scratch = Scratch::new();
        for name in ["a", "b"] {
            make(&scratch.path(name), &Cancel::new()).unwrap();
        }
        std::fs::File::create(scratch.path("file")).unwrap();
        std::os::unix::fs::symlink("a", scratch.path("link")).unwrap();
        let mut names = list(scratch.root(), &Cancel::new()).unwrap();
        names.sort();
        assert_eq!(names, ["a", "b"]);
        let mut files = list_files(scratch.root(), &Cancel::new()).unwrap();
        files.sort();
        assert_eq!(files, ["file", "link"]);
        assert_eq!(read_link(&scratch.path("link"), &Cancel::new()).unwrap(), "a");
        remove(&scratch.path("a"), &Cancel::new()).unwrap();
        assert_eq!(list(scratch.root(), &Cancel::new()).unwrap(), ["b"]);
    }

    #[test]
    fn failures_carry_the_errno_and_the_path() {
        let scratch = Scratch::new();
        make(&scratch.path("a"), &Cancel::new()).unwrap();
        let again = make(&scratch.path("a"), &Cancel::new()).unwrap_err();
        assert_eq!((again.errno, again.syscall), (Some(17), Some("mkdir")));
        assert_eq!(again.path.as_deref(), scratch.path("a").to_str());
        assert_eq!(remove(scratch.root(), &Cancel::new()).unwrap_err().errno, Some(39));
        assert_eq!(list(&scratch.path("none"), &Cancel::new()).unwrap_err().errno, Some(2));
    }
}
