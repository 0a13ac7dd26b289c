//! The program inside every image: Kolla's image contract, as one file under many names.
//!
//! It acts by the name it is called with: `kolla_init` (PID 1), `kolla_start`, `kolla_set_configs`,
//! `kolla_copy_cacerts`, `healthcheck_*`, `galera_check` and `keystone_keys`; as `kolla-image NAME ...` it acts as
//! `NAME`. It knows nothing of `kolla`, and has few dependencies, so that it stays small and starts at once.
// In a container it is the one that starts processes, reads the environment and speaks to stderr.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, clippy::print_stderr)]
// Product names stand in sentences.
#![allow(clippy::doc_markdown)]

mod cacerts;
mod config;
mod copy;
mod galera;
mod init;
mod keystone;
mod probe;
mod set_configs;
mod start;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

/// Why the program ends without success.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    /// A failure while doing `act`.
    pub(crate) fn of(act: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self::new(format!("{act}: {cause}"))
    }

    pub(crate) fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

fn main() -> ExitCode {
    let mut words = std::env::args();
    let mut name = base_name(&words.next().unwrap_or_default());
    if name == "kolla-image" {
        name = base_name(&words.next().unwrap_or_default());
    }
    let arguments: Vec<String> = words.collect();
    let done = match name.as_str() {
        "kolla_init" => init::run(&arguments),
        "kolla_exec" => init::exec(&arguments),
        "kolla_start" => start::run(),
        "kolla_set_configs" => set_configs::run(&arguments),
        "kolla_copy_cacerts" => cacerts::run(),
        "healthcheck_curl" => probe::curl(&arguments),
        "healthcheck_port" => probe::port(&arguments, false),
        "healthcheck_listen" => probe::port(&arguments, true),
        "healthcheck_socket" => probe::socket(&arguments),
        "galera_check" => galera::run(&arguments),
        "keystone_keys" => keystone::run(&arguments),
        other => Err(Failure::new(format!("`{other}` is no part of the image contract")).code(2)),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("{name}: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

fn base_name(path: &str) -> String {
    Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
