//! What a host says of secrets that no deployment can change: a link a service and secret, whose target is the secret's
//! digest and since when that holds. One look brings both, no file has to be read for it.
//!
//! A link is made once the service is ready with the secret, and goes with the service's files. Its digest is not keyed:
//! the file that it is of lies beside it, and who may read the one may read the other.

use std::fmt::Write as _;

use super::file::{digest_of, run};
use super::names::{self, APPLIED};
use crate::error::Result;
use crate::host::{FileState, Look, Remote};
use crate::op::Peer;
use crate::shell::quote;

/// A secret that a service on a host has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// The service.
    pub service: String,
    /// The variable.
    pub variable: String,
    /// Of its value.
    pub digest: String,
}

impl Held {
    /// One with its value.
    pub fn new(service: &str, variable: &str, value: &str) -> Self {
        let mut digest = digest_of(format!("{variable}\0{value}").as_bytes());
        digest.truncate(32);
        Self { service: service.to_owned(), variable: variable.to_owned(), digest }
    }

    fn path(&self) -> String {
        format!("{}{}", names::secrets(&self.service), self.variable)
    }

    /// A host's own link says the same.
    pub fn noted(&self, look: &Look) -> bool {
        let link = look.files.get(&self.path()).and_then(|file| file.link.as_deref());
        link.and_then(|link| link.split(' ').next()) == Some(&*self.digest)
    }
}

/// What the links of a host say, each with since when.
pub fn noted(look: &Look) -> impl Iterator<Item = (Held, &str)> {
    look.files.iter().filter_map(|(path, state)| {
        let (service, variable) = path.strip_prefix(APPLIED)?.strip_prefix("/secrets/")?.split_once('.')?;
        let (digest, since) = state.link.as_deref()?.split_once(' ')?;
        let held = Held { service: service.into(), variable: variable.into(), digest: digest.into() };
        Some((held, since))
    })
}

/// Makes the links of a host that say something else or are missing.
///
/// # Errors
/// When the host cannot be written to.
pub async fn note(host: &Remote, me: &Peer, held: &[Held], since: &str) -> Result<()> {
    let mut script = format!("mkdir -p {APPLIED}/secrets && chmod 0770 {APPLIED}/secrets");
    for held in held {
        let to = format!("{} {since}", held.digest);
        // A link beside it, renamed over: there is no moment without one.
        let path = quote(&held.path());
        let _ = write!(script, " && ln -sfn {} {path}.new && mv -Tf {path}.new {path}", quote(&to));
        me.note_file(&held.path(), Some(FileState { link: Some(to), ..FileState::default() }));
    }
    run(host, &script).await.map(drop)
}
