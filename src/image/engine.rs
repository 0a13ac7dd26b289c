//! This machine's container engine, as far as images need it.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as DockerError;
use bollard::models::{
    BuildInfo, BuildInfoAux, ContainerCreateBody, ContainerInspectResponse, HostConfig, ImageInspect,
};
use bollard::models::{Mount, MountType, RestartPolicy, RestartPolicyNameEnum};
use bollard::query_parameters as query;
use futures_util::{StreamExt, TryStreamExt};
use tokio_util::io::ReaderStream;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::host::here;

/// An import or a push may say nothing for long.
const PATIENCE: Duration = Duration::from_mins(30);
/// How often a push is tried whose answer breaks off.
const PUSHES: u32 = 3;
/// A container of ours gets this long to stop.
const STOP_S: i32 = 10;

/// This machine's engine.
#[derive(Debug, Clone)]
pub(super) struct Engine(Docker);

/// A failed build: why, and the last lines it wrote.
#[derive(Debug)]
pub(super) struct BuildFailure {
    pub(super) cause: String,
    pub(super) log: Vec<String>,
}

/// What a build is given.
#[derive(Debug)]
pub(super) struct Recipe<'a> {
    pub(super) reference: &'a str,
    pub(super) context: Vec<u8>,
    pub(super) arguments: HashMap<String, String>,
    pub(super) labels: HashMap<String, String>,
    pub(super) fresh: bool,
}

/// A container that serves on this machine's own network.
#[derive(Debug)]
pub(super) struct Server<'a> {
    pub(super) name: &'a str,
    pub(super) image: &'a str,
    pub(super) env: Vec<String>,
    pub(super) labels: HashMap<String, String>,
    pub(super) volume: (&'a str, &'a str),
}

impl Engine {
    /// Connects and asks for a sign of life.
    pub(super) async fn connect() -> Result<Self> {
        Ok(Self(here::engine(PATIENCE).await?))
    }

    /// An image by name or id, if it is there.
    pub(super) async fn image(&self, name: &str) -> Result<Option<ImageInspect>> {
        some(self.0.inspect_image(name).await).map_err(failed(format!("inspect image {name}")))
    }

    /// The id of an image that has all these labels.
    pub(super) async fn labelled(&self, labels: &HashMap<String, String>) -> Result<Option<String>> {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let filters = HashMap::from([("label", labels)]);
        let options = query::ListImagesOptionsBuilder::new().filters(&filters).build();
        let images = self.0.list_images(Some(options)).await.map_err(failed("list the engine's images"))?;
        Ok(images.into_iter().next().map(|image| image.id))
    }

    /// Gives an image a name; one that has it already keeps it.
    pub(super) async fn tag(&self, id: &str, reference: &str) -> Result<()> {
        let (repo, tag) = split(reference);
        let options = query::TagImageOptionsBuilder::new().repo(repo).tag(tag).build();
        self.0.tag_image(id, Some(options)).await.map_err(failed(format!("tag image {reference}")))
    }

    /// Makes an image of a tar file; `changes` are lines as in a Dockerfile.
    pub(super) async fn import(&self, tar: &Path, reference: &str, changes: Vec<String>) -> Result<()> {
        let act = format!("import image {reference}");
        let file = tokio::fs::File::open(tar).await.map_err(|error| Error::local(act.clone(), error))?;
        let body = bollard::body_try_stream(ReaderStream::with_capacity(file, 1 << 20));
        let (repo, tag) = split(reference);
        let options =
            query::CreateImageOptionsBuilder::new().from_src("-").repo(repo).tag(tag).changes(changes).build();
        let answers = self.0.create_image(Some(options), Some(body), None);
        answers.try_for_each(|_| async { Ok(()) }).await.map_err(failed(act))
    }

    /// Builds an image, telling each line that the build writes.
    pub(super) async fn build(
        &self,
        recipe: Recipe<'_>,
        mut say: impl FnMut(&str),
    ) -> std::result::Result<(), BuildFailure> {
        // What asks the caller for files or logins; nothing here does, but there is no build without one.
        let session = Uuid::new_v4().to_string();
        let options = query::BuildImageOptionsBuilder::new()
            .t(recipe.reference)
            .version(query::BuilderVersion::BuilderBuildKit)
            .session(&session)
            .nocache(recipe.fresh)
            // The machine's own network, so that a mirror or proxy on this machine is reached too.
            .networkmode("host")
            .buildargs(&recipe.arguments)
            .labels(&recipe.labels)
            .build();
        let body = bollard::body_full(recipe.context.into());
        let mut answers = Box::pin(self.0.build_image(options, None, Some(body)));
        let mut log: Vec<String> = Vec::new();
        while let Some(answer) = answers.next().await {
            let cause = match answer {
                Ok(info) => {
                    for line in lines(&info).iter().filter(|line| !line.trim().is_empty()) {
                        say(line);
                        log.push(line.clone());
                    }
                    info.error_detail.map(|detail| detail.message.unwrap_or_else(|| "unknown error".into()))
                }
                Err(DockerError::DockerStreamError { error }) => Some(error),
                Err(error) => Some(error.to_string()),
            };
            if let Some(cause) = cause {
                let log = log.split_off(log.len().saturating_sub(20));
                return Err(BuildFailure { cause, log });
            }
        }
        Ok(())
    }

