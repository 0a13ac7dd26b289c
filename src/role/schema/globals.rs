//! The schema of globals.yml: every variable that a role has a default for or that the example file offers.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::{DRAFT, comment, described};
use crate::examples;
use crate::role::{Roles, Rule};
use crate::source::{Data, is_template};

/// The schema of globals.yml with these roles. What a value must be follows from its default; other names are allowed,
/// because files in config/ may read them.
pub fn globals(roles: &Roles) -> Value {
    let mut properties: IndexMap<String, Value> = IndexMap::new();
    let by_name: BTreeMap<&str, &Rule> =
        roles.0.values().flat_map(|role| &role.values).map(|(name, rule)| (name.as_str(), rule)).collect();
    let ruled = |name: &str| by_name.get(name).map(|rule| json!({ "anyOf": [rule.schema(), template()] }));
    let offered: Vec<(usize, &str)> = examples::variables().collect();
    for (line, name) in &offered {
        let text = comment(examples::GLOBALS, *line, name);
        properties.insert((*name).to_owned(), described(ruled(name).unwrap_or_else(|| json!({})), text));
    }
    for layer in roles.layers() {
        for (name, sourced) in &layer.vars {
            let mut schema = ruled(name).unwrap_or_else(|| like(&sourced.node.data));
            let known = properties.get(name).and_then(|known| known.get("description")).cloned();
            let text = match known {
                Some(text) => text,
                None => format!("Of the {}.", layer.name).into(),
            };
            schema["description"] = text;
            if !matches!(sourced.node.data, Data::Null) {
                schema["default"] = sourced.node.to_json();
            }
            properties.insert(name.clone(), schema);
        }
    }
    properties.sort_keys();
    let properties: Map<String, Value> = properties.into_iter().collect();
    json!({
        "$schema": DRAFT,
        "title": "globals.yml of kolla",
        "type": ["object", "null"],
        "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" },
        "properties": properties,
    })
}

fn template() -> Value {
    json!({ "type": "string", "pattern": "[{][{%]" })
}

/// What a value of the same kind as a default looks like: itself, or a template that gives it.
fn like(default: &Data) -> Value {
    let template = template();
    match default {
        // Truth values and whole numbers have rules.
        Data::Null | Data::Bool(_) | Data::Int(_) => json!({}),
        Data::Float(_) => {
            json!({ "anyOf": [{ "type": "number" }, { "type": "string", "pattern": "^-?[0-9.]+$" }, template] })
        }
        // It may give anything.
        Data::Str(text) if is_template(text) => json!({}),
        Data::Str(_) => json!({ "type": ["string", "number", "boolean", "null"] }),
        Data::Seq(_) => json!({ "anyOf": [{ "type": ["array", "null"] }, template] }),
        Data::Map(_) => json!({ "anyOf": [{ "type": ["object", "null"] }, template] }),
    }
}
