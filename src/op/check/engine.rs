//! The container engine answers and is new enough.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Check, Condition, Knows, Verdict, fails};
use crate::error::Result;
use crate::op::word::Word;
use crate::op::{Diff, View};
use crate::source::Shape;

/// The check `engine`.
pub const CHECK: Word<Condition> = Word {
    key: ("engine", Shape::Text),
    means: Condition {
        knows: Knows::Nothing,
        resolve: |node, context| Check::from(Engine { at_least: context.values.text(node) }),
    },
};

/// The container engine has this version or a newer one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Engine {
    /// Lowest version.
    pub at_least: String,
}

#[async_trait]
impl Verdict for Engine {
    fn subject(&self) -> String {
        "check container engine".into()
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        let (answers, version) = at.me.look(|look| (look.facts.engine, look.facts.engine_version.clone()));
        if !answers {
            return fails("no container engine answers", "run `kolla bootstrap-servers`");
        }
        if older(&version, &self.at_least) {
            return fails(
                format!("container engine {version} is older than {}", self.at_least),
                "upgrade the engine's package on the host",
            );
        }
        Ok(Diff::Same(version))
    }
}

fn older(version: &str, least: &str) -> bool {
    let numbers =
        |text: &str| -> Vec<u32> { text.split(['.', '-', '+', '~']).map_while(|part| part.parse().ok()).collect() };
    numbers(version) < numbers(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(older("9.1", "20.10"));
        assert!(!older("26.1.5+dfsg1", "20.10"));
    }
}
