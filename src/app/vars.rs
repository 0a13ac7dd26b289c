//! What a host's variables are, and where each is set.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{App, Loaded};
use crate::error::{Error, Kind, Result};

/// A variable of a host.
#[derive(Debug, Clone, Default, Serialize)]
pub struct VariableRow {
    /// Its name.
    pub name: String,
    /// Its value, secrets hidden.
    pub value: serde_json::Value,
    /// Where the value comes from, as `/etc/kolla/globals.yml:12`.
    pub from: String,
    /// Why it has no value.
    pub error: Option<String>,
}

/// Variables of a host, one or all; `with_defaults` also those that no role has and nothing sets.
///
/// # Errors
/// Input errors; a host or name that is not there.
pub async fn vars(app: &App, host: &str, name: Option<&str>, with_defaults: bool) -> Result<Vec<VariableRow>> {
    let loaded = Loaded::read(app).await?;
    loaded.known(host)?;
    let scopes = loaded.unasked(false);
    let scope = scopes.host(host);
    let names = match name {
        None if with_defaults => {
            let all: BTreeSet<String> = scope.names().into_iter().chain(scope.default_names()).collect();
            all.into_iter().collect()
        }
        None => scope.names(),
        Some(name) if scope.has(name) || scope.default_origin(name).is_some() => vec![name.to_owned()],
        Some(name) => {
            return Err(scope.get(name).err().map_or_else(
                || Error::input(format!("there is no variable `{name}`")).of(Kind::UndefinedVariable),
                Error::from,
            ));
        }
    };
    Ok(names
        .into_iter()
        .map(|name| {
            let origin = scope.explain(&name).into_iter().next().or_else(|| scope.default_origin(&name));
            let from = origin.as_ref().map(|origin| origin.place.to_string()).unwrap_or_default();
            let secret = origin.is_some_and(|origin| origin.text == "***");
            let (value, error) = match scope.get(&name) {
                Ok(_) if secret => ("***".into(), None),
                Ok(value) => (loaded.site.mask.hide_json(serde_json::to_value(&value).unwrap_or_default()), None),
                Err(error) => (serde_json::Value::Null, Some(error.message)),
            };
            VariableRow { name, value, from, error }
        })
        .collect())
}
