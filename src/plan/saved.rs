//! A saved plan: what was to change on which host, from which state that was seen to which. It holds names, digests and
//! states, no contents and no secrets. Whoever applies it looks again, and refuses what has moved.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::Plan;
use crate::error::{Error, Result};
use crate::op::file::digest_of;
use crate::op::{Attribute, Attributes, Diff};
use crate::shell::Mask;

/// The format of the file; another one is refused.
pub const FORMAT: u32 = 2;

/// Of the nodes of a plan, by their ids, what differed and what was compared, or why that cannot be told.
pub type Seen = BTreeMap<String, Result<(Diff, Attributes)>>;

/// A plan with what was seen of the hosts when it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// [`FORMAT`].
    pub format: u32,
    /// The phase.
    pub phase: String,
    /// Its operations by node, in order.
    pub operations: IndexMap<String, Planned>,
}

/// An operation of a saved plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// Digest of all that it wants.
    pub digest: String,
    /// What it would do, without the lines of changed files.
    pub diff: Diff,
    /// What it compares.
    pub attributes: Attributes,
}

impl Saved {
    /// A plan with what was seen.
    ///
    /// # Errors
    /// What of it could not be compared, a line each.
    pub fn of(plan: &Plan, mut seen: Seen) -> Result<Self, Vec<String>> {
        let (mut operations, mut failed) = (IndexMap::new(), Vec::new());
        for node in &plan.nodes {
            let Some(op) = &node.op else { continue };
            match seen.remove(&node.id) {
                Some(Ok((diff, attributes))) => {
                    let digest = digest_of(serde_json::to_string(op).unwrap_or_default().as_bytes());
                    operations.insert(node.id.clone(), Planned { digest, diff: diff.without_details(), attributes });
                }
                Some(Err(error)) => failed.push(format!("{}: {error}", words(&node.id))),
                None => failed.push(format!("{}: not looked at", words(&node.id))),
            }
        }
        if failed.is_empty() { Ok(Self { format: FORMAT, phase: plan.phase.clone(), operations }) } else { Err(failed) }
    }

    /// The same as it may be written: a command that a role made of a secret, and that names its operation, does not show
    /// it.
    ///
    /// # Errors
    /// None that is known: what was written as JSON is read as that.
    pub fn without_secrets(self, mask: &Mask) -> Result<Self> {
        let value = serde_json::to_value(self).map(|value| mask.hide_json(value));
        value.and_then(serde_json::from_value).map_err(|error| Error::local("write the plan", error))
    }

    /// The nodes that it changes.
    pub fn changes(&self) -> BTreeSet<String> {
        let operations = self.operations.iter().filter(|(_, operation)| operation.diff.differs());
        operations.map(|(id, _)| id.clone()).collect()
    }

    /// What is neither as it was when this plan was made, nor as this plan makes it, a line each. Nothing of that is in the
    /// way of a run that goes on where one was killed.
    pub fn moved(&self, now: &Self) -> Vec<String> {
        let hosts: BTreeSet<&str> = now.operations.keys().map(|id| host(id)).collect();
        // What is left over of another plan is only known as long as it is there. So one that was to be removed is gone.
        let removed = |id: &str, operation: &Planned| operation.diff == Diff::Remove && hosts.contains(host(id));
        let gone = self.operations.iter().filter(|(id, then)| !now.operations.contains_key(*id) && !removed(id, then));
        let mut lines: Vec<String> = gone.map(|(id, _)| format!("{} is not in the plan any more", words(id))).collect();
        for (id, now) in &now.operations {
            match self.operations.get(id) {
                None => lines.push(format!("{} is new", words(id))),
                Some(then) => lines.extend(then.moved(now).into_iter().map(|line| format!("{}{line}", words(id)))),
            }
        }
        lines
    }
}

impl Planned {
    fn moved(&self, now: &Self) -> Vec<String> {
        let settles = |operation: &Self| matches!(operation.diff, Diff::Settle(_));
        // What a killed run left half done is brought in order and then compared: until then it is in no state of its own.
        let halfway = self.diff.differs() && (settles(self) || settles(now));
        let mut lines = Vec::new();
        for (name, is) in &now.attributes {
            let wanted = Attribute::new(&is.after, &is.after);
            let was = self.attributes.get(name).unwrap_or(&wanted);
            if was.after != is.after {
                let (then, now) = (told(&was.after), told(&is.after));
                lines.push(format!(": {name} was to become {then}, and would now become {now}"));
            } else if !halfway
                && let (Some(before), Some(found)) = (&was.before, &is.before)
                && found != before
                && *found != is.after
            {
                lines.push(format!(": {name} was {}, and is now {}", told(before), told(found)));
            }
        }
        if lines.is_empty() && self.digest != now.digest {
            lines.push(" is another one: the site, a role or this program changed".into());
        }
        if lines.is_empty() && !self.diff.differs() && now.diff.differs() && !now.unknown() {
            lines.push(format!(" was as wanted, and now there is something to do: {}", now.diff));
        }
        lines
    }

    /// Nothing is known to differ; it only cannot be told yet.
    fn unknown(&self) -> bool {
        self.attributes.values().any(|attribute| attribute.before.is_none())
            && !self.attributes.values().any(Attribute::differs)
    }
}

/// The host of a node.
fn host(id: &str) -> &str {
    id.split('/').next().unwrap_or(id)
}

/// `control02 container glance_api`, as messages name a node.
fn words(id: &str) -> String {
    id.replacen('/', " ", 1)
}

/// A value as it is told: of digests the beginning.
fn told(value: &str) -> String {
    let short = |word: &str| {
        let (kind, digest) = word.rsplit_once(':').map_or(("", word), |(kind, digest)| (kind, digest));
        let long = digest.len() >= 40 && digest.chars().all(|c| c.is_ascii_hexdigit());
        match (long, kind) {
            (false, _) => word.to_owned(),
            (true, "") => digest[..12].to_owned(),
            (true, kind) => format!("{kind}:{}", &digest[..12]),
        }
    };
    match value {
        "" => "nothing".into(),
        value => format!("`{}`", value.split(' ').map(short).collect::<Vec<_>>().join(" ")),
    }
}
