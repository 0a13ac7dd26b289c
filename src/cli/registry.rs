//! `kolla registry`: a registry on this machine.

use clap::{Args, Subcommand};
use serde_json::json;

use super::build::told;
use super::{Exit, Invocation};
use crate::app::registry;
use crate::error::{Result, numbered};
use crate::image;

/// Runs an image registry as a container on this machine.
#[derive(Debug, Args)]
pub struct Registry {
    #[command(subcommand)]
    act: Act,
    /// The port of the registry
    #[arg(long, value_name = "PORT", default_value_t = 4000, global = true)]
    port: u16,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Start the registry
    Up,
    /// Stop the registry
    Down {
        /// Also remove the images in the registry
        #[arg(long)]
        include_images: bool,
    },
    /// Show whether the registry answers and which images it has
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
