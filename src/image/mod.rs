//! Building and publishing images: Debian packages and Kolla's image contract, from definitions that are data.
//!
//! An image carries the digest of all that decides its content as a label. One that is there with the same digest
//! is not built again, so its id stays, and nothing that runs from it is replaced.

mod api;
mod bootstrap;
mod definition;
mod engine;
mod guest;
pub mod registry;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::error::{Error, OperationError, Result};
use crate::host::apt::Apt;
use crate::op::names::KOLLA_LABEL;
pub use definition::{DEBIAN, Definition, Definitions};
use engine::{Engine, Recipe};
pub use guest::GUEST;
pub use registry::Registry;

/// Label with the digest of an image's inputs.
const INPUTS: &str = "kolla.inputs";

/// What to build, and how.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// Names of images; their parents come along. None means all.
    pub images: Vec<String>,
    /// Registry in the images' names, as `127.0.0.1:4000`.
    pub registry: String,
    /// Folder in the registry.
    pub namespace: String,
    /// Their tag.
    pub tag: String,
    /// Push each to the registry once it is built.
    pub push: bool,
    /// Images at the same time.
    pub jobs: usize,
    /// Build again what is there, from packages of today.
    pub again: bool,
    /// Address of a Debian archive; without one, where this machine's own packages come from.
    pub mirror: Option<String>,
    /// `http_proxy`, `https_proxy` and `no_proxy` of the caller's environment.
    pub proxies: Vec<(String, String)>,
    /// The program of the image contract; without one, `kolla-image` beside this program.
    pub program: Option<PathBuf>,
    /// Where the disk of the guest is written, if [`GUEST`] is among the images.
    pub guest: Option<PathBuf>,
}

impl BuildOptions {
    /// All images, for a registry on this machine.
    pub fn new(tag: impl Into<String>) -> Self {
        Self {
            images: Vec::new(),
            registry: "127.0.0.1:4000".into(),
            namespace: "kolla".into(),
            tag: tag.into(),
            push: false,
            jobs: 2,
            again: false,
            mirror: None,
            proxies: Vec::new(),
            program: None,
            guest: None,
        }
    }

    /// The full name of an image.
    pub fn reference(&self, image: &str) -> String {
        let (registry, namespace, tag) = (&self.registry, &self.namespace, &self.tag);
        format!("{registry}/{namespace}/{image}:{tag}")
    }
}

/// What happens while images are built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Packages are about to be installed on this machine.
    Installs(Vec<String>),
    /// An image (`debian` is the bootstrapped one below all) is being built.
    Starts {
        /// Its name.
        image: String,
    },
    /// A line that a build wrote.
    Says {
        /// The image.
        image: String,
        /// The line.
        line: String,
    },
    /// Bytes of an image that are on their way to the registry.
    Pushes {
        /// The image.
        image: String,
        /// Sent so far.
        done: u64,
        /// All that is known to be sent.
        total: u64,
    },
    /// An image is done.
    Ends(Built),
}

/// An image that is there, and what it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Its name, as `rabbitmq`.
    pub name: String,
    /// Its full name.
    pub reference: String,
    /// Its id.
    pub id: String,
    /// Whether it had to be built.
    pub built: bool,
    /// Whether it had to be pushed.
    pub pushed: bool,
    /// How long all of it took.
    pub took: Duration,
}

/// Who is told what happens.
pub type Say<'a> = &'a (dyn Fn(Event) + Sync);

/// What [`build`] will install on this machine, to be said before it is called.
pub async fn installs() -> Vec<String> {
    crate::host::apt::missing_tools().await
}

/// Builds images, each after its parent, and pushes them if asked.
///
/// # Errors
/// Unknown names; an engine or mirror that cannot be reached; the first image that cannot be built, with the last
/// lines of its build.
pub async fn build(options: &BuildOptions, say: Say<'_>) -> Result<Vec<Built>> {
    let definitions = Definitions::embedded()?;
    let order = definitions.needed(&options.images)?;
    let engine = Engine::connect().await?;
    let work = Work { options, say, engine: &engine, program: program(options)?, apt: tokio::sync::OnceCell::new() };
    let shared = &work;

    let debian = bootstrap::inputs();
    let mut inputs: HashMap<&str, String> = HashMap::from([(DEBIAN, debian)]);
    for definition in &order {
        let digest = definition.inputs(&inputs[definition.parent.as_str()], work.given_program());
        inputs.insert(&definition.name, digest);
    }
    // Bare Debian is needed only where something is built right on it.
    let mut done: BTreeSet<&str> = BTreeSet::from([DEBIAN]);
    let mut waiting: Vec<&Definition> = order;
    let (mut building, mut pushing) = (FuturesUnordered::new(), FuturesUnordered::new());
    let mut results: Vec<Built> = Vec::new();
    loop {
        while building.len() < options.jobs.max(1) {
            let Some(at) = waiting.iter().position(|image| done.contains(image.parent.as_str())) else { break };
            let image = waiting.remove(at);
            let (own, parent) = (&inputs[image.name.as_str()], &inputs[image.parent.as_str()]);
            building.push(async move { shared.image(image, own, parent).await.map(|built| (image, built)) });
        }
        // What fails ends this loop, and the rest are dropped, which the engine takes as their end.
        let ended = tokio::select! {
            Some(built) = building.next() => {
                let (image, built) = built?;
                done.insert(&image.name);
                if options.push {
                    // What stands on it waits for its build alone.
                    pushing.push(shared.push(built));
                    continue;
                }
                built
            }
            Some(pushed) = pushing.next() => pushed?,
            else => break,
        };
        say(Event::Ends(ended.clone()));
        results.push(ended);
    }
    Ok(results)
}

