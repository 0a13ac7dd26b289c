//! This machine's container engine, as far as the lab needs it; the only file of the lab that knows bollard's calls.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as DockerError;
use bollard::exec::StartExecResults;
use bollard::models::{ContainerCreateBody, ContainerSummary, ExecConfig, HostConfig, Network};
use bollard::query_parameters as query;
use futures_util::{StreamExt, TryStreamExt};
use tokio_util::io::ReaderStream;

use crate::error::{Error, Result};
use crate::host::{Output, here};

/// Label on everything of a lab: its value is the lab's name.
pub(super) const LAB: &str = "kolla.lab";

/// Removing the volume of a host whose engine held a cloud's images takes minutes.
const PATIENCE: Duration = Duration::from_mins(15);

/// A file for [`Engine::put`] and for the host image.
pub(super) struct Entry {
    /// Absolute path.
    pub(super) path: String,
    /// Permissions.
    pub(super) mode: u32,
    /// What it is.
    pub(super) body: Body,
}

/// What an [`Entry`] holds.
pub(super) enum Body {
    /// A regular file.
    File(Vec<u8>),
    /// A folder.
    Folder,
    /// A symbolic link.
    Link(String),
}

impl Entry {
    pub(super) fn file(path: impl Into<String>, mode: u32, content: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), mode, body: Body::File(content.into()) }
    }

    pub(super) fn folder(path: impl Into<String>, mode: u32) -> Self {
        Self { path: path.into(), mode, body: Body::Folder }
    }

    pub(super) fn link(path: impl Into<String>, target: impl Into<String>) -> Self {
        Self { path: path.into(), mode: 0o777, body: Body::Link(target.into()) }
    }
}

/// A tar archive of the entries, owned by root.
pub(super) fn archive(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let failed = |error| Error::local("pack files for a lab host", error);
    for entry in entries {
        let path = entry.path.trim_start_matches('/');
        let mut header = tar::Header::new_gnu();
        header.set_mode(entry.mode);
        header.set_uid(0);
        header.set_gid(0);
        match &entry.body {
            Body::File(content) => {
                header.set_size(content.len() as u64);
                tar.append_data(&mut header, path, content.as_slice())
            }
            Body::Folder => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_size(0);
                tar.append_data(&mut header, format!("{path}/"), std::io::empty())
            }
            Body::Link(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                tar.append_link(&mut header, path, target)
            }
        }
        .map_err(failed)?;
    }
    tar.into_inner().map_err(failed)
}

/// This machine's engine.
#[derive(Clone)]
pub(super) struct Engine(Docker);

impl Engine {
    /// Connects and asks for a sign of life.
    pub(super) async fn connect() -> Result<Self> {
        Ok(Self(here::engine(PATIENCE).await?))
    }

    /// The folder in which the engine keeps its data.
    pub(super) async fn root(&self) -> Result<Option<String>> {
        Ok(self.0.info().await.map_err(failed("ask the engine about itself"))?.docker_root_dir)
    }

    /// Largest packet of the engine's default network; networks made later do not inherit it.
    pub(super) async fn mtu(&self) -> Option<String> {
        let bridge = self.0.inspect_network("bridge", None::<query::InspectNetworkOptions>).await.ok()?;
        bridge.options?.remove("com.docker.network.driver.mtu")
    }

    /// All containers of a lab, running or not.
    pub(super) async fn containers(&self, lab: &str) -> Result<Vec<ContainerSummary>> {
        let options = query::ListContainersOptionsBuilder::new().all(true).filters(&labelled(LAB, lab)).build();
        self.0.list_containers(Some(options)).await.map_err(failed("list the lab's containers"))
    }

    /// All networks of the engine.
    pub(super) async fn networks(&self) -> Result<Vec<Network>> {
        let none = None::<query::ListNetworksOptions>;
        self.0.list_networks(none).await.map_err(failed("list the engine's networks"))
    }

    /// Creates a network; the error keeps the engine's status, for the caller may try another subnet.
    pub(super) async fn network_create(
        &self,
        request: bollard::models::NetworkCreateRequest,
    ) -> std::result::Result<(), DockerError> {
        self.0.create_network(request).await.map(|_| ())
    }

    /// Removes a network.
    pub(super) async fn network_remove(&self, name: &str) -> Result<()> {
        gone_is_fine(self.0.remove_network(name).await).map_err(failed(format!("remove network {name}"))).map_err(
            |error| error.with_hint(format!("`docker network inspect {name}` names the containers that still use it")),
        )
    }

