//! Ansible's INI inventories.

use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;

use super::hosts;
use super::inventory::{Inventory, UNGROUPED};
use super::literal::literal;
use super::words::{self, Word};
use crate::error::{self, InputError, Place, nearest};
use crate::source::{Data, Document, Node};
use crate::template::Sourced;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Hosts,
    Children,
    Vars,
    /// Its lines are not read: what they ought to be is not known.
    Unknown,
}

/// A group that is mentioned before its section.
enum Pending {
    /// By a section `:vars`.
    Vars(Place),
    /// Under `:children` of these.
    Children(Vec<(String, Place)>),
}

/// One file under way.
struct Reader<'a> {
    inventory: &'a mut Inventory,
    document: Arc<Document>,
    group: String,
    kind: Kind,
    pending: IndexMap<String, Pending>,
    errors: Vec<InputError>,
}

/// Reads one more file; its mistakes, all of them.
pub(super) fn read(inventory: &mut Inventory, file: &Path, text: &str) -> Vec<InputError> {
    let mut reader = Reader {
        inventory,
        document: Arc::new(Document::made(file, text, Node::bare(Data::Null))),
        group: UNGROUPED.to_owned(),
        kind: Kind::Hosts,
        pending: IndexMap::new(),
        errors: Vec::new(),
    };
    for (index, line) in text.lines().enumerate() {
        reader.line(index + 1, line);
    }
    reader.end();
    reader.errors
}

