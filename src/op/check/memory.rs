//! The host has memory enough.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Check, Condition, Knows, Verdict, fails, whole};
use crate::error::Result;
use crate::op::word::Word;
use crate::op::{Diff, View};
use crate::source::Shape;

/// The check `memory`.
pub const CHECK: Word<Condition> = Word {
    key: ("memory", Shape::Text),
    means: Condition {
        knows: Knows::Nothing,
        resolve: |node, context| Check::from(Memory { mib: whole(node, context) }),
    },
};

/// So much memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// MiB.
    pub mib: u64,
}

#[async_trait]
impl Verdict for Memory {
    fn subject(&self) -> String {
        "check memory".into()
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        let (there, wanted) = (at.me.look(|look| look.facts.memory_mib), self.mib);
        if there < wanted {
            return fails(
                format!("{there} MiB of memory, {wanted} are needed"),
                "give the host more memory, or lower what is needed with `host_memory_mib_min`",
            );
        }
        Ok(Diff::Same(format!("{there} MiB")))
    }
}
