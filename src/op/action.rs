//! A verb of a service that an operator asks for: a program run in its container, now.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::probe::{Answer, Probe};
use super::{Diff, Operation, ProgressSink, View};
use crate::error::{Error, Result};
use crate::host::{ContainerState, Remote, limit};
use crate::shell::join;

/// An action of a role, in one container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Its name, as `rebalance-queues`.
    pub name: String,
    /// The container.
    pub container: String,
    /// Words of the program.
    pub command: Vec<String>,
    /// What must hold before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Probe>,
    /// What holds once it is done; that the program ended well is enough where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Probe>,
}

impl Action {
    async fn holds(&self, probe: Option<&Probe>, host: &Remote, progress: &ProgressSink, what: &str) -> Result<()> {
        let Some(probe) = probe else { return Ok(()) };
        let why = match probe.until_right_telling(host, &self.container, progress).await? {
            Answer::Right => return Ok(()),
            Answer::NotYet(why) | Answer::Ended { why, .. } => why,
        };
        Err(Error::operation(format!("{} {what}", self.name)).because(why))
    }
}

#[async_trait]
impl Operation for Action {
    fn subject(&self) -> String {
        format!("action {} in {}", self.name, self.container)
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        if at.me.container(&self.container).as_ref().is_some_and(ContainerState::running) {
            return Ok(Diff::Run(format!("`{}`", join(&self.command))));
        }
        let error =
            Error::operation(format!("container {} does not run, which {} is done in", self.container, self.name));
        Err(error.with_hint("start it with `kolla deploy`"))
    }

    async fn apply(&self, _diff: &Diff, _at: &View, host: &Remote, progress: &ProgressSink) -> Result<()> {
        self.holds(self.guard.as_ref(), host, progress, "cannot be done now").await?;
        let output = host.act().exec_within(&self.container, "", &self.command, &[], limit::STEP).await?;
        if output.code != 0 {
            let text = format!("{}{}", output.text(), output.stderr);
            let end = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing said").trim().to_owned();
            let error = Error::operation(format!("`{}` in container {} failed", join(&self.command), self.container));
            return Err(error.because(format!("exit code {}", output.code)).because(end));
        }
        self.holds(self.done.as_ref(), host, progress, "was done, and did not bring what it should").await
    }
}
