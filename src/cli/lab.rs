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
    #[command(flatten)]
    which: Which,
}

/// Which lab, and where its files are.
#[derive(Debug, Clone, Args)]
pub struct Which {
    /// The lab's name: several can stand side by side
    #[arg(long, value_name = "NAME", default_value = "kolla", global = true)]
    pub name: String,
    /// Where its inventory, globals and key are [default: lab/NAME in the state folder]
    #[arg(long, value_name = "DIR", global = true, value_hint = ValueHint::DirPath)]
    pub state_dir: Option<PathBuf>,
    /// Network of its hosts [default: the first free one]
    #[arg(long, value_name = "CIDR", global = true)]
    pub subnet: Option<ipnet::Ipv4Net>,
    /// Where Debian packages come from [default: this machine's own mirror]
    #[arg(long, value_name = "URL", global = true)]
    pub mirror: Option<String>,
    /// The port of this machine's registry
    #[arg(long, value_name = "PORT", default_value_t = 4000, global = true)]
    pub registry_port: u16,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Raise bare hosts with their networks, and write the files to reach them
    Up {
        /// How many
        #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
        hosts: u16,
        /// How many more that only compute
        #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=64))]
        computes: u16,
        /// What is deployed to it is load balancer, database, message queue and cache only
        #[arg(long)]
        infra_only: bool,
    },
    /// Cut a host's power, or give it back
    Power {
        /// The host
        host: String,
        /// What to do
        state: Power,
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

/// A host's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Power {
    On,
    Off,
}

impl Lab {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let act = match self.act {
            Act::Up { hosts, computes, infra_only } => LabAct::Up { hosts, computes, infra_only },
            Act::Down => LabAct::Down,
            Act::Power { host, state } => LabAct::Power(host, state == Power::On),
            Act::Status => LabAct::Status,
            Act::Ssh { host, command } => LabAct::Ssh(host, command),
        };
        session::lab(at, act, &self.which).await.map(Exit)
    }
}
