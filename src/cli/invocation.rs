//! One call of the program.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::prompt::Person;
use super::{Environment, Exit, Global};
use crate::app::{App, Logins, Vault};
use crate::report::Screen;
use crate::run::event::Summary;

/// One call of the program: all that a command gets.
pub struct Invocation {
    /// What the environment says.
    pub environment: Environment,
    /// Options of every command.
    pub global: Global,
    /// Where to print.
    pub screen: Arc<Screen>,
    /// What both come to. Its `stop` is cancelled by the first Ctrl-C; its `command` is the command line as it is recorded,
    /// without values of `-e`.
    pub app: App,
}

impl Invocation {
    /// A call with these options.
    pub fn new(environment: Environment, global: Global, screen: Arc<Screen>, command: String) -> Self {
        let stop = CancellationToken::new();
        let app = App {
            options: global.options(&environment),
            control: environment.control(),
            vault: Vault::of(global.vault(&environment)),
            logins: Logins::asking(global.ask_pass, global.ask_become_pass),
            command,
            stop: stop.clone(),
            frontend: Arc::new(Person { screen: screen.clone(), stop }),
        };
        Self { environment, global, screen, app }
    }

    /// The same call for the site in another folder, as another command.
    pub(super) fn elsewhere(&self, folder: PathBuf, command: &str) -> Self {
        let command = format!("kolla {command} --configdir {}", folder.display());
        let global = Global { configdir: Some(folder), inventory: Vec::new(), ..self.global.clone() };
        let app = App { options: global.options(&self.environment), command, ..self.app.clone() };
        Self { environment: self.environment.clone(), global, screen: self.screen.clone(), app }
    }

    /// Prints an answer: as JSON with `--output json`, else as the text.
    pub fn answer(&self, json: impl FnOnce() -> serde_json::Value, text: impl FnOnce() -> String) {
        if self.global.json() {
            self.screen.json(json());
        } else {
            self.screen.out(&text());
        }
    }

    /// Prints a warning on stderr.
    pub fn warn(&self, message: &str) {
        self.screen.warn(message);
    }

    /// The exit code of a run; `check` if it changed nothing.
    pub(super) fn exit(&self, summary: Summary, check: bool) -> Exit {
        Exit::of(summary, check && self.global.exit_code, self.app.stop.is_cancelled())
    }
}
