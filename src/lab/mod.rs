//! A lab: bare hosts as containers of this machine's engine, to try the whole program without servers.
//!
//! Each host has systemd and sshd and nothing else; `bootstrap-servers` gives it its own engine, as it does to a
//! server. All that is known of a lab stands in the engine, in labels `kolla.lab=NAME`; the files of its state folder
//! are written anew by each [`up`]. Nothing here knows of sites, roles or plans.

mod capability;
mod engine;
mod files;
mod host;
mod image;
mod network;
mod preflight;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bollard::models::ContainerSummaryStateEnum as State;
use futures_util::future::try_join_all;
use ipnet::Ipv4Net;

pub use files::Files;
pub use host::LabHost;
pub use preflight::{Lack, Preflight, preflight};

use crate::error::{Error, Kind, Result, nearest, numbered};
use crate::host::apt::{self, Apt};
use engine::Engine;
use host::COMPUTE;
use network::Role;

/// What a lab is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its name: several labs of different names can stand side by side.
    pub name: String,
    /// Hosts `control01`, `control02`, ...: at most 80.
    pub hosts: u32,
    /// Hosts `compute01`, ...: at most 80. Without any, the controllers compute too.
    pub computes: u32,
    /// Folder for inventory, globals and keys; see [`Files`].
    pub state_dir: PathBuf,
    /// Port of the registry on this machine.
    pub registry_port: u16,
    /// Subnet for the API, /24 or wider; without one the first free /24 from 10.71.0.0 on.
    pub internal: Option<Ipv4Net>,
    /// Subnet for the outside, likewise.
    pub external: Option<Ipv4Net>,
    /// Memory limit of a host in MiB; without one, a share of 85 % of the machine's, and at least 1.5 GiB: a controller
    /// has twice as much as a host that only computes.
    pub memory_mib: Option<u64>,
    /// Address of a Debian archive; without one, where this machine's own packages come from.
    pub mirror: Option<String>,
    /// `http_proxy` and `https_proxy` of the caller's environment, for the hosts' package installations.
    pub proxies: Vec<(String, String)>,
    /// Release of the images, for the globals.
    pub release: String,
    /// Tag of the images, for the globals; without one, `RELEASE-debian-trixie`.
    pub tag: Option<String>,
    /// Folder of the images in the registry.
    pub namespace: String,
    /// Load balancer, database, message queue and cache only, for the globals.
    pub infra_only: bool,
    /// Disks of each controller, as files, for the globals.
    pub disks: u16,
    /// Ceph on these disks, and a cloud that stores in it, for the globals.
    pub storage: bool,
}

impl Options {
    /// Three controllers, everything else chosen by what this machine is.
    pub fn new(name: impl Into<String>, state_dir: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            hosts: 3,
            computes: 0,
            state_dir: state_dir.into(),
            registry_port: 4000,
            internal: None,
            external: None,
            memory_mib: None,
            mirror: None,
            proxies: Vec::new(),
            release: "2025.1".into(),
            tag: None,
            namespace: "kolla".into(),
            infra_only: false,
            disks: 0,
            storage: false,
        }
    }

    fn check(&self) -> Result<()> {
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let name = &self.name;
        if name.is_empty() || name.len() > 20 || name.starts_with('-') || !name.chars().all(letters) {
            return Err(Error::input(format!("`{name}` cannot be a lab's name"))
                .with_hint("use up to 20 lower-case letters, digits and dashes"));
        }
        if self.hosts + self.computes == 0 || self.hosts > 80 || self.computes > 80 {
            return Err(Error::input("a lab has 1 to 80 hosts of a kind"));
        }
        if self.storage && self.disks == 0 {
            return Err(Error::input("there is no disk to store on").with_hint("`--disks 2` gives each controller two"));
        }
        let narrow = [self.internal, self.external].into_iter().flatten().find(|subnet| subnet.prefix_len() > 24);
        if let Some(subnet) = narrow {
            return Err(Error::input(format!("subnet `{subnet}` is too small for a lab")).with_hint("give a /24"));
        }
        Ok(())
    }
}

/// A lab that stands.
#[derive(Debug, Clone)]
pub struct Lab {
    /// Its name.
    pub name: String,
    /// Its hosts by name: all that exist, also those an earlier `up` made.
    pub hosts: Vec<LabHost>,
    /// Subnet of `eth0`; its first address is this machine.
    pub internal: Ipv4Net,
    /// Subnet of `eth1`.
    pub external: Ipv4Net,
    /// The free address for `kolla_internal_vip_address`.
    pub vip: Ipv4Addr,
    /// Where the hosts find this machine's registry, as `address:port`.
    pub registry: String,
    /// What was written.
    pub files: Files,
}

