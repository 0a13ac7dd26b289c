//! A host in memory, for tests of everything that stands on [`Machine`].
//!
//! It keeps what operations can see (files, containers, volumes, images, sysctls, packages), moves containers
//! through the engine's states, records every call, and can be told to fail, to answer, or to let a container
//! end badly. It has no clock, no randomness and runs nothing.

mod shell;
mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

pub use world::{Behaviour, FakeContainer, FakeFile, World};

use super::{
    ContainerSpec, ContainerState, Grant, HttpAnswer, HttpAsk, ImageState, LeaseNote, ListedImage, Look, LookRequest,
    Machine, OnProgress, Output, PutFile, Reach, RegistryLogin,
};
use crate::error::{Error, HostCause, Result};

/// Methods that leave the host as it is, container `exec`s counted among them.
const READS: [&str; 12] = [
    "look",
    "containers",
    "volumes",
    "image",
    "images",
    "registry_digest",
    "logs",
    "read",
    "http",
    "reach",
    "exec",
    "wait",
];

fn writes(call: &str) -> bool {
    !READS.contains(&call.split(' ').next().unwrap_or_default())
}

/// A machine in memory. Clones share one [`World`].
#[derive(Clone)]
pub struct Fake {
    name: String,
    world: Arc<Mutex<World>>,
}

impl Fake {
    /// A Debian host with an engine and nothing on it.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let world = Arc::new(Mutex::new(World::new(&name)));
        Self { name, world }
    }

    /// The state, to be read or prepared. Do not hold it across an await.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine as the other layers hold it.
    pub fn machine(&self) -> Arc<dyn Machine> {
        Arc::new(self.clone())
    }

    /// The next call of a method (as `start`) fails with this cause.
    pub fn fail_next(&self, method: &str, cause: HostCause) {
        self.world().failures.entry(method.to_owned()).or_default().push_back(cause);
    }

    /// Every call so far, as `start glance_api`; secrets and contents are not in it.
    pub fn calls(&self) -> Vec<String> {
        self.world().calls.clone()
    }

    /// Calls that write: all but reads, probes and container `exec`s.
    pub fn writes(&self) -> Vec<String> {
        self.world().calls.iter().filter(|call| writes(call)).cloned().collect()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        self.world().calls.clear();
    }

    /// The next start of a container (by name, image reference or image id) goes like this, once.
    pub fn behave_once(&self, what: &str, behaviour: Behaviour) {
        self.world().once.entry(what.to_owned()).or_default().push_back(behaviour);
    }

    /// Every start of a container (by name, image reference or image id) goes like this.
    pub fn behave(&self, what: &str, behaviour: Behaviour) {
        self.world().always.insert(what.to_owned(), behaviour);
    }

    /// Commands that contain `words` in a container end like this; the newest rule that fits counts.
    pub fn answer_exec(&self, container: &str, words: &str, code: u32, stdout: &str) {
        let (container, words, stdout) = (container.to_owned(), words.to_owned(), stdout.as_bytes().to_vec());
        self.on_exec(move |_, name, argv, stdin| {
            let line = format!("{} {}", argv.join(" "), String::from_utf8_lossy(stdin));
            (name == container && line.contains(&words)).then(|| Output {
                code,
                stdout: stdout.clone(),
                stderr: String::new(),
            })
        });
    }

    /// Answers commands in containers: given world, container, argv and stdin. The newest one is asked first.
    pub fn on_exec(
        &self,
        answer: impl Fn(&mut World, &str, &[String], &[u8]) -> Option<Output> + Send + Sync + 'static,
    ) {
        self.world().execs.push(Arc::new(answer));
    }

    /// Scripts that contain `words` end like this; the newest rule that fits counts.
    pub fn answer_run(&self, words: &str, code: u32, stdout: &str) {
        let (words, stdout) = (words.to_owned(), stdout.as_bytes().to_vec());
        self.on_run(move |_, script, _| {
            script.contains(&words).then(|| Output { code, stdout: stdout.clone(), stderr: String::new() })
        });
    }

    /// Answers scripts: given world, script and stdin. The newest one is asked first; where none answers, plain
    /// `mkdir`, `ln`, `rm`, `mv`, `chmod`, `chown`, `sysctl -w` and package installs take effect and all else
    /// succeeds silently.
    pub fn on_run(&self, answer: impl Fn(&mut World, &str, &[u8]) -> Option<Output> + Send + Sync + 'static) {
        self.world().runs.push(Arc::new(answer));
    }

    /// Requests to a port whose path starts with `path` get this answer, while `container` runs (always, if empty).
    pub fn answer_http(&self, container: &str, port: u16, path: &str, status: u16, body: &str) {
        let (container, path, body) = (container.to_owned(), path.to_owned(), body.as_bytes().to_vec());
        self.on_http(move |world, ask| {
            let up = container.is_empty() || world.running(&container);
            (up && ask.port == port && ask.path.starts_with(&path)).then(|| HttpAnswer {
                status,
                body: body.clone(),
                ..HttpAnswer::default()
            })
        });
    }

    /// Answers HTTP requests; the newest one is asked first. Where none answers the connection is refused.
    pub fn on_http(&self, answer: impl Fn(&mut World, &HttpAsk) -> Option<HttpAnswer> + Send + Sync + 'static) {
        self.world().https.push(Arc::new(answer));
    }

    /// Records a call; fails it where that was ordered or the host is gone.
    fn enter(&self, method: &str, subject: &str, requests: u64) -> Result<MutexGuard<'_, World>> {
        let mut world = self.world();
        let mut call = method.to_owned();
        if !subject.is_empty() {
            let _ = write!(call, " {subject}");
        }
        world.requests += requests;
        if writes(&call) {
            match &mut world.dies_after {
                Some(0) => world.gone = Some(HostCause::Lost("the run was killed".into())),
                Some(left) => *left -= 1,
                None => {}
            }
        }
        world.calls.push(call);
        let ordered = world.failures.get_mut(method).and_then(std::collections::VecDeque::pop_front);
        match ordered.or_else(|| world.gone.clone()) {
            Some(cause) => Err(self.error(method, subject, cause)),
            None => Ok(world),
        }
    }

    fn error(&self, method: &str, subject: &str, cause: HostCause) -> Error {
        Error::host(&self.name, format!("{method} {subject}").trim_end(), cause)
    }

    /// The outcome of an engine call, with the host's name on it.
    fn engine<T>(&self, method: &str, subject: &str, outcome: Result<T, HostCause>) -> Result<T> {
        outcome.map_err(|cause| self.error(method, subject, cause))
    }
}

