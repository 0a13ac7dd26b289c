//! The hosts of a site.

use serde::Serialize;

use super::{App, Loaded};
use crate::error::Result;
use crate::site::Listing;

/// A host of the inventory.
#[derive(Debug, Clone, Default, Serialize)]
pub struct HostRow {
    /// Its name.
    pub name: String,
    /// Where it is reached, as `root@10.0.0.11:22`, or `local`.
    pub address: String,
    /// Groups that it is in.
    pub groups: Vec<String>,
}

/// The hosts that `--limit` selects.
///
/// # Errors
/// Input errors of the inventory.
pub async fn inventory(app: &App) -> Result<Vec<HostRow>> {
    let loaded = Loaded::read(app).await?;
    let selected = match &app.options.limit {
        Some(_) => loaded.limit(app)?,
        None => loaded.site.hosts.keys().cloned().collect(),
    };
    Ok(loaded
        .site
        .hosts
        .values()
        .filter(|host| selected.contains(&host.name))
        .map(|host| HostRow {
            name: host.name.clone(),
            address: if host.local { "local".into() } else { format!("{}@{}:{}", host.user, host.address, host.port) },
            groups: loaded.site.groups_of(&host.name).into_iter().map(str::to_owned).collect(),
        })
        .collect())
}

/// The inventories alone, as Ansible sees them.
///
/// # Errors
/// Input errors of the inventories.
pub async fn listing(app: &App) -> Result<Listing> {
    Listing::read(&app.options.inventories, app.vault_keys().await?)
}