impl Lab {
    /// Addresses of the external network that no host has, for servers: the first and the last; and the gateway there.
    pub fn floating(&self) -> ((Ipv4Addr, Ipv4Addr), Ipv4Addr) {
        let nth = |number| network::nth(self.external, number);
        ((nth(200), nth(240)), network::gateway(self.external))
    }
}

/// How a host is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostStatus {
    /// The host.
    pub host: LabHost,
    /// `running` (booted), `degraded` (booted, a unit failed), `starting` and the like, or, when it is off, the
    /// engine's word: `exited`, `created`.
    pub state: String,
    /// How long it has been up.
    pub uptime: Option<Duration>,
    /// Version of the container engine installed on it, if one is.
    pub engine: Option<String>,
}

/// Raises the lab or completes it: builds the host image when it is missing, creates missing networks and hosts,
/// starts stopped ones, waits until all answer, and writes the state files.
///
/// `say` gets a line for each step that takes time.
///
/// # Errors
/// Input errors for options that cannot be met; otherwise what failed on this machine or at a host's boot.
pub async fn up(options: &Options, say: &(dyn Fn(&str) + Sync)) -> Result<Lab> {
    options.check()?;
    let found = preflight(options).await?;
    found.verdict()?;
    for lack in &found.lacks {
        say(&format!("warning: {}; {}", lack.what, lack.hint));
    }
    let engine = Engine::connect().await?;
    let folder = files::folder(&options.state_dir)?;
    let files = Files::within(&folder);
    let key = files::key(&files, &options.name)?;

    let internal = network::ensure(&engine, &options.name, Role::Internal, options.internal).await?;
    let external = network::ensure(&engine, &options.name, Role::External, options.external).await?;
    let (unfinished, existing): (Vec<_>, Vec<_>) =
        known(&engine, &options.name).await?.into_iter().partition(|(_, state)| *state == State::CREATED);
    // Never started: an earlier `up` ended before the host had all its parts.
    try_join_all(unfinished.iter().map(|(host, _)| engine.remove(&host.container))).await?;
    let mut all: Vec<LabHost> = existing.into_iter().map(|(host, _)| host).collect();
    let mut missing = planned(options, internal, external);
    missing.retain(|host| all.iter().all(|have| have.name != host.name));

    let mut new_authorities = false;
    if !missing.is_empty() {
        let apt = Apt::of_this_machine(options.mirror.as_deref(), &options.proxies).await?;
        if !image::exists(&engine).await? {
            build_image(&engine, &apt, &found.installs, say).await?;
        }
        let making = host::Making {
            lab: &options.name,
            image: &image::reference(),
            apt: &apt,
            gateway: network::gateway(internal),
            memory_mib: &|host| options.memory_mib.unwrap_or_else(|| memory_share(options, host.computes_only())),
        };
        let (count, name) = (numbered(missing.len(), "host"), &options.name);
        say(&format!("lab {name}: creating {count}, internal network {internal}, external {external}"));
        try_join_all(missing.iter().map(|host| host::create(&engine, host, &making))).await?;
        new_authorities = apt.has_authorities();
    }

    all.extend(missing.iter().cloned());
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let started = Instant::now();
    let host_keys = try_join_all(all.iter().map(|host| start(&engine, host, &key))).await?;
    if new_authorities {
        try_join_all(missing.iter().map(|host| engine.exec(&host.container, "update-ca-certificates"))).await?;
    }
    let lab = Lab {
        name: options.name.clone(),
        hosts: all,
        internal,
        external,
        vip: network::vip(internal),
        registry: format!("{}:{}", network::gateway(internal), options.registry_port),
        files,
    };
    files::write_all(&lab, options, &host_keys)?;
    let (count, seconds) = (numbered(lab.hosts.len(), "host"), started.elapsed().as_secs_f32());
    say(&format!("lab {}: {count} up in {seconds:.1} s, inventory {}", lab.name, lab.files.inventory.display()));
    Ok(lab)
}

