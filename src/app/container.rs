//! A service's container on a host: what it wrote, and a program in it.

use std::sync::Arc;
use std::time::Duration;

use super::connect::connect_options;
use super::{App, Loaded};
use crate::error::{Error, Kind, Result, nearest};
use crate::host::{LookRequest, Machine, Output};
use crate::run::connect::connect;
use crate::run::event::Quiet;

async fn machine(app: &App, host: &str) -> Result<Arc<dyn Machine>> {
    let loaded = Loaded::read(app).await?;
    loaded.known(host)?;
    let names = [host.to_owned()];
    let mut connected =
        connect(&loaded.site, &names, &connect_options(app, None), |_| LookRequest::default(), &Quiet).await;
    match (connected.machines.shift_remove(host), connected.failed.shift_remove(host)) {
        (Some(machine), _) => Ok(machine),
        (None, Some(error)) => Err(error),
        (None, None) => Err(Error::input(format!("there is no host `{host}`")).of(Kind::UnknownName)),
    }
}

async fn container(machine: &dyn Machine, service: &str) -> Result<String> {
    let there = machine.containers().await?;
    let name = service.replace('-', "_");
    if there.contains_key(&name) {
        return Ok(name);
    }
    let hint = match nearest(&name, there.keys().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("containers there: {}", there.keys().cloned().collect::<Vec<_>>().join(", ")),
    };
    Err(Error::input(format!("there is no container {name} on {}", machine.name()))
        .of(Kind::UnknownName)
        .with_hint(hint))
}

/// Whose log, and how much of it.
#[derive(Debug, Clone)]
pub struct Log {
    /// The host.
    pub host: String,
    /// The service or its container.
    pub service: String,
    /// The last so many lines.
    pub lines: usize,
    /// Also new ones, until [`App::stop`].
    pub follow: bool,
}

/// Tells the lines that a service's container wrote.
///
/// # Errors
/// A host or service that is not there or does not answer.
pub async fn logs(app: &App, log: &Log, say: impl Fn(&str)) -> Result<()> {
    let machine = machine(app, &log.host).await?;
    let name = container(&*machine, &log.service).await?;
    let mut seen = machine.logs(&name, log.lines).await?;
    for line in &seen {
        say(line);
    }
    while log.follow && !app.stop.is_cancelled() {
        tokio::select! {
            () = app.stop.cancelled() => break,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        let now = machine.logs(&name, log.lines.max(1000)).await?;
        for line in new_lines(&seen, &now) {
            say(line);
        }
        seen = now;
    }
    Ok(())
}

/// What of `now` came after the end of `seen`.
fn new_lines<'a>(seen: &[String], now: &'a [String]) -> &'a [String] {
    let known = (0..=now.len()).rev().find(|end| *end <= seen.len() && seen[seen.len() - end..] == now[..*end]);
    &now[known.unwrap_or(0)..]
}

/// Runs a program in a service's container.
///
/// # Errors
/// A host or service that is not there or does not answer.
pub async fn exec(app: &App, host: &str, service: &str, argv: &[String], stdin: &[u8]) -> Result<Output> {
    let machine = machine(app, host).await?;
    let name = container(&*machine, service).await?;
    // As long as the operator waits for it.
    machine.exec_within(&name, "", argv, stdin, Duration::MAX).await
}
