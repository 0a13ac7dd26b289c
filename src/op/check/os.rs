//! The distribution is one that is tried.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Check, Condition, Knows, Verdict, fails};
use crate::error::Result;
use crate::op::word::Word;
use crate::op::{Diff, View};
use crate::source::Shape;

/// The check `os`.
pub const CHECK: Word<Condition> = Word {
    key: ("os", Shape::Some(&Shape::Text)),
    means: Condition {
        knows: Knows::Nothing,
        resolve: |node, context| Check::from(Os { supported: context.values.list(node) }),
    },
};

/// The host has one of these distributions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Os {
    /// As `debian 13`.
    pub supported: Vec<String>,
}

#[async_trait]
impl Verdict for Os {
    fn subject(&self) -> String {
        "check operating system".into()
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        let name = at.me.look(|look| format!("{} {}", look.facts.os, look.facts.os_version));
        if self.supported.contains(&name) {
            return Ok(Diff::Same(name));
        }
        fails(
            format!("`{name}` is not supported"),
            format!("install one of {}, or add it to `host_os_supported` to try", self.supported.join(", ")),
        )
    }
}
