//! `kolla build`: images.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use serde_json::json;

use super::{Exit, Invocation};
use crate::app::build::{Images, Request, build};
use crate::error::{Result, numbered};
use crate::image::{Built, Event, GUEST};

/// Builds container images, each after its parent.
#[derive(Debug, Args)]
pub struct Build {
    /// Names of images [default: those of the enabled services]. `guest` is the disk image of a small virtual machine for
    /// testing a cloud
    pub images: Vec<String>,
    /// Write the disk image of `guest` to this file [default: guest.qcow2 in the state folder]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub to: Option<PathBuf>,
    /// Push the images to the registry
    #[arg(long)]
    pub push: bool,
    /// The registry [default: `docker_registry` of the site, else 127.0.0.1:4000]
    #[arg(long, value_name = "ADDRESS")]
    pub registry: Option<String>,
    /// The tag of the images [default: `openstack_tag` of the site]
    #[arg(long)]
    pub tag: Option<String>,
    /// The mirror for Debian packages [default: the mirror that this machine uses]
    #[arg(long, value_name = "URL")]
    pub mirror: Option<String>,
    /// Rebuild images that exist already
    #[arg(long)]
    pub again: bool,
    /// Maximum number of images to build at the same time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
}

impl Build {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let Self { images, to, push, registry, tag, mirror, again, jobs } = self;
        let request = Request { images, to, push, registry, tag, mirror, again, jobs };
        let Images { built, guest } = build(&at.app, &request, &|event| told(at, event)).await?;
        let file = |image: &Built| guest.as_ref().filter(|_| image.name == GUEST);
        at.answer(
            || {
                let answer = |image: &Built| {
                    let (name, reference, built) = (&image.name, &image.reference, image.built);
                    json!({ "name": name, "reference": reference, "built": built, "file": file(image) })
                };
                built.iter().map(answer).collect()
            },
            || {
                let guest = guest.as_ref().map(|disk| format!("; the guest is {}", disk.display()));
                format!("{} ready{}", numbered(built.len(), "image"), guest.unwrap_or_default())
            },
        );
        Ok(Exit::DONE)
    }
}

/// Tells how far builds are.
pub(super) fn told(at: &Invocation, event: Event) {
    match event {
        Event::Installs(names) => at.screen.err(&format!("installing {} on this machine", names.join(", "))),
        Event::Starts { image } => at.screen.err(&format!("image {image}: building")),
        Event::Ends(image) => {
            let what = match (image.built, image.pushed) {
                (true, true) => "built and pushed",
                (true, false) => "built",
                (false, true) => "pushed",
                (false, false) => "same",
            };
            at.screen.err(&format!("image {}: {what} in {}s", image.name, image.took.as_secs()));
        }
        Event::Says { image, line } => tracing::debug!("{image}: {line}"),
        Event::Pushes { .. } => {}
    }
}
