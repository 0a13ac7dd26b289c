//! Inventory scripts: executables that print JSON for `--list`, and for `--host NAME` where that lacks `_meta`.
//!
//! They are run here, and not by `host::local`, because a site is read before there is any host.
#![allow(clippy::disallowed_types)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use indexmap::IndexSet;
use serde_json::{Map, Value};

use super::inventory::Inventory;
use crate::error::{InputError, Kind, Place};
use crate::source::{Data, Document, Entry, Node};
use crate::template::Sourced;

/// What one script says, under way.
struct Reader<'a> {
    inventory: &'a mut Inventory,
    script: &'a Path,
    document: Arc<Document>,
    hosts: IndexSet<String>,
}

/// Runs a script and reads its answer.
pub(super) fn read(inventory: &mut Inventory, script: &Path) -> Result<(), InputError> {
    let document = Arc::new(Document::made(script, "", Node::bare(Data::Null)));
    let mut reader = Reader { inventory, script, document, hosts: IndexSet::new() };
    let answer = reader.ask(&["--list"])?;
    let mut known = None;
    for (name, value) in &answer {
        if name == "_meta" {
            let vars = value.get("hostvars").and_then(Value::as_object);
            known = Some(vars.ok_or_else(|| reader.wrong("`_meta` lacks the mapping `hostvars`"))?);
        } else {
            reader.group(name, value)?;
        }
    }
    for host in std::mem::take(&mut reader.hosts) {
        let vars = match known {
            Some(known) => match known.get(&host) {
                None => continue,
                Some(vars) => vars
                    .as_object()
                    .cloned()
                    .ok_or_else(|| reader.wrong(format!("variables of `{host}` are no mapping")))?,
            },
            None => reader.ask(&["--host", &host])?,
        };
        reader.set(&host, &vars)?;
    }
    Ok(())
}

impl Reader<'_> {
    fn wrong(&self, message: impl Into<String>) -> InputError {
        InputError::new(message)
            .of(Kind::Inventory)
            .at(Place::file(self.script))
            .hint("see what it prints for `--list`")
    }

    /// Runs the script and parses its output; none is an empty mapping for one host.
    fn ask(&self, words: &[&str]) -> Result<Map<String, Value>, InputError> {
        let shown = words.join(" ");
        let program = if self.script.components().count() == 1 {
            PathBuf::from(".").join(self.script)
        } else {
            self.script.to_owned()
        };
        let output = Command::new(&program)
            .args(words)
            .output()
            .map_err(|error| self.wrong(format!("the inventory script does not start: {error}")))?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let last = stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            let error = self.wrong(format!("the inventory script failed for `{shown}`: {}", last.trim()));
            return Err(error.hint("run it by hand"));
        }
        if words.len() > 1 && output.stdout.iter().all(u8::is_ascii_whitespace) {
            return Ok(Map::new());
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|error| self.wrong(format!("the inventory script prints no JSON mapping for `{shown}`: {error}")))
    }

    /// A group: a mapping with `hosts`, `children`, `vars`; a list of hosts; or the variables of a host of its name.
    fn group(&mut self, name: &str, value: &Value) -> Result<(), InputError> {
        self.inventory.group(name);
        let (hosts, vars, children) = match value {
            Value::Object(map) if ["hosts", "vars", "children"].iter().any(|key| map.contains_key(*key)) => {
                (map.get("hosts").cloned(), map.get("vars"), map.get("children"))
            }
            Value::Object(_) => (Some(Value::from(vec![name])), Some(value), None),
            other => (Some(other.clone()), None, None),
        };
        for host in self.names(name, "hosts", hosts.as_ref())? {
            self.inventory.add_host(name, &host, None);
            self.hosts.insert(host);
        }
        if let Some(vars) = vars {
            let vars = vars.as_object().ok_or_else(|| self.wrong(format!("`vars` of `{name}` is no mapping")))?;
            self.set(name, vars)?;
        }
        for child in self.names(name, "children", children)? {
            self.inventory.group(&child);
            self.inventory.add_child(name, &child, Some(Place::file(self.script)));
        }
        Ok(())
    }

    fn names(&self, group: &str, key: &str, value: Option<&Value>) -> Result<Vec<String>, InputError> {
        let Some(value) = value else { return Ok(Vec::new()) };
        let names =
            value.as_array().and_then(|items| items.iter().map(|item| item.as_str().map(str::to_owned)).collect());
        names.ok_or_else(|| self.wrong(format!("`{key}` of `{group}` is no list of names")))
    }

    fn set(&mut self, name: &str, vars: &Map<String, Value>) -> Result<(), InputError> {
        for (key, value) in vars {
            let sourced = Sourced { node: node(value), document: self.document.clone() };
            self.inventory.set(name, key, sourced)?;
        }
        Ok(())
    }
}

fn node(value: &Value) -> Node {
    Node::bare(match value {
        Value::Null => Data::Null,
        Value::Bool(value) => Data::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Data::Int(number),
            (None, Some(number)) => Data::Float(number),
            (None, None) => Data::Null,
        },
        Value::String(text) => Data::Str(text.clone()),
        Value::Array(items) => Data::Seq(items.iter().map(node).collect()),
        Value::Object(map) => {
            Data::Map(map.iter().map(|(key, value)| (key.clone(), Entry::bare(node(value)))).collect())
        }
    })
}
