//! This machine as a host (`ansible_connection=local`): the same scripts and the same engine, without SSH.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::errors::Error as DockerError;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::connected::Connected;
use super::local::Local;
use super::wire::{self, Command, OpenFailure, Reply, Root, Stream, Wire};
use super::{HttpAnswer, HttpAsk, Machine, Observe, http};
use crate::error::{Error, HostCause, Result};
use crate::site::HostSpec;

/// This machine under a name of the inventory, as its user or, where that is not root and root is wanted, by sudo.
///
/// # Errors
/// When the engine's client cannot be made.
pub fn connect(spec: &HostSpec, observe: Option<Observe>) -> Result<Arc<dyn Machine>> {
    let root = std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
    let root = if spec.become_root && !root { Root::Sudo(spec.become_password.clone()) } else { Root::Login };
    Ok(Arc::new(Connected::new(&spec.name, Arc::new(Here::of(root)), &spec.engine_socket, observe)?))
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
    http::send(&Here::of(Root::Login), ask, within).await
}

struct Here {
    root: Root,
    /// The password for sudo was tried.
    tried: OnceCell<()>,
    requests: AtomicU64,
}

impl Here {
    fn of(root: Root) -> Self {
        Self { root, tried: OnceCell::new(), requests: AtomicU64::new(0) }
    }

    async fn try_root(&self) -> Result<(), HostCause> {
        let trial = async {
            let Some(trial) = self.root.trial() else { return Ok(()) };
            let output = local(trial).output().await.map_err(|error| HostCause::Answer(error.to_string()))?;
            wire::started(&self.root, output).map(drop)
        };
        self.tried.get_or_try_init(|| trial).await.copied()
    }
}

fn local(command: Command) -> Local {
    Local::new(["/bin/sh", "-c", &command.line]).stdin(command.stdin).apart(command.root)
}

#[async_trait]
impl Wire for Here {
    async fn exec(&self, command: Command) -> Result<Reply, HostCause> {
        self.try_root().await?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let sent = Instant::now();
        let stays_after = command.stays_after;
        let local = local(command);
        let failed = |error: crate::error::Error| HostCause::Answer(error.to_string());
        let (output, lease) = match stays_after {
            None => (local.output().await.map_err(failed)?, None),
            Some(end) => local.standing(end).await.map_err(failed)?,
        };
        Ok(Reply { output, sent, first: sent, lease })
    }

    async fn open_socket(&self, path: &str) -> Result<Stream, OpenFailure> {
        UnixStream::connect(path).await.map(|stream| Box::new(stream) as Stream).map_err(|error| failure(&error))
    }

    async fn open_command(&self, line: &str, input: &[u8]) -> Result<Stream, OpenFailure> {
        self.try_root().await.map_err(OpenFailure::Session)?;
        let mut stream = Local::new(["/bin/sh", "-c", line]).stream().map_err(|error| failure(&error))?;
        stream.write_all(input).await.map_err(|error| failure(&error))?;
        Ok(Box::new(stream))
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

    fn root(&self) -> &Root {
        &self.root
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
