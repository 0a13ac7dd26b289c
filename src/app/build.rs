//! Images, built on this machine.

use std::path::PathBuf;

use super::{App, Loaded};
use crate::error::{Error, Result};
use crate::image::{self, BuildOptions, Built, GUEST, Say};

/// The images' tag where no site says it.
pub(super) const TAG: &str = "2025.1-debian-trixie";

/// What to build.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Image names; empty for those the enabled services need.
    pub images: Vec<String>,
    /// Where the guest's disk goes.
    pub to: Option<PathBuf>,
    /// Push them.
    pub push: bool,
    /// Where to push, as `127.0.0.1:4000`.
    pub registry: Option<String>,
    /// Their tag.
    pub tag: Option<String>,
    /// Where Debian packages come from.
    pub mirror: Option<String>,
    /// Build what is there already.
    pub again: bool,
    /// Images built at once.
    pub jobs: Option<u16>,
}

/// Images that are there now.
#[derive(Debug, Clone)]
pub struct Images {
    /// Each of them.
    pub built: Vec<Built>,
    /// Where the guest's disk is, if it is among them.
    pub guest: Option<PathBuf>,
}

/// Builds images, by the variables of the site if there is one, and tells how far it is.
///
/// # Errors
/// The first image that cannot be built, with the end of its log.
pub async fn build(app: &App, request: &Request, say: Say<'_>) -> Result<Images> {
    let site = Loaded::read(app).await.ok();
    let variable = |name: &str| {
        let loaded = site.as_ref()?;
        let host = loaded.site.hosts.keys().next()?;
        let value = loaded.unasked(false).host(host).get(name).ok()?;
        Some(value.to_string()).filter(|text| !text.is_empty())
    };
    let tag = request.tag.clone().or_else(|| variable("openstack_tag"));
    if request.to.is_some() && !request.images.iter().any(|image| image == GUEST) {
        return Err(Error::input("`--to` is for the disk of the image `guest`, which is not among the images")
            .with_hint("write `kolla build guest --to FILE`"));
    }
    let mut options = BuildOptions::new(tag.unwrap_or_else(|| TAG.into()));
    options.images.clone_from(&request.images);
    if options.images.is_empty()
        && let Some(loaded) = &site
    {
        options.images = needed(loaded)?;
    }
    if let Some(registry) = request.registry.clone().or_else(|| variable("docker_registry")) {
        options.registry = registry;
    }
    if let Some(namespace) = variable("docker_namespace") {
        options.namespace = namespace;
    }
    options.push = request.push;
    options.again = request.again;
    options.mirror.clone_from(&request.mirror);
    options.proxies.clone_from(&app.control.proxies);
    options.jobs = request.jobs.map_or(options.jobs, usize::from);
    let disk = request.to.clone().unwrap_or_else(|| guest_file(app));
    options.guest = Some(disk.clone());
    let built = image::build(&options, say).await?;
    let guest = built.iter().any(|image| image.name == GUEST).then_some(disk);
    Ok(Images { built, guest })
}

/// Where the disk of the guest is, unless the operator says another place.
pub(super) fn guest_file(app: &App) -> PathBuf {
    app.control.state.join("guest.qcow2")
}

/// Names of the images that the site's enabled services need.
pub(super) fn needed(loaded: &Loaded) -> Result<Vec<String>> {
    let plan = loaded.draft(&loaded.members())?;
    let name = |reference: &String| {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        name.split(':').next().unwrap_or(name).to_owned()
    };
    Ok(plan.images().keys().map(name).collect())
}
