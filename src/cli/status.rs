//! `kolla status`: services by hosts, and what the cloud says of its parts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indexmap::{IndexMap, IndexSet};
use serde_json::{Value, json};

use super::reporting::Warnings;
use super::{Exit, Invocation};
use crate::app::status::{self, PartRow, RoleTable, StatusRow};
use crate::error::{Result, numbered};
use crate::report::Table;

/// Hosts that get a column of their own; with more, states are counted.
const COLUMNS: usize = 6;
const FINE: &str = "running";
/// Home, and clear to the end of the screen.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Shows the services of all hosts, and the state of clusters and agents.
#[derive(Debug, Args)]
pub struct Status {
    /// Show one line per container, with its age and image
    #[arg(long)]
    pub long: bool,
    /// Repeat every SECONDS, until Ctrl-C
    #[arg(short, long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "5",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub watch: Option<u64>,
}

impl Status {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        loop {
            let warnings = Arc::new(Warnings(at.screen.clone()));
            let status = status::status(&at.app, warnings).await?;
            let clear = if self.watch.is_some() && at.environment.stdout_terminal { CLEAR } else { "" };
            at.answer(|| json!(status), || format!("{clear}{}", text(&status, self.long)));
            let well = status.services.iter().all(|row| row.state == FINE) && status.parts.iter().all(|part| part.well);
            let exit = if well { Exit::DONE } else { Exit::FAILED };
            let Some(pause) = self.watch else { return Ok(exit) };
            tokio::select! {
                () = at.app.stop.cancelled() => return Ok(exit),
                () = tokio::time::sleep(Duration::from_secs(pause)) => {}
            }
        }
    }
}

fn text(status: &status::Status, long: bool) -> String {
    let rows = &status.services;
    let hosts: IndexSet<&str> = rows.iter().map(|row| row.host.as_str()).collect();
    let mut services: Services<'_> = IndexMap::new();
    for row in rows {
        services.entry((&row.role, &row.service)).or_default().insert(&row.host, &row.state);
    }
    let mut tables = vec![match (long, hosts.len() <= COLUMNS) {
        (true, _) => one_by_one(rows),
        (false, true) => by_host(&hosts, &services),
        (false, false) => counted(&services),
    }];
    if !status.parts.is_empty() {
        tables.push(parts(&status.parts));
    }
    tables.extend(status.tables.iter().map(of_role));
    let mut odd = Table::new(["host", "service", "state", "about"]);
    for row in rows.iter().filter(|row| row.state != FINE || !row.differs.is_empty()) {
        let about = match row.differs.join(", ") {
            differs if differs.is_empty() => row.about.clone(),
            differs => format!("{}; differs: {differs}", row.about),
        };
        odd.row([&row.host, &row.service, &row.state, &about]);
    }
    for part in status.parts.iter().filter(|part| !part.well) {
        odd.row([&part.host, &part.part, &"not well".to_owned(), &part.answer]);
    }
    if !odd.is_empty() {
        tables.push(odd.render());
    }
    let running = rows.iter().filter(|row| row.state == FINE).count();
    let mut last =
        format!("{running} of {} running on {}", numbered(rows.len(), "service"), numbered(hosts.len(), "host"));
    if !status.parts.is_empty() {
        let well = status.parts.iter().filter(|part| part.well).count();
        last = format!("{last}, {well} of {} well", numbered(status.parts.len(), "part"));
    }
    format!("{}\n{last}\n", tables.join("\n"))
}

type Services<'a> = IndexMap<(&'a str, &'a str), IndexMap<&'a str, &'a str>>;

fn one_by_one(rows: &[StatusRow]) -> String {
    let mut table = Table::new(["role", "service", "host", "state", "about", "image"]);
    for row in rows {
        table.row([&row.role, &row.service, &row.host, &row.state, &row.about, &row.image]);
    }
    table.render()
}

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