impl Reader<'_> {
    fn fail(&mut self, line: usize, column: usize, message: impl Into<String>, hint: Option<&str>) {
        let mut error = InputError::new(message).of(error::Kind::Syntax).at(self.document.at(line, column));
        error.hint = hint.map(str::to_owned);
        self.errors.push(error);
    }

    fn line(&mut self, number: usize, line: &str) {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            return;
        }
        let column = line.chars().take_while(|c| c.is_whitespace()).count() + 1;
        if trimmed.starts_with('[') && !starts_with_address(trimmed) {
            self.section(number, column, trimmed);
            return;
        }
        match self.kind {
            Kind::Hosts => self.host(number, line),
            Kind::Children => self.child(number, column, trimmed),
            Kind::Vars => self.variable(number, column, line),
            Kind::Unknown => {}
        }
    }

    fn section(&mut self, line: usize, column: usize, text: &str) {
        let Some((header, rest)) = text[1..].split_once(']') else {
            self.fail(line, column, format!("section `{text}` lacks its `]`"), None);
            return;
        };
        if !rest.trim().is_empty() && !rest.trim_start().starts_with(['#', ';']) {
            self.fail(line, column, format!("unexpected text after `[{header}]`"), Some("start a new line for it"));
        }
        let (name, kind) = header.split_once(':').unwrap_or((header, "hosts"));
        let kinds = ["hosts", "children", "vars"];
        self.kind = match kind {
            "hosts" => Kind::Hosts,
            "children" => Kind::Children,
            "vars" => Kind::Vars,
            other => {
                let near = nearest(other, kinds).or_else(|| kinds.into_iter().find(|kind| kind.starts_with(other)));
                let hint = near.map(|near| format!("did you mean `[{name}:{near}]`?"));
                let hint = hint.unwrap_or_else(|| "use `:children` or `:vars`".to_owned());
                self.fail(line, column, format!("unknown kind of section `[{header}]`"), Some(&hint));
                self.declare(name);
                self.kind = Kind::Unknown;
                return;
            }
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            self.fail(line, column, format!("`{name}` is no group name"), Some("use a word without spaces"));
        }
        name.clone_into(&mut self.group);
        if self.kind != Kind::Vars {
            self.declare(name);
        } else if !self.inventory.groups.contains_key(name) {
            let place = self.document.at(line, column);
            self.pending.entry(name.to_owned()).or_insert(Pending::Vars(place));
            self.inventory.group(name);
        }
    }

    /// A group has a section: who waited for it, gets it.
    fn declare(&mut self, name: &str) {
        self.inventory.group(name);
        if let Some(Pending::Children(parents)) = self.pending.shift_remove(name) {
            for (parent, place) in parents {
                self.inventory.add_child(&parent, name, Some(place));
            }
        }
    }

    fn child(&mut self, line: usize, column: usize, text: &str) {
        let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim_start();
        if name.contains([':', ']', '=']) || !(rest.is_empty() || rest.starts_with('#')) {
            let hint = "list one group a line; variables stand under `:vars`";
            self.fail(line, column, format!("`{text}` is no group name"), Some(hint));
            return;
        }
        let place = self.document.at(line, column);
        if self.inventory.groups.contains_key(name) {
            self.inventory.add_child(&self.group, name, Some(place));
        } else {
            let pending = self.pending.entry(name.to_owned()).or_insert(Pending::Children(Vec::new()));
            if let Pending::Children(parents) = pending {
                parents.push((self.group.clone(), place));
            }
        }
    }

    fn variable(&mut self, line: usize, column: usize, text: &str) {
        let Some((key, value)) = text.split_once('=') else {
            let hint = "hosts stand under `[group]`, groups under `[group:children]`";
            self.fail(line, column, format!("expected `key = value`, found `{}`", text.trim()), Some(hint));
            return;
        };
        let value_column = key.chars().count() + 2 + value.chars().take_while(|c| c.is_whitespace()).count();
        let name = self.group.clone();
        self.set(&name, key.trim(), Node::new(line, value_column, literal(value.trim())));
    }

    fn set(&mut self, name: &str, key: &str, node: Node) {
        let sourced = Sourced { node, document: self.document.clone() };
        self.errors.extend(self.inventory.set(name, key, sourced).err());
    }

    fn host(&mut self, line: usize, text: &str) {
        let words = match words::split(text) {
            Ok(words) => words,
            Err(column) => {
                self.fail(line, column, "a quotation is not closed", None);
                return;
            }
        };
        let Some((first, rest)) = words.split_first() else { return };
        let (pattern, port) = hosts::port(&first.text);
        let names = match hosts::expand(pattern) {
            Ok(names) => names,
            Err(message) => {
                self.fail(line, first.column, message, Some("write ranges as `[01:20]` or `[a:f]`"));
                return;
            }
        };
        let port = port.map(|port| Sourced {
            node: Node::new(line, first.column, Data::Int(port)),
            document: self.document.clone(),
        });
        let mut vars = Vec::new();
        for Word { text, column, .. } in rest {
            let Some((key, value)) = text.split_once('=').filter(|(key, _)| !key.is_empty()) else {
                let hint = if text.starts_with('=') || rest.iter().any(|word| word.text == "=") {
                    "write no spaces around `=`"
                } else {
                    "list one host a line; quote values with spaces"
                };
                self.fail(line, *column, format!("expected `key=value`, found `{text}`"), Some(hint));
                return;
            };
            vars.push((key, Node::new(line, column + key.chars().count() + 1, literal(value))));
        }
        if let Err((message, hint)) = self.inventory.make_room(&names, vars.iter().map(|(_, node)| node)) {
            self.fail(line, first.column, message, Some(hint));
            return;
        }
        for name in names {
            self.inventory.add_host(&self.group, &name, port.clone());
            for (key, node) in &vars {
                self.set(&name, key, node.clone());
            }
        }
    }

    /// Groups that are mentioned but have no section.
    fn end(&mut self) {
        let waits = |name: &str| matches!(self.pending.get(name), Some(Pending::Vars(_)));
        let names: Vec<&str> = self.inventory.groups.keys().map(String::as_str).filter(|name| !waits(name)).collect();
        for (name, pending) in &self.pending {
            let place = match pending {
                Pending::Vars(place) => Some(place),
                Pending::Children(parents) => parents.first().map(|(_, place)| place),
            };
            let error = InputError {
                place: place.cloned(),
                ..InputError::new(format!("group `{name}` has no section")).of(error::Kind::UnknownName)
            };
            self.errors.push(match nearest(name, names.iter().copied()) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("add a section `[{name}]`, empty if need be")),
            });
        }
    }
}

/// What is written for a variable that is no text, and how it would be one: under `[GROUP:vars]`, or on a host's line, whose
/// quotes are not part of the value.
pub(super) fn written(document: &Document, name: &str, node: &Node) -> Option<(String, &'static str)> {
    let line = document.line(node)?;
    let (at, _) = line.char_indices().nth(node.column.checked_sub(1)?)?;
    let value = line[at..].split('#').next()?.trim();
    if line.split_once('=').is_some_and(|(key, _)| key.trim() == name) && literal(value) == node.data {
        return Some((value.to_owned(), "write it in quotes"));
    }
    let words = words::split(line).ok()?;
    let values = words.iter().filter_map(|word| word.text.split_once('='));
    let mut values = values.filter(|(key, value)| *key == name && literal(value) == node.data);
    values.next().map(|(_, value)| (value.to_owned(), "write quotes in quotes, as in `name='\"value\"'`"))
}

/// `[fd00::1]:22` is a host, not a section.
fn starts_with_address(text: &str) -> bool {
    let (inside, rest) = text[1..].split_once(']').unwrap_or_default();
    let port = rest.strip_prefix(':').is_some_and(|port| port.starts_with(|c: char| c.is_ascii_digit()));
    port || inside.parse::<std::net::Ipv6Addr>().is_ok()
}
