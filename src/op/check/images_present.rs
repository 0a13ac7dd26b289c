//! The registry has the images.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Check, Condition, Knows, Verdict, fails};
use crate::error::{Result, numbered};
use crate::op::word::Word;
use crate::op::{Diff, InRegistry, View};
use crate::source::Shape;

/// The check `images_present`.
pub const CHECK: Word<Condition> = Word {
    key: ("images_present", Shape::Plain),
    means: Condition {
        knows: Knows::Images,
        resolve: |_, context| Check::from(ImagesPresent { references: std::mem::take(&mut context.images) }),
    },
};

/// The registry has every image of the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImagesPresent {
    /// References.
    pub references: Vec<String>,
}

#[async_trait]
impl Verdict for ImagesPresent {
    fn subject(&self) -> String {
        format!("check {} in the registry", numbered(self.references.len(), "image"))
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        let mut missing = Vec::new();
        for reference in &self.references {
            match at.shared.in_registry(reference, at.host()).await {
                InRegistry::Has(_) => {}
                InRegistry::Lacks(_) => missing.push(reference.as_str()),
                InRegistry::Unknown(error) => return Err(error),
            }
        }
        if missing.is_empty() {
            return Ok(Diff::Same("all there".into()));
        }
        fails(
            format!("not in the registry: {}", missing.join(", ")),
            "build and push them with `kolla build --push`, or correct `openstack_tag`",
        )
    }
}
