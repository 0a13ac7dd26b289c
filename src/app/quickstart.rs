//! From nothing to a cloud on this machine. Its steps are commands that the operator has, too; here is what only it does.

use std::num::NonZero;

use super::build::{guest_file, needed};
use super::lab::{self, Which};
use super::{App, Loaded, demo, registry};
use crate::cloud::demo::{External, Internal, Range};
use crate::error::Result;
use crate::image::{self, GUEST, Say};
use crate::lab::{Lab, Options, preflight};

/// The phases that deploy to a bare lab, in their order.
pub const PHASES: [&str; 4] = ["bootstrap-servers", "prechecks", "pull", "deploy"];

/// What a cloud needs beside the images of its services: a client, and the disk of a small server.
const BESIDE: [&str; 2] = ["client", GUEST];

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Request {
    /// The lab.
    pub which: Which,
    /// So many controllers.
    pub hosts: u16,
    /// So many more that only compute.
    pub computes: u16,
    /// Only load balancer, database, message queue and cache.
    pub infra_only: bool,
    /// Disks of each controller.
    pub disks: u16,
    /// Ceph on these disks, and a cloud that stores in it.
    pub storage: bool,
}

/// What the lab is made by.
pub fn options(app: &App, request: &Request) -> Options {
    let mut options = lab::options(app, &request.which);
    options.infra_only = request.infra_only;
    (options.disks, options.storage) = (request.disks, request.storage);
    options.hosts = request.hosts.into();
    options.computes = request.computes.into();
    options
}

/// Operations at the same time that this machine's processors keep up with.
pub fn forks() -> u16 {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    u16::try_from(processors.saturating_mul(4)).unwrap_or(u16::MAX)
}

/// What would be installed on this machine.
///
/// # Errors
/// When the engine does not answer.
pub async fn installs(options: &Options) -> Result<Vec<String>> {
    let mut installs = image::installs().await;
    installs.extend(preflight(options).await?.installs);
    installs.sort();
    installs.dedup();
    Ok(installs)
}

/// Builds the images of the lab's site, which `app` is of, and pushes them; the one that has a client.
///
/// # Errors
/// Input errors of the site; the first image that cannot be built.
pub async fn build(app: &App, request: &Request, say: Say<'_>) -> Result<String> {
    let mut options = registry::builds(app, request.which.registry_port);
    options.mirror.clone_from(&request.which.mirror);
    options.push = true;
    options.images = needed(&Loaded::read(app).await?)?;
    if !request.infra_only {
        options.images.extend(BESIDE.map(str::to_owned));
        options.guest = Some(guest_file(app));
    }
    image::build(&options, say).await?;
    Ok(options.reference(BESIDE[0]))
}

/// A first server with an address of the lab's external network.
pub fn first_server(lab: &Lab) -> demo::Request {
    let ((start, end), gateway) = lab.floating();
    let external = External { cidr: lab.external, range: Range { start, end }, gateway };
    demo::Request { image: None, external: Some(external), internal: Internal::default(), server: true }
}
