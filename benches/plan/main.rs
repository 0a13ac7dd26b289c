//! How long `kolla` takes, on one core, to read a large site, plan its deployment and render every file of it, before
//! any host is connected to: `kolla validate` does just that.
//!
//! The site has all services of the roles in `roles/` and twelve of roles of its own.
#![allow(clippy::disallowed_types, reason = "processes are measured, and end with this one")]

#[path = "../process.rs"]
mod process;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use process::{Failure, kolla};

const HOSTS: usize = 500;
/// Hosts of `control`, which are those of `network`, too.
const CONTROLLERS: usize = 3;
/// Services of the benchmark's own that run on every host, and on the controllers alone.
const OWN: [(&str, usize); 2] = [("baremetal", 4), ("control", 8)];
/// Measured runs.
const RUNS: usize = 5;
/// The goal in seconds.
const GOAL: f64 = 0.5;

#[tokio::main]
async fn main() -> ExitCode {
    // `cargo test --all-targets` starts it, too, and without this word.
    if !std::env::args().any(|word| word == "--bench") {
        return ExitCode::SUCCESS;
    }
    match measure().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    write(folder.path())?;
    kolla(folder.path(), &[], &["genpwd"]).await?;
    let one_core = ["taskset", "--cpu-list", "0"];
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push(kolla(folder.path(), &one_core, &["validate"]).await?);
    }
    runs.sort_by_key(|run| run.wall);
    let peak = runs.iter().map(|run| run.peak_kib).max().unwrap_or_default() / 1024;
    let mut out = std::io::stdout();
    writeln!(out, "{}", runs[0].output.trim())?;
    writeln!(
        out,
        "wall s: best {:.2}, median {:.2}, goal {GOAL}; CPU s {:.2}; peak MB {peak}",
        runs[0].wall.as_secs_f64(),
        runs[RUNS / 2].wall.as_secs_f64(),
        runs[0].cpu,
    )?;
    Ok(())
}

/// Writes the site's folder.
fn write(folder: &Path) -> Result<(), Failure> {
    let mut inventory = String::new();
    for index in 0..HOSTS {
        match index {
            0 => inventory.push_str("[control]\n"),
            CONTROLLERS => inventory.push_str("\n[compute]\n"),
            _ => {}
        }
        let _ = writeln!(inventory, "host{index:03} ansible_host=10.0.{}.{}", index / 250, index % 250 + 1);
    }
    inventory.push_str("\n[network:children]\ncontrol\n");
    fs::write(folder.join("inventory"), inventory)?;
    fs::write(folder.join("globals.yml"), GLOBALS)?;
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/etc/passwords.yml"), folder.join("passwords.yml"))?;
    for (group, count) in OWN {
        for index in 0..count {
            let name = format!("{group}{index}");
            let role = folder.join("roles").join(&name);
            fs::create_dir_all(role.join("templates"))?;
            fs::write(role.join("role.yml"), ROLE.replace("NAME", &name).replace("GROUP", group))?;
            fs::write(role.join("templates/service.conf.j2"), CONF.replace("NAME", &name))?;
        }
    }
    Ok(())
}

const GLOBALS: &str = "\
kolla_internal_vip_address: 10.0.255.254
network_interface: eth0
neutron_external_interface: eth1
docker_registry: registry.example:5000
glance_file_datadir_volume: /srv/glance
";

const ROLE: &str = "\
about: A role of the benchmark.
vars:
  NAME_debug: false
  NAME_port: 8774
  NAME_workers: \"{{ [facts.cpus, 5] | min }}\"
services:
  NAME:
    group: GROUP
    command: NAME --config-file /etc/NAME/NAME.conf
    files:
      - { template: service.conf.j2, to: /etc/NAME/NAME.conf, owner: NAME, merge: ini }
    volumes:
      - kolla_logs:/var/log/kolla/
    env: { WORKERS: \"{{ NAME_workers }}\", ADDRESS: \"{{ api_address }}\" }
";

const CONF: &str = "\
[DEFAULT]
debug = {{ NAME_debug }}
log_dir = /var/log/kolla/NAME
my_ip = {{ api_address }}
host = {{ facts.hostname }}
{% if inventory_hostname in groups['control'] %}
api_workers = {{ NAME_workers }}
listen = {{ api_address | put_address_in_context('url') }}:{{ NAME_port }}
{% endif %}

[cache]
memcache_servers = {% for host in groups['memcached'] %}{{ hostvars[host].api_address | put_address_in_context('memcache') }}:{{ memcached_port }}{% if not loop.last %},{% endif %}{% endfor %}

";
