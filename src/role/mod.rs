//! Roles as data: `role.yml` and its templates, parsed and checked, resolved for nobody yet.
//!
//! A role says what its services are; how things are pulled, written, replaced or stopped is the engine's.
//! Nothing here knows of hosts that answer. Values stay raw until a plan renders them for a host.

mod alias;
mod all;
mod file;
mod image_name;
mod keys;
mod parse;
mod parser;
mod rule;
pub mod schema;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use regex::Regex;

pub use alias::{Alias, COMMANDS};
pub use all::Roles;
pub(crate) use file::many;
pub use file::{FileSpec, Merge, Source};
pub use image_name::Part;
pub use rule::{ENABLE, Rule};

use crate::error::Place;
use crate::op::check;
use crate::op::word::{self, Word};
use crate::source::{Data, Document, Node};

/// A role as its file says it.
#[derive(Debug, Clone)]
pub struct Role {
    /// The folder's name.
    pub name: String,
    /// One sentence.
    pub about: String,
    /// The file, for places of errors.
    pub document: Arc<Document>,
    /// Whether it is wanted; always, where it is absent.
    pub enabled: Option<Node>,
    /// Roles that must be ready before this one's steps and containers.
    pub needs: Vec<String>,
    /// Roles that must be ready before them, too, where they are enabled.
    pub after: Vec<String>,
    /// Secrets that a deployment cannot change, beside those of which steps and files say so.
    pub fixed: Vec<String>,
    /// The variable that says where its like is when it is switched off: where an operator sets it, nobody needs this role.
    pub elsewhere: Option<String>,
    /// What its variables may hold, by their names.
    pub values: BTreeMap<String, Rule>,
    /// What must hold between variables.
    pub asserts: Vec<Assert>,
    /// Numbers that stay with hosts, by the variables that have them.
    pub numbers: BTreeMap<String, Number>,
    /// Its services by name.
    pub services: IndexMap<String, Service>,
    /// What `bootstrap-servers` prepares on hosts.
    pub host: Vec<HostItem>,
    /// What is done once a deployment.
    pub steps: Vec<Step>,
    /// What its services can be asked to do, by name.
    pub actions: IndexMap<String, Action>,
    /// Says who uses its services, before they are taken away.
    pub in_use: Option<Program>,
    /// What must hold before anything is deployed.
    pub checks: Vec<Check>,
    /// What `kolla status` tells beyond containers.
    pub status: Vec<StatusItem>,
    /// Its templates, and those of all roles that it has none of its own of.
    pub templates: Templates,
}

/// What must hold between variables, as a host has them.
#[derive(Debug, Clone)]
pub struct Assert {
    /// What is true then.
    pub that: Node,
    /// Variables that it is of: where it does not hold, the error is at the first one that an operator sets.
    pub variables: Vec<String>,
    /// What is wrong then, after the name of that variable.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// It is worth a word, and no error.
    pub warns: bool,
}

/// Templates by file name: their path for messages, and their text.
pub type Templates = BTreeMap<String, (PathBuf, Arc<str>)>;

/// Files of a role: their path, as messages show it, and their text. One is named role.yml; the others are templates.
pub type Files = BTreeMap<PathBuf, Arc<str>>;

impl Role {
    /// All files that it makes, in containers and on hosts.
    pub fn files(&self) -> impl Iterator<Item = &FileSpec> {
        let of_services = self.services.values().flat_map(|service| &service.files);
        of_services.chain(self.host.iter().flat_map(|item| &item.files))
    }

    fn files_mut(&mut self) -> impl Iterator<Item = &mut FileSpec> {
        let of_services = self.services.values_mut().flat_map(|service| &mut service.files);
        of_services.chain(self.host.iter_mut().flat_map(|item| &mut item.files))
    }

    /// Roles before this one, of those that are enabled.
    pub fn before(&self) -> impl Iterator<Item = &String> {
        self.needs.iter().chain(&self.after)
    }

    /// Where the role says that another one is before it.
    pub fn needs_place(&self, need: &str) -> Place {
        let named = |key: &str| match &self.document.root.data {
            Data::Map(map) => match &map.get(key)?.value.data {
                Data::Seq(items) => items.iter().find(|item| item.as_str() == Some(need)),
                _ => None,
            },
            _ => None,
        };
        let node = named("needs").or_else(|| named("after"));
        self.document.place(node.unwrap_or(&self.document.root))
    }
}

