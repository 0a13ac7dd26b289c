//! Mappings whose keys are a closed set.

use indexmap::IndexMap;

use super::{Data, Document, Entry, Node, is_template, not_rendered};
use crate::error::{InputError, Kind, nearest};

/// A mapping read key by key against a closed set; what nobody took is an error with the nearest key.
pub struct Fields<'a> {
    document: &'a Document,
    node: &'a Node,
    left: IndexMap<&'a str, &'a Entry>,
    known: Vec<&'static str>,
    errors: Vec<InputError>,
}

impl<'a> Fields<'a> {
    /// Starts on a mapping; anything else is an error that [`Fields::finish`] reports.
    pub fn of(document: &'a Document, node: &'a Node) -> Self {
        let mut fields = Self { document, node, left: IndexMap::new(), known: Vec::new(), errors: Vec::new() };
        match &node.data {
            Data::Map(map) => fields.left = map.iter().map(|(key, entry)| (key.as_str(), entry)).collect(),
            Data::Null => {}
            other => fields.fail(node, format!("expected a mapping, found {}", other.kind())),
        }
        fields
    }

    /// The value under `key`, if it is there and not null.
    pub fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.push(key);
        self.left.shift_remove(key).map(|entry| &entry.value).filter(|node| node.data != Data::Null)
    }

    /// The value under `key`; its absence is an error.
    pub fn need(&mut self, key: &'static str) -> Option<&'a Node> {
        let found = self.take(key);
        if found.is_none() {
            let node = self.node;
            let error = InputError::new(format!("missing key `{key}`")).of(Kind::MissingKey);
            self.errors.push(error.at(self.document.place(node)));
        }
        found
    }

    /// Text under `key` that is taken as it is written, or a number.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        let node = self.take(key)?;
        self.literal(key, node)
    }

    /// A list of such texts; absent is empty.
    pub fn texts(&mut self, key: &'static str) -> Vec<String> {
        self.list(key).iter().filter_map(|node| self.literal(key, node)).collect()
    }

    /// Words that are taken as they are written: a list, or text split at white space; absent is empty.
    pub fn words(&mut self, key: &'static str) -> Vec<String> {
        match self.take(key) {
            Some(Node { data: Data::Seq(items), .. }) => {
                items.iter().filter_map(|node| self.literal(key, node)).collect()
            }
            Some(node) => {
                let text = self.literal(key, node).unwrap_or_default();
                text.split_whitespace().map(str::to_owned).collect()
            }
            None => Vec::new(),
        }
    }

    /// A template would be used as text, braces and all.
    fn literal(&mut self, key: &str, node: &Node) -> Option<String> {
        match &node.data {
            Data::Str(text) if is_template(text) => {
                self.errors.push(not_rendered(&format!("`{key}`")).at(self.document.place(node)));
                None
            }
            Data::Str(text) => Some(text.clone()),
            Data::Int(number) => Some(number.to_string()),
            other => {
                self.fail(node, format!("`{key}` must be text, found {}", other.kind()));
                None
            }
        }
    }

    /// A whole number under `key`.
    pub fn number(&mut self, key: &'static str) -> Option<u32> {
        let node = self.take(key)?;
        match node.data {
            Data::Int(number) if u32::try_from(number).is_ok() => u32::try_from(number).ok(),
            _ => {
                self.fail(node, format!("`{key}` must be a whole number"));
                None
            }
        }
    }

    /// A truth value under `key`; absent is false.
    pub fn flag(&mut self, key: &'static str) -> bool {
        match self.take(key) {
            Some(Node { data: Data::Bool(value), .. }) => *value,
            Some(node) => {
                self.fail(node, format!("`{key}` must be true or false"));
                false
            }
            None => false,
        }
    }

    /// The items of a list under `key`; absent is empty.
    pub fn list(&mut self, key: &'static str) -> &'a [Node] {
        match self.take(key) {
            Some(Node { data: Data::Seq(items), .. }) => items,
            Some(node) => {
                self.fail(node, format!("`{key}` must be a list, found {}", node.data.kind()));
                &[]
            }
            None => &[],
        }
    }

    /// The entries of a mapping under `key`; absent is empty.
    pub fn map(&mut self, key: &'static str) -> Vec<(&'a str, &'a Entry)> {
        match self.take(key) {
            Some(Node { data: Data::Map(map), .. }) => map.iter().map(|(key, entry)| (key.as_str(), entry)).collect(),
            Some(node) => {
                self.fail(node, format!("`{key}` must be a mapping, found {}", node.data.kind()));
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// There are keys that nobody asked for: what seems missing is then probably misspelt.
    pub fn has_unknown(&self) -> bool {
        !self.left.is_empty()
    }

    /// Notes an error at a node.
    pub fn fail(&mut self, node: &Node, message: impl Into<String>) {
        self.errors.push(InputError::new(message).at(self.document.place(node)));
    }

    /// Notes that what is there is not what a role asks for.
    pub fn against(&mut self, node: &Node, message: impl Into<String>) {
        self.errors.push(InputError::new(message).of(Kind::RoleRule).at(self.document.place(node)));
    }

    /// Takes over the errors of an inner mapping.
    pub fn absorb(&mut self, errors: Vec<InputError>) {
        self.errors.extend(errors);
    }

    /// All errors, those of unknown keys included.
    pub fn finish(mut self) -> Vec<InputError> {
        for (key, entry) in &self.left {
            let mut error = InputError::new(format!("unknown key `{key}`"))
                .of(Kind::UnknownKey)
                .at(self.document.at(entry.line, entry.column));
            error.hint = Some(match nearest(key, self.known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known keys: {}", self.known.join(", ")),
            });
            self.errors.push(error);
        }
        self.errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let document = Document::parse("x.yml", "imgae: a\n").unwrap();
        let mut fields = Fields::of(&document, &document.root);
        fields.take("image");
        let errors = fields.finish();
        assert_eq!(errors[0].hint.as_deref(), Some("did you mean `image`?"));
    }
}
