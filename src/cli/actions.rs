//! `kolla do`: what the services of a site can be asked to do.

use clap::Args;
use clap_complete::ArgValueCandidates;
use serde_json::json;

use super::phases::{meant, walk};
use super::{Exit, Invocation, complete};
use crate::app::Loaded;
use crate::app::actions::{loses_data, offered};
use crate::app::run::Request;
use crate::error::{Error, Result};
use crate::plan::Call;
use crate::report::Table;
use crate::role::On;

/// Does what a role offers to do with its services. Without an action it lists those that there are.
#[derive(Debug, Args)]
pub struct Do {
    /// The role
    #[arg(add = ArgValueCandidates::new(complete::roles_with_actions))]
    pub role: Option<String>,
    /// What it is to do
    #[arg(add = ArgValueCandidates::new(complete::actions))]
    pub action: Option<String>,
    /// How it is to be done.
    #[command(flatten)]
    pub how: How,
}

/// How an action is to be done: what its alias takes, too.
#[derive(Debug, Args)]
pub struct How {
    /// Its arguments
    #[arg(value_name = "NAME=VALUE", add = ArgValueCandidates::new(complete::arguments))]
    pub arguments: Vec<String>,
    /// The host that is meant, where the action is for one host
    #[arg(long, value_name = "HOST", add = ArgValueCandidates::new(complete::hosts))]
    pub to: Option<String>,
    /// Confirm that data are lost, where the action loses some
    #[arg(long)]
    pub yes_i_really_really_mean_it: bool,
}

impl Do {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let (Some(role), Some(action)) = (self.role.clone(), self.action.clone()) else { return self.list(at).await };
        let pair = |word: &String| match word.split_once('=') {
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => Err(Error::input(format!("`{word}` is no argument: write NAME=VALUE"))),
        };
        let How { arguments, to, yes_i_really_really_mean_it } = self.how;
        let arguments = arguments.iter().map(pair).collect::<Result<_>>()?;
        let call = Call { role, action, arguments, to };
        let loaded = Loaded::read(&at.app).await?;
        if loses_data(&loaded, &call)? {
            let name = format!("do {} {}", call.role, call.action);
            meant(&name, yes_i_really_really_mean_it || at.global.check, "loses data")?;
        }
        let request = Request { check: at.global.check, ..Request::action(call) };
        walk(at, &request).await
    }

    /// The actions of the enabled roles, or of one.
    async fn list(self, at: &Invocation) -> Result<Exit> {
        let loaded = Loaded::read(&at.app).await?;
        let offered = offered(&loaded, self.role.as_deref())?;
        if at.global.json() {
            for each in &offered {
                at.screen.json(json!({
                    "role": each.role, "action": each.action, "alias": each.alias, "about": each.about, "on": each.on.word(),
                    "arguments": each.arguments, "loses_data": each.loses_data,
                }));
            }
            return Ok(Exit::DONE);
        }
        let mut table = Table::new(["role", "action", "alias", "about"]);
        for each in offered {
            let arguments = each.arguments.iter().map(|name| format!("{name}=VALUE"));
            let to = (each.on == On::Host).then(|| "--to HOST".to_owned());
            let words: Vec<String> = [each.action].into_iter().chain(arguments).chain(to).collect();
            table.row([each.role, words.join(" "), each.alias.unwrap_or_default(), each.about]);
        }
        at.screen.out(&table.render());
        Ok(Exit::DONE)
    }
}
