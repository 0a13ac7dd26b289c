//! What a host in memory holds, and the engine's rules for it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::super::{
    ContainerSpec, ContainerState, Facts, FileState, Grant, Holder, HttpAnswer, HttpAsk, ImageState, Interface, Lease,
    LeaseNote, ListedImage, Look, LookRequest, Output, Reach, registry, repository,
};
use crate::error::HostCause;

/// Answers commands in containers.
pub(super) type OnExec = Arc<dyn Fn(&mut World, &str, &[String], &[u8]) -> Option<Output> + Send + Sync>;
/// Answers scripts.
pub(super) type OnRun = Arc<dyn Fn(&mut World, &str, &[u8]) -> Option<Output> + Send + Sync>;
/// Answers HTTP requests.
pub(super) type OnHttp = Arc<dyn Fn(&mut World, &HttpAsk) -> Option<HttpAnswer> + Send + Sync>;

/// A file, link or folder of a host in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeFile {
    /// Content; empty for links and folders.
    pub content: Arc<[u8]>,
    /// Permissions.
    pub mode: u32,
    /// `user:group`.
    pub owner: String,
    /// Where a link points.
    pub link: Option<String>,
    /// It is a folder.
    pub folder: bool,
}

impl FakeFile {
    /// A plain file.
    pub fn new(content: impl Into<Arc<[u8]>>, mode: u32, owner: &str) -> Self {
        Self { content: content.into(), mode, owner: owner.to_owned(), link: None, folder: false }
    }

    /// A link.
    pub fn link(to: &str) -> Self {
        Self { link: Some(to.to_owned()), ..Self::new(Vec::new(), 0o777, "root:root") }
    }

    /// A folder.
    pub fn folder(mode: u32, owner: &str) -> Self {
        Self { folder: true, ..Self::new(Vec::new(), mode, owner) }
    }

    fn state(&self) -> FileState {
        let plain = !self.folder && self.link.is_none();
        FileState {
            digest: if plain { hex::encode(Sha256::digest(&self.content)) } else { String::new() },
            mode: format!("{:04o}", self.mode),
            owner: self.owner.clone(),
            ids: self.owner.replace("root", "0"),
            link: self.link.clone(),
        }
    }
}

/// A container of a host in memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FakeContainer {
    /// What it was made from.
    pub spec: ContainerSpec,
    /// Id.
    pub id: String,
    /// Image id.
    pub image_id: String,
    /// The engine's state word.
    pub state: String,
    /// `healthy`, `unhealthy` or empty.
    pub health: String,
    /// When it was created, in ticks of the world.
    pub created: i64,
    /// When it was last started, in ticks; 0 for never.
    pub started: i64,
    /// How it ended.
    pub exit_code: i64,
    /// What it wrote.
    pub log: Vec<String>,
    /// TCP ports it listens on while it runs.
    pub ports: Vec<u16>,
    /// Signals it got.
    pub signals: Vec<String>,
}

/// What happens when a container is started.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Behaviour {
    /// It ends at once with this code; else it goes on running, and a `wait` sees it end with 0.
    pub exits: Option<i64>,
    /// What it writes.
    pub log: Vec<String>,
    /// What the engine's health check says: `healthy`, `unhealthy` or nothing.
    pub health: String,
    /// TCP ports it listens on while it runs.
    pub ports: Vec<u16>,
    /// The engine refuses to start it, with this message.
    pub refused: Option<String>,
}

impl Behaviour {
    /// A container that ends at once.
    pub fn exits(code: i64, log: &str) -> Self {
        Self { exits: Some(code), log: log.lines().map(str::to_owned).collect(), ..Self::default() }
    }
}

/// All that a host in memory holds; every field may be prepared by a test.
#[derive(Default)]
pub struct World {
    /// What the look reports as facts.
    pub facts: Facts,
    /// Files, links and folders by absolute path.
    pub files: BTreeMap<String, FakeFile>,
    /// Containers by name.
    pub containers: BTreeMap<String, FakeContainer>,
    /// Volumes and their labels.
    pub volumes: BTreeMap<String, BTreeMap<String, String>>,
    /// Image ids by reference, as the engine has them.
    pub images: BTreeMap<String, String>,
    /// What the registry has: manifest digest and image id by reference.
    pub registry: BTreeMap<String, (String, String)>,
    /// What the engine says instead of asking the registry: status and message.
    pub registry_fails: Option<(u16, String)>,
    /// Kernel parameters.
    pub sysctls: BTreeMap<String, String>,
    /// Installed packages and their versions.
    pub packages: BTreeMap<String, String>,
    /// systemd's `ActiveState` of units.
    pub units: BTreeMap<String, String>,
    /// Others that can be reached, as `10.0.0.12:3306`; ports of running containers need no entry.
    pub reachable: BTreeMap<String, Reach>,
    /// Who has the site's lease at this host, until it is given back; take it out to have it lost.
    pub lease: Option<(LeaseNote, Holder)>,
    /// Every call fails with this cause.
    pub gone: Option<HostCause>,
    /// Calls that write and still succeed before the host is gone; without end where it is absent.
    pub dies_after: Option<usize>,
    /// Requests so far.
    pub requests: u64,
    /// Calls so far.
    pub calls: Vec<String>,
    pub(super) failures: BTreeMap<String, VecDeque<HostCause>>,
    pub(super) once: BTreeMap<String, VecDeque<Behaviour>>,
    pub(super) always: BTreeMap<String, Behaviour>,
    pub(super) execs: Vec<OnExec>,
    pub(super) runs: Vec<OnRun>,
    pub(super) https: Vec<OnHttp>,
    ticks: i64,
}

