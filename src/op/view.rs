//! What an operation sees when its turn comes: its host's look, its peers, and what a run asks only once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::OnceCell;

use super::database::{Inventory, Sql};
use crate::error::{Error, HostCause, Result};
use crate::host::{ContainerState, FileState, Look, Observer, RegistryLogin};

/// A host as others see it.
#[derive(Clone)]
pub struct Peer {
    /// Its reading half.
    pub host: Observer,
    look: Arc<RwLock<Look>>,
}

impl Peer {
    /// A host with what one look at it brought.
    pub fn new(host: Observer, look: Look) -> Self {
        Self { host, look: Arc::new(RwLock::new(look)) }
    }

    /// Reads from the look.
    pub fn look<T>(&self, read: impl FnOnce(&Look) -> T) -> T {
        read(&self.look.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, write: impl FnOnce(&mut Look)) {
        write(&mut self.look.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// A container as it was when last looked at.
    pub fn container(&self, name: &str) -> Option<ContainerState> {
        self.look(|look| look.containers.get(name).cloned())
    }

    /// Looks at the containers again: called after an operation touched some.
    pub async fn refresh_containers(&self) -> Result<()> {
        let containers = self.host.containers().await?;
        self.note(|look| look.containers = containers);
        Ok(())
    }

    /// Notes that a volume is there, or is not.
    pub fn note_volume(&self, name: &str, there: bool) {
        self.note(|look| {
            look.volumes.retain(|volume| volume != name);
            if there {
                look.volumes.push(name.to_owned());
            }
        });
    }

    /// Notes that a file is as given, or gone.
    pub fn note_file(&self, path: &str, state: Option<FileState>) {
        self.note(|look| {
            look.files.retain(|other, _| other != path && !other.starts_with(&format!("{path}/")));
            if let Some(state) = state {
                look.files.insert(path.to_owned(), state);
            }
        });
    }

    /// Takes a new look's packages and kernel parameters.
    pub fn note_system(&self, fresh: Look) {
        self.note(|look| {
            look.packages.extend(fresh.packages);
            look.sysctls.extend(fresh.sysctls);
            look.facts = fresh.facts;
        });
    }
}

/// What is asked once a run, whoever asks first.
pub struct Shared {
    /// Name of the site, on every container of ours.
    pub site: String,
    /// Show the hunks of changed files.
    pub hunks: bool,
    /// Replace containers that carry our names without our labels.
    pub adopt: bool,
    /// Credentials of the registry.
    pub login: Option<RegistryLogin>,
    /// The host whose engine asks the registry, so that the others are not asked at all.
    pub asks: Option<Observer>,
    digests: Mutex<BTreeMap<String, Arc<OnceCell<Option<String>>>>>,
    /// Registries that did not answer two hosts, and what became of it: no third one waits for that.
    silent: Mutex<BTreeMap<String, String>>,
    databases: Mutex<Arc<OnceCell<Arc<Inventory>>>>,
    positions: Mutex<BTreeMap<String, String>>,
}

impl Shared {
    /// For one run.
    pub fn new(site: impl Into<String>, hunks: bool, adopt: bool, login: Option<RegistryLogin>) -> Self {
        Self {
            site: site.into(),
            hunks,
            adopt,
            login,
            asks: None,
            digests: Mutex::default(),
            silent: Mutex::default(),
            databases: Mutex::default(),
            positions: Mutex::default(),
        }
    }

    /// What the database holds, read by whoever asks first; read again after it was [`Self::forget_database`].
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn database(&self, sql: &Sql, host: &Observer) -> Result<Arc<Inventory>> {
        let cell = self.databases.lock().unwrap_or_else(PoisonError::into_inner).clone();
        cell.get_or_try_init(async || sql.inventory(host).await.map(Arc::new)).await.cloned()
    }

    /// What was read of the database is no longer true.
    pub fn forget_database(&self) {
        *self.databases.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }

    /// Notes how far the data of a database's member got; empty where it has none.
    pub fn note_position(&self, host: &str, position: String) {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), position);
    }

    /// What was noted of a member in this run.
    pub fn position(&self, host: &str) -> Option<String> {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned()
    }

    /// The digest that an image reference names in its registry, asked once through the engine of the host that
    /// asks for all, or of `host` where that one cannot; `None` when the registry does not have it.
    ///
    /// # Errors
    /// When the registry cannot be asked; it is not asked again in this run.
    pub async fn image_digest(&self, reference: &str, host: &Observer) -> Result<Option<String>> {
        let cell = {
            let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
            digests.entry(reference.to_owned()).or_default().clone()
        };
        let registry = reference.split('/').next().unwrap_or_default();
        let ask = async || {
            let silent = || self.silent.lock().unwrap_or_else(PoisonError::into_inner).get(registry).cloned();
            if let Some(why) = silent() {
                return Err(Error::operation(format!("registry {registry} was asked in vain")).because(why));
            }
            if let Some(first) = &self.asks
                && let Ok(digest) = first.registry_digest(reference, self.login.as_ref()).await
            {
                return Ok(digest);
            }
            let answer = host.registry_digest(reference, self.login.as_ref()).await;
            // An engine that does not answer says nothing of the registry.
            if let Err(error @ Error::Host(host)) = &answer
                && matches!(host.cause, HostCause::Engine { .. } | HostCause::TimedOut(_))
            {
                let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
                silent.insert(registry.to_owned(), error.to_string());
            }
            answer
        };
        cell.get_or_try_init(ask).await.cloned()
    }
}

/// What an operation sees.
#[derive(Clone)]
pub struct View {
    /// Its own host.
    pub me: Peer,
    /// All connected hosts by name, its own included.
    pub peers: Arc<BTreeMap<String, Peer>>,
    /// What a run asks only once.
    pub shared: Arc<Shared>,
}

impl View {
    /// The reading half of its own host.
    pub fn host(&self) -> &Observer {
        &self.me.host
    }
}

/// What an operation says while it is carried out.
#[derive(Debug)]
pub enum Told {
    /// So much of so much is done.
    Progress(u64, u64),
    /// Something that the operator should know.
    Warning(String),
}

/// Who is told.
#[derive(Clone)]
pub struct Tell(Arc<dyn Fn(Told) + Send + Sync>);

impl Tell {
    /// Calls `to`.
    pub fn new(to: impl Fn(Told) + Send + Sync + 'static) -> Self {
        Self(Arc::new(to))
    }

    /// To nobody.
    pub fn nobody() -> Self {
        Self::new(|_| {})
    }

    /// So much of so much.
    pub fn progress(&self, done: u64, total: u64) {
        (self.0)(Told::Progress(done, total));
    }

    /// The operator should know this.
    pub fn warn(&self, message: impl Into<String>) {
        (self.0)(Told::Warning(message.into()));
    }
}
