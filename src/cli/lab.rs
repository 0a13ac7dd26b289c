//! `kolla lab`: bare hosts as containers of this machine.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::session::{self, LabAct};
use super::{Exit, Invocation};
use crate::error::Result;

/// Hosts to try things on.
#[derive(Debug, Args)]
pub struct Lab {
    #[command(subcommand)]
    act: Act,
    /// Where its inventory, globals and key are
    #[arg(long, value_name = "DIR", global = true, value_hint = ValueHint::DirPath)]
    dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Raise bare hosts with their networks, and write the files to reach them
    Up {
        /// How many
        #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
        hosts: u16,
    },
    /// Remove all of it
    Down,
    /// Tell about its hosts
    Status,
    /// Log in to a host, or run a command there
    Ssh {
        /// The host
        host: String,
        /// The command; without one, a shell
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
}

impl Lab {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let act = match self.act {
            Act::Up { hosts } => LabAct::Up(hosts),
            Act::Down => LabAct::Down,
            Act::Status => LabAct::Status,
            Act::Ssh { host, command } => LabAct::Ssh(host, command),
        };
        session::lab(at, act, self.dir).await.map(Exit)
    }
}