/// Removes the lab's hosts, networks and state files, and with `volumes` what their engines stored; nothing else.
///
/// Without `volumes`, hosts made again under the same names find their engine's storage as it was.
///
/// # Errors
/// What the engine refuses to remove; running it again goes on from there.
pub async fn down(options: &Options, volumes: bool) -> Result<()> {
    options.check()?;
    let engine = Engine::connect().await?;
    let containers = engine.containers(&options.name).await?;
    let ids = containers.iter().filter_map(|container| container.id.as_deref());
    try_join_all(ids.map(|id| engine.remove(id))).await?;
    for network in network::of_lab(&engine, &options.name).await? {
        engine.network_remove(&network).await?;
    }
    if volumes {
        let names = engine.volumes(&options.name).await?;
        try_join_all(names.iter().map(|name| engine.volume_remove(name))).await?;
    }
    Files::within(&options.state_dir).remove()
}

/// How the lab's hosts are; empty when there is no such lab.
///
/// # Errors
/// When the engine does not answer.
pub async fn status(options: &Options) -> Result<Vec<HostStatus>> {
    let engine = Engine::connect().await?;
    let hosts = known(&engine, &options.name).await?;
    try_join_all(hosts.into_iter().map(|(host, state)| status_of(&engine, host, state))).await
}

/// The command that logs in to a host as root, for the caller to become.
///
/// # Errors
/// When the lab has no such host or was never raised from this state folder.
pub async fn ssh_command(options: &Options, host: &str) -> Result<Vec<String>> {
    let engine = Engine::connect().await?;
    let host = find(&engine, options, host).await?;
    let config = Files::within(&options.state_dir).ssh_config;
    if !config.exists() {
        return Err(Error::local(format!("read {}", config.display()), "there is no such file")
            .with_hint("run `kolla lab up` with the same `--name` and `--state-dir` to write it anew"));
    }
    Ok(["ssh".into(), "-F".into(), config.display().to_string(), host.name].to_vec())
}

/// Cuts a host's power: everything in it ends at once, and what was not on its disk is lost.
///
/// # Errors
/// When the lab has no such host.
pub async fn power_off(options: &Options, host: &str) -> Result<()> {
    let engine = Engine::connect().await?;
    let host = find(&engine, options, host).await?;
    engine.kill(&host.container).await
}

/// Gives a host its power back and waits until it answers.
///
/// # Errors
/// When the lab has no such host, or it does not boot.
pub async fn power_on(options: &Options, host: &str) -> Result<()> {
    let engine = Engine::connect().await?;
    let host = find(&engine, options, host).await?;
    engine.start(&host.container).await?;
    host::wait_ready(&engine, &host).await.map(|_| ())
}

/// Pulls a host's cable of the internal network: `eth0` loses its carrier and keeps its addresses.
///
/// # Errors
/// When the lab has no such host, or it is off.
pub async fn disconnect(options: &Options, host: &str) -> Result<()> {
    cable(options, host, "down").await
}

/// Plugs the cable in again; a host that was powered off and on has it plugged in already.
///
/// # Errors
/// As [`disconnect`].
pub async fn connect(options: &Options, host: &str) -> Result<()> {
    cable(options, host, "up").await
}

async fn cable(options: &Options, host: &str, to: &str) -> Result<()> {
    let engine = Engine::connect().await?;
    let host = find(&engine, options, host).await?;
    let index = engine.exec(&host.container, "cat /sys/class/net/eth0/iflink").await?.text();
    let index: u32 = index.trim().parse().map_err(|_| {
        Error::local(format!("find the cable of {}", host.name), "the host is off").with_hint("power it on first")
    })?;
    // The other end of the pair is this machine's: taking that one down is what a pulled cable looks like inside.
    let script = format!(
        "end=$(ip -o link | sed -n 's/^{index}: \\([^@:]*\\).*/\\1/p'); [ -n \"$end\" ]; ip link set \"$end\" {to}"
    );
    let name = format!("{}-cable", host.container);
    engine.on_this_machine(&options.name, &image::reference(), &name, &script).await
}

/// The hosts that exist, with the engine's word for their state, by name.
async fn known(engine: &Engine, lab: &str) -> Result<Vec<(LabHost, State)>> {
    let containers = engine.containers(lab).await?;
    let host = |summary: &_| LabHost::from_summary(summary);
    let mut hosts: Vec<(LabHost, State)> =
        containers.iter().filter_map(|summary| Some((host(summary)?, summary.state.unwrap_or(State::EMPTY)))).collect();
    hosts.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    Ok(hosts)
}

