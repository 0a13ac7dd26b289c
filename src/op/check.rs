//! What must hold before anything is deployed. A check only reads: its `diff` is the verdict.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use indexmap::IndexMap;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::word::Word;
use super::{Diff, InRegistry, Operation, ProgressSink, View};
use crate::error::{Error, Result, numbered};
use crate::host::{Reach, Remote};
use crate::source::{Fields, Keys, Node, Shape};
use crate::template::Values;
use crate::template::values::items;

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

/// A condition on a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "check", rename_all = "snake_case")]
pub enum Check {
    /// The clocks of all hosts agree within so many milliseconds.
    Clock {
        /// Milliseconds.
        within_ms: i64,
    },
    /// So many MiB are free under /var/lib.
    DiskFree {
        /// MiB.
        mib: u64,
    },
    /// The container engine answers and is new enough.
    Engine {
        /// Lowest version.
        at_least: String,
    },
    /// Every host knows every other by name, at the right address.
    HostnamesResolve {
        /// Addresses by host name.
        names: Names,
    },
    /// The registry has every image.
    ImagesPresent {
        /// References.
        references: Vec<String>,
    },
    /// The interface exists, is up and has an address.
    Interface {
        /// Its name.
        name: String,
        /// The variable that names it.
        variable: String,
    },
    /// So many MiB of memory.
    Memory {
        /// MiB.
        mib: u64,
    },
    /// A process may open so many files.
    OpenFiles {
        /// Files.
        at_least: u64,
    },
    /// The distribution is one that is tried.
    Os {
        /// As `debian 13`.
        supported: Vec<String>,
    },
    /// Other hosts can be reached.
    PeersReachable {
        /// Addresses by host name.
        names: Names,
        /// A port on which something listens or nothing does: both say reachable.
        ports: Vec<u16>,
    },
    /// Nothing else listens on a port.
    PortFree {
        /// The port.
        port: u16,
        /// Our container that may.
        container: String,
    },
    /// The host runs systemd.
    Systemd {},
    /// The virtual address is in the interface's network and nobody else has it.
    Vip {
        /// The address.
        address: String,
        /// The interface.
        interface: String,
    },
}

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

/// Kinds of checks.
pub(super) const WORDS: [&Word<Condition>; 13] = [
    &Word {
        key: ("clock", Shape::Text),
        means: Condition {
            knows: Knows::Nothing,
            resolve: |node, context| Check::Clock { within_ms: context.values.number(node) },
        },
    },
    &Word {
        key: ("disk_free", Shape::Text),
        means: Condition {
            knows: Knows::Nothing,
            resolve: |node, context| Check::DiskFree { mib: whole(node, context) },
        },
    },
    &Word {
        key: ("engine", Shape::Text),
        means: Condition {
            knows: Knows::Nothing,
            resolve: |node, context| Check::Engine { at_least: context.values.text(node) },
        },
    },
    &Word {
        key: ("hostnames_resolve", Shape::Plain),
        means: Condition {
            knows: Knows::Names,
            resolve: |_, context| Check::HostnamesResolve { names: context.names.clone() },
        },
    },
    &Word {
        key: ("images_present", Shape::Plain),
        means: Condition {
            knows: Knows::Images,
            resolve: |_, context| Check::ImagesPresent { references: std::mem::take(&mut context.images) },
        },
    },
    &Word {
        key: ("interface", Shape::Variable),
        means: Condition {
            knows: Knows::Nothing,
            resolve: |node, context| {
                let variable = node.as_str().unwrap_or_default().to_owned();
                Check::Interface { name: context.values.variable(&variable), variable }
            },
        },
    },
    &Word {
        key: ("memory", Shape::Text),
        means: Condition {
            knows: Knows::Nothing,
            resolve: |node, context| Check::Memory { mib: whole(node, context) },
        },
    },
    &Word {
        key: ("open_files", Shape::Text),
        means: Condition {
            knows: Knows::Nothing,
            resolve: |node, context| Check::OpenFiles { at_least: whole(node, context) },
        },
    },
    &Word {
        key: ("os", Shape::Some(&Shape::Text)),
        means: Condition {
            knows: Knows::Nothing,
            resolve: |node, context| Check::Os { supported: context.values.list(node) },
        },
    },
    &Word {
        key: ("peers_reachable", Shape::Some(&Shape::Text)),
        means: Condition {
            knows: Knows::Names,
            resolve: |node, context| {
                let ports = items(node).into_iter().map(|node| context.values.port(node)).collect();
                Check::PeersReachable { names: context.names.clone(), ports }
            },
        },
    },
    &Word {
        key: (
            "port_free",
            Shape::Keys(&Keys::new(&[("port", Shape::Text), ("container", Shape::Text)], &["port", "container"])),
        ),
        means: Condition { knows: Knows::Nothing, resolve: port_free },
    },
    &Word {
        key: ("systemd", Shape::Plain),
        means: Condition { knows: Knows::Nothing, resolve: |_, _| Check::Systemd {} },
    },
    &Word {
        key: (
            "vip",
            Shape::Keys(&Keys::new(&[("address", Shape::Text), ("interface", Shape::Text)], &["address", "interface"])),
        ),
        means: Condition { knows: Knows::Nothing, resolve: address },
    },
];

