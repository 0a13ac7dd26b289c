//! From nothing to a cloud on this machine: each step is a command that the operator has, too.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::load::Loaded;
use super::local::{TAG, build_images, guest_file, needed, options, raise, raise_registry};
use crate::cli::init_runonce::InitRunonce;
use crate::cli::phases::Request;
use crate::cli::quickstart::Quickstart;
use crate::cli::{Global, Invocation};
use crate::error::{Error, Result, numbered};
use crate::lab::Lab;
use crate::run::event::Summary;
use crate::{image, lab};

/// What a site needs beside the images of its services: a client, and the disk of a small server.
const BESIDE: [&str; 2] = ["client", image::GUEST];

/// Seconds until a server that has booted answers from outside.
const ANSWERS: u64 = 60;

/// Registry, images, lab, bootstrap-servers, prechecks, pull, deploy; then a first server, unless only the
/// infrastructure is wanted; and how to go on.
///
/// # Errors
/// The first step that fails.
pub async fn quickstart(at: &Invocation, asked: &Quickstart) -> Result<Summary> {
    let which = &asked.which;
    let mut lab_options = options(at, which);
    lab_options.infra_only = asked.infra_only;
    lab_options.hosts = asked.hosts.into();
    lab_options.computes = asked.computes.unwrap_or(u16::from(!asked.infra_only)).into();
    let mut installs = image::installs().await;
    installs.extend(lab::preflight(&lab_options).await?.installs);
    installs.sort();
    installs.dedup();
    at.screen.err(&format!(
        "quickstart: builds images, starts a registry on port {}, raises the lab `{}` of {} as containers of this \
         machine's engine, and deploys {} to it{}",
        which.registry_port,
        which.name,
        numbered((lab_options.hosts + lab_options.computes) as usize, "host"),
        if asked.infra_only { "the infrastructure" } else { "a cloud" },
        if installs.is_empty() { String::new() } else { format!("; installs {}", installs.join(", ")) },
    ));
    let mut images = image::BuildOptions::new(TAG);
    images.registry = format!("127.0.0.1:{}", which.registry_port);
    images.mirror.clone_from(&which.mirror);
    images.proxies.clone_from(&at.environment.proxies);
    images.push = true;
    let registry = image::Registry { port: which.registry_port, image: images.reference("registry") };
    raise_registry(at, &images, &registry).await?;
    let lab = raise(at, &lab_options).await?;
    let folder = lab_options.state_dir.clone();
    let inner = |command: &str| Invocation {
        environment: at.environment.clone(),
        global: Global { configdir: Some(folder.clone()), inventory: Vec::new(), ..at.global.clone() },
        screen: at.screen.clone(),
        stop: at.stop.clone(),
        vault: at.vault.clone(),
        command_line: format!("kolla {command} --configdir {}", folder.display()),
    };
    images.images = needed(&Loaded::read(&inner("build")).await?)?;
    if !asked.infra_only {
        images.images.extend(BESIDE.map(str::to_owned));
        images.guest = Some(guest_file(at));
    }
    build_images(at, &images).await?;
    let mut last = Summary::default();
    for name in ["bootstrap-servers", "prechecks", "pull", "deploy"] {
        if at.stop.is_cancelled() {
            return Err(Error::Interrupted);
        }
        let request = Request { phase: name.into(), check: at.global.check, ..Request::default() };
        last = super::phase(&inner(name), &request).await?;
        if last.failed > 0 {
            return Ok(last);
        }
    }
    let mut more = String::new();
    if !asked.infra_only && !at.global.check {
        super::post_deploy(&inner("post-deploy")).await?;
        let (summary, address) = first_server(&inner("init-runonce"), &lab).await?;
        last = summary;
        more = format!(
            "\n\x20 ping {address}              the server demo1\n\
             \x20 docker run --rm -it --network host --user root -v {}/clouds.yaml:/etc/openstack/clouds.yaml:ro \\\n\
             \x20     -e OS_CLOUD=kolla-admin {} openstack server list",
            folder.display(),
            images.reference("client"),
        );
    }
    at.screen.err(&format!(
        "\ndone. The site is in {folder}:\n\
         \x20 export KOLLA_CONFIG_PATH={folder}\n\
         \x20 kolla status               services by hosts\n\
         \x20 kolla deploy               again: nothing to change\n\
         \x20 kolla lab ssh control01{name}    a shell on a host\n\
         \x20 kolla lab down{name}             remove the lab; `kolla registry down` the registry{more}",
        folder = folder.display(),
        name = if which.name == "kolla" { String::new() } else { format!(" --name {}", which.name) },
    ));
    Ok(last)
}

/// What `init-runonce --server` makes, with addresses of the lab's external network; the server's own there.
async fn first_server(at: &Invocation, lab: &Lab) -> Result<(Summary, String)> {
    let (range, gateway) = lab.floating();
    let request = InitRunonce::outside(lab.external, range, gateway);
    let (summary, server) = super::init_runonce(at, &request).await?;
    let Some(server) = server else { return Err(Error::local("start a server", "none was started")) };
    let address: Ipv4Addr = server
        .address
        .parse()
        .map_err(|error| Error::local(format!("reach the server at {}", server.address), error))?;
    let end = Instant::now() + Duration::from_secs(ANSWERS);
    while !answers(address).await {
        if Instant::now() > end {
            let late =
                format!("nothing at {address} after {ANSWERS} s; the end of its console: {}", tail(&server.console));
            return Err(Error::local("reach the server demo1 from outside the cloud", late)
                .with_hint("see `kolla status`, and `kolla logs HOST neutron_l3_agent` on the controllers"));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    at.screen.err(&format!("server demo1 has booted and answers at {address}; the end of its console:"));
    at.screen.err(&tail(&server.console));
    Ok((summary, server.address))
}

/// A server with nothing that listens refuses a connection: then it is there.
async fn answers(address: Ipv4Addr) -> bool {
    let attempt = tokio::time::timeout(Duration::from_secs(2), tokio::net::TcpStream::connect((address, 22))).await;
    match attempt {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        Err(_) => false,
    }
}

fn tail(console: &str) -> String {
    let lines: Vec<&str> = console.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(4)..]
        .iter()
        .map(|line| format!("  {}", line.trim_end()))
        .collect::<Vec<_>>()
        .join("\n")
}
