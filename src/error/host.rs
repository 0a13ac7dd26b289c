//! What goes wrong with a host, and what to do about it.

use std::fmt;

use indexmap::IndexMap;

use super::{Error, Kind};

/// Hosts of one failure that are named.
const NAMED: usize = 3;

/// A host that does not do what was asked of it.
#[derive(Debug, Clone)]
pub struct HostError {
    /// The host's name in the inventory.
    pub host: String,
    /// Where it was looked for, as `address:port`.
    pub address: Option<String>,
    /// What was being done, as in `connect` or `list containers`.
    pub act: String,
    /// Why it failed.
    pub cause: HostCause,
    /// What to do: an act. Without one, the cause's own is shown.
    pub hint: Option<String>,
    /// Further hosts that fail alike: one cause is told once.
    pub others: Vec<Target>,
}

/// A host, and where it was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name in the inventory.
    pub host: String,
    /// Its `address:port`.
    pub address: Option<String>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.host)?;
        self.address.iter().try_for_each(|address| write!(f, " ({address})"))
    }
}

/// The first few of these, and how many more there are.
pub fn some_targets<'a>(all: impl ExactSizeIterator<Item = &'a Target>) -> String {
    let more = all.len().saturating_sub(NAMED);
    let named = all.take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}

impl HostError {
    /// The host that failed first.
    pub fn target(&self) -> Target {
        Target { host: self.host.clone(), address: self.address.clone() }
    }

    /// Its names of hosts.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.host).chain(self.others.iter().map(|other| &other.host)).map(String::as_str)
    }

    /// What failed and why, whichever the host.
    pub fn failure(&self) -> String {
        format!("{}: {}", self.act, self.cause)
    }
}

/// The failures of several hosts, each cause once.
pub fn by_cause<'a>(errors: impl IntoIterator<Item = &'a Error>) -> Vec<Error> {
    let mut found: IndexMap<(String, Option<String>), HostError> = IndexMap::new();
    let mut others = Vec::new();
    for error in errors {
        let Error::Host(error) = error else {
            others.push(error.clone());
            continue;
        };
        match found.entry((error.failure(), error.hint.clone())) {
            indexmap::map::Entry::Occupied(mut first) => {
                let first = first.get_mut();
                first.others.push(error.target());
                first.others.extend(error.others.iter().cloned());
            }
            indexmap::map::Entry::Vacant(place) => drop(place.insert((**error).clone())),
        }
    }
    found.into_values().map(|error| Error::Host(Box::new(error))).chain(others).collect()
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<Target> = std::iter::once(self.target()).chain(self.others.iter().cloned()).collect();
        write!(f, "{}: {}", some_targets(all.iter()), self.failure())
    }
}

/// Why a host failed, decided by types and codes, never by matching text.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HostCause {
    /// The name or address could not be reached.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// The host answers, a service that was asked through it does not.
    #[error("no connection to {0}")]
    NoService(String),
    /// The host's key is not in `known_hosts`.
    #[error("host key {fingerprint} is not known")]
    UnknownHostKey {
        /// SHA256 fingerprint of the key that was offered.
        fingerprint: String,
    },
    /// The host's key differs from the one recorded.
    #[error("host key {fingerprint} differs from the one recorded in {recorded}")]
    ChangedHostKey {
        /// SHA256 fingerprint of the key that was offered.
        fingerprint: String,
        /// File and line of the recorded key.
        recorded: String,
    },
    /// The host's key is marked as revoked.
    #[error("host key {fingerprint} is revoked in {recorded}")]
    RevokedHostKey {
        /// SHA256 fingerprint of the key that was offered.
        fingerprint: String,
        /// File and line that say so.
        recorded: String,
    },
    /// No key was accepted.
    #[error("authentication as `{user}` refused (tried {tried})")]
    Refused {
        /// The login user.
        user: String,
        /// What was tried.
        tried: String,
    },
    /// The user has another password.
    #[error("the password of `{user}` {from} is refused (tried it, and {tried})")]
    WrongPassword {
        /// The login user.
        user: String,
        /// Where the password was found, as `from NAME (PLACE)`.
        from: String,
        /// What else was tried.
        tried: String,
    },
    /// `sudo` needs a password or is not allowed.
    #[error("`sudo -n` refused: {0}")]
    NoSudo(String),
    /// `sudo` takes another password, or is not allowed.
    #[error("`sudo` with the password {from} refused: {words}")]
    SudoPassword {
        /// Where the password was found, as `from NAME (PLACE)`.
        from: String,
        /// What sudo says.
        words: String,
    },
    /// The jump host before it fails.
    #[error("jump host {address}: {cause}")]
    Jump {
        /// Its `address:port`.
        address: String,
        /// Why.
        cause: Box<HostCause>,
    },
    /// The session ended while something was under way.
    #[error("the SSH session was lost: {0}")]
    Lost(String),
    /// The server does not allow forwarding to the engine's socket.
    #[error("sshd refuses to forward {0}")]
    ForwardingRefused(String),
    /// No container engine answers.
    #[error("no container engine answers on {0}")]
    NoEngine(String),
    /// The engine's socket is not for the login user.
    #[error("the login user may not use {0}")]
    EngineForbidden(String),
    /// Root is reached by sudo, and no program leads from there to the engine's socket.
    #[error("no program leads to {0}: neither docker, podman nor socat is there")]
    NoEngineClient(String),
    /// The engine answered with an error.
    #[error("the container engine answered {status}: {message}")]
    Engine {
        /// HTTP status.
        status: u16,
        /// The engine's message.
        message: String,
    },
    /// A registry, asked through the engine, does not tell what was asked for.
    #[error("registry {registry} {}: {message}", answered(*.status))]
    Registry {
        /// Its address, as `10.0.0.10:4000`.
        registry: String,
        /// HTTP status: the registry's own where it is one of 400 to 499; else nobody knows more than the message says.
        status: u16,
        /// What the engine says of it.
        message: String,
    },
    /// A command failed.
    #[error("exit code {code}{}", tail(.stderr))]
    Exit {
        /// Exit code; 255 when it was ended by a signal.
        code: u32,
        /// The end of what it wrote to stderr.
        stderr: String,
    },
    /// Nothing was heard in time.
    #[error("no answer within {0} s")]
    TimedOut(u64),
    /// Another run has the site's lease.
    #[error("another run has it: {0}")]
    Leased(String),
    /// Too few of the hosts that grant the site's lease answer.
    #[error("{0}")]
    NoMajority(String),
    /// The site's lease was lost in the middle of a run.
    #[error("it was lost: {0}")]
    LeaseLost(String),
    /// An answer that makes no sense.
    #[error("unexpected answer: {0}")]
    Answer(String),
}

