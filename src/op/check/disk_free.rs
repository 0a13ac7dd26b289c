//! There is room for images and volumes.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Check, Condition, Knows, Verdict, fails, whole};
use crate::error::Result;
use crate::op::word::Word;
use crate::op::{Diff, View};
use crate::source::Shape;

/// The check `disk_free`.
pub const CHECK: Word<Condition> = Word {
    key: ("disk_free", Shape::Text),
    means: Condition {
        knows: Knows::Nothing,
        resolve: |node, context| Check::from(DiskFree { mib: whole(node, context) }),
    },
};

/// So much is free under /var/lib.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiskFree {
    /// MiB.
    pub mib: u64,
}

#[async_trait]
impl Verdict for DiskFree {
    fn subject(&self) -> String {
        "check free disk".into()
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        let (free, wanted) = (at.me.look(|look| look.facts.disk_free_mib), self.mib);
        if free < wanted {
            return fails(
                format!("{free} MiB are free under /var/lib, {wanted} are needed"),
                "free some space, or mount a larger disk on /var/lib/docker",
            );
        }
        Ok(Diff::Same(format!("{free} MiB free")))
    }
}
