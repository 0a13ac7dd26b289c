//! `kolla post-deploy`: how the administrator gets in.

use clap::Args;

use super::reporting::reported;
use super::{Exit, Invocation};
use crate::app::Loaded;
use crate::app::post_deploy::{access, write};
use crate::error::Result;
use crate::run::event::Summary;

/// Writes openrc scripts and clouds.yaml to CONFIGDIR.
#[derive(Debug, Args)]
pub struct PostDeploy {}

impl PostDeploy {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        Ok(at.exit(post_deploy(at).await?, at.global.check))
    }
}

/// Writes them, told and recorded.
pub(super) async fn post_deploy(at: &Invocation) -> Result<Summary> {
    let (app, check) = (&at.app, at.global.check);
    let loaded = Loaded::read(app).await?;
    let access = access(app, &loaded)?;
    reported(at, &loaded, check, async |listeners| write(app, &access, check, &*listeners.events)).await
}
