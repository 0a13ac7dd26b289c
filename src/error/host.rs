//! What goes wrong with a host, and what to do about it.

use std::fmt;

use super::Kind;

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
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.host)?;
        if let Some(address) = &self.address {
            write!(f, " ({address})")?;
        }
        write!(f, ": {}: {}", self.act, self.cause)
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
    #[error("the password of `{user}` is refused (tried it, and {tried})")]
    WrongPassword {
        /// The login user.
        user: String,
        /// What else was tried.
        tried: String,
    },
    /// `sudo` needs a password or is not allowed.
    #[error("`sudo -n` refused: {0}")]
    NoSudo(String),
    /// `sudo` takes another password, or is not allowed.
    #[error("`sudo` with the password that is given refused: {0}")]
    SudoPassword(String),
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
            Self::NoSudo(_) | Self::SudoPassword(_) => Kind::NoSudo,
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
                "correct `ansible_user` and `ansible_password`, or what was typed for `--ask-pass`".into()
            }
            Self::NoSudo(_) => "give its password by `ansible_become_password` or `--ask-become-pass`, allow sudo without \
                                one, or log in as root"
                .into(),
            Self::SudoPassword(_) => {
                "correct `ansible_become_password`, or what was typed for `--ask-become-pass`".into()
            }
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
