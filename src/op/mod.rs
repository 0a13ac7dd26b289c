//! The closed vocabulary of idempotent operations: each file is data, `diff` and `apply`.
//!
//! The law of operations, kept by a table test: after `apply`, `diff` is [`Diff::Same`], but for [`Diff::Settle`], after
//! which it tells what is left to do; two `diff`s in a row change nothing; `attributes` differ where `diff` does; equal
//! operations have equal JSON. `diff` holds an [`Observer`](crate::host::Observer) only, so a dry run cannot write.

pub mod action;
pub mod api;
mod attribute;
pub mod catalog;
pub mod check;
pub mod cluster;
pub mod container;
pub mod database;
pub mod exec;
pub mod file;
pub mod file_set;
pub mod fixed;
mod foreign;
pub mod host_file;
mod hunks;
pub mod image;
pub mod message_queue;
pub mod names;
pub mod number;
pub mod packages;
pub mod probe;
mod receipt;
mod registry;
pub mod resources;
mod retry;
pub mod sql;
pub mod sysctl;
pub mod task;
pub mod unit;
pub mod unused_images;
mod view;
pub mod volume;
pub mod word;
pub mod words;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::host::Remote;

pub use attribute::{Attribute, Attributes};
pub use registry::PlainRegistry;
pub use view::{InRegistry, Peer, Progress, ProgressSink, Shared, View};

/// What differs between a host as it is and as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Diff {
    /// Nothing; why not.
    Same(String),
    /// It is not there.
    Create(Vec<String>),
    /// It can be changed in place.
    Update(Vec<String>),
    /// It has to go for a new one.
    Replace(Vec<String>),
    /// It is there and does not run.
    Start,
    /// It runs and should not.
    Stop,
    /// It is there and should not be.
    Remove,
    /// Something has to be run once more; why.
    Run(String),
    /// What is there has to be brought in order before it can be compared; why.
    Settle(String),
    /// It cannot be told here; why not.
    Skip(String),
}

impl Diff {
    /// There is something to do.
    pub fn differs(&self) -> bool {
        !matches!(self, Self::Same(_) | Self::Skip(_))
    }

    /// The same without lines that may be those of a file.
    #[must_use]
    pub fn without_details(self) -> Self {
        match self {
            Self::Create(_) => Self::Create(Vec::new()),
            Self::Update(_) => Self::Update(Vec::new()),
            other => other,
        }
    }
}

/// In a word, and why.
impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same(why) => write!(f, "nothing ({why})"),
            Self::Create(_) => write!(f, "create"),
            Self::Update(_) => write!(f, "update"),
            Self::Replace(parts) => write!(f, "replace ({})", parts.join(", ")),
            Self::Start => write!(f, "start"),
            Self::Stop => write!(f, "stop"),
            Self::Remove => write!(f, "remove"),
            Self::Run(why) => write!(f, "run ({why})"),
            Self::Settle(why) => write!(f, "settle ({why})"),
            Self::Skip(why) => write!(f, "skip ({why})"),
        }
    }
}

/// One idempotent operation on one host.
#[async_trait]
pub trait Operation: Send + Sync {
    /// `container glance_api`, as reports print it.
    fn subject(&self) -> String;
    /// What differs. Reads this host and, for clusters, its peers.
    async fn diff(&self, at: &View) -> Result<Diff>;
    /// What it compares, each as it is and as it is to be, for who has to know whether that moved; `diff` is what comes of
    /// it. Names, digests and states only. Where nothing is known of something yet, that is said, and is no difference.
    async fn attributes(&self, diff: &Diff, _at: &View) -> Result<Attributes> {
        Ok(attribute::named(diff))
    }
    /// Secrets by which others know what it makes.
    fn secrets(&self) -> Vec<&str> {
        Vec::new()
    }
    /// The database that it asks whatever it is about.
    fn database(&self) -> Option<&sql::Sql> {
        None
    }
    /// What it would take for its own though that is not of this site, as `container mariadb`: by the look alone, so that
    /// it can be told before anything is written.
    fn foreign(&self, _at: &View) -> Vec<String> {
        Vec::new()
    }
    /// When its turn is among members that must not be touched at once.
    async fn turn(&self, _at: &View) -> Turn {
        Turn::Any
    }
    /// Makes it so. Called with a diff that [`Diff::differs`].
    async fn apply(&self, diff: &Diff, at: &View, host: &Remote, sink: &ProgressSink) -> Result<()>;
}

