//! `kolla registry`: a registry on this machine.

use clap::{Args, Subcommand};
use serde_json::json;

use super::build::told;
use super::{Exit, Invocation};
use crate::app::registry;
use crate::error::{Result, numbered};
use crate::image;

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
        let registry = registry::registry(&at.app, self.port);
        match self.act {
            Act::Up => up(at, &registry, None).await?,
            Act::Down { include_images } => {
                registry.down(include_images).await?;
            }
            Act::Status => {
                let status = registry.status().await?;
                at.answer(
                    || json!({ "answers": status.answers, "images": status.images }),
                    || {
                        let state = if status.answers { "answers" } else { "does not answer" };
                        let count = numbered(status.images.len(), "image");
                        let head = format!("{} {state}: {count}", registry.address());
                        let images = status.images.iter().map(|image| format!("  {image}"));
                        std::iter::once(head).chain(images).collect::<Vec<_>>().join("\n")
                    },
                );
            }
        }
        Ok(Exit::DONE)
    }
}

/// Starts a registry; Debian packages for its image come from the mirror.
pub(super) async fn up(at: &Invocation, registry: &image::Registry, mirror: Option<&str>) -> Result<()> {
    registry::up(&at.app, registry, mirror, &|event| told(at, event)).await?;
    at.screen.err(&format!("registry: answers on {}", registry.address()));
    Ok(())
}
