#![allow(unsafe_code)]
//! A C library that most nodes do not have, loaded at its first use: where it is missing, only what needs it fails.
//!
//! Facts relied on: dlopen(3), dlsym(3), dlerror(3). A library is never unloaded, since threads may be in it, so that its functions
//! live as long as the process. A failure is not remembered: installing the package helps without a restart.
//!
//! The only dlopen of the core. What a library's functions are like is said in the file that is named like it.

use std::ffi::{CStr, CString, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;

use ocfs2_group_error::{Code, Error, Result};

use crate::worker::without_signals;

/// One library, as the core knows it.
pub struct SharedLibrary<T: 'static> {
    pub(crate) name: &'static str,
    /// Tells this failure from those of the library's functions.
    pub(crate) operation: &'static str,
    pub(crate) code: Code,
    /// Debian's.
    pub(crate) package: &'static str,
    /// Tried in their order.
    pub(crate) files: &'static [&'static CStr],
    pub(crate) resolve: fn(&Symbols<'_>) -> Result<T>,
    pub(crate) loaded: OnceLock<T>,
}

impl<T> SharedLibrary<T> {
    /// The installed one.
    ///
    /// # Errors
    /// The library's own code where it is missing, or lacks a function.
    pub fn installed(&'static self) -> Result<&'static T> {
        if let Some(library) = self.loaded.get() {
            return Ok(library);
        }
        let mut first = None;
        for file in self.files {
            match self.load(file, false) {
                Ok(library) => return Ok(self.loaded.get_or_init(|| library)),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| self.unusable("no file is tried")))
    }

    /// Only for tests: a stand-in for it.
    ///
    /// # Errors
    /// As [`SharedLibrary::installed`].
    pub fn only_for_tests(&self, path: &Path) -> Result<&'static T> {
        Ok(Box::leak(Box::new(self.stand_in(path)?)))
    }

    /// Only for tests: makes a stand-in the installed one of this process, which has not used any before.
    ///
    /// # Errors
    /// As [`SharedLibrary::installed`].
    pub fn only_for_tests_install(&self, path: &Path) -> Result<()> {
        let library = self.stand_in(path)?;
        self.loaded.set(library).map_err(|_| self.unusable("another is loaded already"))
    }

    fn stand_in(&self, path: &Path) -> Result<T> {
        let path =
            CString::new(path.as_os_str().as_bytes()).map_err(|_| self.unusable("the path holds a NUL"))?;
        self.load(&path, true)
    }

    fn load(&self, file: &CStr, is_stand_in: bool) -> Result<T> {
        // SAFETY: the name is a NUL-terminated string; the initialisers of these libraries touch nothing but their own data.
        let handle = unsafe { libc::dlopen(file.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if handle.is_null() {
            return Err(self.unusable(&last_failure()));
        }
        let unusable = |why: &str| self.unusable(why);
        (self.resolve)(&Symbols { handle, file, is_stand_in, unusable: &unusable })
    }

    fn unusable(&self, why: &str) -> Error {
        let Self { name, package, .. } = self;
        let detail = format!("{name} cannot be used: {why}; install the package {package}");
        Error::new(self.code, self.operation, detail)
    }
}

/// A loaded file, whose functions are looked up.
pub struct Symbols<'a> {
    handle: *mut c_void,
    file: &'a CStr,
    /// Not the real library: what stands behind that is not there either.
    pub(crate) is_stand_in: bool,
    unusable: &'a dyn Fn(&str) -> Error,
}

impl Symbols<'_> {
    /// The function of this name.
    ///
    /// # Errors
    /// That of the library, where it has none.
    ///
    /// # Safety
    /// `F` is the type of a function with the C calling convention that takes and returns what the library's header says.
    pub(crate) unsafe fn function<F: Copy>(&self, name: &CStr) -> Result<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>(), "a function pointer") };
        // SAFETY: the handle is valid for ever, since it is never closed; the name is a NUL-terminated string.
        let symbol = unsafe { libc::dlsym(self.handle, name.as_ptr()) };
        if symbol.is_null() {
            let lacks = format!("{} lacks {}", self.file.to_string_lossy(), name.to_string_lossy());
            return Err((self.unusable)(&lacks));
        }
        // SAFETY: a function pointer of that size, as the caller says; null was refused above.
        Ok(unsafe { std::mem::transmute_copy::<*mut c_void, F>(&symbol) })
    }
}

/// Runs a call of a library, which expects no interruption, with the errno that it leaves.
pub(crate) fn library_call<T>(call: impl FnOnce() -> T) -> (T, i32) {
    without_signals(|| {
        // SAFETY: this thread's own errno. Some failures of these libraries leave it as it was.
        unsafe { *libc::__errno_location() = 0 };
        let result = call();
        (result, std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
    })
}

/// What the loader said last on this thread.
fn last_failure() -> String {
    // SAFETY: dlerror returns null or a NUL-terminated string that is valid until this thread's next call of the loader.
    unsafe {
        match libc::dlerror() {
            text if text.is_null() => "the loader does not say why".to_owned(),
            text => CStr::from_ptr(text).to_string_lossy().into_owned(),
        }
    }
}
