//! A connected machine: what can be read of it and what can be done to it.
//!
//! [`Observer`] is all that a dry run gets: typed reads and probes, nothing that writes. [`Remote`] adds the
//! acts. Both are thin fronts of a [`Machine`]: over SSH ([`ssh`]), on this machine, or in memory ([`fake`]).
//! Nothing here knows of roles, plans or operations.

pub mod apt;
mod authentication;
mod bastion;
mod channel;
mod connected;
mod docker;
pub mod fake;
mod files;
pub mod here;
mod http;
mod known_hosts;
mod lease;
pub mod limit;
pub mod local;
mod login;
mod look;
mod machine;
mod output;
mod session;
pub mod ssh;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod ways;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

pub use bastion::Bastions;
pub use lease::{Grant, Holder, Lease, LeaseNote};
pub use login::Login;
pub use machine::{Machine, Observer, ReadOnly, Remote};
pub use output::Output;

use crate::error::Error;

/// What the batched look asks of a host.
#[derive(Debug, Clone, Default)]
pub struct LookRequest {
    /// Folders whose files are listed with their digests, modes and owners.
    pub folders: Vec<String>,
    /// Single files (or links), likewise; one that is missing is simply not in the answer.
    pub files: Vec<String>,
    /// Kernel parameters to read, as `net.ipv4.ip_nonlocal_bind`.
    pub sysctls: Vec<String>,
    /// Distribution packages whose state matters.
    pub packages: Vec<String>,
    /// Units of systemd whose state matters.
    pub units: Vec<String>,
}

/// All that one look at a host brought back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Look {
    /// What the host is.
    pub facts: Facts,
    /// The files asked for, by absolute path.
    pub files: BTreeMap<String, FileState>,
    /// Every container, ours or not, by name without the slash.
    pub containers: BTreeMap<String, ContainerState>,
    /// Names of the engine's volumes.
    pub volumes: Vec<String>,
    /// Kernel parameters asked for.
    pub sysctls: BTreeMap<String, String>,
    /// Installed versions of the packages asked for; missing ones are not in it.
    pub packages: BTreeMap<String, String>,
    /// systemd's `ActiveState` of the units asked for, as `active` or `failed`.
    pub units: BTreeMap<String, String>,
}

impl Look {
    /// The files in a folder, at any depth.
    pub fn inside<'a>(&'a self, folder: &str) -> impl Iterator<Item = (&'a String, &'a FileState)> {
        let prefix = format!("{folder}/");
        self.files.range(prefix.clone()..).take_while(move |(path, _)| path.starts_with(&prefix))
    }
}

/// What a host is: read once a run, given to templates as `facts`.
// Each is a fact of its own; no two of them are states of one thing.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The kernel's node name, up to the first dot.
    pub hostname: String,
    /// `ID` of /etc/os-release, as `debian`.
    pub os: String,
    /// `VERSION_ID` of /etc/os-release, as `13`.
    pub os_version: String,
    /// `VERSION_CODENAME` of /etc/os-release, as `trixie`.
    pub os_codename: String,
    /// Machine, as `x86_64`.
    pub arch: String,
    /// The kernel's release.
    pub kernel: String,
    /// Processors that can be used.
    pub cpus: u32,
    /// Memory in MiB: of the cgroup where it is limited, else of the machine.
    pub memory_mib: u64,
    /// Free space in MiB under /var/lib.
    pub disk_free_mib: u64,
    /// Hard limit of open files for a process.
    pub open_files: u64,
    /// cgroup version, 1 or 2.
    pub cgroup: u8,
    /// Unix time of the host when it answered, in milliseconds.
    pub time_ms: i64,
    /// Unix time here minus the host's, less half of the round trip, in milliseconds; set by the caller.
    pub skew_ms: i64,
    /// Init system is systemd.
    pub systemd: bool,
    /// What virtualises the host, as systemd-detect-virt names it; `none` on bare metal.
    pub virt: String,
    /// Time synchronisation that is already there, as `chrony`; empty where there is none.
    pub time_service: String,
    /// Network interfaces by name.
    pub interfaces: IndexMap<String, Interface>,
    /// The interface of the default route.
    pub default_interface: String,
    /// /etc/hosts as it is.
    pub hosts_file: String,
    /// The engine's socket answers.
    pub engine: bool,
    /// The engine's version, as `26.1.5`.
    pub engine_version: String,
    /// The engine's folder, as `/var/lib/docker`.
    pub engine_root: String,
    /// Guests can use the processor's own virtualisation.
    pub kvm: bool,
    /// The kernel has the datapath of Open vSwitch, or a module of it.
    pub openvswitch: bool,
    /// TCP ports that something listens on, as `address:port`; `*` for every address.
    pub listening: Vec<String>,
    /// Numbers that were given to the host, by the variables that have them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<String, u32>,
}

