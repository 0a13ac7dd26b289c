//! A container that runs once: bootstraps and migrations, remembered by a receipt in the database.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::database;
use super::file::digest_of;
use super::image::Image;
use super::names::{self, SITE_LABEL};
use super::sql::Sql;
use super::word::{At, Step, StepContext, WaitsFor, Word};
use super::{Attributes, Diff, Op, Operation, ProgressSink, View, foreign};
use crate::error::{Error, OperationError, Result};
use crate::host::{ContainerSpec, ContainerState, Remote, limit};
use crate::source::{Fields, Keys, Node, Shape};

/// The step `task`.
pub const STEP: Word<Step> = Word {
    key: (
        "task",
        Shape::Keys(&Keys::new(
            &[
                ("service", Shape::Name),
                ("name", Shape::Name),
                ("command", Shape::Words),
                ("env", Shape::Named(&Shape::Value)),
            ],
            &["service"],
        )),
    ),
    means: Step { at: At::Container, waits_for: WaitsFor::OffersAsService, uses: &[&database::OFFER], resolve },
};

fn resolve(node: &Node, context: &mut StepContext<'_, '_>) -> Op {
    let sql = context.offered(&database::OFFER, Sql::offered);
    let values = &mut *context.values;
    let mut fields = Fields::of(values.document, node);
    let mut spec = std::mem::take(&mut context.container);
    spec.name = names::task(&spec.name, &fields.text("name").unwrap_or_else(|| "task".into()));
    for (name, entry) in fields.map("env") {
        spec.env.insert(name.to_owned(), values.text(&entry.value));
    }
    spec.command = fields.take("command").map(|node| with_files(values.words(node))).unwrap_or_default();
    Op::from(Task { spec, sql })
}

/// A command that finds the service's files in place, by the contract that all images honour.
fn with_files(words: Vec<String>) -> Vec<String> {
    let prepare = ["sh", "-c", "sudo -E kolla_set_configs && exec \"$@\"", "task"];
    prepare.map(str::to_owned).into_iter().chain(words).collect()
}

/// A one-shot container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// What it is to be; `image` is the reference.
    pub spec: ContainerSpec,
    /// Where its receipt is.
    pub sql: Sql,
}

impl Task {
    /// Of image and input: what its receipt says once it was done; none where nobody can tell which image it is.
    async fn digest(&self, at: &View) -> Option<String> {
        let image = at.image_digest(&self.spec.image).await.ok()?.unwrap_or_default();
        let environment: Vec<_> = self.spec.env.iter().collect();
        Some(digest_of(format!("{image}\n{environment:?}\n{:?}", self.spec.command).as_bytes()))
    }
}

/// Runs a container to its end and takes its last lines; it is gone afterwards.
///
/// # Errors
/// An exit code other than 0, with the last lines.
pub(super) async fn run_once(
    spec: &ContainerSpec,
    at: &View,
    host: &Remote,
    sink: &ProgressSink,
) -> Result<Vec<String>> {
    let digest = at.image_digest(&spec.image).await?;
    let image = digest.map_or_else(|| spec.image.clone(), |digest| Image::pinned(&spec.image, &digest));
    let labels = BTreeMap::from([(SITE_LABEL.to_owned(), at.shared.site.clone())]);
    let spec = ContainerSpec { image, labels, restart: false, ..spec.clone() };
    // One of a killed run may still be at it: two of them at once would be worse than waiting.
    if host.containers().await?.get(&spec.name).is_some_and(ContainerState::running) {
        let (name, on) = (&spec.name, host.name());
        sink.warn(format!(
            "{name} of an earlier run is still at work and is waited for: `kolla logs {on} {name}` shows what it does; if it \
             can never end, remove it there"
        ));
        ended(name, host).await?;
    }
    host.act().remove(&spec.name).await?;
    host.act().create(&spec).await?;
    host.act().start(&spec.name).await?;
    let code = ended(&spec.name, host).await?;
    let log = host.logs(&spec.name, 40).await.unwrap_or_default();
    host.act().remove(&spec.name).await?;
    if code == 0 {
        return Ok(log);
    }
    Err(Error::Operation(Box::new(OperationError {
        message: format!("one-shot container {} failed", spec.name),
        causes: vec![format!("exit code {code}")],
        log_of: Some(spec.name.clone()),
        log: log.into_iter().rev().take(12).rev().collect(),
        hint: None,
    })))
}

/// The exit code of a one-shot container. One that does not end is left as it is: it may be in the middle of a
/// migration.
async fn ended(name: &str, host: &Remote) -> Result<i64> {
    match tokio::time::timeout(limit::TASK, host.act().wait(name)).await {
        Ok(code) => code,
        Err(_) => Err(Error::operation(format!("one-shot container {name} did not end within an hour")).with_hint(
            format!("see what it does with `kolla logs {} {name}`; the next run waits for it", host.name()),
        )),
    }
}

#[async_trait]
impl Operation for Task {
    fn subject(&self) -> String {
        format!("task {}", self.spec.name)
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        if !at.me.container(&self.sql.container).is_some_and(|state| state.running()) {
            return Ok(Diff::Run("the database does not run yet".into()));
        }
        let inventory = at.shared.database(&self.sql, at.host()).await?;
        let Some(receipt) = inventory.receipts.get(&self.subject()) else { return Ok(Diff::Run("never done".into())) };
        Ok(match self.digest(at).await {
            None => Diff::Same("done; its image is neither here nor can its registry be asked".into()),
            Some(digest) if *receipt == digest => Diff::Same("done with this image and input".into()),
            Some(_) => Diff::Run("image or input changed".into()),
        })
    }

    async fn attributes(&self, _diff: &Diff, at: &View) -> Result<Attributes> {
        let digest = self.digest(at).await;
        let mut found = self.sql.receipt(at, &self.subject(), digest.as_deref().unwrap_or("done")).await?;
        if digest.is_none() {
            // What nobody can compare is as it is to be.
            found.retain(|_, receipt| receipt.before.as_ref().is_none_or(String::is_empty));
        }
        Ok(found)
    }

    fn foreign(&self, at: &View) -> Vec<String> {
        foreign::containers(&self.spec.name, at)
    }

    fn database(&self) -> Option<&Sql> {
        Some(&self.sql)
    }

    async fn apply(&self, _diff: &Diff, at: &View, host: &Remote, sink: &ProgressSink) -> Result<()> {
        run_once(&self.spec, at, host, sink).await?;
        self.sql.note(at, host, &self.subject(), &self.digest(at).await.unwrap_or_default()).await
    }
}
