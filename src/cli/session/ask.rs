//! Commands that only look: at files here, or at hosts.

use std::sync::Arc;
use std::time::Duration;

use super::load::{Loaded, connect_options};
use super::{HostRow, UnusedVariableRow, Validated, VariableRow};
use crate::cli::Invocation;
use crate::error::{Error, Kind, Result, nearest};
use crate::host::{Ask, Machine, Output};
use crate::plan::Selection;
use crate::plan::phase::named;
use crate::report::graph::GraphNode;
use crate::run::connect::connect;
use crate::run::event::Quiet;
use crate::site::Listing;

/// Loads everything and renders what can be rendered without a connection.
///
/// # Errors
/// All input errors of all files; those in what is made of them are among what is found.
pub async fn validate(at: &Invocation) -> Result<Validated> {
    let loaded = Loaded::read(at).await?;
    // The whole site is valid or not; names that there are not would be refused by what follows.
    loaded.limit(at)?;
    loaded.tags(at)?;
    let hosts = loaded.site.hosts.len();
    let unused = loaded.unused_variables();
    // An editor marks each; who reads wants few lines.
    let mut warnings = if at.global.json() { unused.each() } else { unused.warnings() };
    let (roles, others, problem) = match loaded.draft(&loaded.members()) {
        Ok(plan) => (plan.roles(), loaded.other_warnings(&plan.lookups, usize::MAX), None),
        // Which files are read is not known then.
        Err(problem) => (Vec::new(), loaded.site.warnings(), Some(problem)),
    };
    warnings.extend(others);
    let variables = unused.0.iter().map(UnusedVariableRow::of).collect();
    Ok(Validated { hosts, roles, variables, warnings, problem })
}

/// The hosts that `--limit` selects.
///
/// # Errors
/// Input errors of the inventory.
pub async fn inventory(at: &Invocation) -> Result<Vec<HostRow>> {
    let loaded = Loaded::read(at).await?;
    let selected = match &at.global.limit {
        Some(_) => loaded.limit(at)?,
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
pub async fn listing(at: &Invocation) -> Result<Listing> {
    Listing::read(&at.global.inventories(&at.environment), super::vault::keys(at).await?)
}

/// Variables of a host, all or one.
///
/// # Errors
/// Input errors; a host or name that is not there.
pub async fn vars(at: &Invocation, host: &str, name: Option<&str>) -> Result<Vec<VariableRow>> {
    let loaded = Loaded::read(at).await?;
    known_host(&loaded, host)?;
    let scopes = loaded.unasked(false);
    let scope = scopes.host(host);
    let names = match name {
        None => scope.names(),
        Some(name) if scope.has(name) => vec![name.to_owned()],
        Some(name) => {
            return Err(scope.get(name).err().map_or_else(
                || Error::input(format!("there is no variable `{name}`")).of(Kind::UndefinedVariable),
                Error::from,
            ));
        }
    };
    Ok(names
        .into_iter()
        .map(|name| {
            let origin = scope.explain(&name).into_iter().next();
            let from = origin.as_ref().map(|origin| origin.place.to_string()).unwrap_or_default();
            let secret = origin.is_some_and(|origin| origin.text == "***");
            let (value, error) = match scope.get(&name) {
                Ok(_) if secret => ("***".into(), None),
                Ok(value) => (loaded.site.mask.hide_json(serde_json::to_value(&value).unwrap_or_default()), None),
                Err(error) => (serde_json::Value::Null, Some(error.message)),
            };
            VariableRow { name, value, from, error }
        })
        .collect())
}

pub(super) fn known_host(loaded: &Loaded, host: &str) -> Result<()> {
    if loaded.site.hosts.contains_key(host) {
        return Ok(());
    }
    let hint = match nearest(host, loaded.site.hosts.keys().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`kolla inventory` lists the hosts".into(),
    };
    Err(Error::input(format!("there is no host `{host}` in the inventory")).of(Kind::UnknownName).with_hint(hint))
}

/// Nodes and edges (before, after) of a phase's plan.
///
/// # Errors
/// Input errors.
pub async fn graph(at: &Invocation, phase: &str) -> Result<(Vec<GraphNode>, Vec<(String, String)>)> {
    let loaded = Loaded::read(at).await?;
    let Some(phase) = named(phase) else {
        return Err(Error::input(format!("there is no phase `{phase}`")).of(Kind::UnknownName));
    };
    let limit = loaded.limit(at)?;
    let selection = Selection { hosts: at.global.limit.is_some().then_some(limit), ..loaded.tags(at)? };
    let plan = loaded.draft(&loaded.members())?.select(phase, &selection);
    let nodes = plan
        .nodes
        .iter()
        .map(|node| GraphNode {
            id: node.id.clone(),
            host: node.host.clone(),
            role: node.role.clone(),
            label: node.op.as_ref().map_or_else(|| node.id.clone(), |op| op.operation().subject()),
        })
        .collect();
    let edges = plan
        .nodes
        .iter()
        .flat_map(|node| node.after.iter().map(|other| (plan.nodes[*other].id.clone(), node.id.clone())))
        .collect();
    Ok((nodes, edges))
}

async fn machine(at: &Invocation, host: &str) -> Result<Arc<dyn Machine>> {
    let loaded = Loaded::read(at).await?;
    known_host(&loaded, host)?;
    let names = [host.to_owned()];
    let mut connected = connect(&loaded.site, &names, &connect_options(at, None), |_| Ask::default(), &Quiet).await;
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

/// The last lines that a service's container wrote; with `follow`, prints new ones until interrupted.
///
/// # Errors
/// A host or service that is not there or does not answer.
pub async fn logs(at: &Invocation, host: &str, service: &str, lines: usize, follow: bool) -> Result<()> {
    let machine = machine(at, host).await?;
    let name = container(&*machine, service).await?;
    let mut seen = machine.logs(&name, lines).await?;
    for line in &seen {
        at.screen.out(line);
    }
    while follow && !at.stop.is_cancelled() {
        tokio::select! {
            () = at.stop.cancelled() => break,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        let now = machine.logs(&name, lines.max(1000)).await?;
        for line in new_lines(&seen, &now) {
            at.screen.out(line);
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
pub async fn exec(at: &Invocation, host: &str, service: &str, argv: &[String], stdin: &[u8]) -> Result<Output> {
    let machine = machine(at, host).await?;
    let name = container(&*machine, service).await?;
    // As long as the operator waits for it.
    machine.exec_within(&name, "", argv, stdin, Duration::MAX).await
}
