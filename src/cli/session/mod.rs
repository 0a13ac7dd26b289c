//! What commands need of the layers below: each function here is one act of a command, and the only place of
//! `cli` that knows site, roles, plans and hosts. Commands only ask and print.

mod agree;
mod ask;
mod cloud;
mod config;
mod facts;
mod lint;
mod load;
mod local;
mod passwords;
mod phase;
mod prompt;
mod quickstart;
mod saved;
mod status;
mod vault;

use std::path::PathBuf;

use serde::Serialize;

use crate::error::{Error, InputError, Place};
use crate::plan::{Fault, UnusedVariable};

pub use ask::{exec, graph, inventory, listing, logs, validate, vars};
pub use cloud::{init_runonce, post_deploy};
pub use config::config;
pub use lint::lint;
pub use load::roles;
pub use local::{build, lab, registry};
pub use passwords::{genpwd, mergepwd, passwords};
pub use phase::phase;
pub use quickstart::quickstart;
pub use saved::saved_plan;
pub use status::status;
pub use vault::Vault;

pub use crate::site::{MergeFiles, Merged};

/// What [`validate()`] and [`lint()`] looked at.
#[derive(Debug, Clone, Default)]
pub struct Validated {
    /// Hosts of the inventory.
    pub hosts: usize,
    /// Enabled roles.
    pub roles: Vec<String>,
    /// Variables that are set and that nothing reads.
    pub variables: Vec<UnusedVariableRow>,
    /// What deserves a word but is no error.
    pub warnings: Vec<InputError>,
    /// What keeps it from being deployed.
    pub problem: Option<Error>,
}

/// A variable that is set and that nothing reads.
#[derive(Debug, Clone, Default, Serialize)]
pub struct UnusedVariableRow {
    /// Its name.
    pub name: String,
    /// `unknown`, `renamed`, `unsupported`, `off` (it says no to what is not there) or `unread`.
    pub state: &'static str,
    /// Where it is first set, as `/etc/kolla/globals.yml:12`.
    pub place: String,
    /// In how many more places it is set.
    pub more: usize,
    /// What Kolla-Ansible has it for, as `cinder`.
    pub topic: Option<&'static str>,
    /// The name that is meant, or that it has now.
    pub instead: Option<String>,
}

impl UnusedVariableRow {
    fn of(variable: &UnusedVariable) -> Self {
        let (topic, instead) = match &variable.fault {
            Fault::Unknown { near, .. } => (None, Some(near.clone())),
            Fault::Renamed { to, .. } => (None, Some(to.clone())),
            Fault::Unsupported { topic, .. } => (Some(*topic), None),
            Fault::Unread => (None, None),
        };
        let place = Place { column: 0, ..variable.place.clone() }.to_string();
        let state = variable.fault.kind();
        Self { name: variable.name.clone(), state, place, more: variable.more, topic, instead }
    }
}

/// A host of the inventory.
#[derive(Debug, Clone, Default, Serialize)]
pub struct HostRow {
    /// Its name.
    pub name: String,
    /// Where it is reached, as `root@10.0.0.11:22`, or `local`.
    pub address: String,
    /// Groups that it is in.
    pub groups: Vec<String>,
}

/// A variable of a host.
#[derive(Debug, Clone, Default, Serialize)]
pub struct VariableRow {
    /// Its name.
    pub name: String,
    /// Its value, secrets hidden.
    pub value: serde_json::Value,
    /// Where the value comes from, as `/etc/kolla/globals.yml:12`.
    pub from: String,
    /// Why it has no value.
    pub error: Option<String>,
}

/// What is to be said of a secret.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PasswordRow {
    /// Its name.
    pub name: String,
    /// `empty`, `missing`, `weak`, `unknown` or `unused`.
    pub state: &'static str,
    /// Why, or who reads it.
    pub about: String,
    /// Where it stands, as `/etc/kolla/passwords.yml:12`; empty where it is missing.
    pub place: String,
    /// Something enabled needs it, and it has no value.
    pub needed: bool,
}

/// A service on a host.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StatusRow {
    /// The host.
    pub host: String,
    /// The role.
    pub role: String,
    /// The service, as `glance-api`.
    pub service: String,
    /// `running`, `unhealthy`, `stopped`, `missing`, `foreign`, or `unreachable`.
    pub state: String,
    /// The engine's words on its age and health, as `Up 3 hours (healthy)`, or what is wrong.
    pub about: String,
    /// The image it is to be made of.
    pub image: String,
    /// In what it differs from what would be deployed.
    pub differs: Vec<String>,
}

/// A part of the cloud beyond containers: a member of a cluster, an address, an agent.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PartRow {
    /// The role.
    pub role: String,
    /// What it is, as `cluster` or `network agent neutron-l3-agent`.
    pub part: String,
    /// Its host; empty where it is of none.
    pub host: String,
    /// What is said of it.
    pub answer: String,
    /// That is as it should be.
    pub well: bool,
}

/// A cloud as it is.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Status {
    /// Services on hosts.
    pub services: Vec<StatusRow>,
    /// What the cloud says of its parts.
    pub parts: Vec<PartRow>,
}

/// What to build.
#[derive(Debug, Clone, Default)]
pub struct BuildRequest {
    /// Image names; empty for those the enabled services need.
    pub images: Vec<String>,
    /// Where the guest's disk goes.
    pub to: Option<PathBuf>,
    /// Push them.
    pub push: bool,
    /// Where to push, as `127.0.0.1:4000`.
    pub registry: Option<String>,
    /// Their tag.
    pub tag: Option<String>,
    /// Where Debian packages come from.
    pub mirror: Option<String>,
    /// Build what is there already.
    pub again: bool,
    /// Images built at once.
    pub jobs: Option<u16>,
}

/// What to do with the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryAct {
    /// Start it.
    Up,
    /// Stop it; `true` also removes its images.
    Down(bool),
    /// Tell whether it runs and what it holds.
    Status,
}

/// What to do with the lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabAct {
    /// Raise it.
    Up {
        /// So many controllers.
        hosts: u16,
        /// So many more that only compute.
        computes: u16,
        /// For the infrastructure without OpenStack.
        infra_only: bool,
    },
    /// Cut a host's power, or give it back.
    Power(String, bool),
    /// Remove it.
    Down,
    /// Tell about its hosts.
    Status,
    /// A shell or a command on a host.
    Ssh(String, Vec<String>),
}
