//! The process with the servers, and the deploys that are measured.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::process::{Failure, Run, kolla};

/// The process with the servers. It ends when its stdin does.
pub(crate) struct Servers {
    child: Child,
    /// One for each host.
    pub(crate) ports: Vec<u16>,
}

impl Servers {
    pub(crate) async fn start(count: usize, folder: &Path) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", &count.to_string()])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).await?;
        }
        let ports: Vec<u16> = line.split_whitespace().filter_map(|port| port.parse().ok()).collect();
        if ports.len() == count { Ok(Self { child, ports }) } else { Err("the servers did not start".into()) }
    }

    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        drop(self.child.stdin.take());
        self.child.wait().await?;
        Ok(())
    }
}

/// A deploy, and what its last line counts.
pub(crate) struct Deploy {
    pub(crate) run: Run,
    pub(crate) summary: String,
}

impl Deploy {
    /// The mean over all hosts, of a verbose run.
    pub(crate) fn requests(&self) -> f64 {
        let line = self.run.output.lines().find_map(|line| line.strip_prefix("requests ")).unwrap_or_default();
        let counts: Vec<f64> = line.split(',').filter_map(|host| host.rsplit(' ').next()?.parse().ok()).collect();
        let hosts = u32::try_from(counts.len()).unwrap_or(1);
        counts.iter().sum::<f64>() / f64::from(hosts)
    }

    /// Operations it compared.
    pub(crate) fn operations(&self) -> u64 {
        let same = self.summary.split(", ").find_map(|part| part.strip_prefix("same "));
        same.and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or_default()
    }
}

/// Deploys the site in a folder.
pub(crate) async fn deploy(folder: &Path, options: &[&str]) -> Result<Deploy, Failure> {
    let run = kolla(folder, &[], &[&["deploy"], options].concat()).await?;
    let summary = run.output.lines().rfind(|line| line.starts_with("changed ")).unwrap_or_default().to_owned();
    Ok(Deploy { run, summary })
}
