//! A real machine: what [`Machine`] asks, done by scripts, streams and the engine over whatever wire leads there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use tokio::time::Instant;

use super::docker::Engine;
use super::http::{self, place};
use super::wire::{self, Command, OpenFailure, Reply, Wire};
use super::{
    ContainerSpec, ContainerState, Grant, HttpAnswer, HttpAsk, ImageState, LeaseNote, ListedImage, Look, LookRequest,
    Machine, Observe, OnProgress, Output, PutFile, Reach, RegistryLogin, RequestRecord, files, limit, look,
};
use crate::error::{Error, HostCause, Result};
use crate::shell;

/// Exit code of the script that reads a file where there is none.
const NO_FILE: u32 = 44;
/// How much of an answer goes into the log.
const LOGGED: usize = 4096;

type Answer<T> = std::result::Result<T, HostCause>;

/// A machine behind a wire.
pub(super) struct Connected {
    name: String,
    wire: Arc<dyn Wire>,
    engine: Engine,
    socket: String,
    observe: Option<Observe>,
    /// This session's own, in temporary names.
    token: String,
    puts: Mutex<u64>,
}

impl Connected {
    pub(super) fn new(name: &str, wire: Arc<dyn Wire>, socket: &str, observe: Option<Observe>) -> Result<Self> {
        let engine = Engine::new(wire.clone(), socket)
            .map_err(|cause| Error::host(name, "prepare the engine's client", cause))?;
        let token = uuid::Uuid::new_v4().simple().to_string();
        let socket = socket.to_owned();
        Ok(Self { name: name.to_owned(), wire, engine, socket, observe, token, puts: Mutex::default() })
    }

    /// One request that changes something: once.
    async fn once<T: Summary>(&self, what: String, request: impl Future<Output = Answer<T>> + Send) -> Result<T> {
        let (at, began) = (SystemTime::now(), Instant::now());
        let outcome = request.await.map_err(|cause| Error::host(&self.name, act(&what), cause));
        if let Some(observe) = &self.observe {
            let summary = outcome.as_ref().map(Summary::summary);
            let outcome = summary.as_ref().map(String::as_str).map_err(|error| *error);
            observe(&RequestRecord { host: &self.name, what: &what, at, took: began.elapsed(), outcome });
        }
        outcome
    }

    /// One request that only reads: where the session is lost on the way, once more over a new one.
    async fn twice<T: Summary + Send, F: Future<Output = Answer<T>> + Send>(
        &self,
        what: String,
        request: impl Fn() -> F + Send + Sync,
    ) -> Result<T> {
        let both = async {
            let first = request().await;
            if matches!(first, Err(HostCause::Lost(_))) { request().await } else { first }
        };
        self.once(what, both).await
    }

    async fn script(&self, text: &str, stdin: &[u8]) -> Answer<Output> {
        self.command(wire::script(self.wire.root(), text, stdin)).await.map(|reply| reply.output)
    }

    async fn command(&self, command: Command) -> Answer<Reply> {
        let reply = self.wire.exec(command).await?;
        Ok(Reply { output: wire::started(self.wire.root(), reply.output)?, ..reply })
    }

    /// The look's script and, at once, the containers.
    async fn look_once(&self, ask: &LookRequest, note: Option<&LeaseNote>) -> Answer<(Look, Reply)> {
        let mut command = wire::script(self.wire.root(), &look::script(ask, &self.socket, note), &[]);
        command.stays_after = note.map(|_| look::ANSWERED);
        let began = epoch_ms();
        let from = Instant::now();
        let (reply, containers) = tokio::join!(self.command(command), self.engine.containers());
        let reply = reply?;
        let mut look = look::parse(ask, reply.output.code, &reply.output.stdout)?;
        // The script reads the clock as soon as it says that it is there; how long the login shell took until then
        // does not matter, only the way back, which the opening of the channel gives a measure of.
        let back = (reply.sent - from).min(reply.first - reply.sent) / 2;
        let read = (reply.first - from).saturating_sub(back);
        look.facts.skew_ms = began + i64::try_from(read.as_millis()).unwrap_or(0) - look.facts.time_ms;
        match containers {
            Ok(containers) => {
                look.containers = containers;
                look.facts.engine = true;
                look.facts.engine_version = self.engine.version();
            }
            // sshd says no more than that it did not connect; the host itself says that somebody listens.
            Err(HostCause::NoEngine(_)) if look.facts.engine && self.engine.refused() => {
                return Err(self.refusal().await?);
            }
            // No engine, none that works, or no way to it: that is for whoever installs it.
            Err(HostCause::NoEngine(_) | HostCause::NoEngineClient(_)) => look.facts.engine = false,
            Err(cause) => return Err(cause),
        }
        Ok((look, reply))
    }

