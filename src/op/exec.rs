//! A program run in a service's container, unless another one says that it need not.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::word::{At, Step, StepContext, WaitsFor, Word};
use super::{Attribute, Attributes, Diff, Op, Operation, ProgressSink, View};
use crate::error::{Error, Result};
use crate::host::{ReadOnly, Remote, limit};
use crate::source::{Fields, Keys, Node, Shape};

/// The step `exec`.
pub const STEP: Word<Step> = Word {
    key: (
        "exec",
        Shape::Keys(&Keys::new(
            &[("service", Shape::Name), ("name", Shape::Name), ("command", Shape::Words), ("unless", Shape::Words)],
            &["service", "command", "unless"],
        )),
    ),
    // What it runs may speak to anything that its service does.
    means: Step { at: At::Service, waits_for: WaitsFor::Needs, uses: &[], resolve },
};

fn resolve(node: &Node, context: &mut StepContext<'_, '_>) -> Op {
    let values = &mut *context.values;
    let mut fields = Fields::of(values.document, node);
    let [command, unless] =
        ["command", "unless"].map(|key| fields.take(key).map(|node| values.words(node)).unwrap_or_default());
    let (container, unless, name) = (context.container.name.clone(), ReadOnly::declared(unless), fields.text("name"));
    Op::from(Exec { name, container, command, unless, if_runs: context.before })
}

/// A program and the question before it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Exec {
    /// What it is called, where that is not its command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The container.
    pub container: String,
    /// Its words.
    pub command: Vec<String>,
    /// Words of the question: exit code 0 means nothing to do.
    pub unless: ReadOnly,
    /// Only in a container that runs: it comes before the run starts any.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub if_runs: bool,
}

#[async_trait]
impl Operation for Exec {
    fn subject(&self) -> String {
        let name = self.name.clone().unwrap_or_else(|| self.command.join(" "));
        format!("exec {} {name}", self.container)
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        if !at.me.container(&self.container).is_some_and(|state| state.running()) {
            return Ok(if self.if_runs {
                Diff::Same(format!("container {} does not run", self.container))
            } else {
                Diff::Run(format!("container {} does not run yet", self.container))
            });
        }
        let output = at.host().probe(&self.container, &self.unless).await?;
        let says = format!("`{}` says so", self.unless.argv().join(" "));
        Ok(if output.code == 0 { Diff::Same(says) } else { Diff::Run(says) })
    }

    async fn attributes(&self, diff: &Diff, at: &View) -> Result<Attributes> {
        let runs = at.me.container(&self.container).is_some_and(|state| state.running());
        let answer = match (runs, diff.differs()) {
            (false, true) => Attribute::unknown("done"),
            (true, true) => Attribute::new("", "done"),
            (_, false) => Attribute::new("done", "done"),
        };
        Ok(Attributes::from([(self.unless.argv().join(" "), answer)]))
    }

    async fn apply(&self, _diff: &Diff, _at: &View, host: &Remote, _sink: &ProgressSink) -> Result<()> {
        let output = host.act().exec_within(&self.container, "", &self.command, &[], limit::STEP).await?;
        if output.code == 0 {
            return Ok(());
        }
        let command = crate::shell::join(&self.command);
        let text = format!("{}{}", output.text(), output.stderr);
        let end: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let error = Error::operation(format!("`{command}` in container {} failed", self.container));
        Err(error.because(format!("exit code {}", output.code)).because(end.last().unwrap_or(&"nothing said").trim()))
    }
}
