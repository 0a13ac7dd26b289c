//! What a mapping of a role may hold: tables of keys, from which follow the check of what is written, the schema for editors
//! and the description of each key.

use super::{Data, Document, Fields, Node, is_template, not_rendered};
use crate::error::{InputError, Kind};

/// What a value looks like. Where a template may stand, any text may.
#[derive(Debug)]
pub enum Shape {
    /// Anything.
    Any,
    /// Text or a number.
    Text,
    /// The same, as it is written: a template would be used with its braces.
    Name,
    /// The same two, and an absolute path.
    Path(&'static Shape),
    /// A volume with the path that it has in a container, as `data:/var/lib/toy:ro`; empty is none.
    Volume,
    /// The name of a variable.
    Variable,
    /// Text, a number or a truth value.
    Value,
    /// True, false or a template.
    Flag,
    /// True or false.
    Plain,
    /// A whole number.
    Number,
    /// A number.
    Decimal,
    /// Permissions in octal, quoted.
    Mode,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Words: a list, or text with spaces.
    Words,
    /// One, or a list.
    Some(&'static Shape),
    /// A list.
    List(&'static Shape),
    /// A mapping with keys of the operator's choice.
    Named(&'static Shape),
    /// A mapping with fixed keys.
    Keys(&'static Keys),
    /// The same, described once under a name.
    Defined(&'static str, &'static Keys),
    /// Either.
    Either(&'static Shape, &'static Shape),
}

/// A key, and what stands under it.
pub type Key = (&'static str, Shape);

/// A mapping with fixed keys.
#[derive(Debug)]
pub struct Keys {
    /// What it is called in messages, as `a step`.
    pub what: &'static str,
    /// What may be there.
    pub all: &'static [Key],
    /// What of that must be there.
    pub needed: &'static [&'static str],
    /// What may be there, too.
    pub any_of: &'static [&'static Key],
    /// Exactly one of these is there beside it; none where it is empty.
    pub one_of: &'static [&'static Key],
}

impl Keys {
    /// Keys of which some are needed.
    pub const fn new(all: &'static [Key], needed: &'static [&'static str]) -> Self {
        Self { what: "", all, needed, any_of: &[], one_of: &[] }
    }

    /// All keys but those of which one is there.
    fn optional(&self) -> impl Iterator<Item = &'static Key> {
        self.all.iter().chain(self.any_of.iter().copied())
    }

    /// All keys.
    pub fn every(&self) -> impl Iterator<Item = &'static Key> {
        self.optional().chain(self.one_of.iter().copied())
    }

    /// What is there of [`Keys::one_of`], by its place in that table.
    pub fn chosen<'a>(&self, node: &'a Node) -> Option<(usize, &'a Node)> {
        let Data::Map(map) = &node.data else { return None };
        let there = |(index, (key, _)): (usize, &&'static Key)| Some((index, &map.get(*key)?.value));
        self.one_of.iter().enumerate().find_map(there)
    }

    /// Notes what of a mapping is not as these keys say, at every depth.
    pub fn check(&self, node: &Node, document: &Document, errors: &mut Vec<InputError>) {
        if !matches!(node.data, Data::Map(_) | Data::Null) {
            let message = format!("expected a mapping, found {}", node.data.kind());
            errors.push(InputError::new(message).at(document.place(node)));
            return;
        }
        let mut fields = Fields::of(document, node);
        for (key, shape) in self.optional() {
            let value = if self.needed.contains(key) { fields.need(key) } else { fields.take(key) };
            if let Some(value) = value {
                shape.check(key, value, document, errors);
            }
        }
        let found = self.one_of.iter().filter(|(key, shape)| {
            fields.take(key).inspect(|value| shape.check(key, value, document, errors)).is_some()
        });
        let found = found.count();
        // A key that nobody knows is probably the one that is missing.
        if !self.one_of.is_empty() && found != 1 && (found > 1 || !fields.has_unknown()) {
            let names: Vec<String> = self.one_of.iter().map(|(key, _)| format!("`{key}`")).collect();
            fields.against(node, format!("{} has exactly one of {}", self.what, names.join(", ")));
        }
        errors.extend(fields.finish());
    }
}

impl Shape {
    /// The nodes of what is described once under this name.
    pub fn defined<'n>(&self, name: &str, node: &'n Node, found: &mut Vec<&'n Node>) {
        match (self, &node.data) {
            (Self::Defined(known, _), _) if *known == name => found.push(node),
            (Self::Keys(keys), Data::Map(map)) => {
                for (key, shape) in keys.every() {
                    if let Some(entry) = map.get(*key) {
                        shape.defined(name, &entry.value, found);
                    }
                }
            }
            (Self::List(inner), Data::Seq(items)) => items.iter().for_each(|item| inner.defined(name, item, found)),
            _ => {}
        }
    }

    /// It is about values of this kind.
    fn is_for(&self, data: &Data) -> bool {
        match self {
            Self::Any => true,
            Self::Path(inner) => inner.is_for(data),
            Self::Either(one, other) => one.is_for(data) || other.is_for(data),
            Self::Keys(_) | Self::Defined(..) | Self::Named(_) => matches!(data, Data::Map(_)),
            Self::List(_) => matches!(data, Data::Seq(_)),
            Self::Some(_) | Self::Words => !matches!(data, Data::Map(_)),
            _ => !matches!(data, Data::Map(_) | Data::Seq(_)),
        }
    }

    /// Notes what of a value is not of this shape: keys that nobody knows, ones that are missing, templates where none is
    /// rendered. What a template becomes is seen only when it is rendered.
    pub fn check(&self, key: &str, node: &Node, document: &Document, errors: &mut Vec<InputError>) {
        let mut fail = |message: String| errors.push(InputError::new(message).at(document.place(node)));
        match (self, &node.data) {
            (Self::Name | Self::Variable, Data::Str(text)) if is_template(text) => {
                errors.push(not_rendered(&format!("`{key}`")).at(document.place(node)));
            }
            (Self::Name, Data::Str(_) | Data::Int(_)) | (Self::Variable, Data::Str(_)) => {}
            (Self::Path(_), Data::Str(text)) if !is_absolute(text) => errors.push(
                InputError::new(format!("`{key}` must be an absolute path: `{text}`"))
                    .of(Kind::RoleRule)
                    .at(document.place(node))
                    .hint("begin it with `/`"),
            ),
            (Self::Path(inner), Data::Str(_)) => inner.check(key, node, document, errors),
            (Self::Name | Self::Variable | Self::Path(_), other) => {
                fail(format!("`{key}` must be text, found {}", other.kind()));
            }
            (Self::Number, data) if !matches!(data, Data::Int(number) if u32::try_from(*number).is_ok()) => {
                fail(format!("`{key}` must be a whole number"));
            }
            (Self::Plain, data) if !matches!(data, Data::Bool(_)) => fail(format!("`{key}` must be true or false")),
            (Self::OneOf(words), data) => {
                let word = node.as_str().unwrap_or_default();
                if !words.contains(&word) {
                    let known: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                    let found = if matches!(data, Data::Str(_)) { format!("`{word}`") } else { data.kind().to_owned() };
                    fail(format!("`{key}` is one of {}, not {found}", known.join(", ")));
                }
            }
            (Self::Volume, Data::Str(text)) if !is_volume(text) => errors.push(
                InputError::new(format!("`{text}` of `{key}` has no absolute path in the container"))
                    .of(Kind::RoleRule)
                    .at(document.place(node))
                    .hint("write `NAME_OR_PATH:PATH` or `NAME_OR_PATH:PATH:ro`, where PATH begins with `/`"),
            ),
            (Self::Keys(keys) | Self::Defined(_, keys), _) => keys.check(node, document, errors),
            (Self::List(inner) | Self::Some(inner), Data::Seq(items)) => {
                for item in items {
                    inner.check(key, item, document, errors);
                }
            }
            (Self::Some(inner), _) => inner.check(key, node, document, errors),
            (Self::List(_), data) if !matches!(data, Data::Str(text) if is_template(text)) => {
                fail(format!("`{key}` must be a list, found {}", data.kind()));
            }
            (Self::Named(inner), Data::Map(map)) => {
                map.iter().for_each(|(name, entry)| inner.check(name, &entry.value, document, errors));
            }
            (Self::Either(one, other), data) => {
                let fitting = if !one.is_for(data) && other.is_for(data) { other } else { one };
                fitting.check(key, node, document, errors);
            }
            _ => {}
        }
    }
}

/// A path that is absolute, or that begins with a template, of which nothing is known yet.
fn is_absolute(path: &str) -> bool {
    ["/", "{{", "{%"].iter().any(|start| path.starts_with(start))
}

/// What is mounted has an absolute path there. Where a template ends is not known, so neither is where the path begins.
fn is_volume(text: &str) -> bool {
    text.is_empty() || is_template(text) || text.split(':').nth(1).is_some_and(is_absolute)
}
