//! A running cloud as its administrator sees it: logged in through a host, so that this machine needs no way to the
//! cloud's addresses. Knows nothing of sites, roles and plans.

pub mod access;
pub mod demo;
mod object;
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

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

/// A part of the cloud that says of itself whether it is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceRow {
    /// What it is, as `network agent`.
    pub kind: String,
    /// Its host, by the cloud's name for it.
    pub host: String,
    /// Its name, as `nova-compute`.
    pub name: String,
    /// It answers.
    pub up: bool,
}

/// Where services list their parts: type, path, kind, and the keys of host, name and state.
const PARTS: [(&str, &str, &str, [&str; 3]); 3] = [
    ("compute", "/os-services", "compute service", ["host", "binary", "state"]),
    ("compute", "/os-hypervisors/detail", "hypervisor", ["hypervisor_hostname", "hypervisor_type", "state"]),
    ("network", "/v2.0/agents", "network agent", ["host", "binary", "alive"]),
];

/// The parts of Nova and Neutron with their states, as these two have them. Asked once, without patience: a cloud that
/// does not answer is an answer too.
///
/// # Errors
/// When Keystone, Nova or Neutron does not answer, or is not there.
pub async fn services(identity: &Identity, machine: Arc<dyn Machine>) -> Result<Vec<ServiceRow>> {
    let host = Remote::new(machine);
    let session = identity.log_in_at_once(&host).await?;
    let mut rows = Vec::new();
    for (service, path, kind, keys) in PARTS {
        for part in session.api(service)?.find(&host, path).await? {
            let [host, name, _] = keys.map(|key| part[key].as_str().unwrap_or_default().to_owned());
            let up = [json!("up"), json!(true)].contains(&part[keys[2]]);
            rows.push(ServiceRow { kind: kind.into(), host, name, up });
        }
    }
    Ok(rows)
}