fn whole(node: &Node, context: &mut CheckContext<'_, '_>) -> u64 {
    let number = context.values.number(node);
    u64::try_from(number).unwrap_or_else(|_| {
        context.values.fail(node, format!("`{number}` is less than nothing"));
        0
    })
}

fn port_free(node: &Node, context: &mut CheckContext<'_, '_>) -> Check {
    let mut fields = Fields::of(context.values.document, node);
    let port = fields.take("port").map(|node| context.values.port(node)).unwrap_or_default();
    Check::PortFree { port, container: context.values.text_at(&mut fields, "container") }
}

fn address(node: &Node, context: &mut CheckContext<'_, '_>) -> Check {
    let mut fields = Fields::of(context.values.document, node);
    let [address, interface] = ["address", "interface"].map(|key| context.values.text_at(&mut fields, key));
    Check::Vip { address, interface }
}

impl Check {
    fn fail(message: impl Into<String>, hint: impl Into<String>) -> Result<Diff> {
        Err(Error::operation(message).with_hint(hint))
    }
}

#[async_trait]
impl Operation for Check {
    fn subject(&self) -> String {
        match self {
            Self::Clock { .. } => "check clock".into(),
            Self::DiskFree { .. } => "check free disk".into(),
            Self::Engine { .. } => "check container engine".into(),
            Self::HostnamesResolve { .. } => "check host names".into(),
            Self::ImagesPresent { references } => {
                format!("check {} in the registry", numbered(references.len(), "image"))
            }
            Self::Interface { name, .. } => format!("check interface {name}"),
            Self::Memory { .. } => "check memory".into(),
            Self::OpenFiles { .. } => "check open files".into(),
            Self::Os { .. } => "check operating system".into(),
            Self::PeersReachable { ports, .. } => {
                let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
                format!("check reach of ports {}", ports.join(" "))
            }
            Self::PortFree { port, .. } => format!("check port {port}"),
            Self::Systemd {} => "check systemd".into(),
            Self::Vip { address, .. } => format!("check address {address}"),
        }
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        let facts = at.me.look(|look| look.facts.clone());
        match self {
            Self::Clock { within_ms } => {
                let mut skews: Vec<i64> = at.peers.values().map(|peer| peer.look(|look| look.facts.skew_ms)).collect();
                skews.sort_unstable();
                let median = skews[skews.len() / 2];
                let off = (facts.skew_ms - median).abs();
                if off > *within_ms {
                    return Self::fail(
                        format!("clock is {off} ms off the other hosts'"),
                        "run `kolla bootstrap-servers`, or start a time service on the host",
                    );
                }
                Ok(Diff::Same(format!("{off} ms off the median")))
            }
            Self::DiskFree { mib } if facts.disk_free_mib < *mib => Self::fail(
                format!("{} MiB are free under /var/lib, {mib} are needed", facts.disk_free_mib),
                "free some space, or mount a larger disk on /var/lib/docker",
            ),
            Self::DiskFree { .. } => Ok(Diff::Same(format!("{} MiB free", facts.disk_free_mib))),
            Self::Engine { .. } if !facts.engine => {
                Self::fail("no container engine answers", "run `kolla bootstrap-servers`")
            }
            Self::Engine { at_least } if older(&facts.engine_version, at_least) => Self::fail(
                format!("container engine {} is older than {at_least}", facts.engine_version),
                "upgrade the engine's package on the host",
            ),
            Self::Engine { .. } => Ok(Diff::Same(facts.engine_version)),
            Self::HostnamesResolve { names } => host_names(names, &facts.hosts_file),
            Self::ImagesPresent { references } => {
                let mut missing = Vec::new();
                for reference in references {
                    match at.shared.in_registry(reference, at.host()).await {
                        InRegistry::Has(_) => {}
                        InRegistry::Lacks(_) => missing.push(reference.as_str()),
                        InRegistry::Unknown(error) => return Err(error),
                    }
                }
                if missing.is_empty() {
                    return Ok(Diff::Same("all there".into()));
                }
                Self::fail(
                    format!("not in the registry: {}", missing.join(", ")),
                    "build and push them with `kolla build --push`, or correct `openstack_tag`",
                )
            }
            Self::Interface { name, variable } => match facts.interfaces.get(name) {
                None => {
                    let names: Vec<&str> = facts.interfaces.keys().map(String::as_str).collect();
                    Self::fail(
                        format!("there is no interface `{name}`"),
                        format!("set `{variable}` for this host; it has {}", names.join(", ")),
                    )
                }
                Some(found) if !found.up => Self::fail(format!("interface `{name}` is down"), "bring it up"),
                Some(found) if found.ipv4.is_empty() && found.ipv6.is_empty() => {
                    Self::fail(format!("interface `{name}` has no address"), "give it one")
                }
                Some(found) => {
                    Ok(Diff::Same(found.ipv4.iter().chain(&found.ipv6).cloned().collect::<Vec<_>>().join(" ")))
                }
            },
            Self::Memory { mib } if facts.memory_mib < *mib => Self::fail(
                format!("{} MiB of memory, {mib} are needed", facts.memory_mib),
                "give the host more memory, or lower what is needed with `host_memory_mib_min`",
            ),
            Self::Memory { .. } => Ok(Diff::Same(format!("{} MiB", facts.memory_mib))),
            Self::OpenFiles { at_least } if facts.open_files < *at_least => Self::fail(
                format!("a process may open {} files, {at_least} are needed", facts.open_files),
                "raise `DefaultLimitNOFILE` of systemd on the host",
            ),
            Self::OpenFiles { .. } => Ok(Diff::Same(format!("{} files", facts.open_files))),
            Self::Os { supported } => {
                let name = format!("{} {}", facts.os, facts.os_version);
                if supported.contains(&name) {
                    return Ok(Diff::Same(name));
                }
                Self::fail(
                    format!("`{name}` is not supported"),
                    format!("install one of {}, or add it to `host_os_supported` to try", supported.join(", ")),
                )
            }
            Self::PeersReachable { names, ports } => peers_reachable(names, ports, at).await,
            Self::PortFree { port, container } => {
                if at.me.container(container).is_some_and(|state| state.running()) {
                    return Ok(Diff::Same(format!("used by our {container}")));
                }
                let suffix = format!(":{port}");
                match facts.listening.iter().find(|listener| listener.ends_with(&suffix)) {
                    None => Ok(Diff::Same("free".into())),
                    Some(listener) => Self::fail(
                        format!("something listens on {listener}"),
                        format!("stop it (`ss -ltnp sport = :{port}` names it), or change the port in globals.yml"),
                    ),
                }
            }
            Self::Systemd {} if facts.systemd => Ok(Diff::Same("runs".into())),
            Self::Systemd {} => Self::fail("the host does not run systemd", "use a host that does"),
            Self::Vip { address, interface } => vip(address, interface, at).await,
        }
    }

