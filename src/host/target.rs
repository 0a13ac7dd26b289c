//! A host to connect to over SSH.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::limit;
use crate::error::{Error, HostCause, HostError};

/// Where the engine listens unless it is told otherwise.
pub(super) const ENGINE_SOCKET: &str = "/var/run/docker.sock";

/// A host to connect to.
#[derive(Debug, Clone)]
pub struct Target {
    /// Name in the inventory.
    pub name: String,
    /// Name or address to connect to; also what its key is recorded by.
    pub address: String,
    /// Port of sshd.
    pub port: u16,
    /// Login user.
    pub user: String,
    /// Act as root by `sudo -n`, where the login user is not root.
    pub become_root: bool,
    /// Private keys to try, in this order; those that are missing or encrypted are passed over.
    pub key_files: Vec<PathBuf>,
    /// Files that record host keys; new ones are written to the first.
    pub known_hosts: Vec<PathBuf>,
    /// Record the key of a host that is not known. A changed key is refused all the same.
    pub accept_new_host_keys: bool,
    /// The host to go through.
    pub jump: Option<Box<Target>>,
    /// Socket of an SSH agent; its keys are tried last.
    pub agent_socket: Option<PathBuf>,
    /// Socket of the container engine on the host.
    pub engine_socket: String,
    /// How long connecting and logging in may take.
    pub connect_timeout: Duration,
}

impl Target {
    /// A host with its defaults: port 22, root, no key.
    pub fn new(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            address: address.into(),
            port: 22,
            user: "root".into(),
            become_root: false,
            key_files: Vec::new(),
            known_hosts: Vec::new(),
            accept_new_host_keys: false,
            jump: None,
            agent_socket: None,
            engine_socket: ENGINE_SOCKET.into(),
            connect_timeout: limit::LOGIN,
        }
    }

    /// Root is reached by `sudo`.
    pub(super) fn sudo(&self) -> bool {
        self.become_root && self.user != "root"
    }

    pub(super) fn error(&self, cause: HostCause) -> Error {
        Error::Host(Box::new(HostError {
            host: self.name.clone(),
            address: Some(self.to_string()),
            act: "connect".into(),
            cause,
            hint: None,
        }))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.address.contains(':') {
            write!(f, "[{}]:{}", self.address, self.port)
        } else {
            write!(f, "{}:{}", self.address, self.port)
        }
    }
}