/// A number that stays with a host.
#[derive(Debug, Clone)]
pub struct Number {
    /// Hosts that have one.
    pub group: String,
    /// The lowest.
    pub from: u32,
}

/// A service: one container on each host of a group.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its name, as `glance-api`.
    pub name: String,
    /// Where its description stands.
    pub node: Node,
    /// Inventory group of its hosts.
    pub group: String,
    /// Further condition for a host.
    pub when: Option<Node>,
    /// What it has a container for on each of its hosts; one is all where it is absent.
    pub each: Option<Node>,
    /// Container name, as `glance_api`.
    pub container: String,
    /// Image name without registry and tag; the service's where it is absent.
    pub image: Option<Node>,
    /// Command of config.json.
    pub command: Option<Node>,
    /// Hosts at a time when it is replaced; 0 is all.
    pub rolling: u32,
    /// True, or a question that holds, on a host that is to be replaced after all others.
    pub last: Option<Node>,
    /// The cluster its containers form: its members are then created one after the other.
    pub cluster: Option<Node>,
    /// Its files.
    pub files: Vec<FileSpec>,
    /// Ownership to set in the container at each start.
    pub permissions: Vec<Permission>,
    /// Volumes and binds.
    pub volumes: Vec<Node>,
    /// Environment.
    pub env: Vec<(String, Node)>,
    /// Ready when this holds; running is enough where it is absent.
    pub ready: Option<Node>,
    /// Must hold before a running container is replaced.
    pub before_replace: Option<Node>,
    /// Words of a command that runs in a container, as root, before it is removed for good: it ends what outlives one.
    pub before_remove: Vec<String>,
    /// What makes the running process take changed files over, instead of a new container: a signal, or the words of
    /// a command in it that ends once they are in use.
    pub reload: Vec<String>,
    /// Words of a program of the image that checks new files before they are used.
    pub validate: Vec<String>,
    /// What the load balancer offers of it.
    pub proxy: Option<Node>,
    /// The service whose members the load balancer sends to only while this one says so.
    pub balances: Option<String>,
    /// Its containers come after the role's `when: ready` steps, which make what it needs.
    pub after_steps: bool,
    /// It is the load balancer: how it is asked and told of its members.
    pub balancer: Option<Balancer>,
    /// What it offers to steps of other roles, by its keys.
    pub offers: BTreeMap<&'static str, Node>,
    /// Limits and modes, as the container engine knows them.
    pub limits: Limits,
}

/// Programs in a load balancer's container.
#[derive(Debug, Clone)]
pub struct Balancer {
    /// Words of the one that prints a line `BACKEND,SERVER,SESSIONS,STATUS` for each member that it knows.
    pub ask: Vec<String>,
    /// Words of the one that takes the words BACKEND, SERVER and `drain` or `ready`; none where it cannot.
    pub tell: Vec<String>,
}

impl Service {
    /// The operator's variable for its containers, as `nova_compute_dimensions`.
    pub fn variable(&self, what: &str) -> String {
        format!("{}_{what}", self.container.replace('-', "_"))
    }
}

/// What the container engine is told beyond image, files and environment.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// All capabilities and devices.
    pub privileged: bool,
    /// Further capabilities.
    pub cap_add: Vec<String>,
    /// Security options.
    pub security_opt: Vec<String>,
    /// `host`.
    pub pid: String,
    /// `host`.
    pub ipc: String,
    /// `host` or `private`.
    pub cgroupns: String,
    /// Folders in memory.
    pub tmpfs: Vec<String>,
    /// Devices of the host, as `PATH:PATH_IN_CONTAINER`.
    pub devices: Vec<Node>,
    /// User.
    pub user: String,
    /// Limits, by Kolla's names.
    pub dimensions: Option<Node>,
    /// Seconds until a stop becomes a kill.
    pub stop_timeout: u32,
    /// The engine's own health check.
    pub health: Option<Node>,
}

/// Ownership set at each start.
#[derive(Debug, Clone)]
pub struct Permission {
    /// Path in the container.
    pub path: String,
    /// `user:group`.
    pub owner: String,
    /// Everything below it, too.
    pub recurse: bool,
}

