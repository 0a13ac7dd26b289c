//! From a site, its roles and the facts of its hosts to a plan. Pure: no I/O, no clock, no randomness.
//!
//! A [`Plan`] is a graph of operations, each on one host. [`Plan::whole`] makes the graph of everything a
//! site wants; [`Plan::select`] keeps of it what a phase, tags and a limit ask for.

mod actions;
mod asks;
mod asserts;
mod build;
mod builder;
mod checks;
mod config;
mod fixed;
mod hostless;
mod image;
mod instance;
mod numbers;
mod overrides;
pub mod phase;
mod place;
mod questions;
mod read_otherwise;
pub mod reads;
mod recipe;
mod rules;
pub mod saved;
mod service;
mod settings;
mod steps;
mod unmet_needs;
mod unread;
mod unused_variables;
mod users;

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

pub use actions::Call;
pub use builder::Input;
pub use config::{FileLine, FileSource, ServiceFile, service_files};
pub use fixed::Fixed;
pub use numbers::scopes;
pub use overrides::{Lookups, OperatorFile, Overrides};
pub use phase::Phase;
pub use place::Place;
pub use questions::{Asked, Question};
pub use saved::{Saved, Seen};
pub use unread::NAMED;
pub use unused_variables::{Fault, UnusedVariable, UnusedVariables};

use crate::error::{Error, InputError, Kind, Result};
use crate::op::cluster::Stage;
use crate::op::sql::Sql;
use crate::op::{Op, Want};

/// A vertex: an operation on a host, or a milestone that only orders others.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// `control01/container glance_api`, unique in a plan.
    pub id: String,
    /// Its host; empty for a milestone.
    pub host: String,
    /// Its role.
    pub role: String,
    /// The operation; none for a milestone.
    pub op: Option<Op>,
    /// Positions of the nodes it waits for.
    pub after: Vec<usize>,
    /// How many of its kind may go at once.
    pub gate: Option<Gate>,
}

/// Members of a service that must not all be touched at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// What they have in common: the service.
    pub key: String,
    /// How many at once.
    pub at_once: usize,
    /// Also when they are first made, and when they are down.
    pub on_create: bool,
    /// After the others while it serves, as far as could be told when the plan was made.
    pub last: bool,
}

/// A graph of operations, every node after those it waits for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The phase it was selected for.
    pub phase: String,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// What it looked for among the operator's files; kept for a whole plan alone.
    pub lookups: Lookups,
    /// What is asked of the cloud beyond its containers; kept for a whole plan alone.
    pub questions: Vec<Question>,
    /// Words on values that are no errors; kept for a whole plan alone.
    pub doubts: Vec<InputError>,
}

/// What of a whole plan is wanted.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Hosts; all where it is absent.
    pub hosts: Option<IndexSet<String>>,
    /// Roles; all where it is empty.
    pub tags: Vec<String>,
    /// Roles to leave out.
    pub skip_tags: Vec<String>,
}

impl Selection {
    /// It has the role.
    pub fn has(&self, role: &str) -> bool {
        let named = |names: &[String]| names.iter().any(|name| name == role);
        (self.tags.is_empty() || named(&self.tags)) && !named(&self.skip_tags)
    }
}

impl Plan {
    /// The plan of everything the site wants.
    ///
    /// # Errors
    /// Every mistake in roles, variables and templates that shows for any host, together.
    pub fn whole(input: &Input<'_>) -> Result<Self> {
        build::whole(input)
    }

    /// Where it is asked who uses services before these are taken away, by roles.
    ///
    /// # Errors
    /// As those of a whole plan.
    pub fn users(input: &Input<'_>, selection: &Selection) -> Result<Vec<(String, Vec<Place>)>> {
        users::places(input, selection)
    }

    /// The plan of an action.
    ///
    /// # Errors
    /// What is asked for is not there, or not as its role wants it.
    pub fn action(input: &Input<'_>, call: &Call) -> Result<Self> {
        actions::plan(input, call)
    }

    /// The database that steps of a phase ask for their receipts, and a host with such a step.
    pub fn database(&self, phase: &Phase, selection: &Selection) -> Option<(String, Sql)> {
        self.nodes.iter().filter(|node| kept(node, phase, selection)).find_map(|node| {
            let sql = node.op.as_ref()?.operation().database()?;
            Some((node.host.clone(), sql.clone()))
        })
    }

    /// What a phase keeps of it. A node that goes hands what it waited for on to those that waited for it.
    #[must_use]
    pub fn select(&self, phase: &Phase, selection: &Selection) -> Self {
        let keep: Vec<bool> = self.nodes.iter().map(|node| kept(node, phase, selection)).collect();
        let mut position = vec![None; self.nodes.len()];
        let mut before: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        let mut nodes: Vec<Node> = Vec::with_capacity(keep.iter().filter(|keep| **keep).count());
        for (index, node) in self.nodes.iter().enumerate() {
            let mut after: IndexSet<usize> = IndexSet::new();
            for other in &node.after {
                match position[*other] {
                    Some(new) => drop(after.insert(new)),
                    None => after.extend(before[*other].iter().copied()),
                }
            }
            if keep[index] {
                position[index] = Some(nodes.len());
                let mut node = node.clone();
                node.after = after.into_iter().collect();
                if let Some(op) = &mut node.op {
                    *op = toward(op.clone(), phase.want, phase.recover);
                }
                nodes.push(node);
            } else {
                before[index] = after.into_iter().collect();
            }
        }
        if phase.reverse {
            nodes = reversed(nodes);
        }
        Self { phase: phase.name.into(), nodes, ..Self::default() }
    }