    /// Attaches a container, with the settings of its end.
    pub(super) async fn network_attach(
        &self,
        network: &str,
        container: &str,
        end: bollard::models::EndpointSettings,
    ) -> Result<()> {
        let request =
            bollard::models::NetworkConnectRequest { container: container.to_owned(), endpoint_config: Some(end) };
        let act = format!("attach {container} to network {network}");
        self.0.connect_network(network, request).await.map_err(failed(act))
    }

    /// Creates a volume of a lab; one that is there is fine.
    pub(super) async fn volume_create(&self, name: &str, lab: &str) -> Result<()> {
        let request = bollard::models::VolumeCreateRequest {
            name: Some(name.to_owned()),
            labels: Some(HashMap::from([(LAB.to_owned(), lab.to_owned())])),
            ..Default::default()
        };
        self.0.create_volume(request).await.map(|_| ()).map_err(failed(format!("create volume {name}")))
    }

    /// Names of a lab's volumes.
    pub(super) async fn volumes(&self, lab: &str) -> Result<Vec<String>> {
        let options = query::ListVolumesOptionsBuilder::new().filters(&labelled(LAB, lab)).build();
        let answer = self.0.list_volumes(Some(options)).await.map_err(failed("list the lab's volumes"))?;
        Ok(answer.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect())
    }

    /// Removes a volume.
    pub(super) async fn volume_remove(&self, name: &str) -> Result<()> {
        let removed = self.0.remove_volume(name, None::<query::RemoveVolumeOptions>).await;
        gone_is_fine(removed).map_err(failed(format!("remove volume {name}")))
    }