/// When one of several members that must not be touched at once is to be touched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// It is down, so nobody misses it, and others may need it to get up: together with all that are down, or one of
    /// these after the other where they may not even be made at once.
    Down,
    /// Whenever it comes.
    #[default]
    Any,
    /// It serves while others are down: they come first, or one more would be down.
    AfterThoseDown,
    /// After all others.
    Last,
}

/// What an operation is for: phases select by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// An operator asks for it by name.
    Action,
    /// It only looks, before anything is deployed.
    Check,
    /// It prepares a host.
    Host,
    /// It brings an image.
    Image,
    /// It removes what nothing needs any more: of `prune-images` alone.
    Unused,
    /// It keeps data.
    Volume,
    /// It writes what services read: also of `genconfig`, `reconfigure` and `destroy`.
    Files,
    /// It decides who starts a cluster.
    Cluster,
    /// It makes services known to each other: also of `reconfigure`, because a changed password is a changed configuration.
    Setting,
    /// It runs a program once: of `deploy` alone.
    Program,
    /// It runs a service.
    Container,
    /// It only looks whether a service does what it is for.
    Ready,
}

/// How a phase wants what a plan describes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Want {
    /// There, and running.
    #[default]
    Running,
    /// There, but not running.
    Stopped,
    /// Gone.
    Absent,
}

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident($data:ty) in $class:ident),+ $(,)?) => {
        /// Any operation. Plans that are made of each other share it.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        pub enum Op { $($(#[$doc])* $name(Arc<$data>)),+ }

        $(impl From<$data> for Op {
            fn from(data: $data) -> Self {
                Self::$name(Arc::new(data))
            }
        })+

        /// What an operation is, without its data.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[$doc])* $name),+ }

        impl Kind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// What it is for.
            pub fn class(self) -> Class {
                match self { $(Self::$name => Class::$class),+ }
            }
        }

        impl Op {
            /// Its kind.
            pub fn kind(&self) -> Kind {
                match self { $(Self::$name(_) => Kind::$name),+ }
            }

            /// The operation behind it.
            pub fn operation(&self) -> &dyn Operation {
                match self { $(Self::$name(data) => &**data),+ }
            }
        }
    };
}

operations! {
    /// A verb of a service that an operator asks for.
    Action(action::Action) in Action,
    /// What Keystone is to know of a service.
    Catalog(catalog::Catalog) in Setting,
    /// Objects that the API of a service is to have.
    Resources(resources::Resources) in Setting,
    /// Something that must hold.
    Check(check::Check) in Check,
    /// The decision who starts a cluster.
    Cluster(cluster::Cluster) in Cluster,
    /// A container.
    Container(container::Container) in Container,
    /// A database and its user.
    Database(database::Database) in Setting,
    /// A program run in a container.
    Exec(exec::Exec) in Program,
    /// The set of files of a service.
    FileSet(file_set::FileSet) in Files,
    /// A file of the host.
    HostFile(host_file::HostFile) in Host,
    /// An image on a host.
    Image(image::Image) in Image,
    /// A virtual host of the message queue and its user.
    MessageQueue(message_queue::MessageQueue) in Setting,
    /// A number that stays with a host.
    Number(number::Number) in Files,
    /// Packages of the distribution.
    Packages(packages::Packages) in Host,
    /// A service that answers as it should.
    Ready(probe::Ready) in Ready,
    /// Kernel parameters.
    Sysctl(sysctl::Sysctl) in Host,
    /// A container that runs once.
    Task(task::Task) in Program,
    /// A unit of systemd with its files.
    Unit(unit::Unit) in Host,
    /// Images that nothing needs.
    UnusedImages(unused_images::UnusedImages) in Unused,
    /// A volume.
    Volume(volume::Volume) in Volume,
}
