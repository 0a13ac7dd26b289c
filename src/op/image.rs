//! An image on a host, known by the digest its reference has in the registry now, not by its tag.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::names::IMAGE_LABEL;
use super::{Attribute, Attributes, Diff, InRegistry, Operation, ProgressSink, View};
use crate::error::{Error, HostCause, Result};
use crate::host::{Remote, repository};

/// Tries of a pull that fails in a way that may pass.
const TRIES: u32 = 4;
/// Between two of them.
const PAUSE: Duration = Duration::from_secs(2);

/// An image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// Registry, name and tag.
    pub reference: String,
}

impl Image {
    /// `name@sha256:...`, by which the image is used once it is there.
    pub fn pinned(reference: &str, digest: &str) -> String {
        format!("{}@{digest}", repository(reference))
    }
}

/// It may go better next time: the stream was cut, or a server was at its limits.
fn passing(error: &Error) -> bool {
    match error {
        Error::Host(host) => match &host.cause {
            HostCause::Engine { status, .. } => *status == 429 || *status >= 500,
            HostCause::Answer(_) | HostCause::TimedOut(_) => true,
            _ => false,
        },
        _ => false,
    }
}

#[async_trait]
impl Operation for Image {
    fn subject(&self) -> String {
        format!("image {}", self.reference)
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        let known = at.shared.in_registry(&self.reference, at.host()).await;
        // A registry that is away must not stop what does not need it.
        if matches!(known, InRegistry::Unknown(_)) && at.host().image(&self.reference).await?.is_some() {
            return Ok(Diff::Same("present; its registry cannot be asked".into()));
        }
        let digest = known.digest()?;
        let in_use = at
            .me
            .look(|look| look.containers.values().any(|container| container.labels.get(IMAGE_LABEL) == Some(&digest)));
        if in_use {
            return Ok(Diff::Same("in use".into()));
        }
        Ok(match at.host().image(&Self::pinned(&self.reference, &digest)).await? {
            Some(_) => Diff::Same("present".into()),
            None => Diff::Create(vec![digest]),
        })
    }

    async fn attributes(&self, diff: &Diff, at: &View) -> Result<Attributes> {
        let digest = at.image_digest(&self.reference).await;
        let digest = if diff.differs() { digest? } else { digest.ok().flatten() }.unwrap_or_default();
        let before = if diff.differs() { String::new() } else { digest.clone() };
        Ok(Attributes::from([("digest".to_owned(), Attribute::new(before, digest))]))
    }

    async fn apply(&self, _diff: &Diff, at: &View, host: &Remote, sink: &ProgressSink) -> Result<()> {
        let login = at.shared.login.as_ref();
        let mut tries = TRIES;
        loop {
            tries -= 1;
            match host.act().pull(&self.reference, login, &|done, total| sink.progress(done, total)).await {
                Ok(()) => break,
                // A registry under load cuts streams and answers 5xx; the engine keeps the layers it has.
                Err(error) if tries > 0 && passing(&error) => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(error),
            }
        }
        if let Ok(digest) = at.shared.in_registry(&self.reference, at.host()).await.digest()
            && at.host().image(&Self::pinned(&self.reference, &digest)).await?.is_none()
        {
            return Err(Error::operation(format!("`{}` was pushed anew while it was pulled", self.reference))
                .with_hint("run the same command again"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_tag() {
        assert_eq!(Image::pinned("10.0.0.1:4000/kolla/base:1", "sha256:a"), "10.0.0.1:4000/kolla/base@sha256:a");
        assert_eq!(Image::pinned("10.0.0.1:4000/base", "sha256:a"), "10.0.0.1:4000/base@sha256:a");
    }
}