/// The contract's program.
enum Program {
    /// Named by the caller: its bytes decide the digest.
    Given(Vec<u8>),
    /// Built from the sources that are embedded here, which decide the digest instead.
    Own(Vec<u8>),
}

fn program(options: &BuildOptions) -> Result<Program> {
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|error| {
            Error::local(format!("read {}", path.display()), error)
                .with_hint("it goes into every image: build it by `cargo build --package kolla-image`")
        })
    };
    if let Some(path) = &options.program {
        return read(path).map(Program::Given);
    }
    let this = std::env::current_exe().map_err(|error| Error::local("find this program's own file", error))?;
    read(&this.with_file_name(definition::PROGRAM_NAME)).map(Program::Own)
}

/// All that the builds share.
struct Work<'a> {
    options: &'a BuildOptions,
    say: Say<'a>,
    engine: &'a Engine,
    program: Program,
    /// Asked only once something is built.
    apt: tokio::sync::OnceCell<Apt>,
}

impl Work<'_> {
    fn given_program(&self) -> Option<&[u8]> {
        match &self.program {
            Program::Given(bytes) => Some(bytes),
            Program::Own(_) => None,
        }
    }

    async fn image(&self, image: &Definition, inputs: &str, parent: &str) -> Result<Built> {
        let started = Instant::now();
        let reference = self.options.reference(&image.name);
        let labels =
            HashMap::from([(INPUTS.to_owned(), inputs.to_owned()), (KOLLA_LABEL.to_owned(), self.options.tag.clone())]);
        let there = if self.options.again { None } else { self.engine.labelled(&labels).await? };
        let built = there.is_none();
        match there {
            Some(id) => self.engine.tag(&id, &reference).await?,
            None => self.build(image, &reference, labels, parent).await?,
        }
        let id =
            self.engine.image(&reference).await?.and_then(|image| image.id).ok_or_else(|| {
                Error::local(format!("inspect image {reference}"), "it is not there after it was built")
            })?;
        if image.name == GUEST
            && let Some(file) = &self.options.guest
        {
            guest::write(self.engine, &id, file).await?;
        }
        Ok(Built { name: image.name.clone(), reference, id, built, pushed: false, took: started.elapsed() })
    }

    async fn build(
        &self,
        image: &Definition,
        reference: &str,
        labels: HashMap<String, String>,
        parent_inputs: &str,
    ) -> Result<()> {
        let apt = self
            .apt
            .get_or_try_init(|| Apt::of_this_machine(self.options.mirror.as_deref(), &self.options.proxies))
            .await?;
        let parent = match image.parent.as_str() {
            DEBIAN => bootstrap::debian(self.engine, apt, parent_inputs, self.options.again, self.say).await?,
            other => self.options.reference(other),
        };
        let say = |line: &str| (self.say)(Event::Says { image: image.name.clone(), line: line.to_owned() });
        (self.say)(Event::Starts { image: image.name.clone() });
        let (Program::Given(program) | Program::Own(program)) = &self.program;
        // The engine keeps these proxies out of the image and of its history.
        let mut arguments: HashMap<String, String> = apt.proxies().into_iter().collect();
        arguments.extend(self.options.proxies.iter().cloned());
        arguments.insert("PARENT".into(), parent);
        let recipe = Recipe {
            reference,
            context: image.archive(image.has_program().then_some(program.as_slice()))?,
            arguments,
            labels,
            fresh: self.options.again,
        };
        self.engine.build(recipe, say).await.map_err(|failure| {
            Error::Operation(Box::new(OperationError {
                message: format!("image {} cannot be built", image.name),
                causes: vec![failure.cause],
                log_of: Some(format!("the build of {}", image.name)),
                log: failure.log,
                hint: None,
            }))
        })
    }

    /// Pushes an image unless the registry has the very same.
    async fn push(&self, mut built: Built) -> Result<Built> {
        let started = Instant::now();
        let reference = built.reference.as_str();
        let (repository, tag) = engine::split(reference);
        let path = repository.strip_prefix(&format!("{}/", self.options.registry)).unwrap_or(repository);
        if let Some(there) = api::identity(&self.options.registry, path, tag).await {
            let image = self.engine.image(reference).await?.unwrap_or_default();
            let digest = format!("{repository}@{}", there.manifest);
            if image.id.as_ref() == Some(&there.config) || image.repo_digests.unwrap_or_default().contains(&digest) {
                return Ok(built);
            }
        }
        let say = |done, total| (self.say)(Event::Pushes { image: built.name.clone(), done, total });
        self.engine.push(reference, say).await.map_err(|error| {
            error.with_hint(format!(
                "see that a registry runs on {}, as by `kolla registry up`; one of this machine in plain HTTP is \
                 `--registry 127.0.0.1:PORT` to its engine",
                self.options.registry
            ))
        })?;
        built.pushed = true;
        built.took += started.elapsed();
        Ok(built)
    }
}
