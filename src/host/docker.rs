//! The container engine of a host: everything that knows its API is in this file and below it.
//!
//! The API travels through streams of the host's wire to the engine's socket. Podman's socket speaks the same.

mod connector;
mod spec;

use std::collections::{BTreeMap, HashMap};
use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::container::LogOutput;
use bollard::errors::Error as BollardError;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::{ContainerSummary, CreateImageInfo, ImageSummary, VolumeCreateRequest};
use bollard::query_parameters as query;
use bollard::{BollardRequest, Docker};
use futures_util::{Stream, StreamExt as _};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::io::AsyncWriteExt as _;

use self::connector::Connector;
use super::wire::{self, OpenFailure, Wire};
use super::{
    ContainerSpec, ContainerState, ImageState, ListedImage, OnProgress, Output, RegistryLogin, limit, registry,
    repository,
};
use crate::error::HostCause;

/// The engine of one host.
pub(super) struct Engine {
    docker: Docker,
    wire: Arc<dyn Wire>,
    socket: String,
    requests: Arc<AtomicU64>,
    /// The last stream was refused before it was open.
    refused: Arc<AtomicBool>,
    /// `Server` of the last answer, as `Docker/26.1.5 (linux)`.
    server: Arc<Mutex<String>>,
    /// Puts another client with no stream in the place of the one that has some.
    forget: Box<dyn Fn() + Send + Sync>,
}

type Answer<T> = Result<T, HostCause>;