impl HostCause {
    /// What kind of error it makes.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Unreachable(_) => Kind::Unreachable,
            Self::NoService(_) => Kind::NoService,
            Self::UnknownHostKey { .. } => Kind::HostKeyUnknown,
            Self::ChangedHostKey { .. } => Kind::HostKeyChanged,
            Self::RevokedHostKey { .. } => Kind::HostKeyRevoked,
            Self::Refused { .. } | Self::WrongPassword { .. } => Kind::LoginRefused,
            Self::NoSudo(_) | Self::SudoPassword { .. } => Kind::NoSudo,
            Self::Jump { cause, .. } => cause.kind(),
            Self::Lost(_) => Kind::SessionLost,
            Self::ForwardingRefused(_) => Kind::ForwardingRefused,
            Self::NoEngine(_) => Kind::NoEngine,
            Self::EngineForbidden(_) => Kind::EngineForbidden,
            Self::NoEngineClient(_) => Kind::NoEngineClient,
            Self::Engine { .. } => Kind::Engine,
            Self::Registry { .. } => Kind::Registry,
            Self::Exit { .. } => Kind::CommandFailed,
            Self::TimedOut(_) => Kind::TimedOut,
            Self::Leased(_) => Kind::Leased,
            Self::NoMajority(_) => Kind::NoMajority,
            Self::LeaseLost(_) => Kind::LeaseLost,
            Self::Answer(_) => Kind::UnexpectedAnswer,
        }
    }

    /// What usually helps.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Jump { cause, .. } if !matches!(**cause, Self::Unreachable(_)) => return cause.hint(),
            Self::Jump { .. } => "check the jump host's name and port, and that sshd runs there".into(),
            Self::Unreachable(_) => {
                "check `ansible_host` and `ansible_port` in the inventory, and that sshd runs".into()
            }
            Self::UnknownHostKey { .. } => {
                "compare the fingerprint, then run again with `--accept-new-host-keys`".into()
            }
            Self::ChangedHostKey { recorded, .. } => {
                format!("if the host was reinstalled, remove {recorded} and run again")
            }
            Self::Refused { .. } => {
                "set `ansible_user` and `ansible_ssh_private_key_file`, load the key into an agent, or give a password by \
                 `ansible_password` or `--ask-pass`"
                    .into()
            }
            Self::WrongPassword { .. } => {
                "correct the password, or `ansible_user`".into()
            }
            Self::NoSudo(_) => "give its password by `ansible_become_password` or `--ask-become-pass`, allow sudo without \
                                one, or log in as root"
                .into(),
            Self::SudoPassword { .. } => "correct the password, or allow sudo to the login user".into(),
            Self::NoEngine(_) => "run `kolla bootstrap-servers` first".into(),
            Self::EngineForbidden(_) => {
                "let `ansible_become` be true, or add the user to the group that owns the socket".into()
            }
            Self::Engine { message, .. } if message.contains("no space left on device") => {
                "make room on the host's disk (`docker system df` there shows what takes it), then run the same again"
                    .into()
            }
            Self::NoEngineClient(_) => "run `kolla bootstrap-servers`, which installs one, or log in as root".into(),
            Self::ForwardingRefused(_) => {
                "set `AllowStreamLocalForwarding yes` and `AllowTcpForwarding yes` in sshd_config".into()
            }
            Self::Registry { status: 401 | 403, .. } => {
                "set `docker_registry_username` and `docker_registry_password` to who may pull from there".into()
            }
            Self::Registry { status: 404, .. } => {
                "build and push it with `kolla build`, or correct `openstack_tag` and `docker_registry`".into()
            }
            Self::Registry { status: 405, .. } => {
                "Podman cannot ask a registry for a digest: use one in plain HTTP without a login \
                 (`docker_registry_insecure`)"
                    .into()
            }
            Self::Registry { registry, .. } => {
                format!("see that it runs, as by `curl http://{registry}/v2/` on the host")
            }
            Self::TimedOut(_) => "see what holds it up there (load, disk, a lock), then run the same again".into(),
            Self::Leased(_) => {
                "wait for that run to end, or end it; where its machine or connection is gone, the lease goes within \
                 3 minutes"
                    .into()
            }
            Self::NoMajority(_) => "bring them back, or, when nobody else can be at work on this site, run again with \
                                    `--without-majority`"
                .into(),
            Self::LeaseLost(_) => "run the same again: what was done stays done".into(),
            _ => return None,
        })
    }
}

fn answered(status: u16) -> String {
    if (400..500).contains(&status) { format!("answered {status}") } else { "cannot be asked".into() }
}

fn tail(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    match lines.last() {
        Some(last) => format!(": {}", last.trim()),
        None => String::new(),
    }
}
