//! What a role says of a cluster: the key `cluster` of a service. It names no product: which program and which file tell how
//! a member stands, and what has to be done so that one may start alone.

use indexmap::IndexMap;
use regex::{NoExpand, Regex};
use serde::{Deserialize, Serialize};

use super::decision::{Member, Position};
use crate::host::ReadOnly;
use crate::source::{Data, Fields, Keys, Node, Shape};
use crate::template::Values;

const ENVIRONMENT: Shape = Shape::Named(&Shape::Value);

/// What is written under `cluster`.
pub const KEYS: Keys = Keys {
    what: "a cluster",
    all: &[
        ("choice", Shape::Variable),
        ("port", Shape::Text),
        ("running", Shape::Keys(&RUNNING)),
        ("stopped", Shape::Keys(&STOPPED)),
        ("crashed", Shape::Keys(&CRASHED)),
        ("bootstrap", ENVIRONMENT),
        ("start", ENVIRONMENT),
        ("allow", Shape::Keys(&EDIT)),
        ("new_history", Shape::List(&Shape::Name)),
    ],
    needed: &["choice", "port", "running", "stopped", "crashed", "bootstrap", "start"],
    any_of: &[],
    one_of: &[],
};

const RUNNING: Keys = Keys::new(
    &[("exec", Shape::Words), ("serves", Shape::Text), ("cluster", Shape::Text), ("members", Shape::Text)],
    &["exec", "serves", "cluster", "members"],
);

const STOPPED: Keys = Keys::new(
    &[
        ("data", Shape::Name),
        ("file", Shape::Name),
        ("cluster", Shape::Text),
        ("position", Shape::Text),
        ("last", Shape::Text),
    ],
    &["data", "file", "cluster", "position"],
);

const CRASHED: Keys = Keys::new(
    &[("env", ENVIRONMENT), ("cluster", Shape::Text), ("position", Shape::Text)],
    &["env", "cluster", "position"],
);

const EDIT: Keys =
    Keys::new(&[("file", Shape::Name), ("pattern", Shape::Text), ("text", Shape::Text)], &["file", "pattern", "text"]);

/// A cluster, as a host sees it. Files are those of the first volume; patterns are regular expressions, and a group in one
/// is the part that counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The variable by which the operator chooses for a run who starts.
    pub choice: String,
    /// The port at which a member serves.
    pub port: u16,
    /// What a member says that runs.
    pub running: Running,
    /// What a member left that stopped.
    pub stopped: Stopped,
    /// How one that crashed is asked how far its data got.
    pub crashed: Crashed,
    /// Environment of the container that makes the first data.
    #[serde(skip)]
    pub bootstrap: IndexMap<String, String>,
    /// Environment of a container that starts a cluster.
    #[serde(default)]
    pub start: IndexMap<String, String>,
    /// What of a file has to be changed before one may start.
    #[serde(default)]
    pub allow: Option<Edit>,
    /// Files that are removed where a cluster starts that does not go on with the history of the members' data.
    #[serde(default)]
    pub new_history: Vec<String>,
}

/// What a member says that runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// The program in its container.
    pub exec: ReadOnly,
    /// Matches while it is in a component with a majority.
    pub serves: String,
    /// The identity of its cluster.
    pub cluster: String,
    /// How many members the component has.
    pub members: String,
}

/// What a member left that stopped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stopped {
    /// A file that is there wherever data are.
    pub data: String,
    /// The file with the following.
    pub file: String,
    /// The identity of its cluster.
    pub cluster: String,
    /// How far its data got, where it stopped in order.
    pub position: String,
    /// Matches where it noted that it stopped last.
    #[serde(default)]
    pub last: Option<String>,
}

/// How one that crashed is asked how far its data got.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Crashed {
    /// Environment of a container that tells it in its log, and ends.
    pub env: IndexMap<String, String>,
    /// The identity of its cluster, in a line that has the position as well.
    pub cluster: String,
    /// How far its data got.
    pub position: String,
}

/// A change of a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    /// The file.
    pub file: String,
    /// What is replaced.
    pub pattern: String,
    /// What it is replaced by.
    pub text: String,
}

