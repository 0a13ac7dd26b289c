//! How this machine logs in to hosts, whichever they are.

use std::path::PathBuf;
use std::time::Duration;

use super::limit;

/// What is the same for all hosts that are connected to.
#[derive(Debug, Clone)]
pub struct Login {
    /// Record the key of a host that is not known. A changed key is refused all the same.
    pub accept_new_host_keys: bool,
    /// Socket of an SSH agent; its keys are tried last.
    pub agent_socket: Option<PathBuf>,
    /// How long connecting and logging in may take.
    pub within: Duration,
}

impl Default for Login {
    fn default() -> Self {
        Self { accept_new_host_keys: false, agent_socket: None, within: limit::LOGIN }
    }
}
