//! The walk: a node starts when all it comes after are done; what depends on a failure is skipped because of it.

mod node;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::node::Work;
use super::context::RunContext;
use super::event::{Event, Outcome, Sink, Summary};
use super::foreign;
use super::gate::Gates;
use crate::error::{Error, HostCause, Result};
use crate::host::Remote;
use crate::op::{Diff, Operation, Progress, ProgressSink, View};
use crate::plan::{Node, Plan, Seen};

/// Operations at once on one host: enough to keep it busy, few enough to leave it usable.
const AT_ONCE: usize = 8;

/// How a walk goes.
#[derive(Clone, Default)]
pub struct WalkOptions {
    /// Only look: nothing is applied.
    pub check: bool,
    /// Operations applied at once over all hosts; 0 is no limit.
    pub forks: usize,
    /// Cancelled when nothing new shall start.
    pub stop: CancellationToken,
    /// The only nodes that may be changed, by id; all where it is absent.
    pub only: Option<BTreeSet<String>>,
}

pub(super) struct Walk {
    context: RunContext,
    pub(super) options: WalkOptions,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) gates: Gates,
    pub(super) hosts: BTreeMap<String, Semaphore>,
    pub(super) forks: Arc<Semaphore>,
    lost: Mutex<BTreeSet<String>>,
    /// Kept of each node where somebody wants to know.
    seen: Option<Mutex<Seen>>,
    pub(super) begin: Instant,
}

/// How a node ended: its outcome, and on whose account those after it cannot go on.
pub(super) struct Ended {
    pub(super) index: usize,
    pub(super) outcome: Outcome,
    pub(super) blame: Option<String>,
}

/// Walks a plan to its end and says how it went.
///
/// # Errors
/// Before anything is written: what the plan would touch that is not of this site.
pub async fn walk(plan: &Plan, context: &RunContext, options: &WalkOptions, sink: Arc<dyn Sink>) -> Result<Summary> {
    let refused = if options.check { Vec::new() } else { foreign(plan, context) };
    if !refused.is_empty() {
        return Err(Error::Input(refused));
    }
    Ok(whole(plan, context, options, sink, None).await.0)
}

/// Walks a plan without changing anything, and keeps what was seen on the way.
pub async fn look(plan: &Plan, context: &RunContext, options: &WalkOptions, sink: Arc<dyn Sink>) -> (Summary, Seen) {
    let options = WalkOptions { check: true, ..options.clone() };
    whole(plan, context, &options, sink, Some(Mutex::default())).await
}

async fn whole(
    plan: &Plan,
    context: &RunContext,
    options: &WalkOptions,
    sink: Arc<dyn Sink>,
    seen: Option<Mutex<Seen>>,
) -> (Summary, Seen) {
    let begin = Instant::now();
    sink.event(&Event::Begin {
        phase: plan.phase.clone(),
        check: options.check,
        hosts: plan.hosts(),
        roles: plan.roles(),
        operations: plan.operations(),
    });
    let walk = Arc::new(Walk {
        context: context.clone(),
        options: options.clone(),
        sink: sink.clone(),
        gates: Gates::of(plan),
        hosts: context.machines.keys().map(|name| (name.clone(), Semaphore::new(AT_ONCE))).collect(),
        forks: Arc::new(Semaphore::new(if options.forks == 0 { Semaphore::MAX_PERMITS } else { options.forks })),
        lost: Mutex::default(),
        seen,
        begin,
    });
    let nodes: Vec<Arc<Node>> = plan.nodes.iter().cloned().map(Arc::new).collect();
    let mut front = Front::of(plan);
    let mut tasks: JoinSet<Ended> = JoinSet::new();
    let mut running: BTreeMap<tokio::task::Id, usize> = BTreeMap::new();
    loop {
        while let Some(index) = front.open.pop() {
            let node = nodes[index].clone();
            let ended = match (&node.op, front.blames[index].clone()) {
                (None, blame) => Ended { index, outcome: Outcome::Same, blame },
                (Some(_), Some(blame)) => walk.skip(index, &node, &format!("waits for {blame}"), Some(blame)),
                (Some(_), None) if options.stop.is_cancelled() => walk.skip(index, &node, "interrupted", None),
                (Some(_), None) => {
                    let walk = walk.clone();
                    let handle = tasks.spawn(async move { walk.node(index, &node).await });
                    running.insert(handle.id(), index);
                    continue;
                }
            };
            walk.settle(&ended, &nodes[ended.index], &mut front);
        }
        let Some(joined) = tasks.join_next_with_id().await else { break };
        let ended = match joined {
            Ok((id, ended)) => {
                running.remove(&id);
                ended
            }
            Err(error) => {
                let index = running.remove(&error.id()).unwrap_or_default();
                let failure = Error::operation("the program made a mistake here").because(error.to_string());
                walk.failed(index, &nodes[index], (0, 0), &failure)
            }
        };
        walk.settle(&ended, &nodes[ended.index], &mut front);
    }
    let requests = context.machines.iter().map(|(name, machine)| (name.clone(), machine.requests())).collect();
    sink.event(&Event::End { summary: front.summary, took_ms: millis(begin), requests });
    let seen = walk.seen.as_ref().map(|seen| std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner)));
    (front.summary, seen.unwrap_or_default())
}

