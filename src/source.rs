//! YAML with the place of every value, so that any later error can point at what the user wrote.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use indexmap::map::Entry as Slot;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::{Spanned, Tagged};

use crate::error::{InputError, Kind, Place};
use crate::shell::Secret;

mod dump;
mod fields;
mod mistake;
mod scalar;
mod shape;
mod tag;

pub use dump::{Style, dump, float};
pub use fields::Fields;
pub use shape::{Key, Keys, Shape};

/// The text is rendered, where templates are: it has an expression or a statement of Jinja's.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// A template where text is taken as it is written.
pub fn not_rendered(what: &str) -> InputError {
    InputError::new(format!("{what} must be plain text: templates are not rendered here"))
        .of(Kind::RoleRule)
        .hint("write the value itself; templates are for `command`, `env`, `when` and the content of files")
}

/// A parsed file.
#[derive(Debug, Clone)]
pub struct Document {
    file: Arc<Path>,
    text: Arc<str>,
    /// Where each line starts and ends.
    lines: Arc<[(usize, usize)]>,
    /// It is YAML; else some other parser made of its text what it holds.
    yaml: bool,
    /// Nothing of it is shown.
    hidden: bool,
    /// Texts that were encrypted, and are not shown.
    opened: Vec<Secret>,
    /// Keys that stand twice in a mapping: the last one counts, as in Ansible, but it is a mistake.
    twice: Vec<InputError>,
    /// Its top value; [`Data::Null`] for an empty file.
    pub root: Node,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Line, from 1; 0 where it is not known.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// It was tagged `!unsafe`: a text in it is no template, whatever it looks like.
    pub verbatim: bool,
    /// The value.
    pub data: Data,
}

/// A YAML value. Mappings keep their order and where each key stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Str(String),
    /// A list.
    Seq(Vec<Node>),
    /// A mapping.
    Map(IndexMap<String, Entry>),
}

/// A key of a mapping, where it stands, and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key's line, from 1.
    pub line: usize,
    /// The key's column, from 1.
    pub column: usize,
    /// Line and column where the key stands again in the same mapping: a mistake.
    pub again: Option<(usize, usize)>,
    /// The value.
    pub value: Node,
}

impl Entry {
    /// An entry that stands in no file.
    pub fn bare(value: Node) -> Self {
        Self { line: 0, column: 0, again: None, value }
    }
}

impl Document {
    /// Parses `text`, the content of `file`.
    ///
    /// # Errors
    /// Syntax errors and the first duplicate key, each with its place.
    pub fn parse(file: impl AsRef<Path>, text: &str) -> Result<Self, InputError> {
        let mut document = Self::parse_through(file, text)?;
        if document.twice.is_empty() { Ok(document) } else { Err(document.twice.swap_remove(0)) }
    }