#[async_trait]
impl Machine for Fake {
    fn name(&self) -> &str {
        &self.name
    }

    fn requests(&self) -> u64 {
        self.world().requests
    }

    async fn look(&self, ask: &LookRequest) -> Result<Look> {
        Ok(self.enter("look", "", 2)?.look(ask))
    }

    async fn look_and_lease(&self, ask: &LookRequest, note: &LeaseNote) -> Result<(Look, Grant)> {
        let mut world = self.enter("look", "with lease", 2)?;
        Ok((world.look(ask), world.grant(note)))
    }

    async fn lease(&self, note: &LeaseNote, _: Duration) -> Result<Grant> {
        Ok(self.enter("look", "lease only", 1)?.grant(note))
    }

    async fn containers(&self) -> Result<BTreeMap<String, ContainerState>> {
        Ok(self.enter("containers", "", 1)?.states())
    }

    async fn volumes(&self, label: &str) -> Result<Vec<String>> {
        let world = self.enter("volumes", label, 1)?;
        let labelled =
            |labels: &BTreeMap<String, String>| labels.iter().any(|(name, value)| format!("{name}={value}") == label);
        Ok(world.volumes.iter().filter(|(_, labels)| labelled(labels)).map(|(name, _)| name.clone()).collect())
    }

    async fn image(&self, reference: &str) -> Result<Option<ImageState>> {
        Ok(self.enter("image", reference, 1)?.image(reference))
    }

    async fn images(&self, label: &str) -> Result<Vec<ListedImage>> {
        Ok(self.enter("images", label, 1)?.listed_images())
    }

    async fn registry_digest(&self, reference: &str, _: Option<&RegistryLogin>) -> Result<String> {
        let digest = self.enter("registry_digest", reference, 1)?.registry_digest(reference);
        self.engine("registry_digest", reference, digest)
    }

