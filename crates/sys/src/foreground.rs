#![allow(unsafe_code)]
//! A program in the foreground: it has our standard streams, our environment and our terminal, and does not outlive this process.
//!
//! Facts relied on: prctl(2) PR_SET_PDEATHSIG: the child is killed when the thread that started it ends, however it ends, so that
//! thread waits for it; the setting survives execve(2) but for set-user-id programs and those with file capabilities. It is made after the
//! fork, so a parent that died before is told by getppid(2). A descriptor without FD_CLOEXEC stays open in the program and its children,
//! and what the kernel ties to the open file (a lock of dlmfs, a claim of a device, a lock on a range) lives as long as one of them.
//! Node sets FD_CLOEXEC on whatever it was given, the standard streams among it (uv_disable_stdio_inheritance), so it is taken off those three.
//! waitid(2) with WNOWAIT leaves the process number taken until it is reaped, so a signal cannot reach another process.
//!
//! Which signals are passed on is the caller's business.

use std::io;
use std::os::fd::RawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};

use ocfs2_group_error::{Error, Result};

use crate::worker::with_open_signals;

const OPERATION: &str = "start-program";

/// What is to be run.
#[derive(Debug, Default)]
pub struct Request {
    /// looked for in PATH where it has no slash
    pub file: String,
    /// without the program's own name
    pub arguments: Vec<String>,
    /// what the environment has besides ours
    pub environment: Vec<(String, String)>,
    /// descriptors whose file's path holds one of these stay open in it, and in its children
    pub keep_open: Vec<String>,
}

/// A program that runs, or has ended.
pub struct Program {
    pid: libc::pid_t,
    /// its exit status, 128+n where signal n ended it, once it is reaped
    status: Mutex<Option<i32>>,
    ended: Condvar,
}

/// Starts it.
///
/// # Errors
/// With the errno of execve(2): ENOENT where there is none of that name, EACCES, ENOEXEC.
pub fn start(request: Request) -> Result<Arc<Program>> {
    let (send, receive) = mpsc::channel();
    let body = move || {
        let child = match with_open_signals(|| spawn(&request)) {
            Ok(child) => child,
            Err(error) => return drop(send.send(Err(failed(&request.file, &error)))),
        };
        let program = Arc::new(Program {
            pid: libc::pid_t::try_from(child.id()).unwrap_or(0),
            status: Mutex::new(None),
            ended: Condvar::new(),
        });
        drop(send.send(Ok(Arc::clone(&program))));
        program.see_to_its_end(child);
    };
    let thread = std::thread::Builder::new().name("ocfs2-program".into()).stack_size(256 * 1024);
    thread.spawn(body).map_err(|error| failed("", &error))?;
    receive.recv().unwrap_or_else(|_| Err(failed("", &io::Error::other("its thread has ended"))))
}

impl Program {
    /// Its number.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends it a signal; false where it has ended.
    pub fn kill(&self, signal: i32) -> bool {
        let status = self.status();
        // SAFETY: no memory is touched. It is not reaped while the lock is held, so the number is its own.
        status.is_none() && unsafe { libc::kill(self.pid, signal) } == 0
    }

    /// Waits for its end: the exit status, 128+n where signal n ended it.
    pub fn wait(&self) -> i32 {
        let mut status = self.status();
        loop {
            match *status {
                Some(status) => return status,
                None => status = self.ended.wait(status).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn status(&self) -> MutexGuard<'_, Option<i32>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see_to_its_end(&self, mut child: Child) {
        loop {
            let id = libc::id_t::try_from(self.pid).unwrap_or(0);
            // SAFETY: siginfo_t is plain data that the call fills.
            let ended = unsafe {
                let mut info: libc::siginfo_t = std::mem::zeroed();
                libc::waitid(libc::P_PID, id, &mut info, libc::WEXITED | libc::WNOWAIT)
            };
            if ended == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
                break;
            }
        }
        let mut status = self.status();
        *status = Some(match child.wait() {
            Ok(ended) => ended.code().unwrap_or_else(|| 128 + ended.signal().unwrap_or(0)),
            // Somebody else has reaped it; its status is lost.
            Err(_) => 128,
        });
        self.ended.notify_all();
    }
}

fn spawn(request: &Request) -> io::Result<Child> {
    let mut command = Command::new(&request.file);
    command.args(&request.arguments);
    command.envs(request.environment.iter().map(|(name, value)| (name, value)));
    let kept = [vec![0, 1, 2], descriptors_of(&request.keep_open)].concat();
    // SAFETY: cannot fail.
    let parent = unsafe { libc::getpid() };
    let prepare = move || {
        // SAFETY: only system calls that are async-signal-safe, on values made before the fork; nothing is allocated but
        // where it fails.
        unsafe {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(io::Error::last_os_error());
            }
            if libc::getppid() != parent {
                libc::_exit(libc::EXIT_FAILURE);
            }
            for &descriptor in &kept {
                libc::fcntl(descriptor, libc::F_SETFD, 0);
            }
        }
        Ok(())
    };
    // SAFETY: as said in it.
    unsafe { command.pre_exec(prepare) };
    command.spawn()
}

/// The descriptors of this process that lead to paths that hold one of these.
fn descriptors_of(parts: &[String]) -> Vec<RawFd> {
    let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            std::fs::read_link(entry.path())
                .is_ok_and(|path| parts.iter().any(|part| path.to_string_lossy().contains(part.as_str())))
        })
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