/// A network interface.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Interface {
    /// Administratively up.
    pub up: bool,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// Hardware address.
    pub mac: String,
    /// Addresses, in the kernel's order, as `10.0.0.11/24`.
    pub ipv4: Vec<String>,
    /// Global addresses, likewise.
    pub ipv6: Vec<String>,
}

/// A file as it is on a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileState {
    /// SHA-256 of the content in hexadecimal; empty for a link or a folder.
    pub digest: String,
    /// Permissions in octal, as `0600`.
    pub mode: String,
    /// `user:group`.
    pub owner: String,
    /// The same by number.
    pub ids: String,
    /// Where a link points.
    pub link: Option<String>,
}

/// An image that the engine has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageState {
    /// The engine's id.
    pub id: String,
    /// The manifest's digest in the repository by whose name it was asked for; none where it was never pulled or pushed.
    pub digest: Option<String>,
}

/// An image as the engine lists it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedImage {
    /// The engine's id.
    pub id: String,
    /// All references by which it is known: with tags, then with digests.
    pub names: Vec<String>,
    /// Bytes of all its layers.
    pub size: u64,
    /// Bytes of those that other images have, too; none where the engine does not tell.
    pub shared: Option<u64>,
}

impl FileState {
    /// It belongs to `owner`: `user:group` by name or number, as `chown` takes it; empty is root. A group that is left out
    /// may be any.
    pub fn owned_by(&self, owner: &str) -> bool {
        fn parts(owner: &str) -> (&str, &str) {
            owner.split_once(':').unwrap_or((owner, ""))
        }
        let (user, group) = parts(if owner.is_empty() { "root:root" } else { owner });
        let known = [parts(&self.owner), parts(&self.ids)];
        known.iter().any(|(known, _)| *known == user)
            && (group.is_empty() || known.iter().any(|(_, known)| *known == group))
    }
}

/// A kernel parameter's path under /proc/sys, by the rule of sysctl.d(5): the first separator of a name decides which one
/// of `.` and `/` separates, as in `net.ipv4.conf.eth0/1.forwarding` and `net/ipv4/conf/eth0.1/forwarding`.
pub fn sysctl_path(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(at) if name[at..].starts_with('.') => {
            let turned = name.chars().map(|c| match c {
                '.' => '/',
                '/' => '.',
                other => other,
            });
            turned.collect()
        }
        _ => name.to_owned(),
    }
}

/// A container as the engine lists it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerState {
    /// Name without the slash.
    pub name: String,
    /// The engine's id.
    pub id: String,
    /// Id of the image it was made from.
    pub image_id: String,
    /// `created`, `running`, `restarting`, `exited`, `paused`, `dead`, `removing`; Podman's `stopping`.
    pub state: String,
    /// The engine's words, as `Up 3 minutes (healthy)`.
    pub status: String,
    /// When it was created, Unix seconds.
    pub created: i64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl ContainerState {
    /// It runs now.
    pub fn running(&self) -> bool {
        self.state == "running"
    }

    /// It has processes, or the engine will give it some by itself.
    pub fn alive(&self) -> bool {
        matches!(self.state.as_str(), "running" | "restarting" | "paused" | "stopping")
    }

    /// The engine's health check says otherwise than healthy; starting counts as healthy.
    pub fn unhealthy(&self) -> bool {
        self.status.contains("(unhealthy)")
    }
}

/// Values as `sha256:DIGEST`; those that are digests already stay as they are.
fn digests<S: Serializer>(values: &IndexMap<String, String>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    let digest = |value: &String| match value.strip_prefix("sha256:") {
        Some(rest) if rest.len() == 64 => value.clone(),
        _ => format!("sha256:{}", hex::encode(Sha256::digest(value))),
    };
    serializer.collect_map(values.iter().map(|(name, value)| (name, digest(value))))
}

/// What a container is to be; plain data for the engine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSpec {
    /// Name, as `glance_api`.
    pub name: String,
    /// What to make it from: an image id or a reference.
    pub image: String,
    /// Command; empty for the image's own.
    pub command: Vec<String>,
    /// Environment; in a saved plan, the digests of its values.
    #[serde(serialize_with = "digests")]
    pub env: IndexMap<String, String>,
    /// Binds and volumes, as `source:target[:options]`.
    pub mounts: Vec<String>,
    /// Folders in memory, as `/run` or `/run:size=64m`.
    pub tmpfs: Vec<String>,
    /// Devices of the host, as `path:path in the container`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// User, empty for the image's own.
    pub user: String,
    /// All capabilities and devices.
    pub privileged: bool,
    /// Capabilities beyond the engine's default.
    pub cap_add: Vec<String>,
    /// Security options of the engine.
    pub security_opt: Vec<String>,
    /// Network mode; `host` where it is empty.
    pub network: String,
    /// `host` or empty.
    pub pid: String,
    /// `host` or empty.
    pub ipc: String,
    /// `host`, `private` or empty.
    pub cgroupns: String,
    /// Memory limit in bytes; 0 is none.
    pub memory: i64,
    /// Processors; 0 is no limit.
    pub cpus: f64,
    /// Limits by name, soft and hard, as `nofile`.
    pub ulimits: IndexMap<String, (i64, i64)>,
    /// Further limits of memory, processors and disks.
    #[serde(skip_serializing_if = "Resources::none")]
    pub resources: Resources,
    /// Health check of the engine.
    pub health: Option<Health>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Start it with the engine unless it was stopped on purpose.
    pub restart: bool,
    /// Seconds between SIGTERM and SIGKILL; 0 is the engine's 10.
    pub stop_timeout: u32,
}

