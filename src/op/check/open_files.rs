//! A process may open files enough.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Check, Condition, Knows, Verdict, fails, whole};
use crate::error::Result;
use crate::op::word::Word;
use crate::op::{Diff, View};
use crate::source::Shape;

/// The check `open_files`.
pub const CHECK: Word<Condition> = Word {
    key: ("open_files", Shape::Text),
    means: Condition {
        knows: Knows::Nothing,
        resolve: |node, context| Check::from(OpenFiles { at_least: whole(node, context) }),
    },
};

/// A process may open so many files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenFiles {
    /// Files.
    pub at_least: u64,
}

#[async_trait]
impl Verdict for OpenFiles {
    fn subject(&self) -> String {
        "check open files".into()
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        let (may, wanted) = (at.me.look(|look| look.facts.open_files), self.at_least);
        if may < wanted {
            return fails(
                format!("a process may open {may} files, {wanted} are needed"),
                "raise `DefaultLimitNOFILE` of systemd on the host",
            );
        }
        Ok(Diff::Same(format!("{may} files")))
    }
}