fn engine(status: u16, message: impl Into<String>) -> HostCause {
    HostCause::Engine { status, message: message.into() }
}

pub(super) fn conflict(message: impl Into<String>) -> HostCause {
    engine(409, message)
}

impl World {
    pub(super) fn new(name: &str) -> Self {
        let eth0 = Interface {
            up: true,
            mtu: 1500,
            mac: "02:00:00:00:00:01".into(),
            ipv4: vec!["10.0.0.11/24".into()],
            ipv6: Vec::new(),
        };
        let facts = Facts {
            hostname: name.split('.').next().unwrap_or(name).to_owned(),
            os: "debian".into(),
            os_version: "13".into(),
            os_codename: "trixie".into(),
            arch: "x86_64".into(),
            kernel: "6.12.0".into(),
            cpus: 4,
            memory_mib: 8192,
            disk_free_mib: 100_000,
            open_files: 1_048_576,
            cgroup: 2,
            systemd: true,
            virt: "none".into(),
            time_service: "chrony".into(),
            interfaces: [("eth0".to_owned(), eth0)].into_iter().collect(),
            default_interface: "eth0".into(),
            hosts_file: "127.0.0.1 localhost\n".into(),
            engine: true,
            engine_version: "26.1.5".into(),
            engine_root: "/var/lib/docker".into(),
            ..Facts::default()
        };
        Self { facts, ..Self::default() }
    }

