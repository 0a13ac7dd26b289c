//! `kolla vars`: a value, and where it comes from.

use clap::Args;
use clap_complete::ArgValueCandidates;
use serde_json::{Value, json};

use super::{Exit, Invocation, complete};
use crate::app::vars::vars;
use crate::error::Result;
use crate::report::Table;

/// Shows the variables of a host, with the value and the place of each.
#[derive(Debug, Args)]
pub struct Vars {
    /// The host
    #[arg(add = ArgValueCandidates::new(complete::hosts))]
    pub host: String,
    /// A variable [default: all]
    pub name: Option<String>,
    /// Also show the variables of Kolla-Ansible that no role has, which expressions may use
    #[arg(long, conflicts_with = "name")]
    pub all: bool,
}

impl Vars {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let rows = vars(&at.app, &self.host, self.name.as_deref(), self.all).await?;
        let text = || {
            let mut table = Table::new(["variable", "from", "value"]);
            for row in &rows {
                let value = match (&row.error, &row.value) {
                    (Some(error), _) => format!("(no value: {error})"),
                    (None, Value::String(text)) if !text.is_empty() && !text.contains('\n') => text.clone(),
                    (None, value) => value.to_string(),
                };
                table.row([row.name.clone(), row.from.clone(), value]);
            }
            table.render()
        };
        at.answer(|| json!(rows), text);
        Ok(Exit::DONE)
    }
}
