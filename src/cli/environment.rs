//! The process's environment, read once: nothing below this layer looks at it.
#![allow(clippy::disallowed_methods)]

use std::collections::HashMap;
use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::app::ControlMachine;

/// What the environment says, as plain values that a test can set.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `HOME`; `/` where it is not set.
    pub home: PathBuf,
    /// `USER` or `LOGNAME`; `root` for root without either.
    pub user: String,
    /// `PATH`.
    pub path: String,
    /// `SSH_AUTH_SOCK`: the agent's socket.
    pub ssh_auth_sock: Option<PathBuf>,
    /// `XDG_STATE_HOME`, or `.local/state` in the home.
    pub state_home: PathBuf,
    /// `KOLLA_CONFIG_PATH`.
    pub config_path: Option<PathBuf>,
    /// `ANSIBLE_VAULT_PASSWORD_FILE`.
    pub vault_password_file: Option<PathBuf>,
    /// `KOLLA_LOG`: a filter for the log on stderr, in tracing's language, instead of `-v`.
    pub log: Option<String>,
    /// `http_proxy` and `https_proxy`, as far as they are set.
    pub proxies: Vec<(String, String)>,
    /// `NO_COLOR` is set, or `TERM` is `dumb`.
    pub no_color: bool,
    /// stdout is a terminal.
    pub stdout_terminal: bool,
    /// stderr is a terminal.
    pub stderr_terminal: bool,
    /// This process is root's.
    pub root: bool,
    /// This machine's name.
    pub machine: String,
    /// All variables, for templates that ask for one.
    pub variables: HashMap<String, String>,
}

impl Environment {
    /// Reads it.
    pub fn read() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let root = std::fs::metadata("/proc/self").is_ok_and(|about| about.uid() == 0);
        let home = text("HOME").map_or_else(|| PathBuf::from(if root { "/root" } else { "/" }), PathBuf::from);
        Self {
            user: text("USER").or_else(|| text("LOGNAME")).or_else(|| root.then(|| "root".into())).unwrap_or_default(),
            path: text("PATH").unwrap_or_else(|| "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()),
            ssh_auth_sock: text("SSH_AUTH_SOCK").map(PathBuf::from),
            state_home: text("XDG_STATE_HOME").map_or_else(|| home.join(".local/state"), PathBuf::from),
            config_path: text("KOLLA_CONFIG_PATH").map(PathBuf::from),
            vault_password_file: text("ANSIBLE_VAULT_PASSWORD_FILE").map(PathBuf::from),
            log: text("KOLLA_LOG"),
            proxies: ["http_proxy", "https_proxy"]
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), text(name)?)))
                .collect(),
            no_color: text("NO_COLOR").is_some() || text("TERM").as_deref() == Some("dumb"),
            stdout_terminal: std::io::stdout().is_terminal(),
            stderr_terminal: std::io::stderr().is_terminal(),
            root,
            machine: std::fs::read_to_string("/proc/sys/kernel/hostname")
                .map(|name| name.trim().to_owned())
                .unwrap_or_default(),
            variables: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            home,
        }
    }

    /// This machine and its user, as `app` knows them.
    pub fn control(&self) -> ControlMachine {
        ControlMachine {
            name: self.machine.clone(),
            user: self.user.clone(),
            home: self.home.clone(),
            state: self.state_home.join("kolla"),
            agent_socket: self.ssh_auth_sock.clone(),
            variables: self.variables.clone(),
            proxies: self.proxies.clone(),
        }
    }

    /// The folder of run records: root's are in /var/log.
    pub fn runs(&self) -> PathBuf {
        if self.root { PathBuf::from("/var/log/kolla-runs") } else { self.state_home.join("kolla/runs") }
    }
}
