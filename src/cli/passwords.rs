//! `kolla passwords`: what is to be said of the site's secrets.

use clap::Args;
use serde_json::json;

use super::{Exit, Invocation};
use crate::app::passwords::passwords;
use crate::error::{Result, numbered};
use crate::report::Table;

/// Lists secrets that are empty or missing though an enabled role reads them, weak, unknown to all roles and variables, or
/// unused because no role that reads them is enabled. Ends with exit code 1 if one that is needed has no value.
///
/// Weak is what is shorter than 8 characters, or shorter than 20 and all lower case, upper case, digits or marks; what has
/// fewer than 5 different characters; and what is guessed first.
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
