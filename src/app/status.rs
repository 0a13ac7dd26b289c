//! A cloud as it is: containers against the plan, and what the cloud says of itself.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;
use indexmap::{IndexMap, IndexSet};
use regex::Regex;
use serde::Serialize;
use tokio::sync::OnceCell;

use super::agreement::Agreement;
use super::connect::{connect_options, context, shared};
use super::facts::KeptFacts;
use super::{App, Loaded, ask};
use crate::cloud::access::HOLDERS;
use crate::error::{Error, Result, by_cause};
use crate::host::{Interface, Observer, Remote};
use crate::op::api::Agent;
use crate::op::container::Container;
use crate::op::{Diff, Op, Operation as _, Peer, Progress, ProgressSink, View};
use crate::plan::phase::named;
use crate::plan::{Asked, Place, Plan, Question, Selection};
use crate::run::RunContext;
use crate::run::connect::connect;
use crate::run::event::{Event, Quiet, Sink};

/// Questions that are asked at once.
const AT_ONCE: usize = 64;
/// How often hosts are asked again whose answers differ, and how long one may lag behind each time.
const ASKS_AGAIN: usize = 10;
const LAGS: Duration = Duration::from_millis(500);
/// How much of an answer is told.
const WORDS: usize = 100;

/// A service on a host.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StatusRow {
    /// The host.
    pub host: String,
    /// The role.
    pub role: String,
    /// The service, as `glance-api`.
    pub service: String,
    /// `running`, `unhealthy`, `stopped`, `missing`, `foreign`, or `unreachable`.
    pub state: String,
    /// The engine's words on its age and health, as `Up 3 hours (healthy)`, or what is wrong.
    pub about: String,
    /// The image it is to be made of.
    pub image: String,
    /// In what it differs from what would be deployed.
    pub differs: Vec<String>,
}

/// A part of the cloud beyond containers: a member of a cluster, an address, an agent.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PartRow {
    /// The role.
    pub role: String,
    /// What it is, as `cluster` or `network agent neutron-l3-agent`.
    pub part: String,
    /// Its host; empty where it is of none.
    pub host: String,
    /// What is said of it.
    pub answer: String,
    /// That is as it should be.
    pub well: bool,
}

/// What a role tells in rows.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RoleTable {
    /// The role.
    pub role: String,
    /// What it is about, as `disks`.
    pub about: String,
    /// Values by columns, in the order in which the role gives them.
    pub rows: Vec<IndexMap<String, serde_json::Value>>,
}

/// A cloud as it is.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Status {
    /// Services on hosts.
    pub services: Vec<StatusRow>,
    /// What the cloud says of its parts.
    pub parts: Vec<PartRow>,
    /// What roles tell that are asked for by name.
    pub tables: Vec<RoleTable>,
}

/// The services that hosts have or should have, and what the cloud says of its parts. Warnings go to `sink`.
///
/// # Errors
/// Input errors; hosts that cannot be reached are rows.
pub async fn status(app: &App, sink: Arc<dyn Sink>) -> Result<Status> {
    let loaded = Loaded::read(app).await?;
    let limit = loaded.limit(app)?;
    let names: Vec<String> = loaded.members().into_iter().collect();
    let asking = loaded.unasked(true);
    let ask = |host: &str| loaded.ask(&asking, host, false);
    let connected = connect(&loaded.site, &names, &connect_options(app, None), ask, &Quiet).await;
    let failed = connected.failed.iter().filter(|(host, _)| limit.contains(*host)).map(|(_, error)| error);
    let mut services = Vec::new();
    for error in by_cause(failed) {
        let Error::Host(error) = error else { continue };
        for host in error.hosts() {
            let about = if host == error.host { error.failure() } else { format!("as {}", error.host) };
            let (host, state) = (host.to_owned(), "unreachable".to_owned());
            services.push(StatusRow { host, state, about, ..StatusRow::default() });
        }
    }
    let (Some(first), Some(phase)) = (connected.machines.keys().next().cloned(), named("deploy")) else {
        return Ok(Status { services, ..Status::default() });
    };
    let facts = KeptFacts::of(app).with(&connected.looks);
    let scopes = loaded.scopes(&facts);
    let hosts: IndexSet<String> = connected.machines.keys().cloned().collect();
    let whole = loaded.plan(&facts, &scopes, &hosts)?;
    let tags = loaded.tags(app)?;
    let mut shared = shared(app, &loaded, scopes.host(&first))?;
    shared.sink = ProgressSink::new(move |progress| {
        if let Progress::Warning(message) = progress {
            sink.event(&Event::Warning { host: String::new(), message });
        }
    });
    let context = context(connected, shared);
    let wanted = |role: &String| (tags.tags.is_empty() || tags.tags.contains(role)) && !tags.skip_tags.contains(role);
    let questions = whole.questions.iter().filter(|question| wanted(&question.role));
    let (tables, questions): (Vec<&Question>, Vec<&Question>) =
        questions.partition(|question| matches!(question.ask, Asked::Table(_)));
    let tables = tables.into_iter().filter(|question| tags.tags.contains(&question.role));
    let plan = whole.select(phase, &Selection { hosts: Some(limit.clone()), ..tags.clone() });
    let holders = loaded.site.group(HOLDERS);
    let near = holders.into_iter().find(|host| hosts.contains(*host)).unwrap_or(&first);
    let (rows, mut parts, tables) = tokio::join!(
        containers(&plan, &context),
        answers(&questions, near, &limit, &context),
        join_all(tables.map(|question| table(question, &context))),
    );
    services.extend(rows);
    let mut told = Vec::new();
    for table in tables {
        match table {
            Ok(table) => told.push(table),
            Err(failed) => parts.push(failed),
        }
    }
    services.sort_by(|a, b| (&a.role, &a.service, &a.host).cmp(&(&b.role, &b.service, &b.host)));
    Ok(Status { services, parts, tables: told })
}

