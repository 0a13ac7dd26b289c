//! What a lab writes into its state folder: the site's inventory and globals, and how to log in.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::{Algorithm, LineEnding, PrivateKey};

use super::host::LabHost;
use super::network;
use super::{Lab, Options};
use crate::error::{Error, Result};

/// The files of a lab by what they are; all lie in its state folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Inventory with the hosts in the coarse groups.
    pub inventory: PathBuf,
    /// Globals that fit the lab's networks; rewritten by each `up`, own settings belong into globals.d beside it.
    pub globals: PathBuf,
    /// Host keys of the lab's hosts.
    pub known_hosts: PathBuf,
    /// Private key for root on the hosts.
    pub key: PathBuf,
    /// Its public half.
    pub public_key: PathBuf,
    /// For OpenSSH's client: `ssh -F ssh_config control01`.
    pub ssh_config: PathBuf,
}

impl Files {
    /// The files in a state folder, there or not.
    pub fn within(folder: &Path) -> Self {
        Self {
            inventory: folder.join("inventory"),
            globals: folder.join("globals.yml"),
            known_hosts: folder.join("known_hosts"),
            key: folder.join("id_ed25519"),
            public_key: folder.join("id_ed25519.pub"),
            ssh_config: folder.join("ssh_config"),
        }
    }

    fn all(&self) -> [&Path; 6] {
        [&self.inventory, &self.globals, &self.known_hosts, &self.key, &self.public_key, &self.ssh_config]
    }

    /// Removes them, and their folder if nothing else is in it.
    pub(super) fn remove(&self) -> Result<()> {
        for path in self.all() {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::local(format!("remove {}", path.display()), error));
                }
                _ => {}
            }
        }
        if let Some(folder) = self.inventory.parent() {
            // Not empty is fine: what else is there is the user's.
            let _ = std::fs::remove_dir(folder);
        }
        Ok(())
    }
}

/// Makes the state folder; returns its absolute path.
pub(super) fn folder(path: &Path) -> Result<PathBuf> {
    let act = || format!("make folder {}", path.display());
    std::fs::create_dir_all(path).map_err(|error| Error::local(act(), error))?;
    path.canonicalize().map_err(|error| Error::local(act(), error))
}

/// The lab's key pair, made when it is missing; returns the public half as a line of `authorized_keys`.
pub(super) fn key(files: &Files, lab: &str) -> Result<String> {
    let failed = |error| Error::local(format!("make the key {}", files.key.display()), error);
    let key = match std::fs::read_to_string(&files.key) {
        Ok(text) => PrivateKey::from_openssh(text).map_err(failed)?,
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::local(format!("read {}", files.key.display()), error));
        }
        Err(_) => {
            let mut key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).map_err(failed)?;
            key.set_comment(format!("kolla lab {lab}"));
            write(&files.key, 0o600, &key.to_openssh(LineEnding::LF).map_err(failed)?)?;
            key
        }
    };
    let public = key.public_key().to_openssh().map_err(failed)?;
    write(&files.public_key, 0o644, &format!("{public}\n"))?;
    Ok(public)
}

/// Writes all but the key; `host_keys` in the order of the lab's hosts.
pub(super) fn write_all(lab: &Lab, options: &Options, host_keys: &[String]) -> Result<()> {
    let mut known = String::new();
    for (host, key) in std::iter::zip(&lab.hosts, host_keys) {
        let _ = writeln!(known, "{},{} {key}", host.name, host.address);
    }
    write(&lab.files.known_hosts, 0o644, &known)?;
    write(&lab.files.inventory, 0o644, &inventory(lab))?;
    write(&lab.files.globals, 0o644, &globals(lab, options))?;
    write(&lab.files.ssh_config, 0o644, &ssh_config(lab))
}

