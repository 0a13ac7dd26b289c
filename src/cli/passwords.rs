//! `kolla passwords`: what is to be said of the site's secrets.

use clap::Args;
use serde_json::json;

use super::{Exit, Invocation};
use crate::app::passwords::passwords;
use crate::error::{Result, numbered};
use crate::report::Table;

/// Lists secrets that are empty, weak, unknown or unused.
#[derive(Debug, Args)]
pub struct Passwords {}

impl Passwords {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let (count, rows) = passwords(&at.app).await?;
        let needed = rows.iter().filter(|row| row.needed).count();
        let text = || {
            if rows.is_empty() {
                return format!("{}: all have values that are used and not weak", numbered(count, "secret"));
            }
            let mut table = Table::new(["secret", "state", "about", "place"]);
            for row in &rows {
                table.row([row.name.clone(), row.state.to_owned(), row.about.clone(), row.place.clone()]);
            }
            table.render()
        };
        at.answer(|| json!({ "secrets": count, "needed_without_value": needed, "rows": rows }), text);
        Ok(if needed == 0 { Exit::DONE } else { Exit::FAILED })
    }
}