impl Engine {
    pub(super) fn new(wire: Arc<dyn Wire>, socket: &str) -> Answer<Self> {
        // By sudo, each holds one of the few session channels.
        let by_sudo = wire.root().by_sudo();
        let (idle, limit) = if by_sudo { (1, Duration::from_secs(1)) } else { (8, Duration::from_secs(4)) };
        let socket = socket.to_owned();
        let refused = Arc::new(AtomicBool::new(false));
        let connector = Connector { wire: wire.clone(), socket: socket.clone(), refused: refused.clone() };
        let made = move || {
            Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(idle)
                .pool_timer(TokioTimer::new())
                // Podman closes idle connections after 10 s.
                .pool_idle_timeout(limit)
                .build(connector.clone())
        };
        let client = Arc::new(Mutex::new(made()));
        let (requests, server) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::default()));
        let renewed = client.clone();
        let forget = Box::new(move || *renewed.lock().unwrap_or_else(PoisonError::into_inner) = made());
        let (counter, heard) = (requests.clone(), server.clone());
        let transport = move |mut request: BollardRequest| {
            let client = client.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let heard = heard.clone();
            counter.fetch_add(1, Ordering::Relaxed);
            fix_credentials(&mut request);
            async move {
                let response = client.request(request).await.map_err(BollardError::from)?;
                if let Some(name) = response.headers().get("server").and_then(|value| value.to_str().ok()) {
                    name.clone_into(&mut heard.lock().unwrap_or_else(PoisonError::into_inner));
                }
                Ok(response)
            }
        };
        let docker = Docker::connect_with_custom_transport(
            transport,
            Some("http://engine"),
            // Whoever asks has a limit of its own before that.
            limit::END.as_secs(),
            bollard::API_DEFAULT_VERSION,
        );
        let docker = docker.map_err(|error| HostCause::Answer(error.to_string()))?;
        Ok(Self { docker, wire, socket, requests, refused, server, forget })
    }

    /// Streams that are kept open for the next request are used no more: the session under them ends.
    pub(super) fn forget_streams(&self) {
        (self.forget)();
    }

    /// Requests so far.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The last attempt to open a stream was refused: nobody listens, or sshd does not forward.
    pub(super) fn refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// The engine's version, from its last answer.
    pub(super) fn version(&self) -> String {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let version = server.split_once('/').map_or("", |(_, rest)| rest);
        version.split([' ', '+']).next().unwrap_or_default().to_owned()
    }

    /// All containers.
    pub(super) async fn containers(&self) -> Answer<BTreeMap<String, ContainerState>> {
        let options = query::ListContainersOptionsBuilder::default().all(true).build();
        let listed = match self.docker.list_containers(Some(options)).await {
            Err(BollardError::JsonDataError { contents, .. }) if contents.contains(STOPPED) => podmans(&contents)?,
            listed => listed.map_err(|error| self.cause(&error))?,
        };
        Ok(listed.into_iter().map(state).map(|state| (state.name.clone(), state)).collect())
    }

    pub(super) async fn volumes(&self, label: &str) -> Answer<Vec<String>> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = query::ListVolumesOptionsBuilder::default().filters(&filters).build();
        let listed = self.docker.list_volumes(Some(options)).await.map_err(|error| self.cause(&error))?;
        let mut names: Vec<String> = listed.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect();
        names.sort();
        Ok(names)
    }

    pub(super) async fn image(&self, reference: &str) -> Answer<Option<ImageState>> {
        let Some(image) = self.or_missing(self.docker.inspect_image(reference).await)? else { return Ok(None) };
        let digests = image.repo_digests.unwrap_or_default();
        let mut digests = digests.iter().filter_map(|known| known.split_once('@'));
        let digest = digests.find(|(name, _)| *name == repository(reference)).map(|(_, digest)| digest.to_owned());
        Ok(Some(ImageState { id: image.id.unwrap_or_default(), digest }))
    }

    pub(super) async fn images(&self, label: &str) -> Answer<Vec<ListedImage>> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = query::ListImagesOptionsBuilder::default().filters(&filters).shared_size(true).build();
        let listed = self.docker.list_images(Some(options)).await.map_err(|error| self.cause(&error))?;
        Ok(listed.into_iter().map(listed_image).collect())
    }

    pub(super) async fn registry_digest(&self, reference: &str, login: Option<&RegistryLogin>) -> Answer<String> {
        let inspected = self.docker.inspect_registry_image(reference, credentials(reference, login)).await;
        let found = inspected.map_err(|error| match self.cause(&error) {
            // The engine hands on what the registry answers from 400 to 499, and calls all else 500.
            HostCause::Engine { status, message } => {
                // Podman does not have this request: that says nothing of the registry.
                let status = if status == 404 && message.trim() == "Not Found" { 405 } else { status };
                HostCause::Registry { registry: registry(reference).to_owned(), status, message }
            }
            HostCause::TimedOut(seconds) => HostCause::Registry {
                registry: registry(reference).to_owned(),
                status: 504,
                message: format!("no answer within {seconds} s"),
            },
            cause => cause,
        })?;
        found.descriptor.digest.ok_or_else(|| HostCause::Answer("the engine tells no digest".into()))
    }

    pub(super) async fn logs(&self, container: &str, lines: usize) -> Answer<Vec<String>> {
        let options = query::LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&lines.to_string()).build();
        let mut stream = Box::pin(self.docker.logs(container, Some(options)));
        let mut bytes = Vec::new();
        while let Some(part) = self.next(&mut stream).await? {
            bytes.extend_from_slice(part.as_ref());
        }
        let text = String::from_utf8_lossy(&bytes);
        let all: Vec<String> = text.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect();
        Ok(all[all.len().saturating_sub(lines)..].to_vec())
    }

    /// Runs a program in a container: its output by stream, its exit code. It is ended where nobody waits for it any more.
    pub(super) async fn exec(&self, container: &str, user: &str, argv: &[String], stdin: &[u8]) -> Answer<Output> {
        let options = CreateExecOptions {
            attach_stdin: Some(!stdin.is_empty()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(argv.to_vec()),
            user: Some(user.to_owned()).filter(|user| !user.is_empty()),
            ..CreateExecOptions::default()
        };
        let made = self.docker.create_exec(container, options).await.map_err(|error| self.cause(&error))?;
        let mut unfinished = Unfinished(Some((self.docker.clone(), self.wire.clone(), made.id.clone())));
        let started = self.docker.start_exec(&made.id, None).await.map_err(|error| self.cause(&error))?;
        let StartExecResults::Attached { output: mut stream, mut input } = started else {
            return Err(HostCause::Answer("the engine did not attach to the command".to_owned()));
        };
        let feed = async {
            // A program may end without reading all of it; its exit code tells. The half close is its end of file.
            if !stdin.is_empty() && input.write_all(stdin).await.is_ok() {
                let _ = input.shutdown().await;
            }
        };
        let drain = async {
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            while let Some(part) = stream.next().await {
                match part.map_err(|error| self.cause(&error))? {
                    LogOutput::StdErr { message } => stderr.extend_from_slice(&message),
                    part => stdout.extend_from_slice(part.as_ref()),
                }
            }
            Ok::<_, HostCause>((stdout, stderr))
        };
        let ((), drained) = tokio::join!(feed, drain);
        unfinished.0.take();
        let (stdout, stderr) = drained?;
        let code = self.exit_code(&made.id).await?;
        Ok(Output { code, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() })
    }

    /// The exit code of a command whose output has ended; the engine may notice its end a moment later.
    async fn exit_code(&self, exec: &str) -> Answer<u32> {
        for pause in [5, 20, 50, 200, 500, 1000] {
            let inspected = self.docker.inspect_exec(exec).await.map_err(|error| self.cause(&error))?;
            match (inspected.running, inspected.exit_code) {
                (Some(true), _) | (_, None) => tokio::time::sleep(Duration::from_millis(pause)).await,
                (_, Some(code)) => return Ok(u32::try_from(code).unwrap_or(255)),
            }
        }
        Err(HostCause::Answer("the command closed its output and goes on running".to_owned()))
    }

    pub(super) async fn pull(
        &self,
        reference: &str,
        login: Option<&RegistryLogin>,
        progress: OnProgress<'_>,
    ) -> Answer<()> {
        // Without either the engine would pull every tag there is.
        let last = reference.rsplit('/').next().unwrap_or(reference);
        let whole = if last.contains([':', '@']) { reference.to_owned() } else { format!("{reference}:latest") };
        let options = query::CreateImageOptionsBuilder::default().from_image(&whole).build();
        let mut stream = Box::pin(self.docker.create_image(Some(options), None, credentials(reference, login)));
        let mut layers = BTreeMap::new();
        let mut told = (0, 0);
        while let Some(info) = self.next(&mut stream).await? {
            layer(info, &mut layers);
            let sum = layers.values().fold((0, 0), |sum: (u64, u64), (here, all)| (sum.0 + here, sum.1 + all));
            if sum != told {
                told = sum;
                progress(sum.0, sum.1);
            }
        }
        Ok(())
    }

    pub(super) async fn create(&self, spec: &ContainerSpec) -> Answer<String> {
        let options = query::CreateContainerOptionsBuilder::default().name(&spec.name).build();
        let made = self.docker.create_container(Some(options), spec::body(spec)).await;
        let made = made.map_err(|error| self.cause(&error))?;
        // Docker leaves out a limit that its kernel cannot have, and says so only here.
        let swap = spec.resources.memswap_limit != 0;
        let left_out = |said: &String| said.contains("discarded") || swap && said.contains("without swap");
        match made.warnings.into_iter().find(left_out) {
            None => Ok(made.id),
            Some(message) => {
                self.remove(&made.id).await?;
                Err(HostCause::Engine { status: 400, message })
            }
        }
    }

    pub(super) async fn start(&self, container: &str) -> Answer<()> {
        let none = None::<query::StartContainerOptions>;
        self.docker.start_container(container, none).await.map_err(|error| self.cause(&error))
    }

    pub(super) async fn stop(&self, container: &str, timeout: u32) -> Answer<()> {
        let seconds = i32::try_from(timeout).unwrap_or(i32::MAX);
        let options = query::StopContainerOptionsBuilder::default().t(seconds).build();
        self.docker.stop_container(container, Some(options)).await.map_err(|error| self.cause(&error))
    }

    pub(super) async fn kill(&self, container: &str, signal: &str) -> Answer<()> {
        let options = query::KillContainerOptionsBuilder::default().signal(signal).build();
        self.docker.kill_container(container, Some(options)).await.map_err(|error| self.cause(&error))
    }

    pub(super) async fn rename(&self, container: &str, name: &str) -> Answer<()> {
        let options = query::RenameContainerOptionsBuilder::default().name(name).build();
        self.docker.rename_container(container, options).await.map_err(|error| self.cause(&error))
    }

    pub(super) async fn remove(&self, container: &str) -> Answer<()> {
        // With the volumes that have no name: nobody could find them afterwards.
        let options = query::RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        loop {
            let removed = self.docker.remove_container(container, Some(options.clone())).await;
            // Somebody else, as a run that was killed, has ordered it: done once it is gone.
            match &removed {
                Err(BollardError::DockerResponseServerError { status_code: 409, message })
                    if message.contains("already in progress") =>
                {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                _ => return self.or_missing(removed).map(|_| ()),
            }
        }
    }

    pub(super) async fn wait(&self, container: &str) -> Answer<i64> {
        let options = query::WaitContainerOptionsBuilder::default().condition("not-running").build();
        let mut stream = Box::pin(self.docker.wait_container(container, Some(options)));
        match stream.next().await {
            Some(Ok(ended)) => Ok(ended.status_code),
            // The library takes any other code than 0 for an error.
            Some(Err(BollardError::DockerContainerWaitError { error, code })) if error.is_empty() => Ok(code),
            Some(Err(error)) => Err(self.cause(&error)),
            None => Err(HostCause::Answer(format!("the engine does not say how {container} ended"))),
        }
    }

    pub(super) async fn volume_create(&self, name: &str, labels: &BTreeMap<String, String>) -> Answer<()> {
        let labels: HashMap<String, String> = labels.clone().into_iter().collect();
        let request =
            VolumeCreateRequest { name: Some(name.to_owned()), labels: Some(labels), ..VolumeCreateRequest::default() };
        self.docker.create_volume(request).await.map(|_| ()).map_err(|error| self.cause(&error))
    }

    pub(super) async fn volume_remove(&self, name: &str) -> Answer<()> {
        let removed = self.docker.remove_volume(name, None::<query::RemoveVolumeOptions>).await;
        self.or_missing(removed).map(|_| ())
    }

    pub(super) async fn image_remove(&self, reference: &str) -> Answer<()> {
        let removed = self.docker.remove_image(reference, None::<query::RemoveImageOptions>, None).await;
        self.or_missing(removed).map(|_| ())
    }

    /// The next item of a stream, unless it is silent too long.
    async fn next<T>(
        &self,
        stream: &mut Pin<Box<impl Stream<Item = Result<T, BollardError>> + ?Sized>>,
    ) -> Answer<Option<T>> {
        let item = tokio::time::timeout(limit::SILENCE, stream.next()).await;
        let item = item.map_err(|_| HostCause::TimedOut(limit::SILENCE.as_secs()))?;
        item.transpose().map_err(|error| self.cause(&error))
    }

    /// `None` for what the engine does not have.
    fn or_missing<T>(&self, outcome: Result<T, BollardError>) -> Answer<Option<T>> {
        match outcome {
            Ok(found) => Ok(Some(found)),
            Err(BollardError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(self.cause(&error)),
        }
    }

    fn cause(&self, error: &BollardError) -> HostCause {
        match error {
            BollardError::DockerResponseServerError { status_code, message } => {
                HostCause::Engine { status: *status_code, message: message.clone() }
            }
            BollardError::DockerStreamError { error } | BollardError::DockerContainerWaitError { error, .. } => {
                HostCause::Engine { status: 500, message: error.clone() }
            }
            BollardError::RequestTimeoutError => HostCause::TimedOut(limit::END.as_secs()),
            BollardError::JsonDataError { message, .. } => HostCause::Answer(message.clone()),
            BollardError::JsonSerdeError { err } => HostCause::Answer(err.to_string()),
            // The engine answered, and then its stream ended in the middle.
            BollardError::IOError { err } if err.get_ref().is_none_or(|inner| !inner.is::<OpenFailure>()) => {
                HostCause::Answer(format!("its answer was cut: {err}"))
            }
            other => self.transport_cause(other),
        }
    }

    /// Of what failed below the API: the wire's own error is somewhere among its sources.
    fn transport_cause(&self, error: &BollardError) -> HostCause {
        let socket = self.socket.clone();
        let mut source: Option<&(dyn StdError + 'static)> = Some(error);
        let mut deepest = String::new();
        while let Some(error) = source {
            let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            let failure = error.downcast_ref().or_else(|| inner.and_then(|inner| inner.downcast_ref()));
            match failure {
                Some(OpenFailure::Session(cause)) => return cause.clone(),
                Some(OpenFailure::Forbidden) => return HostCause::ForwardingRefused(socket),
                Some(OpenFailure::Refused) => return HostCause::NoEngine(socket),
                Some(OpenFailure::Denied) => return HostCause::EngineForbidden(socket),
                Some(OpenFailure::NoProgram) => return HostCause::NoEngineClient(socket),
                Some(OpenFailure::Unreachable(why)) => return HostCause::NoEngine(format!("{socket}: {why}")),
                None => deepest = error.to_string(),
            }
            source = error.source();
        }
        // A stream that was kept open for the next request may have ended between two, without a word of its own.
        self.wire.lost().unwrap_or_else(|| HostCause::NoEngine(format!("{socket}: {deepest}")))
    }
}

/// A program in a container that has not ended. The engine has no call to end one, and lets it go on without whoever
/// started it: a statement that hangs would keep its locks.
struct Unfinished(Option<(Docker, Arc<dyn Wire>, String)>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let (Some((docker, wire, exec)), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move { tokio::time::timeout(limit::ENGINE, end(&docker, &*wire, &exec)).await });
        }
    }
}

/// Ends a program in a container, and what it has started, from its host.
async fn end(docker: &Docker, wire: &dyn Wire, exec: &str) {
    let Ok(state) = docker.inspect_exec(exec).await else { return };
    if let (Some(true), Some(pid @ 2..)) = (state.running, state.pid) {
        let script = format!(
            "end() {{ kill -s \"$1\" -- -{pid} || kill -s \"$1\" {pid}; }} 2>/dev/null\n\
             end TERM\nfor i in 1 2 3 4 5; do kill -0 {pid} 2>/dev/null || exit 0; sleep 1; done\nend KILL\n"
        );
        // One that does not hear of it goes on; the error that is told names it.
        let _ = wire.exec(wire::script(wire.root(), &script, &[])).await;
    }
}

/// A container as listed.
/// A state that only Podman tells: the container's program has ended, and Podman has yet to tidy up after it.
const STOPPED: &str = "\"stopped\"";

/// A list of Podman's, with containers in a state that the library does not know.
fn podmans(list: &str) -> Answer<Vec<ContainerSummary>> {
    let unexpected = |error: serde_json::Error| HostCause::Answer(error.to_string());
    let mut list: serde_json::Value = serde_json::from_str(list).map_err(unexpected)?;
    let states = list.as_array_mut().into_iter().flatten().filter_map(|container| container.get_mut("State"));
    for state in states.filter(|state| *state == "stopped") {
        *state = "exited".into();
    }
    serde_json::from_value(list).map_err(unexpected)
}

/// An image as listed.
fn listed_image(summary: ImageSummary) -> ListedImage {
    let names = summary.repo_tags.into_iter().chain(summary.repo_digests);
    ListedImage {
        id: summary.id,
        names: names.filter(|name| !name.contains("<none>")).collect(),
        size: u64::try_from(summary.size).unwrap_or_default(),
        // An engine that does not count it says -1 or 0.
        shared: u64::try_from(summary.shared_size).ok().filter(|bytes| *bytes > 0),
    }
}

fn state(summary: ContainerSummary) -> ContainerState {
    let name = summary.names.unwrap_or_default().into_iter().next().unwrap_or_default();
    ContainerState {
        name: name.trim_start_matches('/').to_owned(),
        id: summary.id.unwrap_or_default(),
        image_id: summary.image_id.unwrap_or_default(),
        state: summary.state.map(|state| state.to_string()).unwrap_or_default(),
        status: summary.status.unwrap_or_default(),
        created: summary.created.unwrap_or_default(),
        labels: summary.labels.unwrap_or_default().into_iter().collect(),
    }
}

/// Bytes of one layer, as the engine tells them while it downloads: here so far, and in all.
fn layer(info: CreateImageInfo, layers: &mut BTreeMap<String, (u64, u64)>) {
    let Some(id) = info.id else { return };
    let detail = info.progress_detail.map(|detail| (detail.current, detail.total));
    match (info.status.as_deref(), detail) {
        (Some("Downloading"), Some((Some(here), Some(all)))) => {
            let bytes = |number: i64| u64::try_from(number).unwrap_or(0);
            layers.insert(id, (bytes(here), bytes(all)));
        }
        (Some("Download complete" | "Pull complete" | "Extracting"), _) => {
            if let Some((here, all)) = layers.get_mut(&id) {
                *here = *all;
            }
        }
        _ => {}
    }
}

fn credentials(reference: &str, login: Option<&RegistryLogin>) -> Option<DockerCredentials> {
    login.map(|login| DockerCredentials {
        username: Some(login.user.clone()),
        password: Some(login.password.reveal().to_owned()),
        serveraddress: reference.split_once('/').map(|(server, _)| server.to_owned()),
        ..DockerCredentials::default()
    })
}

/// The library writes credentials in plain base64 where the engine reads the URL-safe alphabet, and takes what it
/// cannot read for no credentials.
fn fix_credentials(request: &mut BollardRequest) {
    if let Some(value) = request.headers_mut().get_mut("x-registry-auth") {
        let fixed = value.to_str().unwrap_or_default().replace('+', "-").replace('/', "_");
        if let Ok(mut fixed) = hyper::header::HeaderValue::from_str(&fixed) {
            fixed.set_sensitive(true);
            *value = fixed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_podman_calls_stopped_has_ended_and_one_that_stops_is_alive() {
        let list = r#"[{"Id": "1", "Names": ["/web"], "State": "stopped", "Status": "Stopped"},
                       {"Id": "2", "Names": ["/stopped"], "State": "stopping", "Labels": {"is": "stopped"}}]"#;
        assert!(serde_json::from_str::<Vec<ContainerSummary>>(list).is_err(), "the library knows it now");
        let states: Vec<ContainerState> = podmans(list).unwrap().into_iter().map(state).collect();
        let states: Vec<_> = states.iter().map(|state| (&*state.name, &*state.state, state.alive())).collect();
        assert_eq!(states, [("web", "exited", false), ("stopped", "stopping", true)]);
    }
}
