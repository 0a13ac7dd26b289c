//! `kolla exec`: a program in a service's container.

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::{Exit, Invocation, complete};
use crate::app::container::exec;
use crate::error::{Error, Result};

/// Runs a program in a service's container on a host.
#[derive(Debug, Args)]
pub struct Exec {
    /// The host
    #[arg(add = ArgValueCandidates::new(complete::hosts))]
    pub host: String,
    /// The service or its container, for example `mariadb`
    #[arg(add = ArgValueCandidates::new(complete::services))]
    pub service: String,
    /// Pass stdin to the program; all of it is read first
    #[arg(long)]
    pub stdin: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

impl Exec {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let stdin = if self.stdin { read_stdin().await? } else { Vec::new() };
        let output = exec(&at.app, &self.host, &self.service, &self.command, &stdin).await?;
        at.screen.raw(&output.stdout);
        at.screen.raw_err(output.stderr.as_bytes());
        Ok(Exit(u8::try_from(output.code).unwrap_or(255)))
    }
}

async fn read_stdin() -> Result<Vec<u8>> {
    let read = tokio::task::spawn_blocking(|| {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes).map(|_| bytes)
    });
    let failed = |error: &dyn std::fmt::Display| Error::local("read stdin", error);
    read.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
}
