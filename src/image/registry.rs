//! A registry on this machine: a container from an image built here.

use std::collections::HashMap;
use std::time::Duration;

use tokio::net::TcpStream;

use super::api;
use super::engine::{Engine, Server};
use crate::error::{Error, OperationError, Result};

/// Says that a container is a registry of ours; its value is the port.
const LABEL: &str = "kolla.registry";
/// Says which image a registry was created from.
const IMAGE: &str = "kolla.registry.image";
/// How long a registry may take to answer.
const WITHIN: Duration = Duration::from_secs(30);

/// Which registry is meant: several can live on one machine, each on its own port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// The port it listens on, on all of this machine's addresses.
    pub port: u16,
    /// The image it runs from.
    pub image: String,
}

/// What became of a registry that was to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raised {
    /// It ran already.
    Same,
    /// It was there and was started.
    Started,
    /// It was created, or made anew from another image; what it holds stays.
    Created,
}

/// What is known of a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether its container is there.
    pub exists: bool,
    /// Whether it answers.
    pub answers: bool,
    /// What it holds, as `kolla/base:2025.1-debian-trixie`.
    pub images: Vec<String>,
}

impl Registry {
    /// Container and volume have the same name.
    pub fn name(&self) -> String {
        match self.port {
            4000 => "kolla_registry".to_owned(),
            port => format!("kolla_registry_{port}"),
        }
    }

    /// Where this machine pushes to: engines accept plain HTTP there.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Makes it run, and waits until it answers.
    ///
    /// # Errors
    /// When its image was not built, the port is taken, or it does not answer in time.
    pub async fn up(&self) -> Result<Raised> {
        let engine = Engine::connect().await?;
        let name = self.name();
        let image = engine.image(&self.image).await?.and_then(|image| image.id).ok_or_else(|| {
            Error::local(format!("start {name}"), format!("image {} is not there", self.image))
                .with_hint("build it by `kolla build registry`")
        })?;
        let there = engine.container(&name).await?;
        let labels = there.as_ref().and_then(|container| container.config.as_ref()?.labels.clone());
        let running = there.as_ref().and_then(|container| container.state.as_ref()?.running) == Some(true);
        let same = labels.as_ref().is_some_and(|labels| labels.get(IMAGE) == Some(&image));
        if there.is_some() && !labels.is_some_and(|labels| labels.contains_key(LABEL)) {
            return Err(Error::local(format!("start {name}"), "a container of that name is not ours")
                .with_hint(format!("rename or remove it, or choose another port than {}", self.port)));
        }
        if !running && TcpStream::connect(self.address()).await.is_ok() {
            return Err(Error::local(format!("start {name}"), format!("port {} is taken", self.port))
                .with_hint("stop what listens there, or choose another port by `--port`"));
        }
        let raised = match (same, running) {
            (true, true) if api::answers(&self.address()).await => return Ok(Raised::Same),
            (true, true) => Raised::Same,
            (true, false) => Raised::Started,
            (false, _) => {
                engine.remove(&name).await?;
                self.create(&engine, &image).await?;
                Raised::Created
            }
        };
        engine.start(&name).await?;
        self.wait(&engine).await?;
        Ok(raised)
    }

    async fn create(&self, engine: &Engine, image: &str) -> Result<()> {
        let name = self.name();
        let port = self.port.to_string();
        let server = Server {
            name: &name,
            image: &self.image,
            // On the machine's own network: a published port is not reached from hosts on another bridge.
            env: vec![format!("REGISTRY_HTTP_ADDR=0.0.0.0:{port}")],
            labels: HashMap::from([(LABEL.to_owned(), port), (IMAGE.to_owned(), image.to_owned())]),
            volume: (&name, "/var/lib/registry"),
        };
        engine.create(server).await
    }

    async fn wait(&self, engine: &Engine) -> Result<()> {
        let name = self.name();
        let answered = tokio::time::timeout(WITHIN, async {
            loop {
                if api::answers(&self.address()).await {
                    return true;
                }
                let state = engine.container(&name).await.ok().flatten().and_then(|container| container.state);
                if state.is_some_and(|state| state.running == Some(false) || state.restarting == Some(true)) {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        if answered.await == Ok(true) {
            return Ok(());
        }
        let log = engine.logs(&name, 10).await;
        // It would restart for ever.
        engine.remove(&name).await?;
        Err(Error::Operation(Box::new(OperationError {
            message: format!("registry {name} does not answer on {}", self.address()),
            log_of: Some(name),
            log,
            hint: Some(format!("see whether another program listens on port {}", self.port)),
            ..OperationError::default()
        })))
    }

    /// Stops and removes it; with `images`, also what it holds. `false` when it was not there.
    ///
    /// # Errors
    /// When the engine cannot.
    pub async fn down(&self, images: bool) -> Result<bool> {
        let engine = Engine::connect().await?;
        let there = engine.remove(&self.name()).await?;
        if images {
            engine.volume_remove(&self.name()).await?;
        }
        Ok(there)
    }

    /// Looks at it.
    ///
    /// # Errors
    /// When the engine cannot be reached.
    pub async fn status(&self) -> Result<Status> {
        let exists = Engine::connect().await?.container(&self.name()).await?.is_some();
        let images = if api::answers(&self.address()).await { api::images(&self.address()).await } else { None };
        Ok(Status { exists, answers: images.is_some(), images: images.unwrap_or_default() })
    }
}
