//! `kolla build`: images.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::session::{self, BuildRequest};
use super::{Exit, Invocation};
use crate::error::Result;

/// Builds images in the order in which they need each other.
#[derive(Debug, Args)]
pub struct Build {
    /// Names of images; without any, those that the enabled services need. `guest` is the disk of a small virtual
    /// machine to try a cloud with
    pub images: Vec<String>,
    /// Write the disk of `guest` to this file [default: guest.qcow2 in the state folder]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub to: Option<PathBuf>,
    /// Push what was built to the registry
    #[arg(long)]
    pub push: bool,
    /// The registry [default: `docker_registry` of the site, else 127.0.0.1:4000]
    #[arg(long, value_name = "ADDRESS")]
    pub registry: Option<String>,
    /// The images' tag [default: `openstack_tag` of the site]
    #[arg(long)]
    pub tag: Option<String>,
    /// Where Debian packages come from [default: this machine's own mirror]
    #[arg(long, value_name = "URL")]
    pub mirror: Option<String>,
    /// Build again what is there already
    #[arg(long)]
    pub again: bool,
    /// How many images to build at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
}

impl Build {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let Self { images, to, push, registry, tag, mirror, again, jobs } = self;
        session::build(at, &BuildRequest { images, to, push, registry, tag, mirror, again, jobs }).await?;
        Ok(Exit::DONE)
    }
}
