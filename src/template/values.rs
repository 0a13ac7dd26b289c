//! Values of a role rendered for one host; mistakes are collected, each with what used the value.

use indexmap::IndexMap;
use minijinja::value::ValueKind;

use super::{Scope, Value};
use crate::error::InputError;
use crate::shell::syntax::Syntax;
use crate::source::{Data, Document, Fields, Node};

/// What stands between braces, of a value that is nothing else: a variable's name, mostly.
pub fn variable_of(node: &Node) -> Option<&str> {
    Some(node.as_str()?.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim())
}

/// Adds an error. The same mistake shows on every host, and a variable that is missing wherever it is used: once is enough.
pub fn note(errors: &mut Vec<InputError>, error: InputError) {
    let missing = error.message.starts_with("undefined variable");
    let same = |known: &InputError| known.message == error.message && (missing || known.place == error.place);
    if !errors.iter().any(same) {
        errors.push(error);
    }
}

/// The eyes of one host on one role.
pub struct Values<'a> {
    /// What the host sees.
    pub scope: &'a Scope,
    /// The role's file.
    pub document: &'a Document,
    /// What uses the values, for messages.
    pub used_by: String,
    /// The mistakes so far.
    pub errors: &'a mut Vec<InputError>,
}

impl<'a> Values<'a> {
    /// The same eyes on another role's file.
    pub fn of_document<'b>(&'b mut self, document: &'b Document) -> Values<'b>
    where
        'a: 'b,
    {
        Values { scope: self.scope, document, used_by: self.used_by.clone(), errors: &mut *self.errors }
    }

