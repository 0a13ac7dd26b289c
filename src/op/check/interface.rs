//! An interface that a variable names can be used.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Check, CheckContext, Condition, Knows, Verdict, fails};
use crate::error::Result;
use crate::op::word::Word;
use crate::op::{Diff, View};
use crate::source::{Node, Shape};

/// The check `interface`.
pub const CHECK: Word<Condition> =
    Word { key: ("interface", Shape::Variable), means: Condition { knows: Knows::Nothing, resolve } };

fn resolve(node: &Node, context: &mut CheckContext<'_, '_>) -> Check {
    let variable = node.as_str().unwrap_or_default().to_owned();
    Check::from(Interface { name: context.values.variable(&variable), variable })
}

/// The interface exists, is up and has an address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// The variable that names it.
    pub variable: String,
}

#[async_trait]
impl Verdict for Interface {
    fn subject(&self) -> String {
        format!("check interface {}", self.name)
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        let name = &self.name;
        at.me.look(|look| match look.facts.interfaces.get(name) {
            None => {
                let names: Vec<&str> = look.facts.interfaces.keys().map(String::as_str).collect();
                fails(
                    format!("there is no interface `{name}`"),
                    format!("set `{}` for this host; it has {}", self.variable, names.join(", ")),
                )
            }
            Some(found) if !found.up => fails(format!("interface `{name}` is down"), "bring it up"),
            Some(found) if found.ipv4.is_empty() && found.ipv6.is_empty() => {
                fails(format!("interface `{name}` has no address"), "give it one")
            }
            Some(found) => Ok(Diff::Same(found.ipv4.iter().chain(&found.ipv6).cloned().collect::<Vec<_>>().join(" "))),
        })
    }
}