    async fn apply(&self, _diff: &Diff, _at: &View, _host: &Remote, _sink: &ProgressSink) -> Result<()> {
        Ok(())
    }
}

fn older(version: &str, least: &str) -> bool {
    let numbers =
        |text: &str| -> Vec<u32> { text.split(['.', '-', '+', '~']).map_while(|part| part.parse().ok()).collect() };
    numbers(version) < numbers(least)
}

fn host_names(names: &IndexMap<String, String>, hosts_file: &str) -> Result<Diff> {
    let mut wrong = Vec::new();
    let mut missing = Vec::new();
    for (name, address) in names {
        let found = hosts_file.lines().find_map(|line| {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let on = words.next()?;
            // Every machine knows itself by a loopback address, too; peers must not.
            (words.any(|word| word == name) && !on.starts_with("127.") && on != "::1").then(|| on.to_owned())
        });
        match found {
            Some(on) if on == *address => {}
            Some(on) => wrong.push(format!("{name} is {on}, not {address}")),
            None => missing.push(name.as_str()),
        }
    }
    if !wrong.is_empty() {
        return Check::fail(
            format!("/etc/hosts is wrong: {}", wrong.join(", ")),
            "correct it, or run `kolla bootstrap-servers`",
        );
    }
    if !missing.is_empty() {
        return Check::fail(
            format!("/etc/hosts does not name {}", missing.join(", ")),
            "run `kolla bootstrap-servers`",
        );
    }
    Ok(Diff::Same("all hosts are named in /etc/hosts".into()))
}