    /// Runs `read` with eyes that see further variables.
    pub fn with<T>(&mut self, variables: Vec<(String, Value)>, read: impl FnOnce(&mut Values<'_>) -> T) -> T {
        let scope = self.scope.with(variables);
        let used_by = self.used_by.clone();
        read(&mut Values { scope: &scope, document: self.document, used_by, errors: &mut *self.errors })
    }

    /// Takes the mistakes of an inner mapping over.
    pub fn note_all(&mut self, errors: Vec<InputError>) {
        for error in errors {
            self.note(error);
        }
    }

    /// Notes a mistake, with what used the value.
    pub fn note(&mut self, mut error: InputError) {
        error.used_by.get_or_insert_with(|| self.used_by.clone());
        note(self.errors, error);
    }

    /// Notes that a value is wrong.
    pub fn fail(&mut self, node: &Node, message: impl Into<String>) {
        let error = InputError::new(message).at(self.document.place(node));
        let error = self.with_origin(node, error);
        self.note(error);
    }

    fn kept<T>(&mut self, node: &Node, result: Result<T, InputError>) -> Option<T> {
        result
            .map_err(|error| {
                let error = self.with_origin(node, error);
                self.note(error);
            })
            .ok()
    }

    /// A value that is nothing but a variable is wrong where the variable is set.
    fn with_origin(&self, node: &Node, error: InputError) -> InputError {
        let Some(name) = variable_of(node).filter(|_| error.hint.is_none()) else { return error };
        let here = error.place.as_ref().is_some_and(|place| *place == self.document.place(node));
        match self.scope.explain(name).into_iter().next().filter(|_| here) {
            Some(origin) => error.hint(format!("correct `{name}`, which is set at {}", origin.place)),
            None => error,
        }
    }

    /// The text of a variable.
    pub fn variable(&mut self, name: &str) -> String {
        match self.scope.get(name) {
            Ok(value) => text_of(&value),
            Err(error) => {
                self.note(error);
                String::new()
            }
        }
    }

    /// Text.
    pub fn text(&mut self, node: &Node) -> String {
        self.some_text(node).unwrap_or_default()
    }

    /// The same; nothing where it failed, so that nobody complains of an empty text after that.
    pub fn some_text(&mut self, node: &Node) -> Option<String> {
        self.kept(node, self.scope.eval_text(self.document, node))
    }

    /// A text that is a file, with its values in the syntax of that.
    pub fn text_in(&mut self, syntax: Syntax, node: &Node) -> String {
        self.kept(node, self.scope.eval_in(syntax, self.document, node)).unwrap_or_default()
    }

    /// A truth value, or what it is where it is absent.
    pub fn flag(&mut self, node: Option<&Node>, absent: bool) -> bool {
        match node {
            None => absent,
            Some(node) => self.kept(node, self.scope.eval_flag(self.document, node)).unwrap_or(false),
        }
    }

    /// The whole number from 0 on that a variable has; none where it has none.
    pub fn number_of(&mut self, name: &str) -> Option<u32> {
        let found = self.scope.get(name);
        let number = found.and_then(|value| {
            u32::try_from(value.clone())
                .map_err(|_| InputError::new(format!("`{name}` is `{value}`, and must be a whole number")))
        });
        number.map_err(|error| self.note(error)).ok()
    }

    /// A whole number.
    pub fn number(&mut self, node: &Node) -> i64 {
        self.kept(node, self.scope.eval_number(self.document, node)).unwrap_or_default()
    }

    /// A value of any kind.
    pub fn value(&mut self, node: &Node) -> Value {
        self.some_value(node).unwrap_or_default()
    }

    /// The same; nothing where it failed, so that nobody complains of what is not in it.
    pub fn some_value(&mut self, node: &Node) -> Option<Value> {
        self.kept(node, self.scope.eval(self.document, node))
    }

    /// The text under a key; nothing where it is absent.
    pub fn text_at(&mut self, fields: &mut Fields<'_>, key: &'static str) -> String {
        fields.take(key).map(|node| self.text(node)).unwrap_or_default()
    }

    /// Words: a list, or text split at white space.
    pub fn words(&mut self, node: &Node) -> Vec<String> {
        match self.kept(node, self.scope.eval(self.document, node)) {
            None => Vec::new(),
            Some(value) if value.kind() == ValueKind::Seq => {
                value.try_iter().map(|items| items.map(|item| text_of(&item)).collect()).unwrap_or_default()
            }
            Some(value) => text_of(&value).split_whitespace().map(str::to_owned).collect(),
        }
    }

    /// A mapping of texts.
    pub fn map(&mut self, node: &Node) -> IndexMap<String, String> {
        let Some(value) = self.kept(node, self.scope.eval(self.document, node)) else { return IndexMap::new() };
        let Ok(keys) = value.try_iter() else {
            self.fail(node, "expected a mapping");
            return IndexMap::new();
        };
        keys.map(|key| (text_of(&key), text_of(&value.get_item(&key).unwrap_or_default()))).collect()
    }

    /// A list of texts.
    pub fn list(&mut self, node: &Node) -> Vec<String> {
        self.kept(node, self.scope.eval_list(self.document, node)).unwrap_or_default()
    }

    /// A port.
    pub fn port(&mut self, node: &Node) -> u16 {
        let Some(number) = self.kept(node, self.scope.eval_number(self.document, node)) else { return 0 };
        u16::try_from(number).ok().filter(|port| *port > 0).unwrap_or_else(|| {
            self.fail(node, format!("`{number}` is no port: ports are 1 to 65535"));
            0
        })
    }

    /// An environment.
    pub fn environment(&mut self, pairs: &[(String, Node)]) -> IndexMap<String, String> {
        pairs.iter().map(|(name, node)| (name.clone(), self.text(node))).collect()
    }

    /// Further variables; nothing where one failed, so that nobody complains of what is not in it.
    pub fn variables(&mut self, pairs: &[(String, Node)]) -> Option<Vec<(String, Value)>> {
        let values: Vec<_> =
            pairs.iter().map(|(_, node)| self.kept(node, self.scope.eval(self.document, node))).collect();
        pairs.iter().zip(values).map(|((name, _), value)| Some((name.clone(), value?))).collect()
    }

    /// `30s`, `5m`, or a number of seconds.
    pub fn seconds(&mut self, node: &Node) -> u64 {
        let Some(text) = self.some_text(node) else { return 0 };
        let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
            Some(at) => text.split_at(at),
            None => (text.as_str(), "s"),
        };
        let factor = match unit {
            "s" => Some(1),
            "m" => Some(60),
            "h" => Some(3600),
            _ => None,
        };
        let seconds = number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
        seconds.unwrap_or_else(|| {
            self.fail(node, format!("`{text}` is not a duration such as `30s` or `5m`"));
            0
        })
    }

    /// A regular expression.
    pub fn pattern(&mut self, node: &Node) -> Option<String> {
        let pattern = self.some_text(node)?;
        if let Err(error) = regex::Regex::new(&pattern) {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            self.fail(node, format!("`{pattern}` is no regular expression: {why}"));
        }
        Some(pattern)
    }
}

/// A value as a template prints it; nothing prints as nothing.
pub fn text_of(value: &Value) -> String {
    if value.is_none() || value.is_undefined() { String::new() } else { value.to_string() }
}

/// Bytes, as `512m`, `4g` or a number.
pub fn bytes(text: &str) -> Option<i64> {
    let text = text.to_lowercase();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit.trim_end_matches('b') {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(factor)
}

/// A list's nodes, or the node itself.
pub fn items(node: &Node) -> Vec<&Node> {
    match &node.data {
        Data::Seq(items) => items.iter().collect(),
        Data::Null => Vec::new(),
        _ => vec![node],
    }
}
