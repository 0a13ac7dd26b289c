//! A container: compared by the digests of its parts, replaced so that the old one can come back.
//!
//! What was applied is visible on the host itself: one label a part, and a mark beside the files that says
//! which container, with which configuration, has been ready. A run that was killed leaves nothing that the
//! next one cannot tell from these.

mod attributes;
mod balance;
pub mod names;
mod replace;
mod settle;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::files::{SETS, digest_of};
use super::image::IMAGE_LABEL;
use super::probe::{Answer, Probe};
use super::{Attributes, Diff, Operation, Peer, Tell, Turn, View, Want, foreign};
use crate::error::{Error, Result};
use crate::host::{ContainerSpec, ContainerState, Remote};

pub use balance::Balanced;
pub(super) use replace::{stop, told_to_stop};

/// The file of a set that says how a container starts: a running process does not take it over.
const CONFIG: &str = "config.json";

/// The label that says whose a container is.
pub const SITE_LABEL: &str = "kolla.site";
/// The label that names the service.
pub const SERVICE_LABEL: &str = "kolla.service";
/// The label that names the role.
pub const ROLE_LABEL: &str = "kolla.role";

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
    /// Another container that this one takes over from: stopped before it starts, removed once it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retires: Option<String>,
    /// How it is wanted.
    pub want: Want,
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
        note("ulimits", json!(spec.ulimits), spec.ulimits.is_empty());
        note("tmpfs", json!(spec.tmpfs), spec.tmpfs.is_empty());
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
            parts.insert(format!("kolla.part.{name}"), format!("1:{digest}"));
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
        labels.insert("kolla.set".into(), self.configuration.clone());
        labels.extend(image.map(|digest| (IMAGE_LABEL.to_owned(), digest.to_owned())));
        labels
    }

    /// The names of the parts in which a container differs.
    fn differences(&self, state: &ContainerState, image: Option<&str>) -> Vec<String> {
        let mut found: Vec<String> = self
            .parts()
            .iter()
            .filter(|(label, digest)| state.labels.get(*label) != Some(digest))
            .map(|(label, _)| label.trim_start_matches("kolla.part.").to_owned())
            .collect();
        if image.is_some_and(|digest| state.labels.get(IMAGE_LABEL).map(String::as_str) != Some(digest)) {
            found.insert(0, "image".into());
        }
        found
    }

    fn previous(&self) -> String {
        names::previous(&self.spec.name)
    }

    fn next(&self) -> String {
        names::next(&self.spec.name)
    }

    /// The mark's path and the content that says: this container, with this configuration, was ready.
    fn mark(&self, id: &str) -> (String, String) {
        (names::mark(&self.spec.name), format!("{id} {}\n", self.configuration))
    }

    fn marked(&self, at: &View, id: &str) -> bool {
        let (path, content) = self.mark(id);
        at.me.look(|look| look.files.get(&path).is_some_and(|file| file.digest == digest_of(content.as_bytes())))
    }

    /// The stable folder holds what it should.
    fn installed(&self, at: &View) -> bool {
        self.reload.as_ref().is_none_or(|reload| {
            at.me.look(|look| {
                reload.files.iter().all(|(name, digest)| {
                    look.files.get(&format!("{}/{name}", reload.folder)).is_some_and(|file| file.digest == *digest)
                })
            })
        })
    }

    /// The digest of the wanted image: of what is there as the registry says, else none; of what is to be made also as
    /// this host has it.
    async fn image_digest(&self, at: &View, state: Option<&ContainerState>) -> Result<Option<String>> {
        match state {
            Some(_) => Ok(at.shared.in_registry(&self.spec.image, at.host()).await.digest().ok()),
            None => at.image_digest(&self.spec.image).await,
        }
    }

    async fn diff_running(&self, at: &View) -> Result<Diff> {
        if at.me.container(&self.previous()).is_some() || at.me.container(&self.next()).is_some() {
            return Ok(Diff::Settle("settles a replacement that was interrupted".into()));
        }
        let Some(state) = at.me.container(&self.spec.name) else {
            return Ok(Diff::Create(Vec::new()));
        };
        if state.labels.get(SITE_LABEL) != Some(&at.shared.site) {
            if at.shared.adopt {
                return Ok(Diff::Replace(vec!["adopted".into()]));
            }
            return Err(Error::operation(format!("there is a container {} that is not this site's", self.spec.name))
                .with_hint("remove it, or replace it with `--adopt`"));
        }
        if told_to_stop(&state, &at.me) {
            return Ok(Diff::Settle("its stop was ordered by a run that was killed".into()));
        }
        let image = self.image_digest(at, Some(&state)).await?;
        let differences = self.differences(&state, image.as_deref());
        if !differences.is_empty() {
            return Ok(Diff::Replace(differences));
        }
        if !state.running() {
            return Ok(Diff::Start);
        }
        if self.retiring(at).is_some() {
            return Ok(Diff::Settle("the container it takes over from is still there".into()));
        }
        if self.marked(at, &state.id) && self.installed(at) {
            return Ok(Diff::Same("running, image and configuration match".into()));
        }
        Ok(if self.reload.is_some() {
            Diff::Update(vec!["configuration, reloaded".into()])
        } else {
            Diff::Settle("was not ready when last seen".into())
        })
    }

    /// A host has a member that does not run, or soon will not: only its own turn starts it again.
    fn down(&self, at: &Peer) -> bool {
        at.container(&self.spec.name).is_some_and(|state| !state.running() || told_to_stop(&state, at))
            || at.container(&self.spec.name).is_none() && at.container(&self.previous()).is_some()
    }

    /// A host has a member whose replacement was interrupted.
    fn interrupted(&self, at: &Peer) -> bool {
        at.container(&self.previous()).is_some() || at.container(&self.next()).is_some()
    }

    /// The container it takes over from, if that is there.
    fn retiring(&self, at: &View) -> Option<ContainerState> {
        at.me.container(self.retires.as_deref()?)
    }

    /// Of a container that is to be gone or stopped, with what a broken run may have left of it.
    fn leftovers(&self, at: &View) -> Vec<ContainerState> {
        [Some(self.spec.name.clone()), Some(self.previous()), Some(self.next()), self.retires.clone()]
            .iter()
            .flatten()
            .filter_map(|name| at.me.container(name))
            .filter(|state| state.labels.get(SITE_LABEL) == Some(&at.shared.site))
            .collect()
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
        Ok(match self.want {
            Want::Running => self.diff_running(at).await?,
            Want::Stopped if self.leftovers(at).iter().any(ContainerState::alive) => Diff::Stop,
            Want::Stopped => Diff::Same("not running".into()),
            Want::Absent if self.leftovers(at).is_empty() => Diff::Same("not there".into()),
            Want::Absent => Diff::Remove,
        })
    }

    async fn attributes(&self, _diff: &Diff, at: &View) -> Result<Attributes> {
        self.compared(at).await
    }

    fn foreign(&self, at: &View) -> Vec<String> {
        if self.want == Want::Running { foreign::containers(&self.spec.name, at) } else { Vec::new() }
    }

    async fn turn(&self, at: &View) -> Turn {
        // What it takes over from is what the other members join.
        if self.retiring(at).is_some_and(|state| state.running()) {
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

    async fn apply(&self, diff: &Diff, at: &View, host: &Remote, _tell: &Tell) -> Result<()> {
        let done = match diff {
            Diff::Same(_) | Diff::Skip(_) | Diff::Run(_) => Ok(()),
            Diff::Create(_) => self.create(at, host).await,
            Diff::Start => {
                // It would else start with the files it was stopped with.
                if !self.installed(at) {
                    self.install(at, host).await?;
                }
                self.start(at, host).await
            }
            Diff::Update(_) => self.reload(at, host).await,
            Diff::Replace(_) => self.replace(at, host).await,
            Diff::Settle(_) => self.settle(at, host).await,
            Diff::Stop | Diff::Remove => self.away(*diff == Diff::Remove, at, host).await,
        };
        at.me.refresh_containers().await?;
        done
    }
}
