//! `kolla registry`: a registry on this machine.

use clap::{Args, Subcommand};

use super::session::{self, RegistryAct};
use super::{Exit, Invocation};
use crate::error::Result;

/// A registry as a container of this machine.
#[derive(Debug, Args)]
pub struct Registry {
    #[command(subcommand)]
    act: Act,
    /// The port it listens on
    #[arg(long, value_name = "PORT", default_value_t = 4000, global = true)]
    port: u16,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Start it
    Up,
    /// Stop it
    Down {
        /// Also remove the images it holds
        #[arg(long)]
        include_images: bool,
    },
    /// Tell whether it runs and which images it holds
    Status,
}

impl Registry {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let act = match self.act {
            Act::Up => RegistryAct::Up,
            Act::Down { include_images } => RegistryAct::Down(include_images),
            Act::Status => RegistryAct::Status,
        };
        session::registry(at, act, self.port).await?;
        Ok(Exit::DONE)
    }
}
