//! Running a program to its end: modprobe and the like.
//!
//! Facts relied on: std starts a child with posix_spawn, without copying this process; the child inherits the signal mask, so it is opened
//! for that moment. libuv reaps only children it started itself. The environment is two variables, input and output are /dev/null.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use ocfs2_group_error::{Code, Error, Result};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::cancel::Cancel;
use crate::error::OrError;
use crate::worker::with_open_signals;

const OPERATION: &str = "run-program";
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs `path` (absolute) and waits for it; a cancellation kills it. Returns its exit status, 128+n where signal n ended it.
pub fn run(path: &Path, arguments: &[String], cancel: &Cancel) -> Result<i32> {
    if !path.is_absolute() {
        let detail = "a program is run by its absolute path only";
        return Err(Error::new(Code::InternalFailure, OPERATION, detail).path(path.to_string_lossy()));
    }
    if cancel.asked() {
        return Err(given_up(path));
    }
    let mut command = Command::new(path);
    command.args(arguments).env_clear().env("PATH", PATH).env("LC_ALL", "C");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = with_open_signals(|| command.spawn())
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL))
        .or_error(OPERATION, "posix_spawn", path)?;
    let pid = Pid::from_child(&child);
    let status = match cancel.restart(|| waitpid(Some(pid), WaitOptions::empty())) {
        Err(Errno::INTR) => {
            // It may have ended just now; killing a child that is not waited for yet is harmless.
            let _ = kill_process(pid, Signal::KILL);
            while matches!(waitpid(Some(pid), WaitOptions::empty()), Err(Errno::INTR)) {}
            return Err(given_up(path));
        }
        result => result.or_error(OPERATION, "waitpid", path)?,
    };
    let status = ExitStatus::from_raw(status.map_or(0, |(_, status)| status.as_raw()));
    Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
}

fn given_up(path: &Path) -> Error {
    Error::os(OPERATION, "waitpid", Errno::INTR.raw_os_error()).path(path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    fn shell(script: &str) -> [String; 2] {
        ["-c".into(), script.into()]
    }

    #[test]
    fn exit_statuses_and_signals_come_back() {
        let run = |script| run(Path::new("/bin/sh"), &shell(script), &Cancel::new()).unwrap();
        assert_eq!(run("exit 7"), 7);
        assert_eq!(run("kill -TERM $$"), 128 + 15);
        // Two variables of ours; the shell adds its own PWD.
        assert_eq!(
            run("test \"$(env | grep -cv '^\\(PATH\\|LC_ALL\\|PWD\\|_\\|SHLVL\\|OLDPWD\\)=')\" = 0"),
            0
        );
        assert_eq!(run("test \"$LC_ALL\" = C"), 0);
    }

    #[test]
    fn the_child_of_a_worker_has_no_signal_blocked() {
        let (send, receive) = mpsc::channel();
        let script = "grep -q '^SigBlk:[[:space:]]*0*$' /proc/self/status";
        let work = move |cancel: &Cancel| run(Path::new("/bin/sh"), &shell(script), cancel);
        crate::worker::spawn("test", &Cancel::new(), work, move |result| send.send(result).unwrap()).unwrap();
        assert_eq!(receive.recv().unwrap().unwrap(), 0);
    }

    #[test]
    fn a_relative_path_and_a_missing_program_are_errors() {
        assert_eq!(run(Path::new("sh"), &[], &Cancel::new()).unwrap_err().code, Code::InternalFailure);
        assert_eq!(run(Path::new("/nonexistent/sh"), &[], &Cancel::new()).unwrap_err().errno, Some(2));
    }

    #[test]
    fn a_cancellation_kills_it() {
        let cancel = Cancel::new();
        let (send, receive) = mpsc::channel();
        let work = |cancel: &Cancel| run(Path::new("/bin/sleep"), &["1000".into()], cancel);
        crate::worker::spawn("test", &cancel, work, move |result| send.send(result).unwrap()).unwrap();
        cancel.cancel();
        let error = receive.recv_timeout(Duration::from_secs(20)).unwrap().unwrap_err();
        assert_eq!(error.code, Code::Aborted);
    }
}
