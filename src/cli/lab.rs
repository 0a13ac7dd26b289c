//! `kolla lab`: bare hosts as containers of this machine.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use serde_json::json;

use super::{Exit, Invocation};
use crate::error::Result;
use crate::host::local::Local;
use crate::lab::HostStatus;
use crate::report::Table;
use crate::{app, lab};

/// Creates, shows and removes test hosts that run as containers on this machine.
#[derive(Debug, Args)]
pub struct Lab {
    #[command(subcommand)]
    act: Act,
    #[command(flatten)]
    which: Which,
}

/// Which lab, and where its files are.
#[derive(Debug, Clone, Args)]
pub(super) struct Which {
    /// The name of the lab; several labs can exist at the same time
    #[arg(long, value_name = "NAME", default_value = "kolla", global = true)]
    pub name: String,
    /// The folder of the lab's inventory, globals.yml and SSH key [default: lab/NAME in the state folder]
    #[arg(long, value_name = "DIR", global = true, value_hint = ValueHint::DirPath)]
    pub state_dir: Option<PathBuf>,
    /// The network of the hosts [default: the first free one]
    #[arg(long, value_name = "CIDR", global = true)]
    pub subnet: Option<ipnet::Ipv4Net>,
    /// The mirror for Debian packages [default: the mirror that this machine uses]
    #[arg(long, value_name = "URL", global = true)]
    pub mirror: Option<String>,
    /// The port of the image registry on this machine
    #[arg(long, value_name = "PORT", default_value_t = 4000, global = true)]
    pub registry_port: u16,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Create the hosts and their networks, and write inventory, globals.yml and SSH key
    Up {
        /// Number of hosts
        #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
        hosts: u16,
        /// Number of additional hosts that are only compute hosts
        #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=64))]
        computes: u16,
        /// Write a globals.yml that deploys only load balancer, database, message queue and cache
        #[arg(long)]
        infra_only: bool,
        #[command(flatten)]
        storage: Storage,
    },
    /// Turn the power of a host off or on
    Power {
        /// The host
        host: String,
        /// `off` stops the host at once, as a power cut does
        state: Power,
    },
    /// Remove the hosts, their networks and their data
    Down,
    /// Show the hosts
    Status,
    /// Log in to a host, or run a command on it
    Ssh {
        /// The host
        host: String,
        /// The command [default: a shell]
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
}

/// What is stored on the hosts.
#[derive(Debug, Clone, Args)]
pub(super) struct Storage {
    /// Number of disks (files of 10 GB that take what is written) of each controller, for Ceph [default: 2 with `--with storage`]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=16))]
    disks: Option<u16>,
    /// Further services: `storage` is Ceph, Cinder, and Glance and Nova that store in Ceph
    #[arg(long, value_name = "SERVICES", conflicts_with = "infra_only")]
    with: Option<With>,
}

/// Further services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum With {
    Storage,
}

impl Storage {
    /// The number of disks, and whether a cloud stores on them.
    pub(super) fn wanted(&self) -> (u16, bool) {
        let storage = self.with == Some(With::Storage);
        (self.disks.unwrap_or(if storage { 2 } else { 0 }), storage)
    }
}

/// A host's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Power {
    On,
    Off,
}

impl Which {
    pub(super) fn request(self) -> app::lab::Which {
        let Self { name, state_dir: folder, subnet, mirror, registry_port } = self;
        app::lab::Which { name, folder, subnet, mirror, registry_port }
    }
}

impl Lab {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let mut options = app::lab::options(&at.app, &self.which.request());
        match self.act {
            Act::Up { hosts, computes, infra_only, storage } => {
                options.hosts = hosts.into();
                options.computes = computes.into();
                options.infra_only = infra_only;
                (options.disks, options.storage) = storage.wanted();
                let lab = app::lab::up(&at.app, &options, &|line| at.screen.err(line)).await?;
                let folder = options.state_dir.display();
                at.answer(
                    || json!({ "name": lab.name, "folder": options.state_dir, "vip": lab.vip.to_string() }),
                    || format!("its files are in {folder}: `kolla bootstrap-servers --configdir {folder}`"),
                );
            }
            Act::Down => lab::down(&options, true).await?,
            Act::Status => status(at, &options).await?,
            Act::Power { host, state: Power::On } => lab::power_on(&options, &host).await?,
            Act::Power { host, state: Power::Off } => lab::power_off(&options, &host).await?,
            Act::Ssh { host, command } => {
                let mut argv = lab::ssh_command(&options, &host).await?;
                argv.extend(command);
                return Local::new(argv).inherit().await.map(Exit);
            }
        }
        Ok(Exit::DONE)
    }
}

async fn status(at: &Invocation, options: &lab::Options) -> Result<()> {
    let hosts = lab::status(options).await?;
    at.answer(
        || {
            let host = |status: &HostStatus| {
                json!({ "host": status.host.name, "address": status.host.address, "state": status.state })
            };
            let hosts: Vec<_> = hosts.iter().map(host).collect();
            json!({ "name": options.name, "folder": options.state_dir, "hosts": hosts })
        },
        || {
            let mut table = Table::new(["HOST", "ADDRESS", "STATE", "UP", "ENGINE"]);
            for status in &hosts {
                let uptime = status.uptime.map(|up| format!("{}s", up.as_secs())).unwrap_or_default();
                let engine = status.engine.clone().unwrap_or_default();
                table.row([
                    status.host.name.clone(),
                    status.host.address.to_string(),
                    status.state.clone(),
                    uptime,
                    engine,
                ]);
            }
            table.render()
        },
    );
    Ok(())
}
