//! `kolla quickstart`: the first command.

use std::path::Path;

use clap::Args;

use super::build::told;
use super::init_runonce::make;
use super::phases::summary;
use super::post_deploy::post_deploy;
use super::registry::up;
use super::{Exit, Invocation};
use crate::app;
use crate::app::lab::Which;
use crate::app::quickstart::{self, Request};
use crate::app::run;
use crate::cloud::Server;
use crate::error::{Error, Result, numbered};
use crate::run::event::Summary;

/// Builds the images, starts a registry, creates test hosts as containers on this machine and deploys a cloud to them.
#[derive(Debug, Args)]
pub struct Quickstart {
    /// Number of hosts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
    pub hosts: u16,
    /// Number of additional hosts that are only compute hosts [default: 1, or none with --infra-only]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=9))]
    pub computes: Option<u16>,
    /// Deploy only load balancer, database, message queue and cache
    #[arg(long)]
    pub infra_only: bool,
    #[command(flatten)]
    pub(super) storage: super::lab::Storage,
    #[command(flatten)]
    pub(super) which: super::lab::Which,
}

impl Quickstart {
    fn request(self) -> Request {
        let Self { hosts, computes, infra_only, storage, which } = self;
        let computes = computes.unwrap_or(u16::from(!infra_only));
        let (disks, storage) = storage.wanted();
        Request { which: which.request(), hosts, computes, infra_only, disks, storage }
    }

    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let request = self.request();
        let options = quickstart::options(&at.app, &request);
        begin(at, &request, &quickstart::installs(&options).await?);
        let which = &request.which;
        up(at, &app::registry::registry(&at.app, which.registry_port), which.mirror.as_deref()).await?;
        let lab = app::lab::up(&at.app, &options, &|line| at.screen.err(line)).await?;
        let folder = options.state_dir;
        let inner = |command: &str| {
            let mut inner = at.elsewhere(folder.clone(), command);
            // The hosts share this machine's processors: more that starts at once only takes longer to be ready.
            inner.app.options.forks.get_or_insert_with(quickstart::forks);
            inner
        };
        let client = quickstart::build(&inner("build").app, &request, &|event| told(at, event)).await?;
        let check = at.global.check;
        let mut last = Summary::default();
        for name in quickstart::PHASES {
            if at.app.stop.is_cancelled() {
                return Err(Error::Interrupted);
            }
            last = summary(&inner(name), &run::Request { check, ..run::Request::of(run::phase(name)?) }).await?;
            if last.failed > 0 {
                return Ok(at.exit(last, false));
            }
        }
        let mut server = None;
        if !request.infra_only && !check {
            post_deploy(&inner("post-deploy")).await?;
            (last, server) = make(&inner("init-runonce"), &quickstart::first_server(&lab)).await?;
            let Some(server) = &server else { return Err(Error::local("start a server", "none was started")) };
            server.reach().await?;
            let Server { address, .. } = server;
            at.screen.err(&format!("server demo1 has booted and answers at {address}; the end of its console:"));
            at.screen.err(&server.console_end());
        }
        at.screen.err(&done(&folder, which, server.as_ref().map(|server| (server, client.as_str()))));
        Ok(at.exit(last, false))
    }
}

/// Tells what is about to happen.
fn begin(at: &Invocation, request: &Request, installs: &[String]) {
    let Request { which, hosts, computes, infra_only, storage, .. } = request;
    at.screen.err(&format!(
        "quickstart: builds images, starts a registry on port {}, raises the lab `{}` of {} as containers of this \
         machine's engine, and deploys {} to it{}",
        which.registry_port,
        which.name,
        numbered((hosts + computes).into(), "host"),
        match (infra_only, storage) {
            (true, _) => "the infrastructure",
            (_, true) => "a cloud with its storage",
            _ => "a cloud",
        },
        if installs.is_empty() { String::new() } else { format!("; installs {}", installs.join(", ")) },
    ));
}

/// How to go on; also with a server and an image that has a client.
fn done(folder: &Path, which: &Which, server: Option<(&Server, &str)>) -> String {
    let folder = folder.display();
    let more = server.map(|(Server { address, .. }, client)| {
        format!(
            "\n\x20 ping {address}              the server demo1\n\
             \x20 docker run --rm -it --network host --user root -v {folder}/clouds.yaml:/etc/openstack/clouds.yaml:ro \\\n\
             \x20     -e OS_CLOUD=kolla-admin {client} openstack server list",
        )
    });
    format!(
        "\ndone. The site is in {folder}:\n\
         \x20 export KOLLA_CONFIG_PATH={folder}\n\
         \x20 kolla status               services by hosts\n\
         \x20 kolla deploy               again: nothing to change\n\
         \x20 kolla lab ssh control01{name}    a shell on a host\n\
         \x20 kolla lab down{name}             remove the lab; `kolla registry down` the registry{more}",
        name = if which.name == "kolla" { String::new() } else { format!(" --name {}", which.name) },
        more = more.unwrap_or_default(),
    )
}
