//! This machine as a host (`ansible_connection=local`): the same scripts and the same engine, without SSH.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::errors::Error as DockerError;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

use super::connected::Connected;
use super::docker::Access;
use super::local::Local;
use super::wire::{Command, OpenFailure, Reply, Stream, Wire};
use super::{HttpAnswer, HttpAsk, Machine, Observe, http};
use crate::error::{Error, HostCause, Result};

/// This machine under a name of the inventory. Where the user is not root and `become_root` is set, scripts run by
/// `sudo -n`.
///
/// # Errors
/// When the engine's client cannot be made.
pub fn connect(
    name: &str,
    become_root: bool,
    engine_socket: &str,
    observe: Option<Observe>,
) -> Result<Arc<dyn Machine>> {
    let root = std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
    let sudo = become_root && !root;
    let wire = Here { sudo, requests: AtomicU64::new(0) };
    Ok(Arc::new(Connected::new(name, Arc::new(wire), Access::of_root(sudo, engine_socket), observe)?))
}

/// The client of this machine's engine, for what belongs to no host of a site, once it gave a sign of life; `patience`
/// is how long an answer may be waited for.
///
/// # Errors
/// When there is no engine, or it is not for this user.
pub async fn engine(patience: Duration) -> Result<Docker> {
    let hint = "install and start a container engine (`apt-get install docker.io`), \
                and run as root or as a member of the group `docker`";
    let absent = |error: DockerError| Error::local("reach this machine's container engine", error).with_hint(hint);
    let docker = Docker::connect_with_unix_defaults().map_err(absent)?.with_timeout(patience);
    docker.ping().await.map_err(absent)?;
    Ok(docker)
}

/// An HTTP exchange of this machine, for what belongs to no host of a site.
///
/// # Errors
/// When nobody answers, or with anything but HTTP.
pub async fn http(ask: &HttpAsk, within: Duration) -> Result<HttpAnswer, HostCause> {
    http::send(&Here { sudo: false, requests: AtomicU64::new(0) }, ask, within).await
}

struct Here {
    sudo: bool,
    requests: AtomicU64,
}

#[async_trait]
impl Wire for Here {
    async fn exec(&self, command: Command) -> Result<Reply, HostCause> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let sent = Instant::now();
        let local = Local::new(["/bin/sh", "-c", &command.line]).stdin(command.stdin).apart(command.sudo);
        let failed = |error: crate::error::Error| HostCause::Answer(error.to_string());
        let (output, lease) = match command.stays_after {
            None => (local.output().await.map_err(failed)?, None),
            Some(end) => local.standing(end).await.map_err(failed)?,
        };
        Ok(Reply { output, sent, first: sent, lease })
    }

    async fn open_socket(&self, path: &str) -> Result<Stream, OpenFailure> {
        UnixStream::connect(path).await.map(|stream| Box::new(stream) as Stream).map_err(|error| failure(&error))
    }

    async fn open_command(&self, line: &str) -> Result<Stream, OpenFailure> {
        let started = Local::new(["/bin/sh", "-c", line]).stream();
        started.map(|stream| Box::new(stream) as Stream).map_err(|error| failure(&error))
    }

    async fn open_tcp(&self, address: &str, port: u16) -> Result<Stream, OpenFailure> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        TcpStream::connect((address, port))
            .await
            .map(|stream| Box::new(stream) as Stream)
            .map_err(|error| failure(&error))
    }

    fn lost(&self) -> Option<HostCause> {
        None
    }

    fn sudo(&self) -> bool {
        self.sudo
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

fn failure(error: &io::Error) -> OpenFailure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => OpenFailure::Refused,
        io::ErrorKind::PermissionDenied => OpenFailure::Denied,
        _ => OpenFailure::Unreachable(error.to_string()),
    }
}
