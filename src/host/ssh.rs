//! Machines over SSH: who they are, how they are connected to, and what becomes of a lost session.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::bastion::Bastions;
use super::connected::Connected;
use super::docker::Access;
use super::session::{NoSession, Session};
use super::wire::{Command, OpenFailure, Reply, Stream, Wire};
use super::{Machine, Observe, limit};
use crate::error::{Error, HostCause, HostError, Result};

/// Where the engine listens unless it is told otherwise.
pub const ENGINE_SOCKET: &str = "/var/run/docker.sock";

/// A host to connect to.
#[derive(Debug, Clone)]
pub struct Target {
    /// Name in the inventory.
    pub name: String,
    /// Name or address to connect to; also what its key is recorded by.
    pub address: String,
    /// Port of sshd.
    pub port: u16,
    /// Login user.
    pub user: String,
    /// Act as root by `sudo -n`, where the login user is not root.
    pub become_root: bool,
    /// Private keys to try, in this order; those that are missing or encrypted are passed over.
    pub key_files: Vec<PathBuf>,
    /// Files that record host keys; new ones are written to the first.
    pub known_hosts: Vec<PathBuf>,
    /// Record the key of a host that is not known. A changed key is refused all the same.
    pub accept_new_host_keys: bool,
    /// The host to go through.
    pub jump: Option<Box<Target>>,
    /// Socket of an SSH agent; its keys are tried last.
    pub agent_socket: Option<PathBuf>,
    /// Socket of the container engine on the host.
    pub engine_socket: String,
    /// How long connecting and logging in may take.
    pub connect_timeout: Duration,
}

impl Target {
    /// A host with its defaults: port 22, root, no key.
    pub fn new(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            address: address.into(),
            port: 22,
            user: "root".into(),
            become_root: false,
            key_files: Vec::new(),
            known_hosts: Vec::new(),
            accept_new_host_keys: false,
            jump: None,
            agent_socket: None,
            engine_socket: ENGINE_SOCKET.into(),
            connect_timeout: limit::LOGIN,
        }
    }

    /// Root is reached by `sudo`.
    pub(super) fn sudo(&self) -> bool {
        self.become_root && self.user != "root"
    }

    fn error(&self, cause: HostCause) -> Error {
        Error::Host(Box::new(HostError {
            host: self.name.clone(),
            address: Some(self.to_string()),
            act: "connect".into(),
            cause,
            hint: None,
        }))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.address.contains(':') {
            write!(f, "[{}]:{}", self.address, self.port)
        } else {
            write!(f, "{}:{}", self.address, self.port)
        }
    }
}

/// Connects to one host and logs in, through its jump host where it has one.
///
/// # Errors
/// When it cannot be reached, its key is not the recorded one, or no key of ours is accepted.
pub async fn connect(target: &Target, bastions: &Bastions, observe: Option<Observe>) -> Result<Arc<dyn Machine>> {
    let bastion = bastions.session(target).await.map_err(|cause| target.error(cause))?;
    let session = open(target, bastion).await.map_err(|cause| target.error(cause))?;
    let wire = Arc::new(Ssh {
        target: target.clone(),
        bastions: bastions.clone(),
        session: Mutex::new(Some(Arc::new(session))),
        dead: tokio::sync::Mutex::default(),
        requests: AtomicU64::new(0),
    });
    // sshd opens sockets as the login user, who may not use the engine's.
    let engine = Access::of_root(target.sudo(), &target.engine_socket);
    Ok(Arc::new(Connected::new(&target.name, wire, engine, observe)?))
}

/// One session, with more tries where the server drops connections that come too fast.
pub(super) async fn open(target: &Target, bastion: Option<Arc<Session>>) -> Result<Session, HostCause> {
    const TRIES: u32 = 8;
    let mut tries = 1;
    loop {
        match Session::open(target, bastion.clone()).await {
            Ok(session) => return Ok(session),
            Err(NoSession { dropped: true, .. }) if tries < TRIES => {
                // Hosts that were dropped together must not come back together.
                let longest = 3000.min(100 << tries);
                tokio::time::sleep(Duration::from_millis(rand::random_range(50..=longest))).await;
                tries += 1;
            }
            Err(NoSession { cause, .. }) => return Err(cause),
        }
    }
}

/// A host over SSH, with whatever session it has now: none while it rests.
struct Ssh {
    target: Target,
    bastions: Bastions,
    session: Mutex<Option<Arc<Session>>>,
    /// Held while it is made anew. Why that could not be: nothing is tried any more.
    dead: tokio::sync::Mutex<Option<HostCause>>,
    requests: AtomicU64,
}

impl Ssh {
    /// A session that lives. One that has ended is made anew, once: before a request is sent that is always safe,
    /// also for one that writes.
    async fn session(&self) -> Result<Arc<Session>, HostCause> {
        let mut dead = self.dead.lock().await;
        if let Some(cause) = &*dead {
            return Err(cause.clone());
        }
        if let Some(now) = self.now().filter(|now| !now.lost()) {
            return Ok(now);
        }
        match self.renew().await {
            Ok(session) => {
                *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.clone());
                Ok(session)
            }
            Err(cause) => {
                *dead = Some(cause.clone());
                Err(cause)
            }
        }
    }

    fn now(&self) -> Option<Arc<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn renew(&self) -> Result<Arc<Session>, HostCause> {
        let bastion = self.bastions.session(&self.target).await?;
        open(&self.target, bastion).await.map(Arc::new)
    }
}

#[async_trait]
impl Wire for Ssh {
    async fn exec(&self, command: Command) -> Result<Reply, HostCause> {
        let session = self.session().await?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        session.exec(command).await
    }

    async fn open_socket(&self, path: &str) -> Result<Stream, OpenFailure> {
        self.session().await.map_err(OpenFailure::Session)?.open_socket(path).await
    }

    async fn open_command(&self, line: &str) -> Result<Stream, OpenFailure> {
        self.session().await.map_err(OpenFailure::Session)?.open_command(line).await
    }

    async fn open_tcp(&self, address: &str, port: u16) -> Result<Stream, OpenFailure> {
        let session = self.session().await.map_err(OpenFailure::Session)?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        session.open_tcp(address, port).await
    }

    fn lost(&self) -> Option<HostCause> {
        self.now().filter(|now| now.lost()).map(|now| now.loss())
    }

    fn sudo(&self) -> bool {
        self.target.sudo()
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    async fn rest(&self) {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(session) = session {
            session.end().await;
        }
    }
}
