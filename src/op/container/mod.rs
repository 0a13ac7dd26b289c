//! A container: compared by the digests of its parts, replaced so that the old one can come back.
//!
//! What was applied is visible on the host itself: one label a part, and a mark beside the files that says
//! which container, with which configuration, has been ready. A run that was killed leaves nothing that the
//! next one cannot tell from these.

mod act;
mod attributes;
mod balance;
mod compared;
pub mod limits;
mod next;
mod notes;
mod observe;
mod reload;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::file::digest_of;
use super::names::{self, IMAGE_LABEL, PART_LABEL, ROLE_LABEL, SERVICE_LABEL, SET_LABEL, SETS, SITE_LABEL};
use super::probe::{Answer, Probe};
use super::{Attributes, Diff, Operation, Peer, ProgressSink, Turn, View, Want, foreign};
use crate::error::{Error, Result};
use crate::host::{ContainerSpec, Remote};

use next::Wanted;
use observe::ThisRun;

pub use balance::Balanced;
pub(super) use notes::stop;
pub(super) use observe::told_to_stop;

/// The file of a set that says how a container starts: a running process does not take it over.
const CONFIG: &str = "config.json";

/// Log lines of a failed container that its error shows.
const LOG_LINES: usize = 12;

/// A container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Container {
    /// What it is to be; `image` is the reference.
    pub spec: ContainerSpec,
    /// Its role.
    pub role: String,
    /// Its service.
    pub service: String,
    /// Digest of its set of files; empty where it has none.
    pub configuration: String,
    /// Changed files are taken over by the running process.
    pub reload: Option<Reload>,
    /// Words of a program of the image that checks the files before they are used.
    pub validate: Vec<String>,
    /// When it is ready.
    pub ready: Probe,
    /// What the load balancers know it as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balanced: Option<Balanced>,
    /// What must hold before it is replaced while it runs.
    pub before_replace: Option<Probe>,
    /// Words of a command that runs in it before it is removed for good, and ends what outlives it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before_remove: Vec<String>,
    /// While this holds, it is replaced after the other members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Probe>,
    /// Another container that this one takes over from: stopped before it starts, removed once it is ready. The older name is
    /// that in plans which were saved before.
    #[serde(alias = "retires", skip_serializing_if = "Option::is_none")]
    pub takes_over_from: Option<String>,
    /// How it is wanted.
    pub want: Want,
    /// It gets no time to stop.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub kill: bool,
}

/// How changed files reach a running process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reload {
    /// Words of the command in the container that makes its process take them over.
    pub command: Vec<String>,
    /// The folder that is mounted, always the same.
    pub folder: String,
    /// The set that the folder is to hold.
    pub set: String,
    /// Its files by name, with their digests.
    pub files: BTreeMap<String, String>,
}