    /// As [`Self::parse`], of a file of which other mistakes are told, too: duplicate keys are in [`Self::twice`].
    ///
    /// # Errors
    /// Syntax errors with their place.
    pub fn parse_through(file: impl AsRef<Path>, text: &str) -> Result<Self, InputError> {
        let options = serde_yaml::options! {
            legacy_octal_numbers: true,
            // Told with both places; see `Entry::again`.
            duplicate_keys: serde_yaml::DuplicateKeyPolicy::PassThrough,
            with_snippet: false,
            // Values are walked by functions that call themselves, and aliases make much of little.
            budget: serde_yaml::budget! {
                max_depth: mistake::DEEPEST,
                // Brackets that are looked ahead at: more than are read before the depth is noticed.
                flow_nesting_limit: 2048,
                // A value has an event, or two.
                max_events: 3 * mistake::MOST_VALUES,
                max_nodes: mistake::MOST_VALUES,
                max_aliases: mistake::MOST_VALUES,
                max_anchors: mistake::MOST_VALUES,
                max_merge_keys: mistake::MOST_VALUES,
                max_recorded_anchor_events: mistake::MOST_REPEATED,
                max_total_scalar_bytes: mistake::MOST_TEXT,
                // Thousands of aliases of one anchor are fine.
                enforce_alias_anchor_ratio: false,
            },
            alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: mistake::MOST_REPEATED },
        };
        let mut root = if text.lines().all(|line| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#') || line == "---"
        }) {
            Node::new(1, 1, Data::Null)
        } else {
            serde_yaml::from_str_with_options::<Node>(text, options).map_err(|error| {
                let (line, column) = error.location().map_or((0, 0), |l| (position(l.line()), position(l.column())));
                let line_text = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
                mistake::of(&error, line_text).at(Place::within(&file, text, line, column))
            })?
        };
        let mut found = Vec::new();
        root.twice(&mut found);
        let error = |(key, first, (line, column)): (&str, usize, (usize, usize))| {
            let message = format!("duplicate key `{key}`: it stands on line {first} already");
            let error = InputError::new(message).of(Kind::DuplicateKey).at(Place::within(&file, text, line, column));
            error.hint("take one of the two out")
        };
        let twice = found.into_iter().map(error).collect();
        scalar::retype(&mut root, text);
        Ok(Self { yaml: true, twice, ..Self::made(file, text, root) })
    }

    /// A document that some other parser made of `text`: an inventory, or `-e`.
    pub fn made(file: impl AsRef<Path>, text: &str, root: Node) -> Self {
        let lines = text.lines().map(|line| {
            let start = line.as_ptr().addr() - text.as_ptr().addr();
            (start, start + line.len())
        });
        let lines = lines.collect();
        let (file, text) = (file.as_ref().into(), text.into());
        Self { file, text, lines, yaml: false, hidden: false, opened: Vec::new(), twice: Vec::new(), root }
    }

    /// The same document, of which nothing is shown: it is of secrets.
    #[must_use]
    pub fn hide_all(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Replaces texts by what `open` makes of a value's name, as `a.b[0]`, and its text. They are not shown from then on.
    ///
    /// # Errors
    /// The first one of `open`, at the value's place.
    pub fn open_texts(
        &mut self,
        open: &mut impl FnMut(&str, &str) -> Result<Option<String>, InputError>,
    ) -> Result<(), InputError> {
        let mut root = std::mem::replace(&mut self.root, Node::bare(Data::Null));
        let mut opened = Vec::new();
        let done = root.replace_texts("", &mut |label, node| {
            let text = open(label, node.as_str().unwrap_or_default()).map_err(|error| error.at(self.place(node)))?;
            opened.extend(text.iter().filter(|text| !text.is_empty()).map(Secret::new));
            Ok(text)
        });
        self.root = root;
        self.opened.extend(opened);
        done
    }

    /// A value of this document, or a part of it, is not to be shown.
    pub fn hides(&self, node: &Node) -> bool {
        let holds = |text: &String| self.opened.iter().any(|secret| secret.reveal() == text);
        self.hidden
            || !self.opened.is_empty()
                && match &node.data {
                    Data::Str(text) => holds(text),
                    Data::Seq(items) => items.iter().any(|item| self.hides(item)),
                    Data::Map(map) => map.values().any(|entry| self.hides(&entry.value)),
                    _ => false,
                }
    }

    /// An error for each key that stands twice in a mapping.
    pub fn twice(&self) -> Vec<InputError> {
        let shown = |error: &InputError| match &error.place {
            Some(place) => error.clone().at(self.at(place.line, place.column)),
            None => error.clone(),
        };
        self.twice.iter().map(shown).collect()
    }

    /// Nothing of it is to be shown.
    pub fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// Its texts that were encrypted one by one.
    pub fn opened(&self) -> &[Secret] {
        &self.opened
    }

    /// The file's path.
    pub fn file(&self) -> PathBuf {
        self.file.to_path_buf()
    }

    /// The line of a node.
    pub fn line(&self, node: &Node) -> Option<&str> {
        let (start, end) = self.lines.get(node.line.checked_sub(1)?)?;
        self.text.get(*start..*end)
    }

    /// It was parsed as YAML.
    pub fn is_yaml(&self) -> bool {
        self.yaml
    }

    /// What is written for a truth value or a number in YAML.
    pub fn written(&self, node: &Node) -> Option<&str> {
        if !self.yaml || !matches!(node.data, Data::Bool(_) | Data::Int(_) | Data::Float(_)) {
            return None;
        }
        let line = self.line(node)?;
        let (at, _) = line.char_indices().nth(node.column.checked_sub(1)?)?;
        let word = scalar::word(&line[at..]);
        (scalar::resolve(word) == node.data).then_some(word)
    }

    /// Where a node of this document stands.
    pub fn place(&self, node: &Node) -> Place {
        self.at(node.line, node.column)
    }

    /// A line and column of this document.
    pub fn at(&self, line: usize, column: usize) -> Place {
        let bounds = line.checked_sub(1).filter(|_| !self.hidden).and_then(|index| self.lines.get(index));
        let text = bounds.and_then(|(start, end)| self.text.get(*start..*end));
        Place::on_line(&self.file, text, line, column)
    }

    /// The top mapping's entries; none for an empty file.
    ///
    /// # Errors
    /// When the top is something else than a mapping.
    pub fn entries(&self) -> Result<IndexMap<String, Entry>, InputError> {
        match &self.root.data {
            Data::Null => Ok(IndexMap::new()),
            Data::Map(map) => Ok(map.clone()),
            other => {
                Err(InputError::new(format!("expected a mapping, found {}", other.kind())).at(self.place(&self.root)))
            }
        }
    }
}