async fn peers_reachable(names: &IndexMap<String, String>, ports: &[u16], at: &View) -> Result<Diff> {
    let mut blocked = Vec::new();
    let asks = names.iter().filter(|(name, _)| *name != at.host().name()).flat_map(|(name, address)| {
        ports.iter().map(move |port| async move {
            (format!("{name} ({address}:{port})"), at.host().reach(address, *port, Duration::from_secs(3)).await)
        })
    });
    for (what, reach) in futures_util::future::join_all(asks).await {
        match reach? {
            Reach::Open | Reach::Refused => {}
            Reach::TimedOut => blocked.push(what),
            Reach::Unknown => {
                return Ok(Diff::Skip("sshd on this host does not forward, so it cannot be tried".into()));
            }
        }
    }
    if blocked.is_empty() {
        return Ok(Diff::Same("all other hosts answer".into()));
    }
    Check::fail(format!("no answer from {}", blocked.join(", ")), "open these ports between the hosts")
}

async fn vip(address: &str, interface: &str, at: &View) -> Result<Diff> {
    let Ok(wanted) = address.parse::<IpAddr>() else {
        return Check::fail(format!("`{address}` is no address"), "correct `kolla_internal_vip_address`");
    };
    let networks = at.me.look(|look| {
        look.facts
            .interfaces
            .get(interface)
            .map(|found| found.ipv4.iter().chain(&found.ipv6).cloned().collect::<Vec<_>>())
    });
    let within = networks
        .clone()
        .unwrap_or_default()
        .iter()
        .any(|text| text.parse::<IpNet>().is_ok_and(|network| network.contains(&wanted)));
    if !within {
        return Check::fail(
            format!("{address} is not in the network of `{interface}` ({})", networks.unwrap_or_default().join(" ")),
            "choose a free address of that network",
        );
    }
    let ours = at.peers.values().any(|peer| {
        peer.look(|look| {
            look.facts
                .interfaces
                .values()
                .any(|found| found.ipv4.iter().chain(&found.ipv6).any(|text| text.split('/').next() == Some(address)))
        })
    });
    if ours {
        return Ok(Diff::Same("held by one of our hosts".into()));
    }
    match at.host().reach(address, 22, Duration::from_secs(2)).await? {
        Reach::TimedOut => Ok(Diff::Same("free".into())),
        Reach::Open | Reach::Refused => {
            Check::fail(format!("another machine answers at {address}"), "choose a free address")
        }
        Reach::Unknown => Ok(Diff::Skip("sshd on this host does not forward, so it cannot be tried".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(older("9.1", "20.10"));
        assert!(!older("26.1.5+dfsg1", "20.10"));
    }

    #[test]
    fn a_loopback_name_does_not_count() {
        let names = IndexMap::from([("a".to_owned(), "10.0.0.1".to_owned())]);
        assert!(host_names(&names, "127.0.1.1 a\n").is_err());
        assert!(host_names(&names, "127.0.1.1 a\n10.0.0.1 a.x a # us\n").is_ok());
    }
}