/// How far the walk has come.
struct Front {
    /// How many nodes each one still waits for.
    waits: Vec<usize>,
    followers: Vec<Vec<usize>>,
    /// On whose account a node is not to be tried.
    blames: Vec<Option<String>>,
    /// Nodes that wait for nothing any more.
    open: Vec<usize>,
    summary: Summary,
}

impl Front {
    fn of(plan: &Plan) -> Self {
        let count = plan.nodes.len();
        let mut followers: Vec<Vec<usize>> = vec![Vec::new(); count];
        for (index, node) in plan.nodes.iter().enumerate() {
            for other in &node.after {
                followers[*other].push(index);
            }
        }
        let waits: Vec<usize> = plan.nodes.iter().map(|node| node.after.len()).collect();
        let open = (0..count).rev().filter(|index| waits[*index] == 0).collect();
        Self { waits, followers, blames: vec![None; count], open, summary: Summary::default() }
    }
}

pub(super) fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Walk {
    fn settle(&self, ended: &Ended, node: &Node, front: &mut Front) {
        if let Some(gate) = &node.gate {
            self.gates.leave(&gate.key, ended.index);
        }
        if node.op.is_some() {
            match ended.outcome {
                Outcome::Same => front.summary.same += 1,
                Outcome::Failed => front.summary.failed += 1,
                Outcome::Skipped => front.summary.skipped += 1,
                _ => front.summary.changed += 1,
            }
        }
        for follower in std::mem::take(&mut front.followers[ended.index]) {
            if front.blames[follower].is_none() {
                front.blames[follower].clone_from(&ended.blame);
            }
            front.waits[follower] -= 1;
            if front.waits[follower] == 0 {
                front.open.push(follower);
            }
        }
    }

    async fn node(&self, index: usize, node: &Node) -> Ended {
        let Some(op) = &node.op else { return Ended { index, outcome: Outcome::Same, blame: None } };
        let (Some(machine), Some(me)) = (self.context.machines.get(&node.host), self.context.peers.get(&node.host))
        else {
            return self.skip(index, node, "its host is not connected", Some(format!("host {}", node.host)));
        };
        if self.lost.lock().unwrap_or_else(PoisonError::into_inner).contains(&node.host) {
            return self.skip(index, node, "its host was lost", Some(format!("host {}", node.host)));
        }
        let view = View { me: me.clone(), peers: self.context.peers.clone(), shared: self.context.shared.clone() };
        let host = Remote::among(machine.clone(), self.context.machines.clone());
        Work::new(self, (index, node), op.operation(), &view, &host).run().await
    }

    /// Keeps what was seen of a node, if somebody wants to know.
    pub(super) async fn see(&self, node: &Node, operation: &dyn Operation, view: &View, diff: &Result<Diff>) {
        let Some(seen) = &self.seen else { return };
        let found = match diff {
            Ok(diff) => operation.attributes(diff, view).await.map(|attributes| (diff.clone(), attributes)),
            Err(error) => Err(error.clone()),
        };
        seen.lock().unwrap_or_else(PoisonError::into_inner).insert(node.id.clone(), found);
    }

    /// A node may be changed.
    pub(super) fn may_change(&self, node: &Node) -> bool {
        self.options.only.as_ref().is_none_or(|only| only.contains(&node.id))
    }

    pub(super) fn sink(&self, node: &Node) -> ProgressSink {
        let (sink, id, host) = (self.sink.clone(), node.id.clone(), node.host.clone());
        ProgressSink::new(move |progress| {
            sink.event(&match progress {
                Progress::Done(done, total) => Event::Progress { node: id.clone(), done, total },
                Progress::Waiting(why) => Event::Waiting { node: id.clone(), why },
                Progress::Warning(message) => Event::Warning { host: host.clone(), message },
            });
        })
    }

    pub(super) fn done(&self, index: usize, node: &Node, diff: &Diff, times: (u64, u64)) -> Ended {
        let (outcome, reason, details) = match diff {
            Diff::Same(reason) => (Outcome::Same, reason.clone(), Vec::new()),
            Diff::Create(details) => (Outcome::Created, String::new(), details.clone()),
            Diff::Update(details) => (Outcome::Updated, String::new(), details.clone()),
            // The parts that differ are the reason; a line says them all.
            Diff::Replace(parts) => (Outcome::Replaced, parts.join(", "), Vec::new()),
            Diff::Start => (Outcome::Started, String::new(), Vec::new()),
            Diff::Stop => (Outcome::Stopped, String::new(), Vec::new()),
            Diff::Remove => (Outcome::Removed, String::new(), Vec::new()),
            Diff::Run(reason) | Diff::Settle(reason) => (Outcome::Ran, reason.clone(), Vec::new()),
            Diff::Skip(reason) => (Outcome::Skipped, reason.clone(), Vec::new()),
        };
        self.finished(node, outcome, reason, details, times);
        // What cannot be told here is no reason for others not to go on.
        Ended { index, outcome, blame: None }
    }

    pub(super) fn skip(&self, index: usize, node: &Node, reason: &str, blame: Option<String>) -> Ended {
        self.finished(node, Outcome::Skipped, reason.to_owned(), Vec::new(), (millis(self.begin), 0));
        Ended { index, outcome: Outcome::Skipped, blame: Some(blame.unwrap_or_else(|| name(node))) }
    }

    pub(super) fn failed(&self, index: usize, node: &Node, times: (u64, u64), error: &Error) -> Ended {
        if let Error::Host(host) = error
            && matches!(host.cause, HostCause::Lost(_) | HostCause::Unreachable(_) | HostCause::Jump { .. })
        {
            self.lost.lock().unwrap_or_else(PoisonError::into_inner).insert(host.host.clone());
        }
        let mut details = Vec::new();
        match error {
            Error::Operation(operation) => {
                details.extend(operation.causes.iter().map(|cause| format!("caused by: {cause}")));
                if let Some(container) = &operation.log_of {
                    details.push(format!("last log lines of {container}:"));
                    details.extend(operation.log.iter().map(|line| format!("  {line}")));
                }
                details.extend(operation.hint.iter().map(|hint| format!("hint: {hint}")));
            }
            Error::Host(host) => {
                if let HostCause::Exit { stderr, .. } = &host.cause {
                    details.extend(
                        stderr
                            .lines()
                            .rev()
                            .take(12)
                            .map(|line| format!("  {line}"))
                            .collect::<Vec<_>>()
                            .into_iter()
                            .rev(),
                    );
                }
                details.extend(host.hint.clone().or_else(|| host.cause.hint()).map(|hint| format!("hint: {hint}")));
            }
            _ => {}
        }
        self.finished(node, Outcome::Failed, error.to_string(), details, times);
        Ended { index, outcome: Outcome::Failed, blame: Some(name(node)) }
    }

    /// Tells how it ended; when it was begun and how long it took, in milliseconds.
    pub(super) fn finished(
        &self,
        node: &Node,
        outcome: Outcome,
        reason: String,
        details: Vec<String>,
        (at_ms, took_ms): (u64, u64),
    ) {
        self.sink.event(&Event::Finished {
            node: node.id.clone(),
            host: node.host.clone(),
            role: node.role.clone(),
            subject: node.op.as_ref().map(|op| op.operation().subject()).unwrap_or_default(),
            outcome,
            reason,
            details,
            at_ms,
            took_ms,
        });
    }
}

/// `control02 container glance_api`, as messages name a node.
pub(super) fn name(node: &Node) -> String {
    node.id.replacen('/', " ", 1)
}
