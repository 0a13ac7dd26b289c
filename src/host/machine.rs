//! A machine that answers, and the two fronts through which it is used.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    ContainerSpec, ContainerState, Grant, HttpAnswer, HttpAsk, ImageState, LeaseNote, ListedImage, Look, LookRequest,
    OnProgress, Output, PutFile, Reach, RegistryLogin, limit,
};
use crate::error::Result;

/// A machine that answers. Implemented by `ssh`, `local` and `fake`; used through [`Observer`] and [`Remote`].
///
/// Paths are absolute. Methods act as root, whatever the login user is.
#[async_trait]
pub trait Machine: Send + Sync {
    /// Its name in the inventory.
    fn name(&self) -> &str;
    /// Requests made since the login: what a latency of the network is paid for.
    fn requests(&self) -> u64;
    /// Ends the session until the next request, which makes a new one: on thousands of hosts, sessions that wait take more
    /// memory than all else.
    async fn rest(&self) {}

    /// One look: facts, files, containers and volumes, in at most two requests (both sent at once).
    async fn look(&self, ask: &LookRequest) -> Result<Look>;
    /// The same, with the site's lease at this machine if it is free, in the same requests.
    async fn look_and_lease(&self, ask: &LookRequest, note: &LeaseNote) -> Result<(Look, Grant)>;
    /// Takes the site's lease at this machine; waits `within` for whoever has it.
    async fn lease(&self, note: &LeaseNote, within: Duration) -> Result<Grant>;
    /// All containers, now.
    async fn containers(&self) -> Result<BTreeMap<String, ContainerState>>;
    /// Names of the volumes with a label, as `kolla.site=kolla`.
    async fn volumes(&self, label: &str) -> Result<Vec<String>>;
    /// An image that the engine has: by reference, or by `name@sha256:...`.
    async fn image(&self, reference: &str) -> Result<Option<ImageState>>;
    /// Images with a label.
    async fn images(&self, label: &str) -> Result<Vec<ListedImage>>;
    /// Digest of the manifest a reference names in its registry, asked through the host's engine. Where the registry does
    /// not tell, also because it does not have it, the cause is [`HostCause::Registry`](crate::error::HostCause::Registry).
    async fn registry_digest(&self, reference: &str, login: Option<&RegistryLogin>) -> Result<String>;
    /// The last lines a container wrote.
    async fn logs(&self, container: &str, lines: usize) -> Result<Vec<String>>;
    /// A file's content; `None` when there is none.
    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>>;
    /// An HTTP request from the host's point of view.
    async fn http(&self, ask: &HttpAsk, within: Duration) -> Result<HttpAnswer>;
    /// A connection attempt from the host's point of view.
    async fn reach(&self, address: &str, port: u16, within: Duration) -> Result<Reach>;
    /// Runs a program in a running container and waits for it, for so long.
    async fn exec_within(
        &self,
        container: &str,
        user: &str,
        argv: &[String],
        stdin: &[u8],
        limit: Duration,
    ) -> Result<Output>;
    /// The same, for as long as any program may take.
    async fn exec(&self, container: &str, user: &str, argv: &[String], stdin: &[u8]) -> Result<Output> {
        self.exec_within(container, user, argv, stdin, limit::PROGRAM).await
    }

    /// An HTTP request whose body is a file of this machine, sent piece by piece; `within` is how long nothing may
    /// move.
    async fn upload(
        &self,
        ask: &HttpAsk,
        file: &Path,
        within: Duration,
        progress: OnProgress<'_>,
    ) -> Result<HttpAnswer>;
    /// Runs a script by `/bin/sh` as root, for so long; a secret belongs in `stdin`, never in the script.
    async fn run_within(&self, script: &str, stdin: &[u8], limit: Duration) -> Result<Output>;
    /// The same, for as long as any script may take.
    async fn run(&self, script: &str, stdin: &[u8]) -> Result<Output> {
        self.run_within(script, stdin, limit::SCRIPT).await
    }
    /// Writes files in one stream: each to a temporary name in its folder (made where it is missing, mode 0755),
    /// digest checked, mode and owner set, renamed into place.
    async fn put(&self, files: &[PutFile]) -> Result<()>;
    /// Writes a file that is there anew: its mode, owner and attributes stay, and so does a link to it. Renamed into place
    /// where that can be; a mount, as /etc/hosts of a container is one, is written in place.
    async fn rewrite(&self, path: &str, content: &[u8]) -> Result<()>;
    /// Pulls an image; errors inside the stream count.
    async fn pull(&self, reference: &str, login: Option<&RegistryLogin>, progress: OnProgress<'_>) -> Result<()>;
    /// Creates a container; returns its id.
    async fn create(&self, spec: &ContainerSpec) -> Result<String>;
    /// Starts a container.
    async fn start(&self, container: &str) -> Result<()>;
    /// Stops a container: SIGTERM, then SIGKILL after `timeout` seconds.
    async fn stop(&self, container: &str, timeout: u32) -> Result<()>;
    /// Sends a signal to a container's first process, as `SIGUSR2`.
    async fn kill(&self, container: &str, signal: &str) -> Result<()>;
    /// Renames a container.
    async fn rename(&self, container: &str, name: &str) -> Result<()>;
    /// Removes a container, running or not; one that is not there is fine.
    async fn remove(&self, container: &str) -> Result<()>;
    /// Waits until a container ends; its exit code.
    async fn wait(&self, container: &str) -> Result<i64>;
    /// Creates a volume with labels; one that is there is fine.
    async fn volume_create(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<()>;
    /// Removes a volume; one that is not there is fine.
    async fn volume_remove(&self, name: &str) -> Result<()>;
    /// Removes an image; one that is not there is fine.
    async fn image_remove(&self, reference: &str) -> Result<()>;
}

/// A program that only reads, with its input. Whoever writes one down says so by making this of it: a role by the words
/// that ask (`ready`, `unless`, `status` and the like), an operation by its own questions. No other runs through an
/// [`Observer`], so what changes something cannot be given to a dry run by mistake.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadOnly {
    argv: Vec<String>,
    stdin: Vec<u8>,
}

impl ReadOnly {
    /// Declares that these words only read.
    pub fn declared(argv: Vec<String>) -> Self {
        Self { argv, stdin: Vec::new() }
    }

