//! A running cloud as its administrator sees it: logged in through a host, so that this machine needs no way to the
//! cloud's addresses. Knows nothing of inventories, roles and plans.

pub mod access;
pub mod demo;
mod object;
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::Value;

pub use demo::Demo;
pub use object::Ids;
pub use server::Server;

use crate::error::Result;
use crate::host::{Machine, Observer, Remote};
use crate::op::api::{Identity, Session};

/// A cloud that one is logged in to.
pub struct Cloud {
    session: Session,
    reads: Observer,
    /// Nothing in a dry run: then there is no way to send a change.
    acts: Option<Remote>,
}

impl Cloud {
    /// Logs in through a host.
    ///
    /// # Errors
    /// When Keystone does not answer within a minute, or refuses.
    pub async fn log_in(identity: &Identity, machine: Arc<dyn Machine>, check: bool) -> Result<Self> {
        let host = Remote::new(machine);
        let session = identity.log_in(&host).await?;
        Ok(Self { session, reads: host.observer().clone(), acts: (!check).then_some(host) })
    }

    /// What a service has under a path.
    async fn find(&self, service: &str, path: &str) -> Result<Vec<Value>> {
        self.session.api(service)?.find(&self.reads, path).await
    }
}
