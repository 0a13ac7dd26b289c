//! PID 1 of a container: passes signals on to its one child and reaps whatever is orphaned.

use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::{Failure, Result};

/// Runs a command to its end; its exit code is the answer, 128 + n when signal n ended it.
pub(crate) fn run(arguments: &[String]) -> Result<u8> {
    let words = arguments.strip_prefix(&["--".to_owned()]).unwrap_or(arguments);
    let (program, rest) = words.split_first().ok_or_else(|| Failure::new("a command is missing").code(2))?;
    // Blocked before the child exists, so that none is lost. What starts the child clears its mask again.
    let signals = SigSet::all();
    signals.thread_block().map_err(|error| Failure::of("block signals", error))?;
    let child = Command::new(program).args(rest).spawn().map_err(|error| {
        let code = if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
        Failure::of(format!("start `{program}`"), error).code(code)
    })?;
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