async fn containers(plan: &Plan, context: &RunContext) -> Vec<StatusRow> {
    let rows = plan.nodes.iter().filter_map(|node| {
        let (Some(Op::Container(container)), Some(me)) = (&node.op, context.peers.get(&node.host)) else { return None };
        let view = View { me: me.clone(), peers: context.peers.clone(), shared: context.shared.clone() };
        let (host, role) = (node.host.clone(), node.role.clone());
        Some(async move { StatusRow { host, role, ..container_row(container, &view).await } })
    });
    stream::iter(rows).buffered(AT_ONCE).collect().await
}

async fn container_row(container: &Container, view: &View) -> StatusRow {
    let now = view.me.container(&container.spec.name);
    let drift = container.diff(view).await;
    let engine = now.as_ref().map(|now| now.status.clone()).unwrap_or_default();
    let (state, about, differs) = match (&now, drift) {
        (None, _) => ("missing", String::new(), Vec::new()),
        (Some(_), Err(error)) => ("foreign", error.to_string(), Vec::new()),
        (Some(now), _) if !now.running() => ("stopped", engine, Vec::new()),
        (Some(now), _) if now.unhealthy() => ("unhealthy", engine, Vec::new()),
        (Some(_), Ok(Diff::Same(_))) => ("running", engine, Vec::new()),
        (Some(_), Ok(Diff::Replace(parts) | Diff::Update(parts))) => ("running", engine, parts),
        (Some(_), Ok(Diff::Run(why) | Diff::Settle(why))) => ("running", engine, vec![why]),
        (Some(_), Ok(_)) => ("running", engine, vec!["its state".into()]),
    };
    StatusRow {
        service: container.service.clone(),
        state: state.into(),
        about,
        image: container.spec.image.clone(),
        differs,
        ..StatusRow::default()
    }
}

/// What the cloud says of its parts, in the order of the questions; of single hosts, those within the limit.
async fn answers(questions: &[&Question], near: &str, limit: &IndexSet<String>, context: &RunContext) -> Vec<PartRow> {
    // One log-in for all lists.
    let session = OnceCell::new();
    let rows = questions.iter().map(|question| {
        let session = &session;
        async move {
            match &question.ask {
                Asked::Exec { place, expect, .. } => match context.peers.get(&place.host) {
                    Some(peer) if limit.contains(&place.host) => {
                        let (answer, well) = said(&peer.host, place, expect.as_deref()).await;
                        vec![row(question, &place.host, answer, well)]
                    }
                    _ => Vec::new(),
                },
                Asked::Table(_) => Vec::new(),
                Asked::Address(address) => vec![held(question, address, context)],
                Asked::Api(identity, listing) => {
                    let Some(machine) = context.machines.get(near) else { return Vec::new() };
                    let host = Remote::new(machine.clone());
                    let agents = async {
                        let session = session.get_or_try_init(|| identity.log_in_at_once(&host)).await?;
                        session.agents(&host, listing).await
                    };
                    match agents.await {
                        Ok(agents) => agents.iter().map(|agent| listed(question, agent)).collect(),
                        Err(error) => vec![row(question, "", error.to_string(), false)],
                    }
                }
            }
        }
    });
    let mut rows: Vec<Vec<PartRow>> = stream::iter(rows).buffered(AT_ONCE).collect().await;
    compare(questions, &mut rows, context).await;
    let mut rows: Vec<PartRow> = rows.into_iter().flatten().collect();
    for row in &mut rows {
        row.answer = row.answer.chars().take(WORDS).collect();
    }
    rows
}