/// Parts that say the same share a line.
fn parts(parts: &[PartRow]) -> String {
    let mut same: IndexMap<(&str, &str, &str), Vec<&str>> = IndexMap::new();
    for part in parts {
        same.entry((&part.role, &part.part, &part.answer)).or_default().push(&part.host);
    }
    let mut table = Table::new(["role", "part", "answer", "of"]);
    for ((role, part, answer), mut hosts) in same {
        hosts.sort_unstable();
        let of = if hosts.len() > COLUMNS { numbered(hosts.len(), "host") } else { hosts.join(", ") };
        table.row([role, part, answer, &of]);
    }
    table.render()
}

/// What a role tells in rows: the columns are those of the first one.
fn of_role(told: &RoleTable) -> String {
    let title = format!("{} {}:", told.role, told.about);
    let Some(first) = told.rows.first() else { return format!("{title} none\n") };
    let mut table = Table::new(first.keys().cloned());
    for row in &told.rows {
        table.row(first.keys().map(|column| row.get(column).map_or_else(String::new, cell)));
    }
    format!("{title}\n{}", table.render())
}

fn cell(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(host: &str, state: &str, about: &str) -> StatusRow {
        StatusRow {
            host: host.into(),
            role: "glance".into(),
            service: "glance-api".into(),
            state: state.into(),
            about: about.into(),
            image: "registry:4000/glance-api:1".into(),
            ..StatusRow::default()
        }
    }

    fn part(host: &str, answer: &str, well: bool) -> PartRow {
        PartRow { role: "mariadb".into(), part: "cluster".into(), host: host.into(), answer: answer.into(), well }
    }

    #[test]
    fn few_hosts_are_columns() {
        let mut services = vec![row("c1", FINE, "Up 2 hours"), row("c2", "stopped", "Exited (1) 3 minutes ago")];
        services[0].differs = vec!["configuration".into()];
        let parts = vec![part("c1", "2 members", true), part("c3", "2 members", true), part("c2", "no answer", false)];
        assert_eq!(
            text(&status::Status { services, parts, ..Default::default() }, false),
            "\
ROLE    SERVICE     C1       C2
glance  glance-api  running  stopped

ROLE     PART     ANSWER     OF
mariadb  cluster  2 members  c1, c3
mariadb  cluster  no answer  c2

HOST  SERVICE     STATE     ABOUT
c1    glance-api  running   Up 2 hours; differs: configuration
c2    glance-api  stopped   Exited (1) 3 minutes ago
c2    cluster     not well  no answer

1 of 2 services running on 2 hosts, 2 of 3 parts well
"
        );
    }

    #[test]
    fn a_line_for_each_has_age_and_image() {
        let services = vec![row("c1", FINE, "Up 2 hours (healthy)")];
        assert_eq!(
            text(&status::Status { services, ..Default::default() }, true),
            "\
ROLE    SERVICE     HOST  STATE    ABOUT                 IMAGE
glance  glance-api  c1    running  Up 2 hours (healthy)  registry:4000/glance-api:1

1 of 1 service running on 1 host
"
        );
    }

    #[test]
    fn what_a_role_tells_in_rows_has_its_columns() {
        let rows = [("osd.0", json!(12)), ("osd.10", Value::Null)];
        let row = |(name, placement_groups): (&str, Value)| {
            IndexMap::from([("osd".to_owned(), json!(name)), ("pgs".to_owned(), placement_groups)])
        };
        let told = RoleTable { role: "ceph".into(), about: "disks".into(), rows: rows.map(row).into() };
        assert_eq!(of_role(&told), "ceph disks:\nOSD     PGS\nosd.0   12\nosd.10\n");
        assert_eq!(of_role(&RoleTable { rows: Vec::new(), ..told }), "ceph disks: none\n");
    }

    #[test]
    fn many_hosts_are_counted() {
        let mut services: Vec<StatusRow> = (0..20).map(|n| row(&format!("c{n}"), FINE, "")).collect();
        services[7].state = "missing".into();
        let text = text(&status::Status { services, ..Default::default() }, false);
        assert!(text.contains("glance  glance-api  missing 1, running 19\n"), "{text}");
    }
}
