//! Nothing else listens on a port.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Check, CheckContext, Condition, Knows, Verdict, fails};
use crate::error::Result;
use crate::op::word::Word;
use crate::op::{Diff, View};
use crate::source::{Fields, Keys, Node, Shape};

/// The check `port_free`.
pub const CHECK: Word<Condition> = Word {
    key: (
        "port_free",
        Shape::Keys(&Keys::new(&[("port", Shape::Text), ("container", Shape::Text)], &["port", "container"])),
    ),
    means: Condition { knows: Knows::Nothing, resolve },
};

fn resolve(node: &Node, context: &mut CheckContext<'_, '_>) -> Check {
    let mut fields = Fields::of(context.values.document, node);
    let port = fields.take("port").map(|node| context.values.port(node)).unwrap_or_default();
    Check::from(PortFree { port, container: context.values.text_at(&mut fields, "container") })
}

/// Nothing listens on the port but a container of ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PortFree {
    /// The port.
    pub port: u16,
    /// Our container that may.
    pub container: String,
}

#[async_trait]
impl Verdict for PortFree {
    fn subject(&self) -> String {
        format!("check port {}", self.port)
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        let Self { port, container } = self;
        if at.me.container(container).is_some_and(|state| state.running()) {
            return Ok(Diff::Same(format!("used by our {container}")));
        }
        let suffix = format!(":{port}");
        at.me.look(|look| match look.facts.listening.iter().find(|listener| listener.ends_with(&suffix)) {
            None => Ok(Diff::Same("free".into())),
            Some(listener) => fails(
                format!("something listens on {listener}"),
                format!("stop it (`ss -ltnp sport = :{port}` names it), or change the port in globals.yml"),
            ),
        })
    }
}