fn inventory(lab: &Lab) -> String {
    let mut text = format!("# Hosts of the lab `{}`. Written by `kolla lab up`; a later `up` rewrites it.\n", lab.name);
    let key = lab.files.key.display();
    let computes = lab.hosts.iter().any(LabHost::computes_only);
    let is_control = |host: &&LabHost| host.name.starts_with("control");
    let is_compute = |host: &&LabHost| !computes || host.computes_only();
    let mut told: Vec<&str> = Vec::new();
    for group in ["control", "network", "compute", "monitoring", "storage"] {
        let _ = writeln!(text, "\n[{group}]");
        let member = |host: &&LabHost| if group == "compute" { is_compute(host) } else { is_control(host) };
        for host in lab.hosts.iter().filter(member) {
            let LabHost { name, address, .. } = host;
            if told.contains(&name.as_str()) {
                let _ = writeln!(text, "{name}");
            } else {
                told.push(name);
                let tunnel = host.tunnel_address();
                let _ = writeln!(
                    text,
                    "{name} ansible_host={address} ansible_user=root ansible_ssh_private_key_file=\"{key}\" \
                     tunnel_address={tunnel}"
                );
            }
        }
    }
    let _ = writeln!(text, "\n[deployment]\nlocalhost ansible_connection=local");
    let _ = writeln!(
        text,
        "\n[all:vars]\nansible_ssh_common_args=-o UserKnownHostsFile={}",
        lab.files.known_hosts.display()
    );
    text
}

fn globals(lab: &Lab, options: &Options) -> String {
    format!(
        "---\n\
         # Settings that fit the lab `{name}`. Written by `kolla lab up`, and rewritten by a later one:\n\
         # put your own into globals.d/ beside this file.\n\
         kolla_base_distro: \"debian\"\n\
         openstack_release: \"{release}\"\n\
         openstack_tag: \"{tag}\"\n\
         \n\
         # Internal network {internal}: API and its virtual address.\n\
         network_interface: \"eth0\"\n\
         kolla_internal_vip_address: \"{vip}\"\n\
         \n\
         # External network {external}: the world outside.\n\
         kolla_external_vip_interface: \"eth1\"\n\
         kolla_external_vip_address: \"{external_vip}\"\n\
         neutron_external_interface: \"eth2\"\n\
         enable_neutron_provider_networks: true\n\
         \n\
         # All hosts share a machine's processors, and a folder. Virtualisation inside of it may be there and hang.\n\
         openstack_service_workers: 1\n\
         openstack_service_rpc_workers: 1\n\
         nova_compute_virt_type: \"qemu\"\n\
         glance_file_datadir_volume: \"{shared}/glance\"\n\
         \n\
         # The registry of this machine, as the hosts see it.\n\
         docker_registry: \"{registry}\"\n\
         docker_registry_insecure: true\n\
         docker_namespace: \"{namespace}\"\n\
         {only}{disks}{storage}",
        name = lab.name,
        release = options.release,
        tag = options.tag.clone().unwrap_or_else(|| format!("{}-debian-trixie", options.release)),
        internal = lab.internal,
        vip = lab.vip,
        external = lab.external,
        shared = super::host::SHARED,
        external_vip = network::vip(lab.external),
        registry = lab.registry,
        namespace = options.namespace,
        only = if options.infra_only {
            "\n# Load balancer, database, message queue and cache.\nenable_openstack_core: false\n"
        } else {
            ""
        },
        disks = disks(options.disks),
        storage = if options.storage { STORAGE } else { "" },
    )
}

/// Ceph with as little memory as it takes, and all that a cloud stores in it. Volume services on several hosts lock in etcd.
const STORAGE: &str = "
# Images, disks of servers, volumes, their backups and objects are in Ceph.
enable_ceph: true
ceph_osd_memory_target: 939524096
enable_etcd: true
enable_cinder: true
cinder_backend_ceph: true
glance_backend_ceph: true
nova_backend_ceph: true
enable_ceph_rgw: true
";