    /// Has its containers killed instead of stopped.
    pub fn kill(&mut self) {
        for node in &mut self.nodes {
            if let Some(Op::Container(container)) = &mut node.op {
                Arc::make_mut(container).kill = true;
            }
        }
    }

    /// Operations in it, milestones not counted.
    pub fn operations(&self) -> usize {
        self.nodes.iter().filter(|node| node.op.is_some()).count()
    }

    /// Hosts it touches, in order of appearance.
    pub fn hosts(&self) -> Vec<String> {
        self.distinct(|node| &node.host)
    }

    /// Roles it touches, in order of appearance.
    pub fn roles(&self) -> Vec<String> {
        self.distinct(|node| &node.role)
    }

    fn distinct(&self, name: impl Fn(&Node) -> &String) -> Vec<String> {
        let names: IndexSet<&String> =
            self.nodes.iter().filter(|node| node.op.is_some()).map(name).filter(|name| !name.is_empty()).collect();
        names.into_iter().cloned().collect()
    }

    /// The containers on each host.
    pub fn containers(&self) -> BTreeMap<String, Vec<Op>> {
        let mut hosts: BTreeMap<String, Vec<Op>> = BTreeMap::new();
        for node in &self.nodes {
            if let Some(op @ Op::Container(_)) = &node.op {
                hosts.entry(node.host.clone()).or_default().push(op.clone());
            }
        }
        hosts
    }

    /// References of all images, by the host that may be asked for them first.
    pub fn images(&self) -> IndexMap<String, String> {
        let mut images = IndexMap::new();
        for node in &self.nodes {
            if let Some(Op::Image(image)) = &node.op {
                images.entry(image.reference.clone()).or_insert_with(|| node.host.clone());
            }
        }
        images
    }
}

fn kept(node: &Node, phase: &Phase, selection: &Selection) -> bool {
    let Some(op) = &node.op else { return true };
    let stage = match op {
        Op::Cluster(cluster) => phase.recover || cluster.stage == Stage::Seed,
        _ => true,
    };
    phase.keep.contains(&op.kind().class())
        && stage
        && selection.has(&node.role)
        && selection.hosts.as_ref().is_none_or(|hosts| hosts.contains(&node.host))
}

/// The same operation with what the phase wants of it.
fn toward(mut op: Op, want: Want, recover: bool) -> Op {
    match &mut op {
        Op::Container(container) if container.want != want => Arc::make_mut(container).want = want,
        Op::FileSet(set) if set.want != want => Arc::make_mut(set).want = want,
        Op::Number(number) if number.want != want => Arc::make_mut(number).want = want,
        Op::Volume(volume) if volume.want != want => Arc::make_mut(volume).want = want,
        Op::Cluster(cluster) if cluster.recover != recover => Arc::make_mut(cluster).recover = recover,
        _ => {}
    }
    op
}

/// What came last comes first, and each waits for those that waited for it.
fn reversed(nodes: Vec<Node>) -> Vec<Node> {
    let count = nodes.len();
    let mut after: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (index, node) in nodes.iter().enumerate() {
        for other in &node.after {
            after[count - 1 - *other].push(count - 1 - index);
        }
    }
    let mut turned: Vec<Node> = nodes.into_iter().rev().collect();
    for (node, after) in turned.iter_mut().zip(after) {
        node.after = after;
        // Members of a cluster go one after the other, so that the last one knows that it has all there is. Others
        // need no gates to go away.
        node.gate = node.gate.take().filter(|gate| gate.on_create);
    }
    turned
}

/// Puts nodes in an order in which each stands after those it waits for.
///
/// # Errors
/// A cycle, printed as such.
fn ordered(nodes: Vec<Node>) -> Result<Vec<Node>> {
    let count = nodes.len();
    let mut waits: Vec<usize> = nodes.iter().map(|node| node.after.len()).collect();
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (index, node) in nodes.iter().enumerate() {
        for other in &node.after {
            followers[*other].push(index);
        }
    }
    let mut order: Vec<usize> = (0..count).filter(|index| waits[*index] == 0).collect();
    let mut next = 0;
    while let Some(index) = order.get(next).copied() {
        next += 1;
        for follower in &followers[index] {
            waits[*follower] -= 1;
            if waits[*follower] == 0 {
                order.push(*follower);
            }
        }
    }
    if order.len() < count {
        let stuck: Vec<&str> =
            (0..count).filter(|index| waits[*index] > 0).map(|index| nodes[index].id.as_str()).take(6).collect();
        return Err(Error::input(format!("operations wait for each other: {}", stuck.join(" -> "))).of(Kind::Cycle));
    }
    let mut place = vec![0; count];
    for (new, old) in order.iter().enumerate() {
        place[*old] = new;
    }
    let mut slots: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
    let mut nodes = Vec::with_capacity(count);
    for mut node in order.into_iter().filter_map(|old| slots[old].take()) {
        for other in &mut node.after {
            *other = place[*other];
        }
        nodes.push(node);
    }
    Ok(nodes)
}
