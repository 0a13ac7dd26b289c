//! Signals to the program itself, while it waits for a host that accepts connections and never says a word.
#![allow(clippy::disallowed_types)]

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::folder::Folder;

/// A deployment that has begun to connect.
struct Run {
    child: Child,
    _folder: Folder,
    host: Option<TcpStream>,
}

impl Run {
    fn begin(program: &mut Command) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let folder = Folder::new(&format!("[control]\nc01 ansible_host=127.0.0.1 ansible_port={port}\n"));
        let child = program
            .args(["--configdir", ".", "deploy"])
            .current_dir(folder.path(""))
            .env_clear()
            .env("HOME", folder.path(""))
            .env("XDG_STATE_HOME", folder.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (host, _) = listener.accept().unwrap();
        Self { child, _folder: folder, host: Some(host) }
    }

    fn send(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    fn code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

fn kolla() -> Command {
    Command::new(env!("CARGO_BIN_EXE_kolla"))
}

#[test]
fn a_terminal_that_closes_interrupts_a_run_and_does_not_kill_it() {
    let mut run = Run::begin(&mut kolla());
    // Nobody reads any more; the kernel says so, and the shell once more.
    drop((run.child.stdout.take(), run.child.stderr.take()));
    run.send(Signal::SIGHUP);
    run.send(Signal::SIGHUP);
    assert_eq!(run.code(), Some(130));
}

#[test]
fn a_run_under_nohup_outlives_its_terminal() {
    let mut run = Run::begin(Command::new("/usr/bin/nohup").arg(env!("CARGO_BIN_EXE_kolla")));
    run.send(Signal::SIGHUP);
    // It goes on until the host is gone, which is a failure and no interrupt.
    run.host.take();
    assert_eq!(run.code(), Some(1));
}
