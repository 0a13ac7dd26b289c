//! The interfaces that a variable names are there, with addresses or without.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Check, CheckContext, Condition, Knows, Verdict, fails};
use crate::error::Result;
use crate::op::word::Word;
use crate::op::{Diff, View};
use crate::source::{Node, Shape};

/// The check `interfaces`.
pub const CHECK: Word<Condition> =
    Word { key: ("interfaces", Shape::Variable), means: Condition { knows: Knows::Nothing, resolve } };

fn resolve(node: &Node, context: &mut CheckContext<'_, '_>) -> Check {
    let variable = node.as_str().unwrap_or_default().to_owned();
    let names = context.values.variable(&variable);
    let names = names.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
    Check::from(Interfaces { names, variable })
}

/// The interfaces exist.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interfaces {
    /// Their names.
    pub names: Vec<String>,
    /// The variable that names them.
    pub variable: String,
}

#[async_trait]
impl Verdict for Interfaces {
    fn subject(&self) -> String {
        format!("check interfaces {}", self.names.join(" "))
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        at.me.look(|look| {
            let there = &look.facts.interfaces;
            match self.names.iter().find(|name| !there.contains_key(*name)) {
                None => Ok(Diff::Same(self.names.join(" "))),
                Some(missing) => {
                    let names: Vec<&str> = there.keys().map(String::as_str).collect();
                    fails(
                        format!("there is no interface `{missing}`"),
                        format!(
                            "set `{0}` for this host, or to \"\" for none; it has {1}",
                            self.variable,
                            names.join(", ")
                        ),
                    )
                }
            }
        })
    }
}