    /// Ids of the images with a label, newest first.
    pub(super) async fn images(&self, label: &str) -> Result<Vec<(String, HashMap<String, String>)>> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = query::ListImagesOptionsBuilder::new().filters(&filters).build();
        let images = self.0.list_images(Some(options)).await.map_err(failed("list the engine's images"))?;
        Ok(images.into_iter().map(|image| (image.id, image.labels)).collect())
    }

    /// Makes an image of a tar file; `changes` are lines as in a Dockerfile.
    pub(super) async fn image_import(&self, tar: &Path, repo: &str, tag: &str, changes: Vec<String>) -> Result<()> {
        let act = format!("import image {repo}:{tag}");
        let file = tokio::fs::File::open(tar).await.map_err(|error| Error::local(act.clone(), error))?;
        let body = bollard::body_try_stream(ReaderStream::with_capacity(file, 1 << 20));
        let options =
            query::CreateImageOptionsBuilder::new().from_src("-").repo(repo).tag(tag).changes(changes).build();
        let answers = self.0.create_image(Some(options), Some(body), None);
        answers.try_for_each(|_| async { Ok(()) }).await.map_err(failed(act))
    }

    /// Removes an image; one that is gone or in use is fine.
    pub(super) async fn image_remove(&self, id: &str) {
        // In use means that an older lab still runs from it; it goes with the next image that is built.
        let _ = self.0.remove_image(id, None::<query::RemoveImageOptions>, None).await;
    }

    /// Creates a container; the error keeps the engine's status, for the caller may ask for less.
    pub(super) async fn create(&self, name: &str, body: ContainerCreateBody) -> std::result::Result<(), DockerError> {
        let options = query::CreateContainerOptionsBuilder::new().name(name).build();
        self.0.create_container(Some(options), body).await.map(|_| ())
    }

    /// Starts a container; one that runs is fine.
    pub(super) async fn start(&self, container: &str) -> Result<()> {
        let none = None::<query::StartContainerOptions>;
        self.0.start_container(container, none).await.map_err(failed(format!("start {container}")))
    }

    /// Ends a container at once, as a power cut does; one that does not run is fine.
    pub(super) async fn kill(&self, container: &str) -> Result<()> {
        match self.0.kill_container(container, None::<query::KillContainerOptions>).await {
            Err(DockerError::DockerResponseServerError { status_code: 409, .. }) => Ok(()),
            other => other.map_err(failed(format!("kill {container}"))),
        }
    }

    /// Removes a container, running or not, with its unnamed volumes.
    pub(super) async fn remove(&self, container: &str) -> Result<()> {
        let options = query::RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let removed = self.0.remove_container(container, Some(options)).await;
        gone_is_fine(removed).map_err(failed(format!("remove {container}")))
    }

    /// Whether a container runs.
    pub(super) async fn running(&self, container: &str) -> Result<bool> {
        let none = None::<query::InspectContainerOptions>;
        let answer = self.0.inspect_container(container, none).await;
        let answer = answer.map_err(failed(format!("inspect {container}")))?;
        Ok(answer.state.and_then(|state| state.running).unwrap_or(false))
    }

    /// The last lines a container wrote.
    pub(super) async fn logs(&self, container: &str, lines: usize) -> String {
        let options = query::LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&lines.to_string()).build();
        let mut text = String::new();
        let mut stream = Box::pin(self.0.logs(container, Some(options)));
        while let Some(Ok(part)) = stream.next().await {
            text.push_str(&part.to_string());
        }
        text
    }

    /// Writes files into a container, running or not.
    pub(super) async fn put(&self, container: &str, entries: &[Entry]) -> Result<()> {
        let options = query::UploadToContainerOptionsBuilder::new().path("/").build();
        let body = bollard::body_full(archive(entries)?.into());
        let written = self.0.upload_to_container(container, Some(options), body).await;
        written.map_err(failed(format!("write files into {container}")))
    }

    /// Runs a shell script in a running container.
    pub(super) async fn exec(&self, container: &str, script: &str) -> Result<Output> {
        let act = || format!("run a command in {container}");
        let config = ExecConfig {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(vec!["/bin/sh".into(), "-c".into(), script.to_owned()]),
            ..Default::default()
        };
        let exec = self.0.create_exec(container, config).await.map_err(failed(act()))?.id;
        let mut result = Output::default();
        let started = self.0.start_exec(&exec, None::<bollard::exec::StartExecOptions>).await.map_err(failed(act()))?;
        if let StartExecResults::Attached { mut output, .. } = started {
            while let Some(part) = output.next().await {
                match part.map_err(failed(act()))? {
                    LogOutput::StdErr { message } => result.stderr.push_str(&String::from_utf8_lossy(&message)),
                    other => result.stdout.extend_from_slice(&other.into_bytes()),
                }
            }
        }
        let code = self.0.inspect_exec(&exec).await.map_err(failed(act()))?.exit_code;
        result.code = code.and_then(|code| u32::try_from(code).ok()).unwrap_or(255);
        Ok(result)
    }

    /// Runs a script once in this machine's own network namespace, by a container that is removed afterwards.
    pub(super) async fn on_this_machine(&self, lab: &str, image: &str, name: &str, script: &str) -> Result<()> {
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(vec!["/bin/sh".into(), "-ec".into(), script.to_owned()]),
            labels: Some(HashMap::from([(LAB.to_owned(), lab.to_owned())])),
            host_config: Some(HostConfig {
                network_mode: Some("host".into()),
                cap_add: Some(vec!["NET_ADMIN".into()]),
                ..Default::default()
            }),
            ..Default::default()
        };
        self.remove(name).await?;
        self.create(name, body).await.map_err(failed(format!("create {name}")))?;
        let ended = async {
            self.start(name).await?;
            let mut answers = Box::pin(self.0.wait_container(name, None::<query::WaitContainerOptions>));
            match answers.next().await {
                Some(Ok(_)) | None => Ok(()),
                Some(Err(DockerError::DockerContainerWaitError { code, .. })) => {
                    let log = self.logs(name, 5).await;
                    Err(Error::local(format!("run {name}"), format!("exit code {code}: {}", log.trim())))
                }
                Some(Err(error)) => Err(failed(format!("wait for {name}"))(error)),
            }
        }
        .await;
        self.remove(name).await?;
        ended
    }
}

/// Turns an engine's error into ours while doing `act`.
pub(super) fn failed(act: impl Into<String>) -> impl FnOnce(DockerError) -> Error {
    let act = act.into();
    move |error| match error {
        DockerError::DockerResponseServerError { status_code, message } => {
            Error::local(act, format!("the engine answered {status_code}: {}", message.trim()))
        }
        other => Error::local(act, other),
    }
}

fn gone_is_fine(result: std::result::Result<(), DockerError>) -> std::result::Result<(), DockerError> {
    match result {
        Err(DockerError::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
        other => other,
    }
}

fn labelled(label: &str, value: &str) -> HashMap<&'static str, Vec<String>> {
    HashMap::from([("label", vec![format!("{label}={value}")])])
}