    /// Why a stream to the engine was refused although it listens: the login user may not, or sshd does not.
    async fn refusal(&self) -> Answer<HostCause> {
        let socket = self.socket.clone();
        let may = self.script(&format!("test -w {}", shell::quote(&socket)), &[]).await?.code == 0;
        Ok(if may { HostCause::ForwardingRefused(socket) } else { HostCause::EngineForbidden(socket) })
    }

    async fn put_all(&self, batch: &[PutFile]) -> Answer<()> {
        let number = {
            let mut puts = self.puts.lock().unwrap_or_else(PoisonError::into_inner);
            *puts += 1;
            *puts
        };
        let (script, archive) =
            files::batch(batch, &format!("{}-{number}", &self.token[..8])).map_err(HostCause::Answer)?;
        done(self.script(&script, &archive).await?)
    }
}

/// The same, given up after so long.
async fn within<T>(limit: Duration, request: impl Future<Output = Answer<T>>) -> Answer<T> {
    tokio::time::timeout(limit, request).await.unwrap_or(Err(HostCause::TimedOut(limit.as_secs())))
}

/// A script that must end well.
fn done(output: Output) -> Answer<()> {
    if output.code == 0 { Ok(()) } else { Err(HostCause::Exit { code: output.code, stderr: output.stderr }) }
}

fn epoch_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn asked(ask: &HttpAsk) -> String {
    format!("{} http://{}{}", ask.method, place(&ask.address, ask.port), ask.path)
}

/// What an error calls a request: a script by its first line.
fn act(what: &str) -> String {
    let first = what.lines().find(|line| !line.trim().is_empty()).unwrap_or(what);
    if first.len() == what.trim_end().len() { what.trim_end().to_owned() } else { format!("{first} ...") }
}

#[async_trait]
impl Machine for Connected {
    fn name(&self) -> &str {
        &self.name
    }

    fn requests(&self) -> u64 {
        self.wire.requests() + self.engine.requests()
    }

    async fn rest(&self) {
        self.engine.forget_streams();
        self.wire.rest().await;
    }

    async fn look(&self, ask: &LookRequest) -> Result<Look> {
        let request = || within(limit::LOOK, async { Ok(self.look_once(ask, None).await?.0) });
        self.twice("look".into(), request).await
    }

    async fn look_and_lease(&self, ask: &LookRequest, note: &LeaseNote) -> Result<(Look, Grant)> {
        let request = || async {
            let (look, Reply { output, lease, .. }) = within(limit::LOOK, self.look_once(ask, Some(note))).await?;
            Ok((look, look::grant(&output.stdout, lease)?))
        };
        self.twice("look, and take the site's lease".into(), request).await
    }

    async fn lease(&self, note: &LeaseNote, patience: Duration) -> Result<Grant> {
        let request = || async {
            let mut command = wire::script(self.wire.root(), &look::lease_script(note, patience), &[]);
            command.stays_after = Some(look::ANSWERED);
            let Reply { output, lease, .. } = within(limit::READ + patience, self.command(command)).await?;
            look::grant(&output.stdout, lease)
        };
        self.twice("take the site's lease".into(), request).await
    }

    async fn containers(&self) -> Result<BTreeMap<String, ContainerState>> {
        self.twice("list containers".into(), || within(limit::READ, self.engine.containers())).await
    }

    async fn volumes(&self, label: &str) -> Result<Vec<String>> {
        let request = || within(limit::READ, self.engine.volumes(label));
        self.twice(format!("list volumes with {label}"), request).await
    }

    async fn image(&self, reference: &str) -> Result<Option<ImageState>> {
        let request = || within(limit::READ, self.engine.image(reference));
        self.twice(format!("look for image {reference}"), request).await
    }

