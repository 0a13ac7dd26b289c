//! Something that a cloud is to have, as data: where it is looked for, what of it matters, and what makes it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::Cloud;
use crate::error::{Error, Result};
use crate::op::api::Api;
use crate::run::Tally;
use crate::run::event::Outcome;

/// Ids by the names of objects, and `project`. Texts of an object name them in braces: `{demo-net}`.
pub type Ids = BTreeMap<String, String>;

/// One object, or one setting of an object.
#[derive(Debug, Clone)]
pub(super) struct Object {
    /// Type of the service, as `network`.
    pub(super) service: &'static str,
    /// `network demo-net`, as reports print it.
    pub(super) subject: String,
    /// Name under which others know its id; empty for a setting.
    pub(super) name: String,
    /// Path under which it is listed.
    pub(super) look: String,
    /// What it has where it is as wanted. Keys that are not here do not matter; a number may be larger, or negative:
    /// no limit.
    pub(super) has: Value,
    /// `POST` makes it, `PUT` changes what is there.
    pub(super) method: &'static str,
    /// Where that goes.
    pub(super) path: String,
    /// And what.
    pub(super) body: Value,
    /// Where something in it comes from.
    pub(super) about: String,
    /// What to do when the service refuses.
    pub(super) hint: &'static str,
}

impl Object {
    /// An object of a kind, as `network`, that a `POST` to `path` makes.
    pub(super) fn new(service: &'static str, path: &str, kind: &str, what: &str, body: Value) -> Self {
        Self {
            service,
            subject: format!("{} {what}", kind.replace('_', " ")),
            name: String::new(),
            look: path.into(),
            has: json!({}),
            method: "POST",
            path: path.into(),
            body: Value::from_iter([(kind, body)]),
            about: String::new(),
            hint: "",
        }
    }

    /// One that has a name, and is looked for by it.
    pub(super) fn named(service: &'static str, path: &str, kind: &str, name: &str, mut body: Value) -> Self {
        body["name"] = name.into();
        let look = format!("{path}?name={name}");
        Self { name: name.into(), look, has: json!({ "name": name }), ..Self::new(service, path, kind, name, body) }
    }

    /// What it is made with is a setting of what is there under its path.
    pub(super) fn setting(self) -> Self {
        let has = self.body.as_object().and_then(|body| body.values().next().cloned()).unwrap_or_default();
        Self { has, method: "PUT", ..self }
    }

    /// Looked for elsewhere.
    pub(super) fn look(self, look: &str) -> Self {
        Self { look: look.into(), ..self }
    }

    async fn ensure(&self, cloud: &Cloud, ids: &mut Ids, tally: &mut Tally<'_>) -> Result<()> {
        let api = cloud.session.api(self.service)?;
        let act = tally.act(&api.name, &self.subject);
        if let Some(found) = self.found(cloud, &api, ids).await? {
            self.note(&found, ids);
            tally.finished(act, Outcome::Same, "");
            return Ok(());
        }
        if let Some(host) = &cloud.acts {
            tally.started(&act);
            let Some((path, body)) = fill(&self.path, ids).zip(filled(&self.body, ids)) else {
                return Err(Error::operation("what it belongs to is not there"));
            };
            match api.send(host, self.method, &path, &body).await {
                Ok(made) => self.note(&made, ids),
                // Somebody made it at the same moment, or it was made and the answer got lost.
                Err(error) => match self.found(cloud, &api, ids).await {
                    Ok(Some(found)) => self.note(&found, ids),
                    _ => return Err(error),
                },
            }
        }
        tally.finished(act, if self.method == "PUT" { Outcome::Updated } else { Outcome::Created }, &self.about);
        Ok(())
    }

    /// What is there and as wanted. What it stands on may not be there yet, in a dry run: then it is not there either.
    async fn found(&self, cloud: &Cloud, api: &Api, ids: &Ids) -> Result<Option<Value>> {
        let Some((look, has)) = fill(&self.look, ids).zip(filled(&self.has, ids)) else { return Ok(None) };
        Ok(api.find(&cloud.reads, &look).await?.into_iter().find(|found| fits(found, &has)))
    }

    fn note(&self, object: &Value, ids: &mut Ids) {
        if let Some(id) = object["id"].as_str().filter(|_| !self.name.is_empty()) {
            ids.insert(self.name.clone(), id.to_owned());
        }
    }
}

/// Sees to it that all are there, in this order. What was done before an error stays, and is found the next time.
pub(super) async fn ensure(
    cloud: &Cloud,
    objects: &[Object],
    ids: &mut Ids,
    stop: &CancellationToken,
    tally: &mut Tally<'_>,
) -> Result<()> {
    for object in objects {
        if stop.is_cancelled() {
            return Err(Error::Interrupted);
        }
        object.ensure(cloud, ids, tally).await.map_err(|error| named(error, &object.subject, object.hint))?;
    }
    Ok(())
}

/// An error with what it is about before it.
pub(super) fn named(mut error: Error, subject: &str, hint: &str) -> Error {
    if let Error::Operation(operation) = &mut error {
        operation.message = format!("{subject}: {}", operation.message);
        if operation.hint.is_none() && !hint.is_empty() {
            operation.hint = Some(hint.into());
        }
    }
    error
}

/// The text with the ids of what it names; nothing where one is not known.
fn fill(text: &str, ids: &Ids) -> Option<String> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        filled.push_str(before);
        filled.push_str(ids.get(name)?);
        rest = after;
    }
    Some(filled + rest)
}

/// The same of all texts of a value.
fn filled(value: &Value, ids: &Ids) -> Option<Value> {
    Some(match value {
        Value::String(text) => fill(text, ids)?.into(),
        Value::Array(items) => items.iter().map(|item| filled(item, ids)).collect::<Option<_>>()?,
        Value::Object(map) => {
            let pair = |(key, value): (&String, &Value)| Some((key.clone(), filled(value, ids)?));
            Value::Object(map.iter().map(pair).collect::<Option<_>>()?)
        }
        other => other.clone(),
    })
}

/// What was found is as wanted.
fn fits(found: &Value, wanted: &Value) -> bool {
    match wanted {
        Value::Object(map) => map.iter().all(|(key, value)| fits(&found[key], value)),
        Value::Number(least) => found.as_i64().is_some_and(|number| number < 0 || Some(number) >= least.as_i64()),
        other => found == other,
    }
}