    /// Pushes an image, telling how many bytes of how many are sent. What the registry has by then is not sent again, so a
    /// push whose answer breaks off is made anew.
    pub(super) async fn push(&self, reference: &str, mut say: impl FnMut(u64, u64)) -> Result<()> {
        let mut tries = 1;
        loop {
            match self.push_once(reference, &mut say).await {
                Err(DockerError::IOError { .. }) if tries < PUSHES => tries += 1,
                pushed => return pushed.map_err(failed(format!("push image {reference}"))),
            }
        }
    }

    async fn push_once(&self, reference: &str, say: &mut impl FnMut(u64, u64)) -> std::result::Result<(), DockerError> {
        let (repo, tag) = split(reference);
        let options = query::PushImageOptionsBuilder::new().tag(tag).build();
        let mut answers = Box::pin(self.0.push_image(repo, Some(options), None));
        let mut layers: HashMap<String, (u64, u64)> = HashMap::new();
        while let Some(answer) = answers.next().await {
            // The engine answers 200 first; that a push failed stands in the stream.
            let answer = answer?;
            if let Some(error) = answer.error_detail.and_then(|detail| detail.message) {
                return Err(DockerError::DockerStreamError { error });
            }
            let Some(progress) = answer.progress_detail else { continue };
            let (Some(done), Some(total)) = (progress.current, progress.total) else { continue };
            let number = |value: i64| u64::try_from(value).unwrap_or_default();
            // Without ids of layers in the answer, a layer is told from others by its size.
            layers.insert(total.to_string(), (number(done), number(total)));
            say(layers.values().map(|layer| layer.0).sum(), layers.values().map(|layer| layer.1).sum());
        }
        Ok(())
    }

    /// A container by name, if it is there.
    pub(super) async fn container(&self, name: &str) -> Result<Option<ContainerInspectResponse>> {
        let answer = self.0.inspect_container(name, None::<query::InspectContainerOptions>).await;
        some(answer).map_err(failed(format!("inspect container {name}")))
    }

    /// The content of a file in an image.
    pub(super) async fn read(&self, image: &str, path: &str) -> Result<Vec<u8>> {
        let act = format!("read {path} of image {image}");
        // Files are reached through containers only; this one is never started, whatever its command.
        let command = Some(vec![path.to_owned()]);
        let body = ContainerCreateBody { image: Some(image.to_owned()), cmd: command, ..Default::default() };
        let created = self.0.create_container(None::<query::CreateContainerOptions>, body).await;
        let container = created.map_err(failed(act.clone()))?.id;
        let options = query::DownloadFromContainerOptionsBuilder::new().path(path).build();
        let parts = self.0.download_from_container(&container, Some(options)).try_collect::<Vec<_>>().await;
        self.remove(&container).await?;
        let tar = parts.map_err(failed(act.clone()))?.concat();
        let unpack = || -> std::io::Result<Vec<u8>> {
            let mut archive = tar::Archive::new(tar.as_slice());
            let mut file = archive.entries()?.next().ok_or(std::io::ErrorKind::UnexpectedEof)??;
            let mut content = Vec::new();
            file.read_to_end(&mut content)?;
            Ok(content)
        };
        unpack().map_err(|error| Error::local(act, error))
    }

    /// Creates a container on the machine's own network.
    pub(super) async fn create(&self, server: Server<'_>) -> Result<()> {
        let (volume, target) = server.volume;
        let body = ContainerCreateBody {
            image: Some(server.image.to_owned()),
            env: Some(server.env),
            labels: Some(server.labels),
            host_config: Some(HostConfig {
                network_mode: Some("host".into()),
                restart_policy: Some(RestartPolicy {
                    name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                    maximum_retry_count: None,
                }),
                mounts: Some(vec![Mount {
                    typ: Some(MountType::VOLUME),
                    source: Some(volume.to_owned()),
                    target: Some(target.to_owned()),
                    ..Default::default()
                }]),
                ..Default::default()
            }),
            ..Default::default()
        };
        let options = query::CreateContainerOptionsBuilder::new().name(server.name).build();
        let created = self.0.create_container(Some(options), body).await;
        created.map(|_| ()).map_err(failed(format!("create container {}", server.name)))
    }

    /// Starts a container; one that runs is fine.
    pub(super) async fn start(&self, name: &str) -> Result<()> {
        let started = self.0.start_container(name, None::<query::StartContainerOptions>).await;
        started.map_err(failed(format!("start container {name}")))
    }