    async fn images(&self, label: &str) -> Result<Vec<ListedImage>> {
        let request = || within(limit::READ, self.engine.images(label));
        self.twice(format!("list images with {label}"), request).await
    }

    async fn registry_digest(&self, reference: &str, login: Option<&RegistryLogin>) -> Result<String> {
        let what = format!("ask the registry for {reference}");
        self.twice(what, || within(limit::READ, self.engine.registry_digest(reference, login))).await
    }

    async fn logs(&self, container: &str, lines: usize) -> Result<Vec<String>> {
        let request = || within(limit::READ, self.engine.logs(container, lines));
        self.twice(format!("read the log of {container}"), request).await
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let quoted = shell::quote(path);
        let script = format!("[ -e {quoted} ] || exit {NO_FILE}\nexec cat -- {quoted}\n");
        let content = self.twice(format!("read {path}"), || async {
            let output = within(limit::READ, self.script(&script, &[])).await?;
            match output.code {
                0 => Ok(Content(Some(output.stdout))),
                NO_FILE => Ok(Content(None)),
                code => Err(HostCause::Exit { code, stderr: output.stderr }),
            }
        });
        content.await.map(|content| content.0)
    }

    async fn http(&self, ask: &HttpAsk, within: Duration) -> Result<HttpAnswer> {
        let request = || http::send(&*self.wire, ask, within);
        if matches!(ask.method.as_str(), "" | "GET" | "HEAD") {
            self.twice(asked(ask), request).await
        } else {
            self.once(asked(ask), request()).await
        }
    }

    async fn upload(
        &self,
        ask: &HttpAsk,
        file: &Path,
        within: Duration,
        progress: OnProgress<'_>,
    ) -> Result<HttpAnswer> {
        let failed = |error| Error::local(format!("read {}", file.display()), error);
        let source = tokio::fs::File::open(file).await.map_err(failed)?;
        let size = source.metadata().await.map_err(failed)?.len();
        self.once(asked(ask), http::upload(&*self.wire, ask, (source, size), within, progress)).await
    }

    async fn reach(&self, address: &str, port: u16, within: Duration) -> Result<Reach> {
        let what = format!("reach {}", place(address, port));
        let request = || async {
            match tokio::time::timeout(within, self.wire.open_tcp(address, port)).await {
                Ok(Ok(_)) => Ok(Reach::Open),
                Ok(Err(OpenFailure::Refused)) => Ok(Reach::Refused),
                Ok(Err(OpenFailure::Forbidden | OpenFailure::Denied | OpenFailure::NoProgram)) => Ok(Reach::Unknown),
                Ok(Err(OpenFailure::Session(cause))) => Err(cause),
                Ok(Err(OpenFailure::Unreachable(_))) | Err(_) => Ok(Reach::TimedOut),
            }
        };
        self.twice(what, request).await
    }

    async fn exec_within(
        &self,
        container: &str,
        user: &str,
        argv: &[String],
        stdin: &[u8],
        limit: Duration,
    ) -> Result<Output> {
        let what = format!("in {container}: {}", shell::join(argv));
        self.once(what, within(limit, self.engine.exec(container, user, argv, stdin))).await
    }

    async fn run_within(&self, script: &str, stdin: &[u8], limit: Duration) -> Result<Output> {
        self.once(script.to_owned(), within(limit, self.script(script, stdin))).await
    }

