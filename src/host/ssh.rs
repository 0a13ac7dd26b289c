//! Machines over SSH: how they are connected to, and what becomes of a lost session.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::bastion::Bastions;
use super::connected::Connected;
use super::login::Login;
use super::session::Session;
use super::wire::{Command, OpenFailure, Reply, Root, Stream, Wire};
use super::{Machine, Observe};
use crate::error::{Error, HostCause, HostError, Result};
use crate::site::HostSpec;

/// Connects to one host and logs in, through its jump host where it has one.
///
/// # Errors
/// When it cannot be reached, its key is not the recorded one, or no key or password of ours is accepted.
pub async fn connect(
    spec: &HostSpec,
    login: &Login,
    bastions: &Bastions,
    observe: Option<Observe>,
) -> Result<Arc<dyn Machine>> {
    let bastion = bastions.session(spec, login).await.map_err(|cause| failed(spec, cause))?;
    let session = Session::open(spec, login, bastion).await.map_err(|cause| failed(spec, cause))?;
    let wire = Arc::new(Ssh {
        root: Root::of(spec),
        spec: spec.clone(),
        login: login.clone(),
        bastions: bastions.clone(),
        session: Mutex::new(Some(Arc::new(session))),
        dead: tokio::sync::Mutex::default(),
        requests: AtomicU64::new(0),
    });
    Ok(Arc::new(Connected::new(&spec.name, wire, &spec.engine_socket, observe)?))
}

fn failed(spec: &HostSpec, cause: HostCause) -> Error {
    Error::Host(Box::new(HostError {
        host: spec.name.clone(),
        address: Some(spec.to_string()),
        act: "connect".into(),
        cause,
        hint: None,
        others: Vec::new(),
    }))
}

/// A host over SSH, with whatever session it has now: none while it rests.
struct Ssh {
    root: Root,
    spec: HostSpec,
    login: Login,
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
        let bastion = self.bastions.session(&self.spec, &self.login).await?;
        Session::open(&self.spec, &self.login, bastion).await.map(Arc::new)
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

    async fn open_command(&self, line: &str, input: &[u8]) -> Result<Stream, OpenFailure> {
        self.session().await.map_err(OpenFailure::Session)?.open_command(line, input).await
    }

    async fn open_tcp(&self, address: &str, port: u16) -> Result<Stream, OpenFailure> {
        let session = self.session().await.map_err(OpenFailure::Session)?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        session.open_tcp(address, port).await
    }

    fn lost(&self) -> Option<HostCause> {
        self.now().filter(|now| now.lost()).map(|now| now.loss())
    }

    fn root(&self) -> &Root {
        &self.root
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