/// A piece of a host's preparation; it follows the one before it.
#[derive(Debug, Clone)]
pub struct HostItem {
    /// Where it stands.
    pub node: Node,
    /// Hosts it is for.
    pub group: String,
    /// Condition.
    pub when: Option<Node>,
    /// Hosts at a time; 0 is all.
    pub serial: u32,
    /// Its kind.
    pub word: &'static Word<word::Preparation>,
    /// What is written under it.
    pub written: Node,
    /// The files that it has.
    pub files: Vec<FileSpec>,
}

/// Something done once a deployment.
#[derive(Debug, Clone)]
pub struct Step {
    /// Where it stands.
    pub node: Node,
    /// Condition.
    pub when: Option<Node>,
    /// After the role's containers are ready, instead of before them.
    pub after_ready: bool,
    /// On which hosts of its service.
    pub on: On,
    /// Of the role's `needs`, those that it waits for beside what it speaks to by its kind.
    pub needs: Vec<String>,
    /// Its kind.
    pub word: &'static Word<word::Step>,
    /// What is written under it.
    pub written: Node,
}

impl Step {
    /// The service that it names.
    pub fn service(&self) -> Option<&str> {
        match &self.written.data {
            Data::Map(map) => map.get("service")?.value.as_str(),
            _ => None,
        }
    }
}

/// Something that a service can be asked to do.
#[derive(Debug, Clone)]
pub struct Action {
    /// Where it stands.
    pub node: Node,
    /// One sentence.
    pub about: String,
    /// The command that does it, too.
    pub alias: Option<Node>,
    /// In whose containers.
    pub service: String,
    /// On which hosts.
    pub on: On,
    /// What an operator gives by name, and what that must match.
    pub arguments: Vec<(String, Regex)>,
    /// Must hold before.
    pub guard: Option<Node>,
    /// What is done.
    pub does: Does,
    /// Holds once it is done.
    pub done: Option<Node>,
    /// The operator has to confirm that data are lost.
    pub loses_data: bool,
}

/// What an action does.
#[derive(Debug, Clone)]
pub enum Does {
    /// A program, by its words.
    Command(Node),
    /// It starts the cluster that the service forms, after all of its members went down.
    Recovers,
}

/// On which hosts of a group something is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum On {
    /// On the first that answers.
    #[default]
    First,
    /// On each, one after the other.
    Every,
    /// On the one that the operator names.
    Host,
}

impl On {
    /// Of a word; the first where there is none.
    pub fn of(word: Option<&str>) -> Self {
        match word {
            Some("every") => Self::Every,
            Some("host") => Self::Host,
            _ => Self::First,
        }
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Every => "every",
            Self::Host => "host",
        }
    }
}

/// Something that must hold before a deployment.
#[derive(Debug, Clone)]
pub struct Check {
    /// Where it stands.
    pub node: Node,
    /// Hosts it is for.
    pub group: Option<String>,
    /// Condition.
    pub when: Option<Node>,
    /// Its kind.
    pub word: &'static Word<check::Condition>,
    /// What is written under it.
    pub written: Node,
}

/// A program of a service, whose answer is the same wherever it is run.
#[derive(Debug, Clone)]
pub struct Program {
    /// Where it stands.
    pub node: Node,
    /// In whose containers.
    pub service: String,
    /// Words.
    pub command: Node,
}

/// Something that `kolla status` tells beyond containers.
#[derive(Debug, Clone)]
pub struct StatusItem {
    /// Where it stands.
    pub node: Node,
    /// What it is about, as `cluster`.
    pub about: Node,
    /// Condition.
    pub when: Option<Node>,
    /// How it is found out.
    pub kind: StatusKind,
}

/// Kinds of what `kolla status` finds out.
#[derive(Debug, Clone)]
pub enum StatusKind {
    /// What a program says in a service's containers, on each host.
    Exec {
        /// In which service.
        service: String,
        /// Words.
        command: Node,
        /// What the answer matches where all is well; anything where it is absent.
        expect: Option<Node>,
        /// The part of the answer that is the same on all hosts.
        same: Option<Box<Node>>,
        /// The number in the answer that grows alike on all hosts.
        reaches: Option<Box<Node>>,
    },
    /// Rows of a table.
    Table(Program),
    /// An address that one host holds, and no other.
    Address(Node),
    /// Parts that an API of OpenStack lists.
    Api(Node),
}
