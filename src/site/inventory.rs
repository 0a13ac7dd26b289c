//! Ansible's INI inventories: hosts, groups and the variables written beside them.

use std::path::Path;
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use super::hosts;
use super::words::{self, Word};
use crate::error::{InputError, Place, nearest};
use crate::source::{Data, Document, Node};
use crate::template::Sourced;

/// A group as the inventory files describe it.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    /// Hosts listed in it itself.
    pub(super) hosts: IndexSet<String>,
    /// Groups listed under `:children`, and where.
    pub(super) children: IndexMap<String, Place>,
    /// Variables of `:vars`.
    pub(super) vars: IndexMap<String, Sourced>,
    /// A section of its own exists, not only a mention.
    declared: bool,
}

/// Inventory files, merged in the order they were read.
#[derive(Debug, Clone, Default)]
pub(super) struct Inventory {
    /// Hosts in the order they first appear, with the variables on their lines.
    pub(super) hosts: IndexMap<String, IndexMap<String, Sourced>>,
    /// Groups in the order they first appear.
    pub(super) groups: IndexMap<String, Group>,
    /// Where `:vars` sections of groups stand that may not exist.
    vars_of: Vec<(String, Place)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Hosts,
    Children,
    Vars,
    /// Its lines are not read: what they ought to be is not known.
    Unknown,
}

/// One file under way.
struct Reader<'a> {
    inventory: &'a mut Inventory,
    document: Arc<Document>,
    group: String,
    kind: Kind,
    errors: Vec<InputError>,
}

impl Inventory {
    /// Reads one more file; its mistakes, all of them.
    pub(super) fn read(&mut self, file: &Path, text: &str) -> Vec<InputError> {
        let document = Arc::new(Document::made(file, text, Node::bare(Data::Null)));
        let group = "ungrouped".to_owned();
        let mut reader = Reader { inventory: self, document, group, kind: Kind::Hosts, errors: Vec::new() };
        for (index, line) in text.lines().enumerate() {
            reader.line(index + 1, line);
        }
        reader.errors
    }

    /// Mistakes that show only when every file was read: groups that do not exist, groups that contain themselves.
    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = Vec::new();
        let known = |name: &str| name == "all" || self.groups.get(name).is_some_and(|group| group.declared);
        let names = || self.groups.iter().filter(|(_, group)| group.declared).map(|(name, _)| name.as_str());
        let mentioned = self.groups.values().flat_map(|group| &group.children);
        for (name, place) in mentioned.chain(self.vars_of.iter().map(|(name, place)| (name, place))) {
            if known(name) {
                continue;
            }
            let error = InputError::new(format!("group `{name}` has no section")).at(place.clone());
            errors.push(match nearest(name, names()) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("add a section `[{name}]`, empty if need be")),
            });
        }
        for name in self.groups.keys() {
            if let Some((path, place)) = self.cycle(name) {
                let shown = path.join(" -> ");
                errors.push(InputError::new(format!("groups contain each other: {shown}")).at(place));
                // One cycle has as many beginnings as members; one message is enough.
                break;
            }
        }
        errors
    }

    /// The way from a group back to itself, and where its last step stands.
    fn cycle(&self, start: &str) -> Option<(Vec<String>, Place)> {
        let mut seen = IndexSet::new();
        let mut next = vec![vec![start.to_owned()]];
        while let Some(path) = next.pop() {
            let Some(group) = path.last().and_then(|last| self.groups.get(last)) else { continue };
            for (child, place) in &group.children {
                let mut path = path.clone();
                path.push(child.clone());
                if child == start {
                    return Some((path, place.clone()));
                }
                if seen.insert(child.clone()) {
                    next.push(path);
                }
            }
        }
        None
    }
}

impl Reader<'_> {
    fn fail(&mut self, line: usize, column: usize, message: impl Into<String>, hint: Option<&str>) {
        let mut error = InputError::new(message).at(self.document.at(line, column));
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
                self.inventory.groups.entry(name.to_owned()).or_default().declared = true;
                self.kind = Kind::Unknown;
                return;
            }
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            self.fail(line, column, format!("`{name}` is no group name"), Some("use a word without spaces"));
        }
        name.clone_into(&mut self.group);
        if self.kind == Kind::Vars {
            let place = self.document.at(line, column);
            self.inventory.vars_of.push((name.to_owned(), place));
            self.inventory.groups.entry(name.to_owned()).or_default();
        } else {
            self.inventory.groups.entry(name.to_owned()).or_default().declared = true;
        }
    }

    fn child(&mut self, line: usize, column: usize, text: &str) {
        let name = text.split(['#', ';']).next().unwrap_or_default().trim();
        if name.contains(char::is_whitespace) || name.contains('=') {
            let hint = "list one group a line; variables stand under `:vars`";
            self.fail(line, column, format!("`{name}` is no group name"), Some(hint));
            return;
        }
        let place = self.document.at(line, column);
        let group = self.inventory.groups.entry(self.group.clone()).or_default();
        group.children.entry(name.to_owned()).or_insert(place);
        self.inventory.groups.entry(name.to_owned()).or_default();
    }

    fn variable(&mut self, line: usize, column: usize, text: &str) {
        let Some((key, value)) = text.split_once('=') else {
            let hint = "hosts stand under `[group]`, groups under `[group:children]`";
            self.fail(line, column, format!("expected `key = value`, found `{}`", text.trim()), Some(hint));
            return;
        };
        let value_column = key.chars().count() + 2 + value.chars().take_while(|c| c.is_whitespace()).count();
        let data = Data::Str(words::unquote(words::uncomment(value).trim()).to_owned());
        let sourced = Sourced { node: Node { line, column: value_column, data }, document: self.document.clone() };
        let group = self.inventory.groups.entry(self.group.clone()).or_default();
        group.vars.insert(key.trim().to_owned(), sourced);
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
        let mut vars = IndexMap::new();
        if let Some(port) = port {
            let node = Node { line, column: first.column, data: Data::Int(i64::from(port)) };
            vars.insert("ansible_port".to_owned(), Sourced { node, document: self.document.clone() });
        }
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
            let node = Node { line, column: column + key.chars().count() + 1, data: words::literal(value) };
            vars.insert(key.to_owned(), Sourced { node, document: self.document.clone() });
        }
        for name in names {
            self.inventory.hosts.entry(name.clone()).or_default().extend(vars.clone());
            self.inventory.groups.entry(self.group.clone()).or_default().hosts.insert(name);
        }
    }
}

/// `[fd00::1]:22` is a host, not a section.
fn starts_with_address(text: &str) -> bool {
    let inside = text[1..].split(']').next().unwrap_or_default();
    inside.parse::<std::net::Ipv6Addr>().is_ok()
}
