//! One host of a lab: a container that systemd runs in, made so that nothing in it can tell but by looking hard.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bollard::errors::Error as DockerError;
use bollard::models::{
    ContainerCreateBody, ContainerSummary, EndpointIpamConfig, EndpointSettings, HostConfig,
    HostConfigCgroupnsModeEnum, NetworkingConfig,
};
use tokio::io::AsyncReadExt;

use super::capability;
use super::engine::{Engine, Entry, LAB, failed};
use super::image::INIT;
use super::network::Role;
use crate::error::{Error, HostCause, Result};
use crate::host::apt::Apt;

/// Label with the host's name.
const HOST: &str = "kolla.lab.host";
/// Label with the address on the internal network.
const ADDRESS: &str = "kolla.lab.address";
/// Label with the address on the external network.
const EXTERNAL: &str = "kolla.lab.external";

/// What the names of hosts that only compute begin with.
pub(super) const COMPUTE: &str = "compute";

/// The folder that all hosts share.
pub(super) const SHARED: &str = "/srv/shared";

/// How long a host may take from its start until it answers.
const BOOT: Duration = Duration::from_mins(2);

/// A host of a lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabHost {
    /// Its name, as `control01`.
    pub name: String,
    /// Address of `eth0`, where its sshd is reached.
    pub address: Ipv4Addr,
    /// Address the engine gives `eth1`.
    pub external_address: Ipv4Addr,
    /// The engine's name for it.
    pub container: String,
}

impl LabHost {
    pub(super) fn new(lab: &str, name: &str, address: Ipv4Addr, external_address: Ipv4Addr) -> Self {
        Self { name: name.to_owned(), address, external_address, container: format!("kolla-lab-{lab}-{name}") }
    }

    pub(super) fn computes_only(&self) -> bool {
        self.name.starts_with(COMPUTE)
    }

    /// Where tunnels of guests' networks end: no other network of the machine is likely to have such an address.
    pub(super) fn tunnel_address(&self) -> Ipv4Addr {
        let [_, _, third, last] = self.external_address.octets();
        Ipv4Addr::new(100, 64, third, last)
    }

    /// Reads back what [`create`] wrote into labels; `None` for containers of the lab that are no hosts.
    pub(super) fn from_summary(summary: &ContainerSummary) -> Option<Self> {
        let labels = summary.labels.as_ref()?;
        let label = |name: &str| labels.get(name).map(String::as_str);
        let lab = label(LAB)?;
        Some(Self::new(lab, label(HOST)?, label(ADDRESS)?.parse().ok()?, label(EXTERNAL)?.parse().ok()?))
    }

    /// The volumes of its engine, which cannot lie on the file system of another engine's container.
    fn volumes(&self) -> [(String, &'static str); 2] {
        [
            (format!("{}-docker", self.container), "/var/lib/docker"),
            (format!("{}-containerd", self.container), "/var/lib/containerd"),
        ]
    }
}

/// The volume that all hosts of a lab have at [`SHARED`], as servers have a network file system.
fn shared(lab: &str) -> String {
    format!("kolla-lab-{lab}-shared")
}

/// What hosts are made with.
pub(super) struct Making<'a> {
    pub(super) lab: &'a str,
    pub(super) image: &'a str,
    pub(super) apt: &'a Apt,
    pub(super) gateway: Ipv4Addr,
    /// A host's limit.
    pub(super) memory_mib: &'a (dyn Fn(&LabHost) -> u64 + Sync),
}

/// Creates a host's container, attached and furnished, not started.
pub(super) async fn create(engine: &Engine, host: &LabHost, making: &Making<'_>) -> Result<()> {
    for volume in host.volumes().into_iter().map(|(volume, _)| volume).chain([shared(making.lab)]) {
        engine.volume_create(&volume, making.lab).await?;
    }
    let capabilities = capability::of_this_machine();
    let mut created = engine.create(&host.container, body(host, making, capabilities.clone())).await;
    if let Err(DockerError::DockerResponseServerError { status_code: 400, .. }) = created {
        // The answer to a capability that the engine does not know yet.
        let fewer = capability::without_recent(&capabilities);
        created = engine.create(&host.container, body(host, making, fewer)).await;
    }
    created.map_err(failed(format!("create {}", host.container)))?;
    // One network at creation, the second one after it: engines before API 1.44 refuse two at once.
    engine.network_attach(&Role::External.network(making.lab), &host.container, end(host.external_address, 0)).await?;
    let mut files = making.apt.access();
    files.push(making.apt.sources());
    let entries: Vec<Entry> = files.into_iter().map(|file| Entry::file(file.path, file.mode, file.content)).collect();
    engine.put(&host.container, &entries).await
}

