//! What an operation sees when its turn comes: its host's look, its peers, and what a run asks only once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::Op;
use super::registry::PlainRegistry;
use super::sql::{Inventory, Sql};
use crate::error::{Error, HostCause, Result};
use crate::host::{ContainerState, FileState, Look, Observer, RegistryLogin, registry};
use crate::shell::Mask;

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

    /// Takes a new look's packages, kernel parameters and units.
    pub fn note_system(&self, fresh: Look) {
        self.note(|look| {
            look.packages.extend(fresh.packages);
            look.sysctls.extend(fresh.sysctls);
            look.units.extend(fresh.units);
            look.facts = fresh.facts;
        });
    }
}

/// What a registry says of a reference.
#[derive(Debug, Clone)]
pub enum InRegistry {
    /// It has it, by this digest.
    Has(String),
    /// It does not have it: what that is as an error.
    Lacks(Error),
    /// It does not tell, which says nothing of what it has.
    Unknown(Error),
}

impl InRegistry {
    /// What an answer means for all hosts.
    ///
    /// # Errors
    /// Where another host may get another answer.
    fn of(reference: &str, answer: Result<String>) -> Result<Self> {
        let error = match answer {
            Ok(digest) => return Ok(Self::Has(digest)),
            Err(error) => error,
        };
        let Error::Host(host) = &error else { return Err(error) };
        match &host.cause {
            cause @ HostCause::Registry { status: 404, .. } => {
                let lacks = Error::operation(format!("image `{reference}` is not in its registry"));
                Ok(Self::Lacks(lacks.because(cause.to_string()).with_hint(cause.hint().unwrap_or_default())))
            }
            HostCause::Registry { status: 400..500, .. } => Ok(Self::Unknown(error)),
            _ => Err(error),
        }
    }

    /// The digest.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn digest(self) -> Result<String> {
        match self {
            Self::Has(digest) => Ok(digest),
            Self::Lacks(error) | Self::Unknown(error) => Err(error),
        }
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
    /// Knows the secrets of the site and of the hosts.
    pub mask: Mask,
    /// Containers as the site wants them, by their hosts: for whoever takes some of them down without replacing them.
    pub containers: BTreeMap<String, Vec<Op>>,
    /// The host whose engine asks the registry, so that the others are not asked at all.
    pub asks: Option<Observer>,
    /// The site's registry, where no engine is needed to ask it.
    pub plain: Option<PlainRegistry>,
    /// Told what concerns no single operation.
    pub sink: ProgressSink,
    digests: Mutex<BTreeMap<String, Arc<OnceCell<InRegistry>>>>,
    /// Registries that did not answer two hosts, and why: no third one waits for that.
    silent: Mutex<BTreeMap<String, HostCause>>,
    /// Registries of which it was told that they do not.
    told: Mutex<BTreeSet<String>>,
    databases: Mutex<Arc<OnceCell<Arc<Inventory>>>>,
    changed: AtomicBool,
    positions: Mutex<BTreeMap<String, (String, i64)>>,
    /// What was seen in which state, and since when.
    seen: Mutex<BTreeMap<String, (&'static str, Instant)>>,
}

impl Shared {
    /// For one run.
    pub fn new(site: impl Into<String>, hunks: bool, adopt: bool, login: Option<RegistryLogin>) -> Self {
        Self {
            site: site.into(),
            hunks,
            adopt,
            login,
            mask: Mask::default(),
            containers: BTreeMap::new(),
            asks: None,
            plain: None,
            sink: ProgressSink::nobody(),
            digests: Mutex::default(),
            silent: Mutex::default(),
            told: Mutex::default(),
            databases: Mutex::default(),
            changed: AtomicBool::new(false),
            positions: Mutex::default(),
            seen: Mutex::default(),
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

    /// Has the database read before anybody asks, because that takes longer than what is done until then. Where something is
    /// [changed](Self::first_change) first it is read again.
    pub fn ask_database(&self, sql: Sql, host: Observer) {
        let cell = self.databases.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Without an answer whoever needs one asks again, and tells why there is none.
        tokio::spawn(async move {
            let _ = cell.get_or_try_init(async || sql.inventory(&host).await.map(Arc::new)).await;
        });
    }

    /// Something is about to be changed: what was read of the database until now may become untrue.
    pub fn first_change(&self) {
        if !self.changed.swap(true, Ordering::Relaxed) {
            self.forget_database();
        }
    }

    /// What was read of the database is no longer true.
    pub fn forget_database(&self) {
        *self.databases.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }

    /// Notes how far the data of a cluster's member got, in the history of which cluster; of none where that is empty.
    pub fn note_position(&self, member: &str, cluster: String, position: i64) {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner).insert(member.to_owned(), (cluster, position));
    }

    /// What was noted of a member in this run.
    pub fn position(&self, member: &str) -> Option<(String, i64)> {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner).get(member).cloned()
    }