/// Compares the answers of hosts that must agree, and asks again where they do not yet.
async fn compare(questions: &[&Question], rows: &mut [Vec<PartRow>], context: &RunContext) {
    let mut groups: IndexMap<(&str, &str), Vec<usize>> = IndexMap::new();
    for (index, question) in questions.iter().enumerate() {
        // Of one that does not answer as it should, that is told.
        if rows[index].iter().any(|row| row.well) && Agreement::of(&question.ask).is_some() {
            groups.entry((&question.role, &question.about)).or_default().push(index);
        }
    }
    for group in groups.into_values() {
        let Some(agreement) = group.first().and_then(|index| Agreement::of(&questions[*index].ask)) else { continue };
        let goal = agreement.goal(group.iter().map(|index| rows[*index][0].answer.as_str()));
        for round in 0.. {
            let answers: Vec<&str> = group.iter().map(|index| rows[*index][0].answer.as_str()).collect();
            let odd = agreement.odd(&answers, goal);
            if odd.is_empty() {
                break;
            }
            if round == ASKS_AGAIN {
                for (place, why) in odd {
                    let row = &mut rows[group[place]][0];
                    row.answer = format!("{why}: {}", row.answer);
                    row.well = false;
                }
                break;
            }
            tokio::time::sleep(LAGS).await;
            let again = group.iter().map(|index| async move {
                let Asked::Exec { place, expect, .. } = &questions[*index].ask else { return None };
                let (answer, well) = said(&context.peers.get(&place.host)?.host, place, expect.as_deref()).await;
                well.then(|| row(questions[*index], &place.host, answer, well))
            });
            for (index, row) in group.iter().zip(join_all(again).await) {
                rows[*index][0] = row.unwrap_or_else(|| rows[*index][0].clone());
            }
        }
    }
}

fn row(question: &Question, host: &str, answer: impl Into<String>, well: bool) -> PartRow {
    PartRow {
        role: question.role.clone(),
        part: question.about.clone(),
        host: host.into(),
        answer: answer.into(),
        well,
    }
}

fn listed(question: &Question, agent: &Agent) -> PartRow {
    let state = if agent.up { "up" } else { "down" };
    PartRow { part: format!("{} {}", question.about, agent.name), ..row(question, &agent.host, state, agent.up) }
}

/// What a program in a container says, and whether that is well.
async fn said(host: &Observer, place: &Place, expect: Option<&str>) -> (String, bool) {
    match host.probe(&place.container, &place.program).await {
        Err(error) => (error.to_string(), false),
        Ok(output) => {
            let text = if output.code == 0 { output.text() } else { format!("{}{}", output.text(), output.stderr) };
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let right = expect.is_none_or(|expect| Regex::new(expect).is_ok_and(|expect| expect.is_match(&text)));
            (text, output.code == 0 && right)
        }
    }
}

/// The rows that a role tells; a part that is not well where it does not.
async fn table(question: &Question, context: &RunContext) -> std::result::Result<RoleTable, PartRow> {
    let Asked::Table(places) = &question.ask else { return Err(PartRow::default()) };
    let hosts = places.iter().filter_map(|place| Some((place, context.peers.get(&place.host)?.host.clone())));
    let text = ask::first(hosts).await;
    let rows = text.and_then(|text: String| {
        let bad = |error: serde_json::Error| Error::operation("no list of rows in JSON").because(error.to_string());
        serde_json::from_str(&text).map_err(bad)
    });
    match rows {
        Ok(rows) => Ok(RoleTable { role: question.role.clone(), about: question.about.clone(), rows }),
        Err(error) => Err(row(question, "", error.to_string(), false)),
    }
}

/// Who has an address: well where exactly one host does.
fn held(question: &Question, address: &str, context: &RunContext) -> PartRow {
    let has = |of: &Interface| {
        let mut all = of.ipv4.iter().chain(&of.ipv6);
        all.any(|there| there.split('/').next() == Some(address))
    };
    let held = |peer: &Peer| peer.look(|look| look.facts.interfaces.values().any(has));
    let holders: Vec<&str> =
        context.peers.iter().filter(|(_, peer)| held(peer)).map(|(name, _)| name.as_str()).collect();
    let answer = if holders.is_empty() { format!("nobody holds {address}") } else { format!("holds {address}") };
    row(question, &holders.join(", "), answer, holders.len() == 1)
}