/// Sparse files: they take what is written.
fn disks(number: u16) -> String {
    let lines: Vec<String> = (1..=number).map(|disk| format!("  - {{ name: disk{disk}, file: 10G }}\n")).collect();
    if lines.is_empty() {
        return String::new();
    }
    format!("\n# Files in place of disks.\nceph_osd_devices:\n{}", lines.concat())
}

fn ssh_config(lab: &Lab) -> String {
    let mut text = String::new();
    for host in &lab.hosts {
        let _ = writeln!(text, "Host {}\n    HostName {}", host.name, host.address);
    }
    let _ = write!(
        text,
        "Host *\n    User root\n    IdentityFile \"{}\"\n    IdentitiesOnly yes\n    UserKnownHostsFile \"{}\"\n    \
         GlobalKnownHostsFile /dev/null\n    StrictHostKeyChecking yes\n",
        lab.files.key.display(),
        lab.files.known_hosts.display(),
    );
    text
}

/// Writes a file whole or not at all.
fn write(path: &Path, mode: u32, text: &str) -> Result<()> {
    let failed = |error: std::io::Error| Error::local(format!("write {}", path.display()), error);
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lab(names: &[&str]) -> Lab {
        let hosts = names
            .iter()
            .zip(11..)
            .map(|(name, last)| LabHost::new("kolla", name, [10, 71, 0, last].into(), [10, 71, 1, last].into()));
        Lab {
            name: "kolla".into(),
            hosts: hosts.collect(),
            internal: "10.71.0.0/24".parse().unwrap(),
            external: "10.71.1.0/24".parse().unwrap(),
            vip: [10, 71, 0, 250].into(),
            registry: "10.71.0.1:4000".into(),
            files: Files::within(Path::new("/state")),
        }
    }

    #[test]
    fn a_small_lab_computes_on_its_controllers_and_each_host_is_described_once() {
        let text = inventory(&lab(&["control01", "control02"]));
        assert_eq!(text.matches("ansible_host=10.71.0.12").count(), 1);
        assert!(text.contains("[compute]\ncontrol01\ncontrol02\n"), "{text}");
        assert!(
            text.ends_with("[all:vars]\nansible_ssh_common_args=-o UserKnownHostsFile=/state/known_hosts\n"),
            "{text}"
        );
        let text = inventory(&lab(&["control01", "compute01"]));
        assert!(text.contains("[compute]\ncompute01 ansible_host="), "{text}");
        assert!(!text.contains("[storage]\ncompute01"), "{text}");
    }

    #[test]
    fn globals_point_at_the_machines_registry_and_a_free_address() {
        let text = globals(&lab(&["control01"]), &Options::new("kolla", "/state"));
        for line in ["kolla_internal_vip_address: \"10.71.0.250\"", "docker_registry: \"10.71.0.1:4000\""] {
            assert!(text.lines().any(|have| have == line), "{text}");
        }
    }

    #[test]
    fn disks_are_files_and_storage_is_on_them() {
        let mut options = Options::new("kolla", "/state");
        assert!(!globals(&lab(&["control01"]), &options).contains("ceph"));
        (options.disks, options.storage) = (2, true);
        let text = globals(&lab(&["control01"]), &options);
        assert!(text.contains("ceph_osd_devices:\n  - { name: disk1, file: 10G }\n  - { name: disk2, file: 10G }\n"));
        assert!(text.contains("\ncinder_backend_ceph: true\n"), "{text}");
    }

    #[test]
    fn a_key_is_made_once_with_its_mode_and_removed_with_the_lab() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("lab");
        let files = Files::within(&super::folder(&state).unwrap());
        let first = key(&files, "x").unwrap();
        assert_eq!(key(&files, "x").unwrap(), first);
        assert_eq!(std::fs::metadata(&files.key).unwrap().permissions().mode() & 0o777, 0o600);
        files.remove().unwrap();
        assert!(!state.exists());
    }
}
