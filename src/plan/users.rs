//! Who uses what a run takes away: what roles ask before their services stop.

use serde_json::json;

use super::builder::{Builder, Input};
use super::overrides::Searched;
use super::{Place, Selection};
use crate::error::{Error, Result};
use crate::template::Value;

/// Where each selected role asks who uses its services, where these stop on the selected hosts.
pub(super) fn places(input: &Input<'_>, selection: &Selection) -> Result<Vec<(String, Vec<Place>)>> {
    let overrides = Searched::new(input.overrides);
    let (mut builder, enabled) = Builder::prepared(input, &overrides)?;
    let roles: Vec<&str> = enabled.iter().map(|role| role.name.as_str()).filter(|role| selection.has(role)).collect();
    let selected = |host: &&String| selection.hosts.as_ref().is_none_or(|hosts| hosts.contains(*host));
    let hosts: Vec<&String> = input.hosts.iter().filter(selected).collect();
    let stopping = Value::from(minijinja::value::Serde(json!({ "hosts": hosts, "roles": roles })));
    let stopping = [("stopping".to_owned(), stopping)];
    let mut found = Vec::new();
    for role in enabled.iter().filter(|role| selection.has(&role.name)) {
        if let Some(program) = &role.in_use {
            found.push((role.name.clone(), builder.places_of(role, program, None, &stopping)));
        }
    }
    if builder.errors.is_empty() { Ok(found) } else { Err(Error::Input(builder.errors)) }
}