async fn find(engine: &Engine, options: &Options, name: &str) -> Result<LabHost> {
    let hosts: Vec<LabHost> = known(engine, &options.name).await?.into_iter().map(|(host, _)| host).collect();
    if let Some(host) = hosts.iter().find(|host| host.name == name) {
        return Ok(host.clone());
    }
    let error = Error::input(format!("lab `{}` has no host `{name}`", options.name)).of(Kind::UnknownName);
    let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    Err(match nearest(name, names.iter().copied()) {
        _ if names.is_empty() => error.with_hint("run `kolla lab up` first"),
        Some(near) => error.with_hint(format!("say `{near}`")),
        None => error.with_hint(format!("choose one of {}", names.join(", "))),
    })
}

/// The hosts that the options ask for; addresses follow from names, so that a lab can grow.
fn planned(options: &Options, internal: Ipv4Net, external: Ipv4Net) -> Vec<LabHost> {
    let host = |kind: &str, number: u32, base: u32| {
        let (internal, external) = (network::nth(internal, base + number), network::nth(external, base + number));
        LabHost::new(&options.name, &format!("{kind}{number:02}"), internal, external)
    };
    let controls = (1..=options.hosts).map(|number| host("control", number, 10));
    controls.chain((1..=options.computes).map(|number| host(COMPUTE, number, 100))).collect()
}

async fn build_image(engine: &Engine, apt: &Apt, installs: &[String], say: &(dyn Fn(&str) + Sync)) -> Result<()> {
    if !installs.is_empty() {
        say(&format!("installing {} on this machine", installs.join(", ")));
        apt::install(installs).await?;
    }
    say(&format!("building the host image from {}, once", apt.archive));
    let started = Instant::now();
    image::build(engine, apt).await?;
    say(&format!("host image {} built in {:.0} s", image::reference(), started.elapsed().as_secs_f32()));
    Ok(())
}

/// Starts a host that may run already, lets the lab's key in, and waits until it answers; returns its host key.
async fn start(engine: &Engine, host: &LabHost, key: &str) -> Result<String> {
    host::admit(engine, host, key).await?;
    engine.start(&host.container).await?;
    host::wait_ready(engine, host).await
}

async fn status_of(engine: &Engine, host: LabHost, state: State) -> Result<HostStatus> {
    if state != State::RUNNING {
        return Ok(HostStatus { host, state: state.to_string(), uptime: None, engine: None });
    }
    // Three lines: systemd's word, seconds since the first process started, the engine's version. The start is
    // field 22 of stat, in hundredths of a second since this machine's boot.
    let ask = "systemctl is-system-running\n\
               set -- $(sed 's/.*) //' /proc/1/stat); read -r now _ </proc/uptime; echo $((${now%.*} - ${20} / 100))\n\
               dockerd --version 2>/dev/null | sed 's/^[^0-9]*//; s/[+~, ].*//'";
    let answer = engine.exec(&host.container, ask).await?.text();
    let mut lines = answer.lines();
    let state = lines.next().unwrap_or("silent").to_owned();
    let uptime = lines.next().and_then(|line| line.parse().ok()).map(Duration::from_secs);
    let version = lines.next().map(str::to_owned).filter(|version| !version.is_empty());
    Ok(HostStatus { host, state, uptime, engine: version })
}

/// A host's share of 85 % of this machine's memory: programs in it size themselves by the limit.
fn memory_share(options: &Options, computes_only: bool) -> u64 {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().split(' ').next()?.parse().ok());
    let total_mib: u64 = total.unwrap_or(8 << 20_u64) >> 10;
    let shares = u64::from(2 * options.hosts + options.computes).max(1);
    (total_mib * 85 / 100 * if computes_only { 1 } else { 2 } / shares).max(1536)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_of_a_lab_that_grows_do_not_move() {
        let (internal, external) = ("10.71.4.0/24".parse().unwrap(), "10.71.5.0/24".parse().unwrap());
        let small = planned(&Options { hosts: 1, ..Options::new("a", "/s") }, internal, external);
        let large = planned(&Options { computes: 2, ..Options::new("a", "/s") }, internal, external);
        assert_eq!(small[0], large[0]);
        let last = large.last().unwrap();
        assert_eq!((last.name.as_str(), last.address.to_string().as_str()), ("compute02", "10.71.4.102"));
        assert_eq!(last.container, "kolla-lab-a-compute02");
    }

    #[test]
    fn a_name_that_no_container_can_have_is_refused_before_anything_is_made() {
        for name in ["", "Kolla", "-x", "a_b", "a-name-that-is-far-too-long"] {
            assert_eq!(Options::new(name, "/s").check().unwrap_err().exit_code(), 2, "{name}");
        }
        assert!(Options::new("kolla-2", "/s").check().is_ok());
    }
}
