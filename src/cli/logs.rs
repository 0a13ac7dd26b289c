//! `kolla logs`: what a service's container wrote.

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::{Exit, Invocation, complete};
use crate::app::container::{Log, logs};
use crate::error::Result;

/// Shows the last lines that a service's container on a host wrote.
#[derive(Debug, Args)]
pub struct Logs {
    /// The host
    #[arg(add = ArgValueCandidates::new(complete::hosts))]
    pub host: String,
    /// The service or its container, for example `mariadb`
    #[arg(add = ArgValueCandidates::new(complete::services))]
    pub service: String,
    /// Number of lines
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub lines: usize,
    /// Also show new lines, until Ctrl-C
    #[arg(long)]
    pub follow: bool,
}

impl Logs {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let Self { host, service, lines, follow } = self;
        logs(&at.app, &Log { host, service, lines, follow }, |line| at.screen.out(line)).await?;
        Ok(Exit::DONE)
    }
}
