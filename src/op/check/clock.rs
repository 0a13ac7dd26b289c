//! The clocks of the hosts agree.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Check, Condition, Knows, Verdict, fails};
use crate::error::Result;
use crate::op::word::Word;
use crate::op::{Diff, View};
use crate::source::Shape;

/// The check `clock`.
pub const CHECK: Word<Condition> = Word {
    key: ("clock", Shape::Text),
    means: Condition {
        knows: Knows::Nothing,
        resolve: |node, context| Check::from(Clock { within_ms: context.values.number(node) }),
    },
};

/// The clock is so near to the median of all hosts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    /// Milliseconds.
    pub within_ms: i64,
}

#[async_trait]
impl Verdict for Clock {
    fn subject(&self) -> String {
        "check clock".into()
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        let mut skews: Vec<i64> = at.peers.values().map(|peer| peer.look(|look| look.facts.skew_ms)).collect();
        skews.sort_unstable();
        let median = skews[skews.len() / 2];
        let off = (at.me.look(|look| look.facts.skew_ms) - median).abs();
        if off > self.within_ms {
            return fails(
                format!("clock is {off} ms off the other hosts'"),
                "run `kolla bootstrap-servers`, or start a time service on the host",
            );
        }
        Ok(Diff::Same(format!("{off} ms off the median")))
    }
}
