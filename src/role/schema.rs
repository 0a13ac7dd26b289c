//! JSON schemas for editors: of role.yml, from the tables by which it is read, and of globals.yml, from the variables of
//! all roles.

mod globals;

use serde_json::{Map, Value, json};

pub use globals::globals;

use super::keys::TOP;
use crate::error::InputError;
use crate::op::file;
use crate::op::probe::Probe;
use crate::source::{Data, Document, Entry, Keys, Node, Shape};

const DRAFT: &str = "http://json-schema.org/draft-07/schema#";

/// The annotated example, whose comments are the descriptions.
const EXAMPLE: &str = include_str!("../../docs/role.yml");

/// What is described once under a name.
const DEFINED: [(&str, &Keys); 2] = [("file", &file::KEYS), ("probe", &Probe::KEYS)];

/// The schema of role.yml.
///
/// # Errors
/// None, as long as the annotated example is YAML.
pub fn role() -> Result<Value, InputError> {
    let root = Document::parse("docs/role.yml", EXAMPLE)?.root;
    let mut schema = of_keys(&TOP, &[&root]);
    schema["$schema"] = DRAFT.into();
    schema["title"] = "A role of kolla".into();
    for (name, keys) in DEFINED {
        let mut examples = Vec::new();
        like(keys, &root, &mut examples);
        schema["definitions"][name] = of_keys(keys, &examples);
    }
    Ok(schema)
}

/// A mapping with fixed keys, of which there are examples.
fn of_keys(keys: &Keys, examples: &[&Node]) -> Value {
    let mut properties = Map::new();
    for (key, shape) in keys.every() {
        let found = entries(examples, key);
        let below: Vec<&Node> = found.iter().map(|entry| &entry.value).collect();
        let text = found.iter().find_map(|entry| comment(EXAMPLE, entry.line, key));
        properties.insert((*key).to_owned(), described(of(shape, &below), text));
    }
    let mut schema = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if !keys.needed.is_empty() {
        schema["required"] = json!(keys.needed);
    }
    if !keys.one_of.is_empty() {
        schema["oneOf"] = keys.one_of.iter().map(|(key, _)| json!({ "required": [key] })).collect();
    }
    schema
}

fn entries<'a>(examples: &[&'a Node], key: &str) -> Vec<&'a Entry> {
    let maps = examples.iter().filter_map(|node| match &node.data {
        Data::Map(map) => map.get(key),
        _ => None,
    });
    maps.collect()
}

fn of(shape: &Shape, examples: &[&Node]) -> Value {
    let items = || {
        let lists = examples.iter().filter_map(|node| match &node.data {
            Data::Seq(items) => Some(items),
            _ => None,
        });
        lists.flatten().collect::<Vec<&Node>>()
    };
    match shape {
        Shape::Any => json!({}),
        Shape::Text | Shape::Name | Shape::Variable => json!({ "type": ["string", "number"] }),
        Shape::Path(_) => json!({ "type": "string", "pattern": "^(/|\\{[{%])" }),
        Shape::Volume => json!({ "type": "string", "pattern": "^$|:/|\\{[{%]" }),
        Shape::Value => json!({ "type": ["string", "number", "boolean"] }),
        Shape::Flag => json!({ "type": ["boolean", "string"] }),
        Shape::Plain => json!({ "type": "boolean" }),
        Shape::Number => json!({ "type": "integer", "minimum": 0 }),
        Shape::Decimal => json!({ "type": "number", "minimum": 0 }),
        Shape::Mode => json!({ "type": "string", "pattern": "^[0-7]{3,4}$" }),
        Shape::OneOf(words) => json!({ "enum": words }),
        Shape::Words => json!({ "type": ["string", "array"], "items": { "type": ["string", "number"] } }),
        Shape::Some(inner) => json!({ "anyOf": [of(inner, &[]), { "type": "array", "items": of(inner, &[]) }] }),
        Shape::List(inner) => json!({ "type": "array", "items": of(inner, &items()) }),
        Shape::Named(inner) => {
            let values = examples.iter().filter_map(|node| match &node.data {
                Data::Map(map) => Some(map.values().map(|entry| &entry.value)),
                _ => None,
            });
            json!({ "type": "object", "additionalProperties": of(inner, &values.flatten().collect::<Vec<_>>()) })
        }
        Shape::Keys(keys) => of_keys(keys, examples),
        Shape::Defined(name, _) => json!({ "$ref": format!("#/definitions/{name}") }),
        Shape::Either(one, other) => json!({ "anyOf": [of(one, examples), of(other, examples)] }),
    }
}

fn described(mut schema: Value, text: Option<String>) -> Value {
    if let Some(text) = text {
        // Beside a reference nothing else is read.
        if schema.get("$ref").is_some() {
            schema = json!({ "allOf": [schema] });
        }
        schema["description"] = text.into();
    }
    schema
}

/// Mappings that are as these keys want them.
fn like<'a>(keys: &Keys, node: &'a Node, found: &mut Vec<&'a Node>) {
    match &node.data {
        Data::Seq(items) => items.iter().for_each(|item| like(keys, item, found)),
        Data::Map(map) => {
            let known = map.keys().all(|key| keys.every().any(|(name, _)| name == key));
            let needed = keys.needed.iter().all(|key| map.contains_key(*key));
            if known && needed && keys.one_of.iter().filter(|(key, _)| map.contains_key(*key)).count() == 1 {
                found.push(node);
            }
            map.values().for_each(|entry| like(keys, &entry.value, found));
        }
        _ => {}
    }
}

/// What the comment over a key says, or the one behind it; keys that follow each other share one.
fn comment(text: &str, line: usize, key: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let own = |line: &str| line.trim_start_matches([' ', '-', '#']).starts_with(key);
    let mut at = line.checked_sub(1).filter(|at| lines.get(*at).is_some_and(|line| own(line)))?;
    if let Some((_, behind)) = lines[at].split_once(" # ") {
        return Some(behind.trim().to_owned());
    }
    let indent = |line: &str| line.len() - line.trim_start().len();
    while at > 0 && !is_comment(lines[at - 1]) {
        if lines[at - 1].trim().is_empty() || indent(lines[at - 1]) != indent(lines[line - 1]) {
            return None;
        }
        at -= 1;
    }
    let first = (0..at).rev().take_while(|above| is_comment(lines[*above])).last()?;
    let words: Vec<&str> =
        lines[first..at].iter().map(|line| line.trim_start().trim_start_matches('#').trim()).collect();
    Some(words.join(" "))
}

/// A comment of words, not a key that is switched off or a line of hashes.
fn is_comment(line: &str) -> bool {
    line.trim_start().strip_prefix("# ").is_some()
}