impl Container {
    /// Digest labels by part, all but the image's. A field that is empty is not in them, so that a newer
    /// program does not replace containers for a field it has learnt.
    fn parts(&self) -> BTreeMap<String, String> {
        let spec = &self.spec;
        let mut limits = serde_json::Map::new();
        let mut note = |name: &str, value: serde_json::Value, empty: bool| {
            if !empty {
                limits.insert(name.to_owned(), value);
            }
        };
        note("privileged", json!(spec.privileged), !spec.privileged);
        note("cap_add", json!(spec.cap_add), spec.cap_add.is_empty());
        note("security_opt", json!(spec.security_opt), spec.security_opt.is_empty());
        note("network", json!(spec.network), spec.network.is_empty());
        note("pid", json!(spec.pid), spec.pid.is_empty());
        note("ipc", json!(spec.ipc), spec.ipc.is_empty());
        note("cgroupns", json!(spec.cgroupns), spec.cgroupns.is_empty());
        note("memory", json!(spec.memory), spec.memory == 0);
        note("cpus", json!(spec.cpus), spec.cpus == 0.0);
        note("resources", json!(spec.resources), spec.resources.none());
        note("ulimits", json!(spec.ulimits), spec.ulimits.is_empty());
        note("tmpfs", json!(spec.tmpfs), spec.tmpfs.is_empty());
        note("devices", json!(spec.devices), spec.devices.is_empty());
        note("user", json!(spec.user), spec.user.is_empty());
        let mut environment: Vec<_> = spec.env.iter().collect();
        environment.sort();
        // The set of files is a part of its own.
        let mut mounts: Vec<_> = spec.mounts.iter().filter(|mount| !mount.starts_with(SETS)).collect();
        mounts.sort();
        let mut parts = BTreeMap::new();
        let mut part = |name: &str, value: serde_json::Value| {
            // The version says how the digest was made.
            let digest: String = digest_of(value.to_string().as_bytes()).chars().take(16).collect();
            parts.insert(format!("{PART_LABEL}{name}"), format!("1:{digest}"));
        };
        part("command", json!(spec.command));
        part("environment", json!(environment));
        part("mounts", json!(mounts));
        part("limits", limits.into());
        part("health", json!(spec.health));
        // What a reload takes over is in the mark; what only a start takes over is how it is started.
        match &self.reload {
            None => part("configuration", json!(self.configuration)),
            Some(reload) => {
                if let Some(start) = reload.files.get(CONFIG) {
                    part("configuration", json!(start));
                }
            }
        }
        parts
    }

    fn labels(&self, site: &str, image: Option<&str>) -> BTreeMap<String, String> {
        let mut labels = self.parts();
        labels.insert(SITE_LABEL.into(), site.into());
        labels.insert(ROLE_LABEL.into(), self.role.clone());
        labels.insert(SERVICE_LABEL.into(), self.service.clone());
        labels.insert(SET_LABEL.into(), self.configuration.clone());
        labels.extend(image.map(|digest| (IMAGE_LABEL.to_owned(), digest.to_owned())));
        labels
    }

    fn previous(&self) -> String {
        names::previous(&self.spec.name)
    }

    fn next(&self) -> String {
        names::next(&self.spec.name)
    }

    fn wanted(&self) -> Wanted {
        Wanted { want: self.want, reloads: self.reload.is_some() }
    }
}

#[async_trait]
impl Operation for Container {
    fn subject(&self) -> String {
        format!("container {}", self.spec.name)
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        if self.want != Want::Running && !at.me.look(|look| look.facts.engine) {
            return Err(Error::operation("no container engine answers, so nobody can tell what runs")
                .with_hint("containers may run without it: start it first"));
        }
        let found = self.observe(ThisRun::default(), at).await?;
        Ok(next::diff(&found.seen, self.wanted(), found.parts()))
    }

    async fn attributes(&self, _diff: &Diff, at: &View) -> Result<Attributes> {
        self.observe(ThisRun::default(), at).await?.attributes(self, at).await
    }

    fn foreign(&self, at: &View) -> Vec<String> {
        if self.want == Want::Running { foreign::containers(&self.spec.name, at) } else { Vec::new() }
    }

    async fn turn(&self, at: &View) -> Turn {
        // What it takes over from is what the other members join.
        if self.takes_over_from.as_deref().and_then(|seed| at.me.container(seed)).is_some_and(|state| state.running()) {
            return Turn::Last;
        }
        // It may have come up since the last look: what starts takes its time.
        if self.down(&at.me) && (at.me.refresh_containers().await.is_err() || self.down(&at.me)) {
            return Turn::Down;
        }
        if let Some(probe) = &self.last
            && matches!(probe.once(at.host(), &self.spec.name).await, Ok(Answer::Right))
        {
            return Turn::Last;
        }
        let me = self.interrupted(&at.me);
        let first = |peer: &Peer| self.down(peer) || !me && self.interrupted(peer);
        if at.peers.values().any(first) { Turn::AfterThoseDown } else { Turn::Any }
    }

    async fn apply(&self, diff: &Diff, at: &View, host: &Remote, _sink: &ProgressSink) -> Result<()> {
        let done = self.walk(diff, at, host).await;
        let seen = at.me.refresh_containers().await;
        done.and(seen)
    }
}
