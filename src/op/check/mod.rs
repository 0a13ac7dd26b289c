//! What must hold before anything is deployed: a file for each kind of check says what is written of it, how that becomes the
//! operation, and what the verdict is. A check only reads: its `diff` is the verdict.

pub mod clock;
pub mod disk_free;
pub mod engine;
pub mod hostnames_resolve;
pub mod images_present;
pub mod interface;
pub mod interfaces;
pub mod memory;
pub mod open_files;
pub mod os;
pub mod peers_reachable;
pub mod port_free;
pub mod systemd;
pub mod vip;

use std::sync::Arc;

use async_trait::async_trait;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{Diff, Operation, ProgressSink, View};
use crate::error::{Error, Result};
use crate::host::Remote;
use crate::source::Node;
use crate::template::Values;

/// A kind of check.
#[derive(Debug)]
pub struct Condition {
    /// What it needs to know.
    pub knows: Knows,
    /// The operation that it becomes.
    pub resolve: fn(&Node, &mut CheckContext<'_, '_>) -> Check,
}

/// What a check needs to know beyond its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knows {
    /// Nothing.
    Nothing,
    /// The addresses of all hosts that it is for.
    Names,
    /// The images of its host.
    Images,
}

/// What a check becomes an operation by.
pub struct CheckContext<'g, 'a> {
    /// Values of its role on its host.
    pub values: &'g mut Values<'a>,
    /// Addresses by host name.
    pub names: &'g Names,
    /// References of images.
    pub images: Vec<String>,
}

/// Addresses by host name. Every host's check names all hosts: they share one list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(Arc<IndexMap<String, String>>);

impl From<IndexMap<String, String>> for Names {
    fn from(names: IndexMap<String, String>) -> Self {
        Self(Arc::new(names))
    }
}

impl std::ops::Deref for Names {
    type Target = IndexMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Serialize for Names {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IndexMap::deserialize(deserializer).map(Self::from)
    }
}

/// What a check says of a host.
#[async_trait]
trait Verdict: Send + Sync {
    /// As [`Operation::subject`].
    fn subject(&self) -> String;
    /// [`Diff::Same`] and what was found, [`Diff::Skip`], or an error.
    async fn diff(&self, at: &View) -> Result<Diff>;
}

macro_rules! checks {
    ($($name:ident($data:ty)),+ $(,)?) => {
        /// A condition on a host.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "check", rename_all = "snake_case")]
        pub enum Check { $(#[allow(missing_docs, reason = "those of its data")] $name($data)),+ }

        $(impl From<$data> for Check {
            fn from(data: $data) -> Self {
                Self::$name(data)
            }
        })+

        impl Check {
            fn verdict(&self) -> &dyn Verdict {
                match self { $(Self::$name(data) => data),+ }
            }
        }
    };
}

checks! {
    Clock(clock::Clock),
    DiskFree(disk_free::DiskFree),
    Engine(engine::Engine),
    HostnamesResolve(hostnames_resolve::HostnamesResolve),
    ImagesPresent(images_present::ImagesPresent),
    Interface(interface::Interface),
    Interfaces(interfaces::Interfaces),
    Memory(memory::Memory),
    OpenFiles(open_files::OpenFiles),
    Os(os::Os),
    PeersReachable(peers_reachable::PeersReachable),
    PortFree(port_free::PortFree),
    Systemd(systemd::Systemd),
    Vip(vip::Vip),
}

#[async_trait]
impl Operation for Check {
    fn subject(&self) -> String {
        self.verdict().subject()
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        self.verdict().diff(at).await
    }

    async fn apply(&self, _diff: &Diff, _at: &View, _host: &Remote, _sink: &ProgressSink) -> Result<()> {
        Ok(())
    }
}

fn fails(message: impl Into<String>, hint: impl Into<String>) -> Result<Diff> {
    Err(Error::operation(message).with_hint(hint))
}

/// The host cannot try whether another machine answers.
fn untried() -> Diff {
    Diff::Skip("sshd on this host does not forward, so it cannot be tried".into())
}

/// A number that is not less than 0.
fn whole(node: &Node, context: &mut CheckContext<'_, '_>) -> u64 {
    let number = context.values.number(node);
    u64::try_from(number).unwrap_or_else(|_| {
        context.values.fail(node, format!("`{number}` is less than nothing"));
        0
    })
}
