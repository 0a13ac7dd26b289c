//! What can be done with a site: one file a use case. A program that embeds this library starts here.
//!
//! A use case gets an [`App`] and a request, and answers with plain data. It prints nothing and reads no environment: what
//! it has to ask and to hide goes to the [`Frontend`], and what happens meanwhile goes to the [`Listeners`] of the run.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use kolla::app::{App, Listeners, Loaded, Options, run};
//! use kolla::report::Kept;
//!
//! # async fn deploy() -> kolla::error::Result<()> {
//! let app = App { options: Options::of("/etc/kolla"), ..App::default() };
//! let site = Loaded::read(&app).await?;
//! let events = Arc::new(Kept::default());
//! let request = run::Request::of(run::phase("deploy")?);
//! let summary = run::run(&app, &site, &request, &Listeners::to(events)).await?;
//! # let _ = summary;
//! # Ok(())
//! # }
//! ```

pub mod actions;
mod agreement;
mod ask;
pub mod build;
pub mod config;
mod connect;
pub mod container;
pub mod demo;
pub mod dependents;
mod facts;
mod files;
mod fixed;
pub mod genconfig;
pub mod graph;
pub mod inventory;
pub mod lab;
pub mod lint;
mod load;
mod logins;
pub mod passwords;
pub mod post_deploy;
pub mod quickstart;
pub mod registry;
pub mod run;
pub mod saved;
mod scopes;
pub mod status;
mod strays;
mod unasked;
mod users;
pub mod validate;
pub mod vars;
pub mod vault;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

pub use load::Loaded;
pub use logins::Logins;
pub use vault::Vault;

use crate::error::{Error, Kind, Result};
use crate::host::Observe;
use crate::run::event::{Quiet, Sink};
use crate::shell::{Mask, Secret};

/// What every use case is given beside its own request.
#[derive(Clone)]
pub struct App {
    /// Which site, which part of it, and how it may be changed.
    pub options: Options,
    /// This machine, and whose work it is.
    pub control: ControlMachine,
    /// The passwords of encrypted files.
    pub vault: Vault,
    /// Passwords of logins that are asked for.
    pub logins: Logins,
    /// The command, as other runs are told of it.
    pub command: String,
    /// Cancelled when nothing new is to be started.
    pub stop: CancellationToken,
    /// Who is asked, and who hides secrets.
    pub frontend: Arc<dyn Frontend>,
}

impl Default for App {
    fn default() -> Self {
        Self {
            options: Options::default(),
            control: ControlMachine::default(),
            vault: Vault::default(),
            logins: Logins::default(),
            command: String::new(),
            stop: CancellationToken::new(),
            frontend: Arc::new(Unattended),
        }
    }
}

/// Which site, which part of it, and how it may be changed.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The folder of globals.yml and the rest.
    pub config_dir: PathBuf,
    /// Files, folders, scripts, or hosts as `a,b`.
    pub inventories: Vec<PathBuf>,
    /// The file of passwords.
    pub passwords: PathBuf,
    /// Folders of roles over the built-in ones, later ones over earlier ones.
    pub roles: Vec<PathBuf>,
    /// Variables over all files: `name=value`, JSON, or `@FILE`.
    pub extra_vars: Vec<String>,
    /// Only hosts that match this pattern.
    pub limit: Option<String>,
    /// Only these roles; all where there are none.
    pub tags: Vec<String>,
    /// Not these roles.
    pub skip_tags: Vec<String>,
    /// Refuse variables that nothing reads.
    pub strict: bool,
    /// Tell what differs in files.
    pub diff: bool,
    /// Replace containers that have a name of ours but were made by something else.
    pub adopt: bool,
    /// Remove what the site no longer asks for.
    pub prune: bool,
    /// Operations at once over all hosts; no limit where there is none.
    pub forks: Option<u16>,
    /// Change hosts although most of those that grant the site's lease do not answer.
    pub without_majority: bool,
    /// Learn the keys of hosts that are not known.
    pub accept_new_host_keys: bool,
}

impl Options {
    /// All of the site whose files are in this folder, under their usual names.
    pub fn of(config_dir: impl Into<PathBuf>) -> Self {
        let config_dir = config_dir.into();
        Self {
            inventories: vec![config_dir.join("inventory")],
            passwords: config_dir.join("passwords.yml"),
            roles: Some(config_dir.join("roles")).filter(|folder| folder.is_dir()).into_iter().collect(),
            config_dir,
            ..Self::default()
        }
    }
}

/// This machine, and whose work it is.
#[derive(Debug, Clone, Default)]
pub struct ControlMachine {
    /// Its name.
    pub name: String,
    /// The user, who logs in to hosts for which nobody else is named.
    pub user: String,
    /// The user's home, with keys and known hosts.
    pub home: PathBuf,
    /// The folder of what is kept here: facts of hosts, labs, the guest's disk.
    pub state: PathBuf,
    /// The socket of an SSH agent.
    pub agent_socket: Option<PathBuf>,
    /// Variables of the environment, for templates that ask for one.
    pub variables: HashMap<String, String>,
    /// `http_proxy` and `https_proxy`, as far as they are set, for builds.
    pub proxies: Vec<(String, String)>,
}

/// What a caller does for `app`.
#[async_trait]
pub trait Frontend: Send + Sync {
    /// Asks a human for a secret, which may be empty.
    ///
    /// # Errors
    /// When nobody can be asked, or the question is interrupted.
    async fn secret(&self, question: &str) -> Result<Secret>;

    /// The secrets of the site, as soon as they are known: nothing that is shown from then on may hold one.
    fn hide(&self, secrets: &Mask);
}

/// Nobody is there to be asked, and nothing is shown.
#[derive(Debug, Clone, Copy)]
pub struct Unattended;

#[async_trait]
impl Frontend for Unattended {
    async fn secret(&self, question: &str) -> Result<Secret> {
        let question = question.trim_end_matches([':', ' ']);
        Err(Error::input(format!("nobody is there to answer `{question}`")).of(Kind::Encrypted))
    }

    fn hide(&self, _: &Mask) {}
}

/// Who is told of a run while it goes.
#[derive(Clone)]
pub struct Listeners {
    /// Gets all events. They may hold secrets: [`crate::report::Fanout`] hides those of [`Loaded::mask`].
    pub events: Arc<dyn Sink>,
    /// Gets each request to a host.
    pub requests: Option<Observe>,
}

impl Listeners {
    /// One that gets the events, and no requests.
    pub fn to(events: Arc<dyn Sink>) -> Self {
        Self { events, requests: None }
    }
}

impl Default for Listeners {
    fn default() -> Self {
        Self::to(Arc::new(Quiet))
    }
}
