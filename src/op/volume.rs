//! A named volume of a host's engine.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::names::SITE_LABEL;
use super::{Diff, Operation, ProgressSink, View, Want};
use crate::error::Result;
use crate::host::Remote;

/// A volume.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// There or not; a stopped volume is one that is there.
    #[serde(default)]
    pub want: Want,
}

#[async_trait]
impl Operation for Volume {
    fn subject(&self) -> String {
        format!("volume {}", self.name)
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        let there = at.me.look(|look| look.volumes.contains(&self.name));
        Ok(match (self.want, there) {
            (Want::Absent, true) => Diff::Remove,
            (Want::Absent, false) => Diff::Same("not there".into()),
            (_, true) => Diff::Same("there".into()),
            (_, false) => Diff::Create(Vec::new()),
        })
    }

    async fn apply(&self, diff: &Diff, at: &View, host: &Remote, _sink: &ProgressSink) -> Result<()> {
        if *diff == Diff::Remove {
            host.act().volume_remove(&self.name).await?;
        } else {
            let labels = BTreeMap::from([(SITE_LABEL.to_owned(), at.shared.site.clone())]);
            host.act().volume_create(&self.name, &labels).await?;
        }
        at.me.note_volume(&self.name, *diff != Diff::Remove);
        Ok(())
    }
}
