//! Objects that a service's API is to have, as types of volumes: each is made where none has its name.
//!
//! A receipt in the database says what was last made so. What is there under a name stays as it is, and what an
//! administrator removed stays away until the list changes.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::api::Identity;
use super::catalog;
use super::database;
use super::file::digest_of;
use super::sql::Sql;
use super::word::{At, Step, StepContext, WaitsFor, Word};
use super::{Attributes, Diff, Op, Operation, ProgressSink, View};
use crate::error::Result;
use crate::host::Remote;
use crate::source::{Fields, Keys, Node, Shape};

/// The step `resources`.
pub const STEP: Word<Step> = Word {
    key: (
        "resources",
        Shape::Keys(&Keys::new(
            &[
                ("type", Shape::Text),
                ("path", Shape::Text),
                ("look", Shape::Text),
                ("kind", Shape::Name),
                ("are", Shape::Any),
            ],
            &["type", "path", "kind", "are"],
        )),
    ),
    // What was made is noted in the database.
    means: Step {
        at: At::Offer(&database::OFFER),
        waits_for: WaitsFor::Offers,
        uses: &[&catalog::OFFER, &database::OFFER],
        resolve,
    },
};

fn resolve(node: &Node, context: &mut StepContext<'_, '_>) -> Op {
    let sql = context.offered(&database::OFFER, Sql::offered);
    let identity = context.offered(&catalog::OFFER, Identity::offered);
    let values = &mut *context.values;
    let mut fields = Fields::of(values.document, node);
    let [service_type, path, look] = ["type", "path", "look"].map(|key| values.text_at(&mut fields, key));
    let object = fields.text("kind").unwrap_or_default();
    let mut are = Vec::new();
    if let Some((node, value)) = fields.take("are").and_then(|node| Some((node, values.some_value(node)?))) {
        match serde_json::to_value(value) {
            Ok(Value::Array(list)) if list.iter().all(|each| each["name"].is_string()) => are = list,
            _ => values.fail(node, "this is no list of mappings with a `name`"),
        }
    }
    values.note_all(fields.finish());
    let look = if look.is_empty() { path.clone() } else { look };
    Resources { service_type, path, look, object, are, identity, sql }.into()
}

/// Objects of one kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Type of the service, as `volumev3`.
    pub service_type: String,
    /// Where they are made, as `/types`.
    pub path: String,
    /// Where they are listed.
    pub look: String,
    /// What one is called in a request, as `volume_type`.
    pub object: String,
    /// The objects, as the API takes them.
    pub are: Vec<Value>,
    /// Where Keystone is.
    pub identity: Identity,
    /// Where the receipt is.
    pub sql: Sql,
}

impl Resources {
    fn step(&self) -> String {
        format!("resources {} {}", self.service_type, self.object)
    }

    fn digest(&self) -> String {
        digest_of(json!([self.service_type, self.path, self.are, self.identity.region]).to_string().as_bytes())
    }
}

#[async_trait]
impl Operation for Resources {
    fn subject(&self) -> String {
        self.step()
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        if !at.me.container(&self.sql.container).is_some_and(|state| state.running()) {
            return Ok(Diff::Create(vec![format!("container {} does not run yet", self.sql.container)]));
        }
        let names: Vec<&str> = self.are.iter().filter_map(|each| each["name"].as_str()).collect();
        Ok(match at.shared.database(&self.sql, at.host()).await?.receipts.get(&self.step()) {
            Some(digest) if *digest == self.digest() => Diff::Same("made".into()),
            Some(_) => Diff::Update(vec![names.join(", ")]),
            None => Diff::Create(vec![names.join(", ")]),
        })
    }

    async fn attributes(&self, _diff: &Diff, at: &View) -> Result<Attributes> {
        self.sql.receipt(at, &self.step(), &self.digest()).await
    }

    fn database(&self) -> Option<&Sql> {
        Some(&self.sql)
    }

    async fn apply(&self, _diff: &Diff, at: &View, host: &Remote, _sink: &ProgressSink) -> Result<()> {
        let api = self.identity.log_in(host).await?.api(&self.service_type)?.patient();
        let there = async || -> Result<BTreeSet<String>> {
            let found = api.find(host, &self.look).await?;
            Ok(found.iter().filter_map(|each| each["name"].as_str().map(str::to_owned)).collect())
        };
        let before = there().await?;
        for wanted in &self.are {
            let name = wanted["name"].as_str().unwrap_or_default();
            if before.contains(name) {
                continue;
            }
            let body = Value::from_iter([(self.object.as_str(), wanted.clone())]);
            if let Err(error) = api.send(host, "POST", &self.path, &body).await {
                // Somebody made it at the same moment, or it was made and the answer got lost.
                if !there().await?.contains(name) {
                    return Err(error);
                }
            }
        }
        self.sql.note(at, host, &self.step(), &self.digest()).await
    }
}