/// Lets a key in as root, and no other; `key` is a line of `authorized_keys`.
pub(super) async fn admit(engine: &Engine, host: &LabHost, key: &str) -> Result<()> {
    let keys = Entry::file("/root/.ssh/authorized_keys", 0o600, format!("{key}\n"));
    engine.put(&host.container, &[Entry::folder("/root/.ssh", 0o700), keys]).await
}

fn end(address: Ipv4Addr, gateway_priority: i64) -> EndpointSettings {
    EndpointSettings {
        ipam_config: Some(EndpointIpamConfig { ipv4_address: Some(address.to_string()), ..Default::default() }),
        gw_priority: Some(gateway_priority),
        ..Default::default()
    }
}

fn body(host: &LabHost, making: &Making<'_>, capabilities: Vec<String>) -> ContainerCreateBody {
    let owned = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let (address, external) = (host.address.to_string(), host.external_address.to_string());
    let network = Role::Internal.network(making.lab);
    let config = HostConfig {
        network_mode: Some(network.clone()),
        binds: Some(
            host.volumes()
                .into_iter()
                .chain([(shared(making.lab), SHARED)])
                .map(|(name, target)| format!("{name}:{target}"))
                .collect(),
        ),
        tmpfs: Some(owned(&[("/run", "exec,mode=755"), ("/run/lock", "mode=1777"), ("/tmp", "exec,mode=1777")])),
        cap_add: Some(capabilities),
        security_opt: Some(["seccomp=unconfined", "apparmor=unconfined", "label=disable"].map(str::to_owned).to_vec()),
        // Nothing of /proc hidden or read-only, as `systempaths=unconfined` of the command line.
        masked_paths: Some(Vec::new()),
        readonly_paths: Some(Vec::new()),
        device_cgroup_rules: Some(vec!["a *:* rwm".into()]),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        memory: i64::try_from((making.memory_mib)(host) << 20).ok(),
        pids_limit: Some(-1),
        shm_size: Some(512 << 20),
        // No limit of open files is asked for: one above the engine's own hard limit would keep the host from starting.
        ..Default::default()
    };
    ContainerCreateBody {
        image: Some(making.image.to_owned()),
        hostname: Some(host.name.clone()),
        cmd: Some(vec![INIT.to_owned()]),
        env: Some(vec![
            "container=docker".to_owned(),
            format!("KOLLA_LAB_ADDRESS={address}"),
            format!("KOLLA_LAB_GATEWAY={}", making.gateway),
            format!("KOLLA_LAB_TUNNEL={}", host.tunnel_address()),
        ]),
        labels: Some(owned(&[(LAB, making.lab), (HOST, &host.name), (ADDRESS, &address), (EXTERNAL, &external)])),
        stop_signal: Some("SIGRTMIN+3".into()),
        stop_timeout: Some(30),
        host_config: Some(config),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network, end(host.address, 1))])),
        }),
        ..Default::default()
    }
}

/// Waits until a started host's systemd is up and its sshd answers; returns its public host key.
pub(super) async fn wait_ready(engine: &Engine, host: &LabHost) -> Result<String> {
    let started = Instant::now();
    let ask = "systemctl is-system-running; cat /etc/ssh/ssh_host_ed25519_key.pub";
    loop {
        let answer = engine.exec(&host.container, ask).await.map(|output| output.text()).unwrap_or_default();
        if let Some((state, key)) = answer.split_once('\n')
            && ["running", "degraded"].contains(&state)
            && key.starts_with("ssh-ed25519 ")
            && greets(host.address).await
        {
            return Ok(key.trim().to_owned());
        }
        let running = engine.running(&host.container).await?;
        if !running || started.elapsed() > BOOT {
            let act = format!("boot {}", host.container);
            let log = engine.logs(&host.container, 5).await;
            let state = answer.lines().next().unwrap_or("silent").to_owned();
            let cause = if running {
                format!("its systemd is `{state}` after {} s", BOOT.as_secs())
            } else {
                "it ended".into()
            };
            let log = log.trim().lines().collect::<Vec<_>>().join("; ");
            let cause = if log.is_empty() { cause } else { format!("{cause}: {log}") };
            return Err(Error::host(host.name.clone(), act, HostCause::Answer(cause)).with_hint(format!(
                "look with `docker logs {0}` and `docker exec {0} journalctl -b`",
                host.container
            )));
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// An SSH server says hello at the host's address, as seen from this machine.
async fn greets(address: Ipv4Addr) -> bool {
    let greeting = async {
        let mut stream = tokio::net::TcpStream::connect(SocketAddr::from((address, 22))).await.ok()?;
        let mut first = [0; 4];
        stream.read_exact(&mut first).await.ok()?;
        Some(first == *b"SSH-")
    };
    tokio::time::timeout(Duration::from_secs(2), greeting).await.ok().flatten().unwrap_or(false)
}
