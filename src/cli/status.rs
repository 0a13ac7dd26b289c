//! `kolla status`: services by hosts.

use std::collections::BTreeMap;

use clap::Args;
use indexmap::{IndexMap, IndexSet};
use serde_json::json;

use super::session::{self, StatusRow};
use super::{Exit, Invocation};
use crate::error::{Result, numbered};
use crate::report::Table;

/// Hosts that get a column of their own; with more, states are counted.
const COLUMNS: usize = 6;
const FINE: &str = "running";

/// Shows the services of all hosts. Ends with exit code 1 when one that should run does not.
#[derive(Debug, Args)]
pub struct Status {}

impl Status {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let rows = session::status(at).await?;
        at.answer(|| json!(rows), || text(&rows));
        let down = rows.iter().any(|row| row.state != FINE && row.state != "leftover");
        Ok(if down { Exit::FAILED } else { Exit::DONE })
    }
}

fn text(rows: &[StatusRow]) -> String {
    let hosts: IndexSet<&str> = rows.iter().map(|row| row.host.as_str()).collect();
    let mut services: IndexMap<(&str, &str), IndexMap<&str, &str>> = IndexMap::new();
    for row in rows {
        services.entry((&row.role, &row.service)).or_default().insert(&row.host, &row.state);
    }
    let mut text = if hosts.len() <= COLUMNS { by_host(&hosts, &services) } else { counted(&services) };
    let odd: Vec<&StatusRow> = rows.iter().filter(|row| row.state != FINE).collect();
    if !odd.is_empty() {
        let mut table = Table::new(["host", "service", "state", "about"]);
        for row in &odd {
            table.row([&row.host, &row.service, &row.state, &row.about]);
        }
        text = format!("{text}\n{}", table.render());
    }
    let running = rows.len() - odd.len();
    format!("{text}\n{} of {} running on {}\n", running, numbered(rows.len(), "service"), numbered(hosts.len(), "host"))
}

type Services<'a> = IndexMap<(&'a str, &'a str), IndexMap<&'a str, &'a str>>;

fn by_host(hosts: &IndexSet<&str>, services: &Services<'_>) -> String {
    let mut table = Table::new(["role", "service"].into_iter().chain(hosts.iter().copied()));
    for ((role, service), states) in services {
        let states = hosts.iter().map(|host| states.get(host).copied().unwrap_or("-"));
        table.row([*role, *service].into_iter().chain(states));
    }
    table.render()
}

fn counted(services: &Services<'_>) -> String {
    let mut table = Table::new(["role", "service", "states"]);
    for ((role, service), states) in services {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for state in states.values() {
            *counts.entry(state).or_default() += 1;
        }
        let counts: Vec<String> = counts.into_iter().map(|(state, count)| format!("{state} {count}")).collect();
        table.row([(*role).to_owned(), (*service).to_owned(), counts.join(", ")]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(host: &str, service: &str, state: &str, about: &str) -> StatusRow {
        StatusRow {
            host: host.into(),
            role: "glance".into(),
            service: service.into(),
            state: state.into(),
            about: about.into(),
        }
    }

    #[test]
    fn few_hosts_are_columns() {
        let rows = [row("c1", "glance-api", FINE, ""), row("c2", "glance-api", "stopped", "Exited (1) 3 minutes ago")];
        assert_eq!(
            text(&rows),
            "\
ROLE    SERVICE     C1       C2
glance  glance-api  running  stopped

HOST  SERVICE     STATE    ABOUT
c2    glance-api  stopped  Exited (1) 3 minutes ago

1 of 2 services running on 2 hosts
"
        );
    }

    #[test]
    fn many_hosts_are_counted() {
        let mut rows: Vec<StatusRow> = (0..20).map(|n| row(&format!("c{n}"), "glance-api", FINE, "")).collect();
        rows[7].state = "missing".into();
        let text = text(&rows);
        assert!(text.contains("glance  glance-api  missing 1, running 19\n"), "{text}");
    }
}