impl Spec {
    /// What is written, as a host sees it.
    pub fn resolve(node: &Node, values: &mut Values<'_>) -> Self {
        let mut fields = Fields::of(values.document, node);
        let mut spec = Self {
            choice: fields.text("choice").unwrap_or_default(),
            port: fields.take("port").map(|node| values.port(node)).unwrap_or_default(),
            bootstrap: environment(&mut fields, "bootstrap", values),
            start: environment(&mut fields, "start", values),
            new_history: fields.texts("new_history"),
            ..Self::default()
        };
        if let Some(node) = fields.take("running") {
            let mut running = Fields::of(values.document, node);
            let exec = running.take("exec").map(|node| values.words(node)).unwrap_or_default();
            let [serves, cluster, members] =
                ["serves", "cluster", "members"].map(|key| pattern(&mut running, key, values));
            spec.running = Running { exec: ReadOnly::declared(exec), serves, cluster, members };
        }
        if let Some(node) = fields.take("stopped") {
            let mut stopped = Fields::of(values.document, node);
            let [data, file] = ["data", "file"].map(|key| stopped.text(key).unwrap_or_default());
            let [cluster, position] = ["cluster", "position"].map(|key| pattern(&mut stopped, key, values));
            let last = stopped.take("last").and_then(|node| values.pattern(node));
            spec.stopped = Stopped { data, file, cluster, position, last };
        }
        if let Some(node) = fields.take("crashed") {
            let mut crashed = Fields::of(values.document, node);
            let env = environment(&mut crashed, "env", values);
            let [cluster, position] = ["cluster", "position"].map(|key| pattern(&mut crashed, key, values));
            spec.crashed = Crashed { env, cluster, position };
        }
        spec.allow = fields.take("allow").map(|node| {
            let mut edit = Fields::of(values.document, node);
            Edit {
                file: edit.text("file").unwrap_or_default(),
                pattern: pattern(&mut edit, "pattern", values),
                text: values.text_at(&mut edit, "text"),
            }
        });
        spec
    }

    /// The variable by which the operator chooses.
    pub fn choice(node: &Node) -> Option<&str> {
        match &node.data {
            Data::Map(map) => map.get("choice")?.value.as_str(),
            _ => None,
        }
    }
}

impl Running {
    /// What a member's answer means.
    pub(super) fn parse(&self, text: &str) -> Member {
        let cluster = part(&self.cluster, text).unwrap_or_default().to_owned();
        if part(&self.serves, text).is_some() {
            let size = part(&self.members, text).and_then(|size| size.parse().ok()).unwrap_or(0);
            Member::Serving { cluster, size }
        } else {
            Member::Outside { cluster }
        }
    }
}

impl Stopped {
    /// What a member's file means; how far the data of one that crashed got was asked before, or was not.
    pub(super) fn parse(&self, text: Option<&str>, data: bool, found: Option<Position>) -> Member {
        let cluster = text.and_then(|text| part(&self.cluster, text));
        let seqno = text.and_then(|text| part(&self.position, text)?.parse().ok());
        match (text, cluster, seqno) {
            (Some(text), Some(cluster), Some(seqno)) => Member::Stopped {
                position: Position { cluster: cluster.to_owned(), seqno },
                last: self.last.as_ref().is_some_and(|last| part(last, text).is_some()),
            },
            (Some(_), Some(cluster), None) => Member::Crashed { cluster: cluster.to_owned(), found },
            _ if !data => Member::Empty,
            (None, ..) => Member::Bare,
            // A file without the cluster's identity: one that ended while that was taken out of it.
            (Some(_), None, _) => Member::Crashed { cluster: String::new(), found },
        }
    }
}

impl Crashed {
    /// How far its data got, from the log of the container that was asked.
    pub(super) fn parse(&self, log: &[String]) -> Option<Position> {
        log.iter().rev().find_map(|line| {
            let seqno = part(&self.position, line)?.parse().ok()?;
            Some(Position { cluster: part(&self.cluster, line).unwrap_or_default().to_owned(), seqno })
        })
    }
}

impl Edit {
    /// The file's text after the change.
    pub(super) fn of(&self, text: &str) -> String {
        match compiled(&self.pattern) {
            Some(pattern) => pattern.replace_all(text, NoExpand(&self.text)).into_owned(),
            None => text.to_owned(),
        }
    }
}

fn environment(fields: &mut Fields<'_>, key: &'static str, values: &mut Values<'_>) -> IndexMap<String, String> {
    fields.map(key).into_iter().map(|(name, entry)| (name.to_owned(), values.text(&entry.value))).collect()
}

fn pattern(fields: &mut Fields<'_>, key: &'static str, values: &mut Values<'_>) -> String {
    fields.take(key).and_then(|node| values.pattern(node)).unwrap_or_default()
}

/// `^` and `$` are the ends of a line. What is no expression was refused when the plan was made.
fn compiled(pattern: &str) -> Option<Regex> {
    Regex::new(&format!("(?m){pattern}")).ok()
}

/// The first group of a match, or all of it.
fn part<'t>(pattern: &str, text: &'t str) -> Option<&'t str> {
    let found = compiled(pattern)?.captures(text)?;
    found.get(1).or_else(|| found.get(0)).map(|part| part.as_str())
}
