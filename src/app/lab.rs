//! Bare hosts as containers of this machine.

use std::path::PathBuf;

use ipnet::Ipv4Net;

use super::App;
use super::files::write_private;
use crate::error::Result;
use crate::examples;
use crate::lab::{self, Lab, Options};

/// Which lab, and where its files are.
#[derive(Debug, Clone)]
pub struct Which {
    /// Its name.
    pub name: String,
    /// Where its inventory, globals and key are; in the state folder if no place is named.
    pub folder: Option<PathBuf>,
    /// The network of its hosts; the first free one if none is named.
    pub subnet: Option<Ipv4Net>,
    /// Where Debian packages come from.
    pub mirror: Option<String>,
    /// The port of this machine's registry.
    pub registry_port: u16,
}

/// What the lab is made by; how many hosts it has is still to be said.
pub fn options(app: &App, which: &Which) -> Options {
    let folder = which.folder.clone().unwrap_or_else(|| app.control.state.join("lab").join(&which.name));
    let mut options = Options::new(&which.name, folder);
    options.internal = which.subnet;
    options.mirror.clone_from(&which.mirror);
    options.registry_port = which.registry_port;
    options.proxies.clone_from(&app.control.proxies);
    options
}

/// Raises the lab and gives it passwords.
///
/// # Errors
/// What the engine says; passwords that cannot be written.
pub async fn up(app: &App, options: &Options, say: &(dyn Fn(&str) + Sync)) -> Result<Lab> {
    let lab = lab::up(options, say).await?;
    let passwords = options.state_dir.join("passwords.yml");
    if !passwords.exists() {
        write_private(&passwords, examples::PASSWORDS.as_bytes())?;
    }
    crate::site::genpwd(&passwords, app.vault_keys().await?, false)?;
    Ok(lab)
}
