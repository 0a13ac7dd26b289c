//! A variable's value, compiled once and shared by all hosts.

use std::sync::Arc;

use indexmap::IndexMap;
use minijinja::Value;

use super::engine::{self, Text};
use super::failure;
use crate::error::{InputError, Kind, Place};
use crate::shell::is_secret_name;
use crate::source::{Data, Document, Node};

/// Where a value stands, for errors.
#[derive(Clone, Copy)]
pub(super) struct Spot<'a> {
    pub(super) document: &'a Document,
    pub(super) line: usize,
    pub(super) column: usize,
    /// The file holds secrets: its lines are not shown.
    pub(super) secret: bool,
}

impl<'a> Spot<'a> {
    pub(super) fn of(document: &'a Document, node: &Node, secret: bool) -> Self {
        Self { document, line: node.line, column: node.column, secret: secret || document.hides(node) }
    }

    fn at(&self, line: usize, column: usize) -> Place {
        let mut place = self.document.at(line, column);
        if self.secret {
            place.excerpt = None;
        }
        place
    }

    pub(super) fn place(&self) -> Place {
        self.at(self.line, self.column)
    }

    /// The place of a line and column of the scalar's text.
    pub(super) fn inside(&self, text: &str, line: usize, column: usize) -> Place {
        let document = self.document;
        let mut place = failure::inside(document.at(self.line, self.column), text, line, column, |line, column| {
            document.at(line, column)
        });
        if self.secret {
            place.excerpt = None;
        }
        place
    }
}

/// A compiled value or a part of one.
pub(super) struct CompiledValue {
    /// How a chain of variables names it, as `a` or `a.b`.
    pub(super) label: String,
    pub(super) form: Form,
    line: usize,
    column: usize,
    document: Arc<Document>,
    secret: bool,
}

/// What a part is made of.
pub(super) enum Form {
    /// No template anywhere in it.
    Value(Value),
    /// A text with templates, raw and compiled.
    Text(String, Arc<Text>),
    /// A secret that has no value yet, which must not be printed as `None` anywhere.
    Empty,
    /// A text that does not compile.
    Failed(Box<InputError>),
    /// A list with templates in it.
    Seq(Vec<Arc<CompiledValue>>),
    /// A mapping with templates in it.
    Map(IndexMap<String, Arc<CompiledValue>>),
}

impl CompiledValue {
    pub(super) fn new(label: String, document: &Arc<Document>, node: &Node, secret: bool) -> Self {
        let part = |label, node| Arc::new(Self::new(label, document, node, secret));
        let form = match &node.data {
            Data::Null if secret => Form::Empty,
            Data::Null => Form::Value(Value::from(())),
            Data::Bool(value) => Form::Value(Value::from(*value)),
            Data::Int(value) => Form::Value(Value::from(*value)),
            Data::Float(value) => Form::Value(Value::from(*value)),
            Data::Str(text) if node.verbatim => Form::Value(Value::from(text.as_str())),
            Data::Str(text) => match engine::text(text) {
                Ok(compiled) if matches!(*compiled, Text::Plain) => Form::Value(Value::from(text.as_str())),
                Ok(compiled) => Form::Text(text.clone(), compiled),
                Err(error) => {
                    let spot = Spot::of(document, node, secret);
                    Form::Failed(Box::new(of_secret(syntax(&error, text, &spot), &label, spot.secret)))
                }
            },
            Data::Seq(items) => {
                let parts = items.iter().enumerate().map(|(index, item)| part(format!("{label}[{index}]"), item));
                seq(parts.collect())
            }
            Data::Map(entries) => {
                let parts =
                    entries.iter().map(|(key, entry)| (key.clone(), part(format!("{label}.{key}"), &entry.value)));
                map(parts.collect())
            }
        };
        let secret = secret || document.hides(node);
        Self { label, form, line: node.line, column: node.column, document: document.clone(), secret }
    }

    pub(super) fn spot(&self) -> Spot<'_> {
        Spot { document: &self.document, line: self.line, column: self.column, secret: self.secret }
    }

    /// Errors of texts that do not compile.
    pub(super) fn errors(&self, found: &mut Vec<InputError>) {
        match &self.form {
            Form::Failed(error) => found.push((**error).clone()),
            Form::Seq(parts) => parts.iter().for_each(|part| part.errors(found)),
            Form::Map(parts) => parts.values().for_each(|part| part.errors(found)),
            Form::Value(_) | Form::Text(..) | Form::Empty => {}
        }
    }

    /// Every templated text in it.
    pub(super) fn texts<'a>(&'a self, found: &mut Vec<&'a str>) {
        match &self.form {
            Form::Text(text, _) => found.push(text),
            Form::Seq(parts) => parts.iter().for_each(|part| part.texts(found)),
            Form::Map(parts) => parts.values().for_each(|part| part.texts(found)),
            Form::Value(_) | Form::Failed(_) | Form::Empty => {}
        }
    }
}

fn plain(part: &CompiledValue) -> Option<Value> {
    match &part.form {
        Form::Value(value) => Some(value.clone()),
        _ => None,
    }
}

fn seq(parts: Vec<Arc<CompiledValue>>) -> Form {
    match parts.iter().map(|part| plain(part)).collect::<Option<Vec<Value>>>() {
        Some(values) => Form::Value(Value::from(values)),
        None => Form::Seq(parts),
    }
}

fn map(parts: IndexMap<String, Arc<CompiledValue>>) -> Form {
    match parts.iter().map(|(key, part)| Some((key.as_str(), plain(part)?))).collect::<Option<Vec<_>>>() {
        Some(pairs) => Form::Value(Value::from_pairs(pairs)),
        None => Form::Map(parts),
    }
}

/// The same error of a value; that of a secret tells how its braces are written that are no template.
pub(super) fn of_secret(error: InputError, label: &str, secret: bool) -> InputError {
    if !secret && !is_secret_name(label) {
        return error;
    }
    let other = format!("if the braces are part of the secret, write it in a file of YAML as `{label}: !unsafe '...'`");
    let hint = error.hint.as_ref().map_or_else(|| other.clone(), |hint| format!("{hint}; {other}"));
    error.hint(hint)
}

/// The input error of a text that does not compile.
pub(super) fn syntax(error: &minijinja::Error, text: &str, spot: &Spot<'_>) -> InputError {
    let (line, column) = failure::position(error, &engine::prepared(text), 0, "");
    match failure::read(error) {
        failure::Said::Failed(error, _) => error,
        failure::Said::Undefined(what) => {
            InputError::new(format!("`{what}` is undefined")).of(Kind::UndefinedVariable).at(spot.place())
        }
        failure::Said::Unwritable(unwritable) => InputError::new(unwritable.to_string()).at(spot.place()),
        failure::Said::Wrong(error) => error.at(spot.inside(text, line, column)),
    }
}
