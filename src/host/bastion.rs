//! Jump hosts: one session each, through which all hosts behind it are reached.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::login::Login;
use super::session::Session;
use crate::error::HostCause;
use crate::shell::Secret;
use crate::site::HostSpec;

/// Sessions to jump hosts. Clones share them.
#[derive(Clone, Default)]
pub struct Bastions(Arc<Mutex<HashMap<Who, Cell>>>);

/// Who logs in where: the login as it is written, with which keys and with which password.
type Who = (String, Vec<PathBuf>, Option<Secret>);
/// The session that was made last, or why none was; held while one is made.
type Cell = Arc<tokio::sync::Mutex<Option<Result<Arc<Session>, HostCause>>>>;

impl Bastions {
    /// The session to a host's jump host, if it has one. Made by whoever needs it first, and anew where it was lost; a
    /// jump host that could not be reached is not tried for each of the hosts behind it.
    pub(super) async fn session(&self, spec: &HostSpec, login: &Login) -> Result<Option<Arc<Session>>, HostCause> {
        let Some(jump) = spec.jump.as_deref() else { return Ok(None) };
        let who = (
            format!("{}@{jump}", jump.user),
            jump.key_files.clone(),
            jump.password.as_ref().map(|password| password.secret.clone()),
        );
        let cell = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(who).or_default().clone();
        let mut made = cell.lock().await;
        if let Some(Ok(session)) = &*made
            && session.lost()
        {
            *made = None;
        }
        if made.is_none() {
            let further = Box::pin(self.session(jump, login)).await?;
            let opened = Session::open(jump, login, further).await;
            let opened = opened.map_err(|cause| HostCause::Jump { address: jump.to_string(), cause: Box::new(cause) });
            *made = Some(opened.map(Arc::new));
        }
        made.clone().transpose()
    }
}