fn failed(file: &str, error: &io::Error) -> Error {
    let error = match error.raw_os_error() {
        Some(errno) => Error::os(OPERATION, "execve", errno),
        None => Error::new(ocfs2_group_error::Code::InternalFailure, OPERATION, error.to_string()),
    };
    if file.is_empty() { error } else { error.path(file) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;
    use std::process::Stdio;

    fn shell(script: &str) -> Request {
        Request { file: "sh".into(), arguments: vec!["-c".into(), script.into()], ..Request::default() }
    }

    fn run(script: &str) -> i32 {
        start(shell(script)).unwrap().wait()
    }

    #[test]
    fn exit_statuses_and_signals_come_back() {
        assert_eq!(run("exit 0"), 0);
        assert_eq!(run("exit 7"), 7);
        assert_eq!(run("kill -TERM $$"), 128 + 15);
        assert_eq!(run("kill -KILL $$"), 128 + 9);
    }

    #[test]
    fn it_has_our_environment_and_more_and_no_signal_blocked() {
        let mut request = shell(
            "test \"$MORE\" = 'a b' && test -n \"$PATH\" && grep -q '^SigBlk:[[:space:]]*0*$' /proc/self/status",
        );
        request.environment = vec![("MORE".into(), "a b".into())];
        assert_eq!(start(request).unwrap().wait(), 0);
    }

    #[test]
    fn what_is_not_there_and_what_cannot_be_run_are_told_apart() {
        let errno =
            |file: &str| start(Request { file: file.into(), ..Request::default() }).err().unwrap().errno;
        assert_eq!(errno("no-such-program-anywhere"), Some(libc::ENOENT));
        assert_eq!(errno("/nonexistent/program"), Some(libc::ENOENT));
        assert_eq!(errno("/proc/self/status"), Some(libc::EACCES));
        assert_eq!(errno("/"), Some(libc::EACCES));
    }

    #[test]
    fn a_signal_reaches_it_until_it_has_ended() {
        let program =
            start(Request { file: "sleep".into(), arguments: vec!["1000".into()], ..Request::default() })
                .unwrap();
        assert!(program.pid() > 1);
        assert!(program.kill(libc::SIGTERM));
        assert_eq!(program.wait(), 128 + 15);
        assert!(!program.kill(libc::SIGTERM));
        assert_eq!(program.wait(), 128 + 15);
    }

    #[test]
    fn it_ends_with_the_thread_that_started_it() {
        // What the kernel does when this process is killed, it does when that thread ends: seen from a process of its own.
        let scratch = Scratch::new();
        let report = scratch.path("pid");
        let mut helper = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "foreground::tests::helper_that_is_killed", "--ignored", "--nocapture"])
            .env("OCFS2_GROUP_REPORT", &report)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = loop {
            match std::fs::read_to_string(&report)
                .ok()
                .and_then(|text| text.strip_suffix('\n').map(str::to_owned))
            {
                Some(pid) => break pid,
                None => std::thread::yield_now(),
            }
        };
        helper.kill().unwrap();
        helper.wait().unwrap();
        // Gone, or dead and not reaped by whoever inherited it.
        let is_over = || match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')),
            Err(_) => true,
        };
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !is_over() {
            assert!(std::time::Instant::now() < end, "process {pid} lives on");
            std::thread::yield_now();
        }
    }

    #[test]
    #[ignore = "a part of the test above, which runs it in a process of its own"]
    #[allow(clippy::disallowed_methods)]
    fn helper_that_is_killed() {
        let report = std::env::var("OCFS2_GROUP_REPORT").unwrap();
        start(shell(&format!("echo $$ > '{report}'; for _ in 1 2 3 4 5 6; do sleep 10; done")))
            .unwrap()
            .wait();
    }

    #[test]
    fn the_standard_streams_stay_open_whatever_their_flags() {
        // SAFETY: only flags of this process's own descriptors are changed, which nothing in it relies on.
        let flags = [0, 1, 2].map(|descriptor| unsafe {
            let flags = libc::fcntl(descriptor, libc::F_GETFD);
            libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC);
            flags
        });
        let status = run("test -e /proc/self/fd/0 && test -e /proc/self/fd/1 && test -e /proc/self/fd/2");
        for (descriptor, flags) in (0..).zip(flags) {
            // SAFETY: as above.
            unsafe { libc::fcntl(descriptor, libc::F_SETFD, flags) };
        }
        assert_eq!(status, 0);
    }

    #[test]
    fn descriptors_that_are_to_be_kept_stay_open_in_it_and_no_others() {
        let scratch = Scratch::new();
        let kept = std::fs::File::create(scratch.path("kept")).unwrap();
        let other = std::fs::File::create(scratch.path("other")).unwrap();
        let number = |file: &std::fs::File| std::os::fd::AsRawFd::as_raw_fd(file);
        let mut request = shell(&format!(
            "test -e /proc/self/fd/{} && ! test -e /proc/self/fd/{}",
            number(&kept),
            number(&other)
        ));
        request.keep_open = vec![scratch.path("kept").to_string_lossy().into_owned()];
        assert_eq!(start(request).unwrap().wait(), 0);
        drop((kept, other));
    }
}
