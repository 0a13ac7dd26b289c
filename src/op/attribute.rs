//! What an operation compares, as names with digests, versions and states: what a saved plan keeps of a host. Never a
//! content or a secret.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Diff;

/// What an operation compares, by name.
pub type Attributes = BTreeMap<String, Attribute>;

/// One thing that is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// As it is; empty where it is not there, none where that cannot be told before something else is done.
    pub before: Option<String>,
    /// As it is to be; empty where it is to be gone.
    pub after: String,
}

impl Attribute {
    /// One that is known.
    pub fn new(before: impl Into<String>, after: impl Into<String>) -> Self {
        Self { before: Some(before.into()), after: after.into() }
    }

    /// One of which nobody can tell yet how it is.
    pub fn unknown(after: impl Into<String>) -> Self {
        Self { before: None, after: after.into() }
    }

    /// It is known not to be as it is to be.
    pub fn differs(&self) -> bool {
        self.before.as_ref().is_some_and(|before| *before != self.after)
    }
}

/// Names of what differs, as they are told: for operations whose details are no more than that.
pub(super) fn named(diff: &Diff) -> Attributes {
    let (Diff::Create(names) | Diff::Update(names) | Diff::Replace(names)) = diff else { return Attributes::new() };
    names.iter().map(|name| (name.clone(), Attribute::new("", "as wanted"))).collect()
}
