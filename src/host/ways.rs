//! Ways to the engine that are refused, each told as what it is; and the programs that lead to it from a login by sudo.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Machine as _;
use super::connected::Connected;
use super::local::Local;
use super::wire::{self, Command, OpenFailure, Reply, Root, Stream, Wire};
use crate::error::{Error, HostCause};

/// A wire that opens nothing.
struct Closed(OpenFailure, Root);

#[async_trait]
impl Wire for Closed {
    async fn exec(&self, _: Command) -> Result<Reply, HostCause> {
        Err(HostCause::Answer("not asked".into()))
    }

    async fn open_socket(&self, _: &str) -> Result<Stream, OpenFailure> {
        Err(self.0.clone())
    }

    async fn open_command(&self, _: &str, _: &[u8]) -> Result<Stream, OpenFailure> {
        // As a command ends that says why by its exit code.
        let code = if matches!(self.0, OpenFailure::NoProgram) { 69 } else { 66 };
        Ok(Box::new(Local::new(["/bin/sh", "-c", &format!("exit {code}")]).stream().unwrap()))
    }

    async fn open_tcp(&self, _: &str, _: u16) -> Result<Stream, OpenFailure> {
        Err(self.0.clone())
    }

    fn lost(&self) -> Option<HostCause> {
        None
    }

    fn root(&self) -> &Root {
        &self.1
    }

    fn requests(&self) -> u64 {
        0
    }
}

async fn told(failure: OpenFailure, sudo: bool) -> HostCause {
    let root = if sudo { Root::Sudo(None) } else { Root::Login };
    let machine = Connected::new("control01", Arc::new(Closed(failure, root)), "/run/engine.sock", None).unwrap();
    match machine.containers().await.unwrap_err() {
        Error::Host(error) => error.cause,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn each_refusal_is_told_as_what_it_is() {
    assert!(matches!(told(OpenFailure::Denied, false).await, HostCause::EngineForbidden(_)));
    assert!(matches!(told(OpenFailure::Refused, false).await, HostCause::NoEngine(_)));
    assert!(matches!(told(OpenFailure::Forbidden, false).await, HostCause::ForwardingRefused(_)));
    assert!(matches!(told(OpenFailure::NoProgram, true).await, HostCause::NoEngineClient(_)));
    assert!(matches!(told(OpenFailure::Refused, true).await, HostCause::NoEngine(_)));
}

/// The words of the one of these programs that is run for a socket.
async fn chosen(programs: &[&str], socket: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    for name in programs {
        std::os::unix::fs::symlink("/bin/echo", folder.path().join(name)).unwrap();
    }
    let there = folder.path().join(socket);
    let _listener = std::os::unix::net::UnixListener::bind(&there).unwrap();
    let line = wire::to_socket(&Root::Sudo(None), there.to_str().unwrap());
    let as_root = line.strip_prefix("sudo -n ").unwrap();
    let mut stream =
        Local::new(["/bin/sh", "-c", as_root]).env("PATH", folder.path().to_str().unwrap()).stream().unwrap();
    let mut text = String::new();
    match stream.read_to_string(&mut text).await {
        Ok(_) => text.trim_end().replace(&format!("{}/", folder.path().display()), "/"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn the_engines_own_client_or_socat_leads_to_its_socket() {
    let all = ["docker", "podman", "socat"];
    assert_eq!(chosen(&all, "docker.sock").await, "-H unix:///docker.sock system dial-stdio");
    assert_eq!(chosen(&all[1..], "docker.sock").await, "- UNIX-CONNECT:/docker.sock");
    assert_eq!(chosen(&all, "podman.sock").await, "--url unix:///podman.sock system dial-stdio");
    assert_eq!(chosen(&all[2..], "podman.sock").await, "- UNIX-CONNECT:/podman.sock");
    assert_eq!(chosen(&[], "podman.sock").await, "no program leads there");
}

#[tokio::test]
async fn bytes_go_both_ways_and_an_end_of_one_is_not_that_of_the_other() {
    let mut stream = Local::new(["/bin/sh", "-c", "cat; echo end"]).stream().unwrap();
    stream.write_all(b"ask ").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "ask end\n");
}