    /// Puts an image into the registry, under a digest and id made from `content`.
    pub fn publish(&mut self, reference: &str, content: &str) -> String {
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(content)));
        let id = format!("sha256:{}", hex::encode(Sha256::digest(format!("id of {content}"))));
        self.registry.insert(reference.to_owned(), (digest, id.clone()));
        id
    }

    /// The container runs now.
    pub fn running(&self, name: &str) -> bool {
        self.containers.get(name).is_some_and(|found| found.state == "running")
    }

    /// A file's content, through links; `None` where there is no file.
    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        let real = self.real(path);
        if real == "/etc/hosts" && !self.files.contains_key(&real) {
            return Some(self.facts.hosts_file.clone().into_bytes());
        }
        self.files.get(&real).filter(|file| !file.folder).map(|file| file.content.to_vec())
    }

    /// Writes a file, making its folders.
    pub fn put(&mut self, path: &str, file: FakeFile) {
        self.make_folders(path);
        self.files.insert(path.to_owned(), file);
    }

    pub(super) fn make_folders(&mut self, path: &str) {
        for (at, _) in path.match_indices('/').filter(|(at, _)| *at > 0) {
            self.files.entry(path[..at].to_owned()).or_insert_with(|| FakeFile::folder(0o755, "root:root"));
        }
    }

    /// The path with links followed, at any depth of it; as it is where they make a circle.
    pub(super) fn real(&self, path: &str) -> String {
        let mut path = path.to_owned();
        for _ in 0..16 {
            let linked = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]).find_map(|end| {
                let link = self.files.get(&path[..end])?.link.clone()?;
                let folder = path[..end].rsplit_once('/').map_or("", |(folder, _)| folder);
                let start = if link.starts_with('/') { link } else { format!("{folder}/{link}") };
                Some(format!("{start}{}", &path[end..]))
            });
            match linked {
                Some(next) => path = next,
                None => break,
            }
        }
        path
    }

    pub(super) fn look(&self, ask: &LookRequest) -> Look {
        let mut files = BTreeMap::new();
        for path in &ask.files {
            if let Some(file) = self.files.get(path) {
                files.insert(path.clone(), file.state());
            }
        }
        for folder in &ask.folders {
            let inside = format!("{}/", folder.trim_end_matches('/'));
            for (path, file) in self.files.iter().filter(|(path, _)| path.starts_with(&inside) || *path == folder) {
                files.insert(path.clone(), file.state());
            }
        }
        let named = |names: &[String], map: &BTreeMap<String, String>| {
            let names: BTreeSet<&String> = names.iter().collect();
            map.iter().filter(|(name, _)| names.contains(name)).map(|(k, v)| (k.clone(), v.clone())).collect()
        };
        Look {
            facts: self.facts.clone(),
            files,
            containers: self.states(),
            volumes: self.volumes.keys().cloned().collect(),
            sysctls: named(&ask.sysctls, &self.sysctls),
            packages: named(&ask.packages, &self.packages),
            units: named(&ask.units, &self.units),
        }
    }

    pub(super) fn grant(&mut self, note: &LeaseNote) -> Grant {
        if let Some((other, _)) = self.lease.as_ref().filter(|(_, holder)| !holder.is_given_back()) {
            return Grant::Held(other.clone());
        }
        let (lease, holder) = Lease::new();
        self.lease = Some((note.clone(), holder));
        Grant::Granted(lease)
    }

    pub(super) fn states(&self) -> BTreeMap<String, ContainerState> {
        self.containers.iter().map(|(name, found)| (name.clone(), found.state(name))).collect()
    }

    pub(super) fn image_id(&self, reference: &str) -> Option<String> {
        let by_id = || self.images.values().find(|id| *id == reference);
        self.images.get(reference).or_else(by_id).cloned()
    }

    pub(super) fn image(&self, reference: &str) -> Option<ImageState> {
        let id = self.image_id(reference)?;
        let named = |(known, of): (&String, &String)| {
            let (name, digest) = known.split_once('@')?;
            (name == repository(reference) && *of == id).then(|| digest.to_owned())
        };
        let digest = self.images.iter().find_map(named);
        Some(ImageState { id, digest })
    }

    /// All of them: each is one of Kolla's, of a gigabyte.
    pub(super) fn listed_images(&self) -> Vec<ListedImage> {
        let mut listed: BTreeMap<&str, ListedImage> = BTreeMap::new();
        for (name, id) in &self.images {
            let image = listed.entry(id).or_insert_with(|| ListedImage {
                id: id.clone(),
                size: 1_000_000_000,
                shared: Some(400_000_000),
                ..ListedImage::default()
            });
            image.names.push(name.clone());
        }
        listed.into_values().collect()
    }

    pub(super) fn registry_digest(&self, reference: &str) -> Result<String, HostCause> {
        let registry = registry(reference).to_owned();
        if let Some((status, message)) = self.registry_fails.clone() {
            return Err(HostCause::Registry { registry, status, message });
        }
        let found = self.registry.get(reference).map(|(digest, _)| digest.clone());
        found.ok_or_else(|| HostCause::Registry { registry, status: 404, message: "manifest unknown".into() })
    }

    pub(super) fn container(&mut self, name: &str) -> Result<&mut FakeContainer, HostCause> {
        let known = self.containers.values().find(|found| found.id == name).map(|found| found.spec.name.clone());
        let key = known.as_deref().unwrap_or(name);
        self.containers.get_mut(key).ok_or_else(|| engine(404, format!("No such container: {name}")))
    }

    pub(super) fn reach(&self, address: &str, port: u16) -> Reach {
        let listens = self.containers.values().any(|found| found.state == "running" && found.ports.contains(&port));
        match self.reachable.get(&format!("{address}:{port}")) {
            Some(reach) => *reach,
            None if listens => Reach::Open,
            None => Reach::Refused,
        }
    }

    pub(super) fn pull(&mut self, reference: &str) -> Result<(), HostCause> {
        let by_digest = || {
            let (name, digest) = reference.split_once('@')?;
            self.registry.iter().find(|(known, (found, _))| found == digest && repository(known) == name)
        };
        let found = self.registry.get_key_value(reference).or_else(by_digest);
        let Some((_, (digest, id))) = found else {
            return Err(engine(404, format!("manifest for {reference} not found: manifest unknown")));
        };
        let (by_digest, id) = (format!("{}@{digest}", repository(reference)), id.clone());
        self.images.insert(reference.to_owned(), id.clone());
        self.images.insert(by_digest, id);
        Ok(())
    }

    pub(super) fn create(&mut self, spec: &ContainerSpec) -> Result<String, HostCause> {
        if self.containers.contains_key(&spec.name) {
            return Err(conflict(format!("the container name \"/{}\" is already in use", spec.name)));
        }
        let Some(image_id) = self.image_id(&spec.image) else {
            return Err(engine(404, format!("No such image: {}", spec.image)));
        };
        self.ticks += 1;
        let id = hex::encode(Sha256::digest(format!("{} {}", spec.name, self.ticks)));
        for source in spec.mounts.iter().filter_map(|mount| mount.split(':').next()) {
            // As the engine does: a named volume that is missing is made.
            if !source.starts_with('/') {
                self.volumes.entry(source.to_owned()).or_default();
            }
        }
        let container = FakeContainer {
            spec: spec.clone(),
            id: id.clone(),
            image_id,
            state: "created".into(),
            created: self.ticks,
            ..FakeContainer::default()
        };
        self.containers.insert(spec.name.clone(), container);
        Ok(id)
    }

    fn behaviour(&mut self, keys: [&str; 3]) -> Behaviour {
        let once = keys.iter().find_map(|key| self.once.get_mut(*key).and_then(VecDeque::pop_front));
        once.or_else(|| keys.iter().find_map(|key| self.always.get(*key).cloned())).unwrap_or_default()
    }

    pub(super) fn start(&mut self, name: &str) -> Result<(), HostCause> {
        let found = self.container(name)?.clone();
        if found.state == "running" {
            return Ok(());
        }
        let behaviour = self.behaviour([&found.spec.name, &found.spec.image, &found.image_id]);
        if let Some(message) = behaviour.refused {
            return Err(engine(500, message));
        }
        self.ticks += 1;
        let ticks = self.ticks;
        let container = self.container(name)?;
        container.started = ticks;
        container.log.extend(behaviour.log);
        container.health = behaviour.health;
        container.ports = behaviour.ports;
        container.exit_code = behaviour.exits.unwrap_or(0);
        // A restart policy keeps a failing container coming back.
        container.state = match behaviour.exits {
            None => "running",
            Some(_) if container.spec.restart => "restarting",
            Some(_) => "exited",
        }
        .into();
        Ok(())
    }

    pub(super) fn stop(&mut self, name: &str) -> Result<(), HostCause> {
        let container = self.container(name)?;
        if container.state != "created" {
            container.state = "exited".into();
        }
        Ok(())
    }

    pub(super) fn kill(&mut self, name: &str, signal: &str) -> Result<(), HostCause> {
        let container = self.container(name)?;
        if !matches!(container.state.as_str(), "running" | "restarting" | "paused") {
            return Err(conflict(format!("container {name} is not running")));
        }
        container.signals.push(signal.to_owned());
        if matches!(signal, "SIGKILL" | "KILL" | "9" | "SIGTERM" | "TERM" | "15") {
            container.state = "exited".into();
            container.exit_code = 137;
        }
        Ok(())
    }

    pub(super) fn rename(&mut self, name: &str, to: &str) -> Result<(), HostCause> {
        if self.containers.contains_key(to) {
            return Err(conflict(format!("the container name \"/{to}\" is already in use")));
        }
        let old = self.container(name)?.spec.name.clone();
        if let Some(mut container) = self.containers.remove(&old) {
            to.clone_into(&mut container.spec.name);
            self.containers.insert(to.to_owned(), container);
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, name: &str) -> Result<i64, HostCause> {
        let container = self.container(name)?;
        container.state = "exited".into();
        Ok(container.exit_code)
    }

    pub(super) fn remove_volume(&mut self, name: &str) -> Result<(), HostCause> {
        let uses = |found: &FakeContainer| found.spec.mounts.iter().any(|mount| mount.split(':').next() == Some(name));
        if self.containers.values().any(uses) {
            return Err(conflict(format!("remove {name}: volume is in use")));
        }
        self.volumes.remove(name);
        Ok(())
    }

    pub(super) fn remove_image(&mut self, reference: &str) -> Result<(), HostCause> {
        let Some(id) = self.image_id(reference) else { return Ok(()) };
        if self.containers.values().any(|found| found.image_id == id) {
            return Err(conflict(format!("unable to remove {reference}: image is being used")));
        }
        if reference == id {
            self.images.retain(|_, known| *known != id);
        } else {
            self.images.remove(reference);
        }
        Ok(())
    }
}

impl FakeContainer {
    fn state(&self, name: &str) -> ContainerState {
        let status = match self.state.as_str() {
            "running" if self.health.is_empty() => "Up 1 second".to_owned(),
            "running" => format!("Up 1 second ({})", self.health),
            "created" => "Created".to_owned(),
            "restarting" => format!("Restarting ({}) 1 second ago", self.exit_code),
            _ => format!("Exited ({}) 1 second ago", self.exit_code),
        };
        ContainerState {
            name: name.to_owned(),
            id: self.id.clone(),
            image_id: self.image_id.clone(),
            state: self.state.clone(),
            status,
            created: self.created,
            labels: self.spec.labels.clone(),
        }
    }
}
