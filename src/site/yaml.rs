//! Ansible's YAML inventories: mappings of groups, with `hosts`, `children` and `vars`.

use std::sync::Arc;

use indexmap::IndexMap;

use super::hosts;
use super::inventory::Inventory;
use crate::error::{InputError, Kind, nearest};
use crate::source::{Data, Document, Entry, Node};
use crate::template::Sourced;

/// What a group may say.
const SECTIONS: [&str; 3] = ["hosts", "children", "vars"];

/// One file under way.
struct Reader<'a> {
    inventory: &'a mut Inventory,
    document: Arc<Document>,
    errors: Vec<InputError>,
}

/// Reads one more file; its mistakes, all of them.
pub(super) fn read(inventory: &mut Inventory, document: Document) -> Vec<InputError> {
    let groups = match document.entries() {
        Ok(groups) => groups,
        Err(error) => return vec![error.hint("write groups as `all: {hosts: {control01: }}`")],
    };
    if let Some(plugin) = groups.get("plugin") {
        let error = InputError::new("a configuration of an inventory plugin is not an inventory").of(Kind::Unsupported);
        let hint = "save what `ansible-inventory --list --yaml` prints, and name that with `-i`";
        return vec![error.at(document.at(plugin.line, plugin.column)).hint(hint)];
    }
    let mut reader = Reader { inventory, document: Arc::new(document), errors: Vec::new() };
    for (name, entry) in &groups {
        reader.group(name, entry);
    }
    reader.errors
}

impl Reader<'_> {
    fn fail(&mut self, entry: &Entry, message: String, hint: &str) {
        let place = self.document.at(entry.line, entry.column);
        self.errors.push(InputError::new(message).of(Kind::Inventory).at(place).hint(hint));
    }

    fn group(&mut self, name: &str, entry: &Entry) {
        let sections = match &entry.value.data {
            Data::Null => &IndexMap::new(),
            Data::Map(sections) => sections,
            other => {
                let message = format!("group `{name}` must be a mapping, found {}", other.kind());
                self.fail(entry, message, "write its hosts under `hosts:`, its groups under `children:`");
                return;
            }
        };
        self.inventory.group(name);
        for (key, section) in sections {
            if !SECTIONS.contains(&key.as_str()) {
                let hint = match nearest(key, SECTIONS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "a group has `hosts`, `children` and `vars`".to_owned(),
                };
                self.fail(section, format!("unknown key `{key}` of group `{name}`"), &hint);
                continue;
            }
            let empty = || Entry { line: section.line, column: section.column, ..Entry::bare(Node::bare(Data::Null)) };
            let items = match &section.value.data {
                Data::Null => continue,
                Data::Map(items) => items,
                Data::Str(one) => &IndexMap::from([(one.clone(), empty())]),
                other => {
                    let message = format!("`{key}` of group `{name}` must be a mapping, found {}", other.kind());
                    let hint = if key == "vars" { "write `name: value` lines" } else { "write names with a `:` each" };
                    self.fail(section, message, hint);
                    continue;
                }
            };
            for (item, entry) in items {
                match key.as_str() {
                    "vars" => self.set(name, item, &entry.value),
                    "children" => {
                        self.group(item, entry);
                        let place = self.document.at(entry.line, entry.column);
                        self.inventory.add_child(name, item, Some(place));
                    }
                    _ => self.hosts(name, item, entry),
                }
            }
        }
    }

    fn set(&mut self, name: &str, key: &str, node: &Node) {
        let sourced = Sourced { node: node.clone(), document: self.document.clone() };
        self.errors.extend(self.inventory.set(name, key, sourced).err());
    }

    fn hosts(&mut self, group: &str, pattern: &str, entry: &Entry) {
        let (names, port) = hosts::port(pattern);
        let names = match hosts::expand(names) {
            Ok(names) => names,
            Err(message) => return self.fail(entry, message, "write ranges as `[01:20]` or `[a:f]`"),
        };
        let vars = match &entry.value.data {
            Data::Null => &IndexMap::new(),
            Data::Map(vars) => vars,
            other => {
                let message = format!("variables of `{pattern}` must be a mapping, found {}", other.kind());
                return self.fail(entry, message, "write `name: value` lines under it");
            }
        };
        let port = port.map(|port| Sourced {
            node: Node::new(entry.line, entry.column, Data::Int(port)),
            document: self.document.clone(),
        });
        if let Err((message, hint)) = self.inventory.make_room(&names, vars.values().map(|entry| &entry.value)) {
            return self.fail(entry, message, hint);
        }
        for name in names {
            self.inventory.add_host(group, &name, port.clone());
            for (key, entry) in vars {
                self.set(&name, key, &entry.value);
            }
        }
    }
}
