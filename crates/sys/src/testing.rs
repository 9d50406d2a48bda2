#![allow(unsafe_code)]
//! For this crate's tests: a directory that goes away with its value; mounts that nobody else sees.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, mount_remount, unmount,
};
use rustix::thread::{UnshareFlags, unshare_unsafe};

pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ocfs2-group-sys-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let root = std::env::temp_dir().join(name);
        std::fs::create_dir(&root).unwrap();
        Scratch(root)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.0
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Mounts of the calling thread's own namespace.
pub(crate) struct Mounts(());

/// Runs a test on a thread in a mount namespace of its own, which ends with it.
pub(crate) fn with_mounts(test: impl FnOnce(&Mounts) + Send + 'static) {
    let body = || {
        // SAFETY: only the file system part and the mounts are unshared; memory and descriptors stay shared.
        unsafe { unshare_unsafe(UnshareFlags::FS | UnshareFlags::NEWNS) }.unwrap();
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        test(&Mounts(()));
    };
    if let Err(panic) = std::thread::spawn(body).join() {
        std::panic::resume_unwind(panic);
    }
}

impl Mounts {
    pub(crate) fn tmpfs(&self, target: &Path, options: &str) {
        let options = std::ffi::CString::new(options).unwrap();
        mount("none", target, "tmpfs", MountFlags::empty(), Some(options.as_c_str())).unwrap();
    }

    pub(crate) fn read_only(&self, target: &Path) {
        mount_remount(target, MountFlags::RDONLY, "").unwrap();
    }

    pub(crate) fn bind(&self, source: &Path, target: &Path) {
        mount_bind(source, target).unwrap();
    }

    pub(crate) fn unmount(&self, target: &Path) {
        unmount(target, UnmountFlags::empty()).unwrap();
    }

    pub(crate) fn detach(&self, target: &Path) {
        unmount(target, UnmountFlags::DETACH).unwrap();
    }
}
