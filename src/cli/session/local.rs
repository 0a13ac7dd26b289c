//! Commands about this machine: images, the registry, the lab, and the whole from nothing.

use std::path::PathBuf;

use super::{BuildRequest, LabAct, RegistryAct};
use crate::cli::Invocation;
use crate::cli::lab::Which;
use crate::error::{Error, Result};
use crate::lab;
use crate::run::event::Summary;

/// Builds images.
///
/// # Errors
/// The first image that cannot be built, with the end of its log.
pub async fn build(at: &Invocation, request: &BuildRequest) -> Result<()> {
    let _ = (at, request);
    Err(not_yet("build"))
}

/// The registry of this machine.
///
/// # Errors
/// What the engine says.
pub async fn registry(at: &Invocation, act: RegistryAct, port: u16) -> Result<()> {
    let _ = (at, act, port);
    Err(not_yet("registry"))
}

fn options(at: &Invocation, which: &Which) -> lab::Options {
    let folder = which.state_dir.clone().unwrap_or_else(|| lab_folder(at, &which.name));
    let mut options = lab::Options::new(&which.name, folder);
    options.internal = which.subnet;
    options.mirror.clone_from(&which.mirror);
    options.registry_port = which.registry_port;
    options.proxies.clone_from(&at.environment.proxies);
    options
}

fn lab_folder(at: &Invocation, name: &str) -> PathBuf {
    at.environment.state_home.join("kolla/lab").join(name)
}

/// The lab of this machine; the exit code to end with.
///
/// # Errors
/// What the engine says.
pub async fn lab(at: &Invocation, act: LabAct, which: &Which) -> Result<u8> {
    let mut options = options(at, which);
    match act {
        LabAct::Up(hosts, computes) => {
            options.hosts = hosts.into();
            options.computes = computes.into();
            let lab = raise(at, &options).await?;
            let folder = options.state_dir.display();
            at.answer(
                || serde_json::json!({ "name": lab.name, "folder": options.state_dir, "vip": lab.vip.to_string() }),
                || format!("its files are in {folder}: `kolla bootstrap-servers --configdir {folder}`"),
            );
        }
        LabAct::Down => lab::down(&options, true).await?,
        LabAct::Status => {
            let rows: Vec<Vec<String>> = lab::status(&options)
                .await?
                .into_iter()
                .map(|status| {
                    let uptime = status.uptime.map(|up| format!("{}s", up.as_secs())).unwrap_or_default();
                    let address = status.host.address.to_string();
                    vec![status.host.name, address, status.state, uptime, status.engine.unwrap_or_default()]
                })
                .collect();
            let head = ["HOST", "ADDRESS", "STATE", "UP", "ENGINE"];
            at.answer(
                || {
                    rows.iter()
                        .map(|row| serde_json::json!({ "host": row[0], "address": row[1], "state": row[2] }))
                        .collect()
                },
                || {
                    let mut table = crate::report::table::Table::new(head);
                    rows.iter().for_each(|row| table.row(row.clone()));
                    table.render()
                },
            );
        }
        LabAct::Power(host, true) => lab::power_on(&options, &host).await?,
        LabAct::Power(host, false) => lab::power_off(&options, &host).await?,
        LabAct::Ssh(host, command) => {
            let mut argv = lab::ssh_command(&options, &host).await?;
            argv.extend(command);
            return crate::host::local::Local::new(argv).inherit().await;
        }
    }
    Ok(0)
}

/// Raises the lab and gives it passwords.
async fn raise(at: &Invocation, options: &lab::Options) -> Result<lab::Lab> {
    let lab = lab::up(options, &|line| at.screen.err(line)).await?;
    let passwords = options.state_dir.join("passwords.yml");
    if !passwords.exists() {
        let act = || format!("write {}", passwords.display());
        std::fs::write(&passwords, PASSWORDS).map_err(|error| Error::local(act(), error))?;
    }
    crate::site::genpwd(&passwords)?;
    Ok(lab)
}

/// The file of passwords as it is before any is made.
const PASSWORDS: &str = include_str!("../../../etc/passwords.yml");

/// Registry, images, lab, bootstrap-servers, prechecks, pull, deploy, and how to go on.
///
/// # Errors
/// The first step that fails.
pub async fn quickstart(at: &Invocation, hosts: u16, which: &Which) -> Result<Summary> {
    let _ = (at, hosts, which);
    Err(not_yet("quickstart"))
}

fn not_yet(what: &str) -> Error {
    Error::local(format!("run `kolla {what}`"), "this build does not have it")
}
