//! `kolla quickstart`: the first command.

use clap::Args;

use super::phases::exit;
use super::session;
use super::{Exit, Invocation};
use crate::error::Result;

/// Builds images, starts a registry, raises a lab of bare hosts and deploys to it.
#[derive(Debug, Args)]
pub struct Quickstart {
    /// How many hosts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
    pub hosts: u16,
    /// How many more that only compute [default: 1, or none with --infra-only]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=9))]
    pub computes: Option<u16>,
    /// Stop after the infrastructure: load balancer, database, message queue, cache
    #[arg(long)]
    pub infra_only: bool,
    #[command(flatten)]
    pub(super) which: super::lab::Which,
}

impl Quickstart {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let summary = session::quickstart(at, &self).await?;
        Ok(exit(summary, false, at.stop.is_cancelled()))
    }
}
