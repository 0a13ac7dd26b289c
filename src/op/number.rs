//! A number that stays with a host: by it the members of a cluster know each other, so it is given once and never counted
//! anew when hosts come and go. The host itself keeps it, as a link whose target is the number: one look brings it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::file::run;
use super::names::APPLIED;
use super::{Attribute, Attributes, Diff, Operation, ProgressSink, View, Want};
use crate::error::Result;
use crate::host::{FileState, Look, Remote};
use crate::shell::quote;

/// A number of a host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Number {
    /// The variable that has it.
    pub name: String,
    /// The number.
    pub number: u32,
    /// There or not.
    #[serde(default)]
    pub want: Want,
}

/// Where numbers are kept.
fn folder() -> String {
    format!("{APPLIED}/numbers")
}

/// The numbers that a host keeps, by their variables.
pub fn kept(look: &Look) -> BTreeMap<String, u32> {
    let prefix = folder() + "/";
    let number = |(path, state): (&String, &FileState)| {
        Some((path.strip_prefix(&prefix)?.to_owned(), state.link.as_deref()?.parse().ok()?))
    };
    look.files.iter().filter_map(number).collect()
}

impl Number {
    fn path(&self) -> String {
        format!("{}/{}", folder(), self.name)
    }

    fn found(&self, at: &View) -> Option<u32> {
        at.me.look(|look| kept(look).get(&self.name).copied())
    }
}

#[async_trait]
impl Operation for Number {
    fn subject(&self) -> String {
        format!("number {}", self.name)
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        Ok(match (self.want, self.found(at)) {
            (Want::Absent, None) => Diff::Same("not there".into()),
            (Want::Absent, Some(_)) => Diff::Remove,
            (_, Some(found)) if found == self.number => Diff::Same(format!("{found}")),
            (_, Some(found)) => Diff::Update(vec![format!("{found} -> {}", self.number)]),
            (_, None) => Diff::Create(vec![self.number.to_string()]),
        })
    }

    async fn attributes(&self, _diff: &Diff, at: &View) -> Result<Attributes> {
        let found = self.found(at).map(|found| found.to_string()).unwrap_or_default();
        let wanted = if self.want == Want::Absent { String::new() } else { self.number.to_string() };
        Ok(Attributes::from([(self.name.clone(), Attribute::new(found, wanted))]))
    }

    async fn apply(&self, diff: &Diff, at: &View, host: &Remote, _sink: &ProgressSink) -> Result<()> {
        let path = quote(&self.path());
        if *diff == Diff::Remove {
            run(host, &format!("rm -f {path}")).await?;
            at.me.note_file(&self.path(), None);
            return Ok(());
        }
        let (folder, number) = (folder(), self.number);
        // A link beside it, renamed over: there is no moment without one.
        let script = format!(
            "mkdir -p {folder} && chmod 0770 {folder} && ln -sfn {number} {path}.new && mv -Tf {path}.new {path}"
        );
        run(host, &script).await?;
        let link = Some(number.to_string());
        at.me.note_file(&self.path(), Some(FileState { link, ..FileState::default() }));
        Ok(())
    }
}