    /// Since when this run has seen something in a state, by whoever looked: what one operation has waited for, the next one
    /// need not wait for again.
    pub fn since(&self, what: &str, state: &'static str) -> Instant {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.get(what) {
            Some((known, since)) if *known == state => *since,
            _ => {
                let now = Instant::now();
                seen.insert(what.to_owned(), (state, now));
                now
            }
        }
    }

    /// What the registry of an image reference says of it, asked once from the host that asks for all, by its engine
    /// where that is needed, or by that of `host`. A registry that does not answer is not asked again in this run, and told once.
    pub async fn in_registry(&self, reference: &str, host: &Observer) -> InRegistry {
        let cell = {
            let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
            digests.entry(reference.to_owned()).or_default().clone()
        };
        let address = registry(reference);
        let ask = async || {
            let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner).get(address).cloned();
            if let Some(cause) = silent {
                return Err(Error::host(host.name(), format!("ask the registry for {reference}"), cause));
            }
            if let (Some(plain), Some(first)) = (&self.plain, &self.asks)
                && let Some(digest) = plain.digest(reference, first).await
            {
                return Ok(InRegistry::Has(digest));
            }
            if let Some(first) = &self.asks
                && let Ok(known) =
                    InRegistry::of(reference, first.registry_digest(reference, self.login.as_ref()).await)
            {
                return Ok(known);
            }
            let answer = InRegistry::of(reference, host.registry_digest(reference, self.login.as_ref()).await);
            // An engine that does not answer says nothing of the registry.
            if let Err(Error::Host(error)) = &answer
                && let cause @ HostCause::Registry { .. } = &error.cause
            {
                let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
                silent.insert(address.to_owned(), cause.clone());
            }
            answer
        };
        let known = cell.get_or_try_init(ask).await.map_or_else(InRegistry::Unknown, InRegistry::clone);
        if let InRegistry::Unknown(Error::Host(error)) = &known
            && let cause @ HostCause::Registry { .. } = &error.cause
            && self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(address.to_owned())
        {
            let hint = cause.hint().unwrap_or_default();
            self.sink.warn(format!("{cause}; images are taken as the hosts have them ({hint})"));
        }
        known
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

    /// The digest of the image that a reference stands for: as its registry says or, where that does not tell, of the one
    /// that this host has; none where nobody gave that one a digest.
    ///
    /// # Errors
    /// What the registry said, where the host does not have it either.
    pub async fn image_digest(&self, reference: &str) -> Result<Option<String>> {
        match self.shared.in_registry(reference, self.host()).await.digest() {
            Ok(digest) => Ok(Some(digest)),
            Err(error) => self.host().image(reference).await?.map(|image| image.digest).ok_or(error),
        }
    }
}

/// What an operation says while it is carried out.
#[derive(Debug)]
pub enum Progress {
    /// So much of so much is done.
    Done(u64, u64),
    /// What it waits for.
    Waiting(String),
    /// Something that the operator should know.
    Warning(String),
}

/// Who is told.
#[derive(Clone)]
pub struct ProgressSink(Arc<dyn Fn(Progress) + Send + Sync>);

impl ProgressSink {
    /// Calls `to`.
    pub fn new(to: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Self(Arc::new(to))
    }

    /// To nobody.
    pub fn nobody() -> Self {
        Self::new(|_| {})
    }

    /// So much of so much.
    pub fn progress(&self, done: u64, total: u64) {
        (self.0)(Progress::Done(done, total));
    }

    /// It waits for this.
    pub fn waiting(&self, why: impl Into<String>) {
        (self.0)(Progress::Waiting(why.into()));
    }

    /// The operator should know this.
    pub fn warn(&self, message: impl Into<String>) {
        (self.0)(Progress::Warning(message.into()));
    }
}