    /// The same words with this input: together they only read.
    #[must_use]
    pub fn with_input(self, stdin: impl Into<Vec<u8>>) -> Self {
        Self { stdin: stdin.into(), ..self }
    }

    /// The words.
    pub fn argv(&self) -> &[String] {
        &self.argv
    }
}

/// As its words; what is given to it is not written down.
impl Serialize for ReadOnly {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.argv.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ReadOnly {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::declared)
    }
}

/// Reads of a host: all that a dry run can hold.
#[derive(Clone)]
pub struct Observer(Arc<dyn Machine>);

impl Observer {
    /// A front that only reads.
    pub fn new(machine: Arc<dyn Machine>) -> Self {
        Self(machine)
    }

    /// Its name in the inventory.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Requests made since the login.
    pub fn requests(&self) -> u64 {
        self.0.requests()
    }

    /// See [`Machine::look`].
    pub async fn look(&self, ask: &LookRequest) -> Result<Look> {
        self.0.look(ask).await
    }

    /// See [`Machine::containers`].
    pub async fn containers(&self) -> Result<BTreeMap<String, ContainerState>> {
        self.0.containers().await
    }

    /// See [`Machine::volumes`].
    pub async fn volumes(&self, label: &str) -> Result<Vec<String>> {
        self.0.volumes(label).await
    }

    /// See [`Machine::image`].
    pub async fn image(&self, reference: &str) -> Result<Option<ImageState>> {
        self.0.image(reference).await
    }

    /// See [`Machine::images`].
    pub async fn images(&self, label: &str) -> Result<Vec<ListedImage>> {
        self.0.images(label).await
    }

    /// See [`Machine::registry_digest`].
    pub async fn registry_digest(&self, reference: &str, login: Option<&RegistryLogin>) -> Result<String> {
        self.0.registry_digest(reference, login).await
    }

    /// See [`Machine::logs`].
    pub async fn logs(&self, container: &str, lines: usize) -> Result<Vec<String>> {
        self.0.logs(container, lines).await
    }

    /// See [`Machine::read`].
    pub async fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        self.0.read(path).await
    }

    /// A GET; other methods are [`Remote`]'s.
    pub async fn get(&self, ask: &HttpAsk, within: Duration) -> Result<HttpAnswer> {
        self.0.http(&HttpAsk { method: "GET".into(), body: Vec::new(), ..ask.clone() }, within).await
    }

    /// See [`Machine::reach`].
    pub async fn reach(&self, address: &str, port: u16, within: Duration) -> Result<Reach> {
        self.0.reach(address, port, within).await
    }

    /// Runs a program that only reads in a container.
    ///
    /// # Errors
    /// Also when the answer takes longer than a minute.
    pub async fn probe(&self, container: &str, program: &ReadOnly) -> Result<Output> {
        self.0.exec_within(container, "", &program.argv, &program.stdin, limit::QUESTION).await
    }
}

/// A host that may be changed; reads like an [`Observer`].
#[derive(Clone)]
pub struct Remote {
    observer: Observer,
    machine: Arc<dyn Machine>,
    /// Every host of the run by name.
    all: Arc<BTreeMap<String, Arc<dyn Machine>>>,
}

impl Remote {
    /// A front that reads and writes.
    pub fn new(machine: Arc<dyn Machine>) -> Self {
        Self::among(machine, Arc::default())
    }

    /// The same as one of all hosts of a run, which an act on it may reach, too.
    pub fn among(machine: Arc<dyn Machine>, all: Arc<BTreeMap<String, Arc<dyn Machine>>>) -> Self {
        Self { observer: Observer::new(machine.clone()), machine, all }
    }

    /// Another host of the run, or this one, by name.
    pub fn peer(&self, name: &str) -> Option<Self> {
        if name == self.name() {
            return Some(self.clone());
        }
        self.all.get(name).map(|machine| Self::among(machine.clone(), self.all.clone()))
    }

    /// The reading half.
    pub fn observer(&self) -> &Observer {
        &self.observer
    }

    /// The machine itself, with every act.
    pub fn act(&self) -> &dyn Machine {
        &*self.machine
    }
}

impl Deref for Remote {
    type Target = Observer;

    fn deref(&self) -> &Observer {
        &self.observer
    }
}