    /// Stops and removes a container; one that is gone is fine.
    pub(super) async fn remove(&self, name: &str) -> Result<bool> {
        let options = query::StopContainerOptionsBuilder::new().t(STOP_S).build();
        let stopped = some(self.0.stop_container(name, Some(options)).await);
        if stopped.map_err(failed(format!("stop container {name}")))?.is_none() {
            return Ok(false);
        }
        let options = query::RemoveContainerOptionsBuilder::new().force(true).build();
        let removed = some(self.0.remove_container(name, Some(options)).await);
        Ok(removed.map_err(failed(format!("remove container {name}")))?.is_some())
    }

    /// Removes a volume; one that is gone is fine.
    pub(super) async fn volume_remove(&self, name: &str) -> Result<()> {
        let removed = some(self.0.remove_volume(name, None::<query::RemoveVolumeOptions>).await);
        removed.map(|_| ()).map_err(failed(format!("remove volume {name}")))
    }

    /// The last lines a container wrote.
    pub(super) async fn logs(&self, name: &str, lines: usize) -> Vec<String> {
        let options = query::LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&lines.to_string()).build();
        let parts = self.0.logs(name, Some(options)).map_ok(|part| part.to_string()).try_collect::<String>().await;
        parts.unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

/// The lines of a build that are in an answer: what begins, and what it writes. Podman's answers are text.
fn lines(info: &BuildInfo) -> Vec<String> {
    let text = match &info.aux {
        Some(BuildInfoAux::BuildKit(status)) => {
            let begun = status.vertexes.iter().filter(|vertex| vertex.started.is_some() && vertex.completed.is_none());
            let written = status.logs.iter().map(|log| String::from_utf8_lossy(&log.msg).into_owned());
            begun.map(|vertex| format!("{}\n", vertex.name)).chain(written).collect()
        }
        _ => info.stream.clone().unwrap_or_default(),
    };
    text.lines().map(str::to_owned).collect()
}

/// Repository and tag of a reference; a colon before the last slash belongs to the registry's port.
pub(super) fn split(reference: &str) -> (&str, &str) {
    match reference.rsplit_once(':') {
        Some((repo, tag)) if !tag.contains('/') => (repo, tag),
        _ => (reference, "latest"),
    }
}

fn some<T>(answer: std::result::Result<T, DockerError>) -> std::result::Result<Option<T>, DockerError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(DockerError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn failed(act: impl Into<String>) -> impl FnOnce(DockerError) -> Error {
    let act = act.into();
    move |error| match error {
        DockerError::DockerResponseServerError { status_code, message } => {
            Error::local(act, format!("the engine answered {status_code}: {}", message.trim()))
        }
        DockerError::DockerStreamError { error } => Error::local(act, error),
        other => Error::local(act, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_a_registry_is_not_a_tag() {
        assert_eq!(split("127.0.0.1:4000/kolla/base:2025.1"), ("127.0.0.1:4000/kolla/base", "2025.1"));
        assert_eq!(split("127.0.0.1:4000/kolla/base"), ("127.0.0.1:4000/kolla/base", "latest"));
    }

    fn recipe<'a>(reference: &'a str, dockerfile: &str) -> Recipe<'a> {
        use crate::host::apt::{AptFile, archive};
        let file = AptFile { path: "Dockerfile".into(), mode: 0o644, content: dockerfile.as_bytes().to_vec() };
        let context = archive(&[file]).unwrap();
        Recipe { reference, context, arguments: HashMap::new(), labels: HashMap::new(), fresh: false }
    }

    /// Needs a container engine.
    #[tokio::test]
    #[ignore = "needs an engine"]
    async fn a_file_is_read_out_of_an_image_that_has_nothing_to_run() {
        let (reference, dockerfile) = ("kolla-test/file:1", "FROM scratch\nCOPY Dockerfile /\n");
        let engine = Engine::connect().await.unwrap();
        engine.build(recipe(reference, dockerfile), |_| ()).await.unwrap();
        let content = engine.read(reference, "/Dockerfile").await;
        let missing = engine.read(reference, "/nothing").await;
        engine.0.remove_image(reference, None::<query::RemoveImageOptions>, None).await.unwrap();
        assert_eq!(content.unwrap(), dockerfile.as_bytes());
        assert!(missing.unwrap_err().to_string().contains("/nothing"));
    }

    /// Needs a container engine.
    #[tokio::test]
    #[ignore = "needs an engine"]
    async fn a_build_that_fails_tells_its_last_lines() {
        let recipe = recipe("kolla-test/fails:1", "FROM scratch\nCOPY Dockerfile /\nRUN [\"/nothing\"]\n");
        let failure = Engine::connect().await.unwrap().build(recipe, |_| ()).await.unwrap_err();
        assert!(failure.cause.contains("/nothing"), "{}", failure.cause);
        assert!(failure.log.iter().any(|line| line.contains("RUN")), "{:?}", failure.log);
    }
}
