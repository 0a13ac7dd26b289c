//! From a loaded site to its hosts: what is asked of them, and what a run knows once they have answered.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::{App, Loaded};
use crate::cloud::access::HOLDERS;
use crate::error::Result;
use crate::host::{LeaseNote, Login, LookRequest, Observe, Observer, RegistryLogin};
use crate::op::word::HostContext;
use crate::op::{Peer, PlainRegistry, Shared};
use crate::report::time::rfc3339;
use crate::role::FileSpec;
use crate::run::connect::{ConnectOptions, Connected};
use crate::run::{LeaseWish, RunContext};
use crate::shell::Secret;
use crate::template::{Scope, Scopes, Values, truth};

/// Hosts that are tried, where no group says who reaches the cloud.
const TRIED: usize = 3;

impl Loaded {
    /// Hosts that reach the cloud's internal address: those that hold it, else any.
    pub(super) fn near(&self, app: &App) -> Result<Vec<String>> {
        let limit = self.limit(app)?;
        let holders = self.site.group(HOLDERS);
        let near: Vec<String> = limit.iter().filter(|host| holders.contains(&host.as_str())).cloned().collect();
        Ok(if near.is_empty() { limit.into_iter().take(TRIED).collect() } else { near })
    }

    /// What the batched look at a host has to bring: the files that are ours and, for who prepares hosts, what roles
    /// prepare on them.
    pub(super) fn ask(&self, scopes: &Scopes, host: &str, prepares: bool) -> LookRequest {
        let scope = scopes.host(host);
        let path = |spec: &FileSpec| scope.render(Path::new("path"), &spec.to).unwrap_or_else(|_| spec.to.clone());
        let mut request = LookRequest { folders: vec!["/etc/kolla".into()], ..LookRequest::default() };
        for role in self.roles.0.values().filter(|_| prepares) {
            for item in &role.host {
                let used_by = format!("role {} on {host}", role.name);
                // What is wrong here is told when a plan is made of it.
                let mut errors = Vec::new();
                let mut values = Values { scope, document: &role.document, used_by, errors: &mut errors };
                let mut context = HostContext { values: &mut values, role: &role.name, files: Vec::new() };
                (item.word.means.look)(&item.written, &mut context, &mut request);
                request.files.extend(item.files.iter().map(path));
            }
        }
        request
    }
}

/// How hosts are connected.
pub(super) fn connect_options(app: &App, requests: Option<Observe>) -> ConnectOptions {
    let login = Login {
        accept_new_host_keys: app.options.accept_new_host_keys,
        agent_socket: app.control.agent_socket.clone(),
        ..Login::default()
    };
    ConnectOptions { login, observe: requests }
}

/// The lease of these hosts, with what other runs are told of this one while it has it.
pub(super) fn lease_wish(app: &App, hosts: Vec<String>) -> LeaseWish {
    let note = LeaseNote {
        user: app.control.user.clone(),
        machine: app.control.name.clone(),
        pid: std::process::id(),
        since: rfc3339(SystemTime::now()),
        command: app.command.clone(),
    };
    LeaseWish { hosts, note, without_majority: app.options.without_majority }
}

/// Variables that the run itself needs, from the first host's eyes.
pub(super) fn shared(app: &App, loaded: &Loaded, scope: &Scope) -> Result<Shared> {
    let text = |name: &str| -> Result<String> {
        Ok(scope.get(name).map(|value| if value.is_none() { String::new() } else { value.to_string() })?)
    };
    let user = text("docker_registry_username")?;
    let login = if user.is_empty() {
        None
    } else {
        let password = Secret::new(text("docker_registry_password")?);
        Some(RegistryLogin { user, password })
    };
    let mut shared = Shared::new(text("kolla_site_name")?, app.options.diff, app.options.adopt, login);
    shared.mask = loaded.mask().clone();
    let plain = scope.get("docker_registry_insecure").map(|value| truth(&value))?;
    let address = text("docker_registry")?;
    shared.plain = (plain && shared.login.is_none()).then(|| PlainRegistry::new(address));
    Ok(shared)
}

/// What the walk of a plan goes by.
pub(super) fn context(connected: Connected, mut shared: Shared) -> RunContext {
    let Connected { machines, mut looks, .. } = connected;
    shared.asks = machines.values().next().map(|machine| Observer::new(machine.clone()));
    let peers = machines
        .iter()
        .map(|(name, machine)| {
            let look = looks.remove(name).unwrap_or_default();
            (name.clone(), Peer::new(Observer::new(machine.clone()), look))
        })
        .collect();
    RunContext { machines: Arc::new(machines.into_iter().collect()), peers: Arc::new(peers), shared: Arc::new(shared) }
}
