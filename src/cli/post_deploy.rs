//! `kolla post-deploy`: how the administrator gets in.

use clap::Args;

use super::phases::exit;
use super::{Exit, Invocation, session};
use crate::error::Result;

/// Writes openrc scripts and clouds.yaml into the configuration folder. They hold the administrator's password.
#[derive(Debug, Args)]
pub struct PostDeploy {}

impl PostDeploy {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let summary = session::post_deploy(at).await?;
        Ok(exit(summary, at.global.check && at.global.exit_code, at.stop.is_cancelled()))
    }
}
