//! PID 1 of a container: passes signals on to its one child and reaps whatever is orphaned.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::{Failure, Result};

/// Runs a command to its end; its exit code is the answer, 128 + n when signal n ended it.
pub(crate) fn run(arguments: &[String]) -> Result<u8> {
    let words = arguments.strip_prefix(&["--".to_owned()]).unwrap_or(arguments);
    // Blocked before the child exists, so that none is lost; the child inherits that, and unblocks them in `exec`.
    let signals = SigSet::all();
    signals.thread_block().map_err(|error| Failure::of("block signals", error))?;
    let child = Command::new("/proc/self/exe")
        .arg0("kolla_exec")
        .args(words)
        .spawn()
        .map_err(|error| Failure::of("start a child", error).code(126))?;
    let child = Pid::from_raw(i32::try_from(child.id()).map_err(|error| Failure::of("process id", error))?);
    loop {
        let signal = signals.wait().map_err(|error| Failure::of("wait for signals", error))?;
        if signal == Signal::SIGCHLD {
            if let Some(code) = reap(child)? {
                return Ok(code);
            }
        } else {
            // A child that is just gone answers with an error; its SIGCHLD comes next.
            let _ = kill(child, signal);
        }
    }
}

/// `kolla_exec COMMAND ...`: becomes the command, with no signal blocked.
pub(crate) fn exec(arguments: &[String]) -> Result<u8> {
    let (program, rest) = arguments.split_first().ok_or_else(|| Failure::new("a command is missing").code(2))?;
    SigSet::empty().thread_set_mask().map_err(|error| Failure::of("unblock signals", error))?;
    let error = Command::new(program).args(rest).exec();
    let code = if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
    Err(Failure::of(format!("start `{program}`"), error).code(code))
}

/// Reaps all that have ended; the exit code if the child is among them.
fn reap(child: Pid) -> Result<Option<u8>> {
    let mut code = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == child => code = u8::try_from(status & 0xff).ok(),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                code = u8::try_from(128 + signal as i32).ok();
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(code),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(Failure::of("wait for children", error)),
        }
    }
}