    async fn put(&self, files: &[PutFile]) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        self.once(format!("write {}", paths.join(" ")), within(limit::FILES, self.put_all(files))).await
    }

    async fn rewrite(&self, path: &str, content: &[u8]) -> Result<()> {
        let request = async { done(self.script(&files::rewriting(path, content), content).await?) };
        self.once(format!("write {path} in place"), within(limit::FILES, request)).await
    }

    async fn pull(&self, reference: &str, login: Option<&RegistryLogin>, progress: OnProgress<'_>) -> Result<()> {
        self.once(format!("pull {reference}"), self.engine.pull(reference, login, progress)).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<String> {
        self.once(format!("create container {}", spec.name), within(limit::ENGINE, self.engine.create(spec))).await
    }

    async fn start(&self, container: &str) -> Result<()> {
        self.once(format!("start {container}"), within(limit::ENGINE_SLOW, self.engine.start(container))).await
    }

    async fn stop(&self, container: &str, timeout: u32) -> Result<()> {
        let limit = limit::ENGINE_SLOW + Duration::from_secs(timeout.into());
        self.once(format!("stop {container}"), within(limit, self.engine.stop(container, timeout))).await
    }

    async fn kill(&self, container: &str, signal: &str) -> Result<()> {
        self.once(format!("send {signal} to {container}"), within(limit::ENGINE, self.engine.kill(container, signal)))
            .await
    }

    async fn rename(&self, container: &str, name: &str) -> Result<()> {
        self.once(format!("rename {container} to {name}"), within(limit::ENGINE, self.engine.rename(container, name)))
            .await
    }

    async fn remove(&self, container: &str) -> Result<()> {
        self.once(format!("remove container {container}"), within(limit::ENGINE_SLOW, self.engine.remove(container)))
            .await
    }

    async fn wait(&self, container: &str) -> Result<i64> {
        self.twice(format!("wait for {container}"), || within(limit::END, self.engine.wait(container))).await
    }

    async fn volume_create(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<()> {
        self.once(format!("create volume {name}"), within(limit::ENGINE, self.engine.volume_create(name, labels))).await
    }

    async fn volume_remove(&self, name: &str) -> Result<()> {
        self.once(format!("remove volume {name}"), within(limit::ENGINE_SLOW, self.engine.volume_remove(name))).await
    }

    async fn image_remove(&self, reference: &str) -> Result<()> {
        self.once(format!("remove image {reference}"), within(limit::ENGINE_SLOW, self.engine.image_remove(reference)))
            .await
    }
}

/// What the log says of an answer.
trait Summary {
    fn summary(&self) -> String;
}

/// A file's content, which the log must not show.
struct Content(Option<Vec<u8>>);

impl Summary for Content {
    fn summary(&self) -> String {
        self.0.as_ref().map_or_else(|| "no such file".to_owned(), |bytes| format!("{} bytes", bytes.len()))
    }
}

impl Summary for () {
    fn summary(&self) -> String {
        String::new()
    }
}

impl Summary for i64 {
    fn summary(&self) -> String {
        self.to_string()
    }
}

impl Summary for String {
    fn summary(&self) -> String {
        self.clone()
    }
}

impl Summary for Option<ImageState> {
    fn summary(&self) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), |image| image.id.clone())
    }
}

impl Summary for Vec<ListedImage> {
    fn summary(&self) -> String {
        crate::error::numbered(self.len(), "image")
    }
}

impl Summary for Vec<String> {
    fn summary(&self) -> String {
        self.join("\n")
    }
}

impl Summary for BTreeMap<String, ContainerState> {
    fn summary(&self) -> String {
        crate::error::numbered(self.len(), "container")
    }
}

impl Summary for Look {
    fn summary(&self) -> String {
        format!("{} containers, {} files", self.containers.len(), self.files.len())
    }
}

impl Summary for Grant {
    fn summary(&self) -> String {
        match self {
            Self::Granted(_) => "granted".to_owned(),
            Self::Held(note) => format!("held by {note}"),
        }
    }
}

impl Summary for (Look, Grant) {
    fn summary(&self) -> String {
        format!("{}; {}", self.0.summary(), self.1.summary())
    }
}

impl Summary for Reach {
    fn summary(&self) -> String {
        format!("{self:?}")
    }
}

impl Summary for HttpAnswer {
    fn summary(&self) -> String {
        // Not the body: RabbitMQ's holds password hashes, Keystone's what is not ours to keep.
        format!("{}, {} bytes", self.status, self.body.len())
    }
}

impl Summary for Output {
    fn summary(&self) -> String {
        let mut told = format!("exit code {}", self.code);
        for part in [clipped(&self.stdout), clipped(self.stderr.as_bytes())] {
            if !part.is_empty() {
                told.push('\n');
                told.push_str(&part);
            }
        }
        told
    }
}

/// The beginning of a long text.
fn clipped(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LOGGED)]).trim_end().to_owned();
    if bytes.len() > LOGGED { format!("{text} ... ({} bytes)", bytes.len()) } else { text }
}
