//! The host runs systemd.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Check, Condition, Knows, Verdict, fails};
use crate::error::Result;
use crate::op::word::Word;
use crate::op::{Diff, View};
use crate::source::Shape;

/// The check `systemd`.
pub const CHECK: Word<Condition> = Word {
    key: ("systemd", Shape::Plain),
    means: Condition { knows: Knows::Nothing, resolve: |_, _| Check::from(Systemd {}) },
};

/// The host runs systemd.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Systemd {}

#[async_trait]
impl Verdict for Systemd {
    fn subject(&self) -> String {
        "check systemd".into()
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        if at.me.look(|look| look.facts.systemd) {
            return Ok(Diff::Same("runs".into()));
        }
        fails("the host does not run systemd", "use a host that does")
    }
}