    async fn logs(&self, container: &str, lines: usize) -> Result<Vec<String>> {
        let mut world = self.enter("logs", container, 1)?;
        let log = world.container(container).map(|found| found.log.clone());
        let log = self.engine("logs", container, log)?;
        Ok(log[log.len().saturating_sub(lines)..].to_vec())
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.enter("read", path, 1)?.content(path))
    }

    async fn http(&self, ask: &HttpAsk, _: Duration) -> Result<HttpAnswer> {
        let subject = format!("{} {}:{}{}", ask.method, ask.address, ask.port, ask.path);
        let mut world = self.enter("http", &subject, 1)?;
        let rules = world.https.clone();
        let refused = || HostCause::NoService(format!("{}:{}: connection refused", ask.address, ask.port));
        let answer = rules.iter().rev().find_map(|rule| rule(&mut world, ask)).ok_or_else(refused);
        let answer = answer.and_then(|answer| {
            let whole = answer.body.len() <= super::http::LARGEST_BODY;
            if whole { Ok(answer) } else { Err(HostCause::Answer("length limit exceeded".into())) }
        });
        self.engine("http", &subject, answer)
    }

    async fn reach(&self, address: &str, port: u16, _: Duration) -> Result<Reach> {
        let world = self.enter("reach", &format!("{address}:{port}"), 1)?;
        Ok(world.reach(address, port))
    }

    async fn exec_within(
        &self,
        container: &str,
        _user: &str,
        argv: &[String],
        stdin: &[u8],
        _: Duration,
    ) -> Result<Output> {
        let subject = format!("{container}: {}", crate::shell::join(argv));
        let mut world = self.enter("exec", &subject, 3)?;
        let running = world.container(container).and_then(|found| {
            if found.state == "running" {
                Ok(())
            } else {
                Err(world::conflict(format!("container {container} is not running")))
            }
        });
        self.engine("exec", &subject, running)?;
        // A signal for the first process, sent from inside.
        if let [shell, flag, line] = argv
            && (shell.as_str(), flag.as_str()) == ("sh", "-c")
            && let Some(signal) = line.strip_prefix("kill -s ").and_then(|rest| rest.strip_suffix(" 1"))
            && let Some(found) = world.containers.get_mut(container)
        {
            found.signals.push(format!("SIG{signal}"));
        }
        let rules = world.execs.clone();
        Ok(rules.iter().rev().find_map(|rule| rule(&mut world, container, argv, stdin)).unwrap_or_default())
    }

    async fn upload(&self, ask: &HttpAsk, file: &Path, _: Duration, progress: OnProgress<'_>) -> Result<HttpAnswer> {
        let subject = format!("{} {}:{}{}", ask.method, ask.address, ask.port, ask.path);
        drop(self.enter("upload", &subject, 0)?);
        let body = std::fs::read(file).map_err(|error| Error::local(format!("read {}", file.display()), error))?;
        let size = body.len() as u64;
        progress(size, size);
        self.http(&HttpAsk { body, ..ask.clone() }, Duration::ZERO).await
    }

    async fn run_within(&self, script: &str, stdin: &[u8], _: Duration) -> Result<Output> {
        let mut world = self.enter("run", script, 1)?;
        let rules = world.runs.clone();
        if let Some(output) = rules.iter().rev().find_map(|rule| rule(&mut world, script, stdin)) {
            return Ok(output);
        }
        shell::run(&mut world, script);
        Ok(Output::default())
    }

    async fn put(&self, files: &[PutFile]) -> Result<()> {
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let mut world = self.enter("put", &paths.join(" "), 1)?;
        for file in files {
            let owner = if file.owner.is_empty() { "root:root" } else { &file.owner };
            world.put(&file.path, FakeFile::new(file.content.clone(), file.mode, owner));
        }
        Ok(())
    }

    async fn rewrite(&self, path: &str, content: &[u8]) -> Result<()> {
        let mut world = self.enter("rewrite", path, 1)?;
        if path == "/etc/hosts" {
            world.facts.hosts_file = String::from_utf8_lossy(content).into_owned();
        }
        let real = world.real(path);
        let Some(file) = world.files.get_mut(&real) else {
            let cause = HostCause::Exit { code: 1, stderr: String::new() };
            return if path == "/etc/hosts" { Ok(()) } else { Err(self.error("rewrite", path, cause)) };
        };
        file.content = content.into();
        Ok(())
    }

    async fn pull(&self, reference: &str, _: Option<&RegistryLogin>, progress: OnProgress<'_>) -> Result<()> {
        let mut world = self.enter("pull", reference, 1)?;
        let pulled = world.pull(reference);
        self.engine("pull", reference, pulled)?;
        drop(world);
        progress(1, 1);
        Ok(())
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<String> {
        let created = self.enter("create", &spec.name, 1)?.create(spec);
        self.engine("create", &spec.name, created)
    }

    async fn start(&self, container: &str) -> Result<()> {
        let started = self.enter("start", container, 1)?.start(container);
        self.engine("start", container, started)
    }

    async fn stop(&self, container: &str, _timeout: u32) -> Result<()> {
        let stopped = self.enter("stop", container, 1)?.stop(container);
        self.engine("stop", container, stopped)
    }

    async fn kill(&self, container: &str, signal: &str) -> Result<()> {
        let killed = self.enter("kill", &format!("{container} {signal}"), 1)?.kill(container, signal);
        self.engine("kill", container, killed)
    }

    async fn rename(&self, container: &str, name: &str) -> Result<()> {
        let renamed = self.enter("rename", &format!("{container} {name}"), 1)?.rename(container, name);
        self.engine("rename", container, renamed)
    }

    async fn remove(&self, container: &str) -> Result<()> {
        self.enter("remove", container, 1)?.containers.remove(container);
        Ok(())
    }

    async fn wait(&self, container: &str) -> Result<i64> {
        let ended = self.enter("wait", container, 1)?.finish(container);
        self.engine("wait", container, ended)
    }

    async fn volume_create(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<()> {
        self.enter("volume_create", name, 1)?.volumes.entry(name.to_owned()).or_insert_with(|| labels.clone());
        Ok(())
    }

    async fn volume_remove(&self, name: &str) -> Result<()> {
        let removed = self.enter("volume_remove", name, 1)?.remove_volume(name);
        self.engine("volume_remove", name, removed)
    }

    async fn image_remove(&self, reference: &str) -> Result<()> {
        let removed = self.enter("image_remove", reference, 1)?.remove_image(reference);
        self.engine("image_remove", reference, removed)
    }
}

#[cfg(test)]
mod tests;