/// Limits beside [`ContainerSpec::memory`], by Kolla's names. 0 and an empty text are none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Bytes that it keeps when memory is short.
    pub mem_reservation: i64,
    /// Bytes of memory and swap together; -1 is any swap.
    pub memswap_limit: i64,
    /// Microseconds after which `cpu_quota` counts anew.
    pub cpu_period: i64,
    /// Microseconds of processor time in each period.
    pub cpu_quota: i64,
    /// Weight among containers that want processors.
    pub cpu_shares: i64,
    /// Processors, as `0-3,6`.
    pub cpuset_cpus: String,
    /// Memory nodes, as `0,1`.
    pub cpuset_mems: String,
    /// Weight among containers that want disks.
    pub blkio_weight: i64,
}

impl Resources {
    /// Nothing is limited.
    pub fn none(&self) -> bool {
        *self == Self::default()
    }
}

/// A health check that the engine runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// Shell command run in the container.
    pub test: String,
    /// Seconds between two checks.
    pub interval: u32,
    /// Seconds a check may take.
    pub timeout: u32,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
    /// Seconds after the start in which failures do not count.
    pub start_period: u32,
}

/// A file to be written to a host.
#[derive(Clone, PartialEq, Eq)]
pub struct PutFile {
    /// Absolute path.
    pub path: String,
    /// Content.
    pub content: Arc<[u8]>,
    /// Permissions, as `0o600`.
    pub mode: u32,
    /// `user:group` by name or number; empty for root.
    pub owner: String,
}

impl fmt::Debug for PutFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The content may be secret.
        write!(f, "PutFile({} {:04o} {} bytes)", self.path, self.mode, self.content.len())
    }
}

/// A request to a TCP port of the host or of what the host reaches.
#[derive(Debug, Clone, Default)]
pub struct HttpAsk {
    /// Address to connect to, as seen from the host.
    pub address: String,
    /// Port.
    pub port: u16,
    /// Method, as `GET`.
    pub method: String,
    /// Path with query.
    pub path: String,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// The answer to an [`HttpAsk`].
#[derive(Debug, Clone, Default)]
pub struct HttpAnswer {
    /// Status code.
    pub status: u16,
    /// Headers, by names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Body.
    pub body: Vec<u8>,
}

/// What became of a connection attempt made from a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Something accepted it.
    Open,
    /// The other side refused: reachable, nobody listens.
    Refused,
    /// No answer: blocked or down.
    TimedOut,
    /// The host could not try (forwarding is forbidden).
    Unknown,
}

/// The repository of a reference, which may end with a tag or a digest.
pub fn repository(reference: &str) -> &str {
    let name = reference.split('@').next().unwrap_or(reference);
    match name.rsplit_once(':') {
        Some((before, after)) if !after.contains('/') => before,
        _ => name,
    }
}

/// The address of a reference's registry.
pub fn registry(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => "docker.io",
    }
}

/// Credentials for a registry.
#[derive(Debug, Clone)]
pub struct RegistryLogin {
    /// User.
    pub user: String,
    /// Password.
    pub password: crate::shell::Secret,
}

/// A finished request to a host, for the log of a run. What went to a script's stdin and into files is not in it;
/// known secrets are masked by whoever writes it down.
#[derive(Debug, Clone)]
pub struct RequestRecord<'a> {
    /// The host's name in the inventory.
    pub host: &'a str,
    /// What was asked, as `start glance_api`, or the text of a script.
    pub what: &'a str,
    /// When it began.
    pub at: std::time::SystemTime,
    /// How long it took.
    pub took: Duration,
    /// What came of it, or how it failed.
    pub outcome: std::result::Result<&'a str, &'a Error>,
}

/// Told of each finished request.
pub type Observe = Arc<dyn Fn(&RequestRecord<'_>) + Send + Sync>;

/// Bytes of a pull or an upload that are through and that are expected, so far as they are known.
pub type OnProgress<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);