fn position(number: u64) -> usize {
    usize::try_from(number).unwrap_or_default()
}

impl Data {
    /// What kind of value it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a truth value",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Str(_) => "text",
            Self::Seq(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl Node {
    /// A value that stands in no file.
    pub fn bare(data: Data) -> Self {
        Self::new(0, 0, data)
    }

    /// A value at its line and column.
    pub fn new(line: usize, column: usize, data: Data) -> Self {
        Self { line, column, verbatim: false, data }
    }

    /// Its text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match &self.data {
            Data::Str(text) => Some(text),
            _ => None,
        }
    }

    /// All texts in it that may be templates.
    pub fn texts(&self) -> Vec<&str> {
        fn collect<'a>(node: &'a Node, found: &mut Vec<&'a str>) {
            match &node.data {
                Data::Str(text) if !node.verbatim => found.push(text),
                Data::Seq(items) => items.iter().for_each(|item| collect(item, found)),
                Data::Map(map) => map.values().for_each(|entry| collect(&entry.value, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        collect(self, &mut found);
        found
    }

    /// Keys in it that stand twice in a mapping: the first line of each, and where it stands again.
    fn twice<'a>(&'a self, found: &mut Vec<(&'a str, usize, (usize, usize))>) {
        match &self.data {
            Data::Seq(items) => items.iter().for_each(|item| item.twice(found)),
            Data::Map(map) => {
                for (key, entry) in map {
                    found.extend(entry.again.map(|again| (key.as_str(), entry.line, again)));
                    entry.value.twice(found);
                }
            }
            _ => {}
        }
    }

    /// Replaces texts in it by what `open` makes of their name and node.
    fn replace_texts(
        &mut self,
        label: &str,
        open: &mut impl FnMut(&str, &Self) -> Result<Option<String>, InputError>,
    ) -> Result<(), InputError> {
        match &mut self.data {
            Data::Str(_) => {
                if let Some(text) = open(label, self)? {
                    self.data = Data::Str(text);
                }
            }
            Data::Seq(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    item.replace_texts(&format!("{label}[{index}]"), open)?;
                }
            }
            Data::Map(map) => {
                for (key, entry) in map {
                    let label = if label.is_empty() { key.clone() } else { format!("{label}.{key}") };
                    entry.value.replace_texts(&label, open)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The same value as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.data {
            Data::Null => serde_json::Value::Null,
            Data::Bool(value) => (*value).into(),
            Data::Int(value) => (*value).into(),
            Data::Float(value) => serde_json::Number::from_f64(*value).into(),
            Data::Str(value) => value.clone().into(),
            Data::Seq(items) => items.iter().map(Self::to_json).collect(),
            Data::Map(map) => {
                serde_json::Value::Object(map.iter().map(|(k, entry)| (k.clone(), entry.value.to_json())).collect())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Tagged(spanned, tag) = Tagged::<Spanned<Data>>::deserialize(deserializer)?;
        // Where it is written, not where an alias or a merge repeats it: there stands something else.
        let location = spanned.defined;
        let mut node = Self::new(position(location.line()), position(location.column()), spanned.value);
        tag::apply(tag.as_deref(), &mut node).map_err(serde::de::Error::custom)?;
        Ok(node)
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DataVisitor)
    }
}

struct DataVisitor;

impl<'de> Visitor<'de> for DataVisitor {
    type Value = Data;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Data, E> {
        Ok(Data::Null)
    }

    fn visit_none<E>(self) -> Result<Data, E> {
        Ok(Data::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Data, D::Error> {
        Data::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Data, E> {
        Ok(Data::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Data, E> {
        Ok(Data::Int(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Data, E> {
        i64::try_from(value).map(Data::Int).map_err(|_| E::custom("number too large"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Data, E> {
        Ok(Data::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Data, E> {
        Ok(Data::Str(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Data, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Data::Seq(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Data, A::Error> {
        let mut map: IndexMap<String, Entry> = IndexMap::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            let (line, column) = (position(key.defined.line()), position(key.defined.column()));
            let merged = key.defined != key.referenced;
            let value = access.next_value()?;
            match map.entry(key.value) {
                // The mapping's own keys come first, and what is merged into it fills what they leave.
                Slot::Occupied(_) if merged => {}
                Slot::Occupied(mut first) => {
                    let first = first.get_mut();
                    first.again.get_or_insert((line, column));
                    first.value = value;
                }
                Slot::Vacant(slot) => {
                    slot.insert(Entry { line, column, again: None, value });
                }
            }
        }
        Ok(Data::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_and_key_knows_its_place() {
        let document = Document::parse("x.yml", "a: 1\nb:\n  - yes\n  - c: '0660'\n    d: 0660\n").unwrap();
        let entries = document.entries().unwrap();
        assert_eq!((entries["b"].line, entries["b"].column), (2, 1));
        let Data::Seq(items) = &entries["b"].value.data else { panic!() };
        assert_eq!((items[0].line, items[0].column, &items[0].data), (3, 5, &Data::Bool(true)));
        let Data::Map(map) = &items[1].data else { panic!() };
        assert_eq!(map["c"].value.data, Data::Str("0660".into()));
        assert_eq!(map["d"].value.data, Data::Int(432));
    }

    #[test]
    fn values_are_typed_as_ansible_types_them() {
        let text = "[yes, y, No, n, 017, 0o17, 08, 1.5, 1e3, 1.5e3, 1.5e+3, .5, 0x1f, 1_000, 'y', \"1e3\"]\n";
        let value = Document::parse("x.yml", text).unwrap().root.to_json();
        let expected = serde_json::json!([
            true, "y", false, "n", 15, "0o17", "08", 1.5, "1e3", "1.5e3", 1500.0, 0.5, 31, 1000, "y", "1e3"
        ]);
        assert_eq!(value, expected);
    }

    #[test]
    fn a_duplicate_key_is_an_error_with_both_places() {
        let error = Document::parse("x.yml", "a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!(error.place.unwrap().to_string(), "x.yml:3:1");
        assert_eq!(error.message, "duplicate key `a`: it stands on line 1 already");
        let error =
            Document::parse("x.yml", "- {a: {'1': x}}\n- {a: {b: &b {c: 1}, 1: 2, d: *b,\n  '1': x}}\n").unwrap_err();
        assert_eq!(error.to_string(), "x.yml:3: duplicate key `1`: it stands on line 2 already");
        let merged = "a: &a {b: 1, c: 2}\nd:\n  <<: *a\n  b: 3\ne:\n  <<: [*a, *a]\n";
        assert_eq!(Document::parse("x.yml", merged).unwrap().root.to_json()["d"]["b"], 3);
        let text =
            "a: &a {1: x}\nb: {<<: *a, '1': y}\nc:\n  <<:\n    d: 3\n    e: yes\nf: {<<: {g: 017}}\nh: &h on\ni: *h\n";
        let expected = serde_json::json!({
            "a": {"1": "x"}, "b": {"1": "y"}, "c": {"d": 3, "e": true}, "f": {"g": 15}, "h": true, "i": true
        });
        assert_eq!(Document::parse("x.yml", text).unwrap().root.to_json(), expected);
    }

    #[test]
    fn comments_before_a_value_are_as_many_as_anyone_likes() {
        let comments = "# as it was written long ago\n".repeat(5000);
        let text = format!("a:\n{comments}b: 1\nc:\n  {comments}  - 2\n{comments}");
        let value = Document::parse("x.yml", &text).unwrap().root.to_json();
        assert_eq!(value, serde_json::json!({"a": null, "b": 1, "c": [2]}));
    }

    #[test]
    fn an_empty_file_is_an_empty_mapping() {
        assert!(Document::parse("x.yml", "---\n# nothing\n").unwrap().entries().unwrap().is_empty());
    }
}
