//! Values of a role rendered for one host; mistakes are collected, each with what used the value.

use indexmap::IndexMap;
use minijinja::value::ValueKind;

use crate::error::InputError;
use crate::host::ReadOnly;
use crate::op::probe::{Ask, Probe};
use crate::source::{Data, Document, Fields, Node};
use crate::template::{Scope, Value};

/// Seconds that a probe waits where the role does not say.
const WITHIN: u64 = 60;

/// What stands between braces, of a value that is nothing else: a variable's name, mostly.
pub(super) fn variable_of(node: &Node) -> Option<&str> {
    Some(node.as_str()?.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim())
}

/// Adds an error. The same mistake shows on every host, and a variable that is missing wherever it is used: once is enough.
pub(super) fn note(errors: &mut Vec<InputError>, error: InputError) {
    let missing = error.message.starts_with("undefined variable");
    let same = |known: &InputError| known.message == error.message && (missing || known.place == error.place);
    if !errors.iter().any(same) {
        errors.push(error);
    }
}

/// The eyes of one host on one role.
pub(super) struct Values<'a> {
    pub(super) scope: &'a Scope,
    pub(super) document: &'a Document,
    pub(super) used_by: String,
    pub(super) errors: &'a mut Vec<InputError>,
}

impl Values<'_> {
    pub(super) fn note(&mut self, mut error: InputError) {
        error.used_by.get_or_insert_with(|| self.used_by.clone());
        note(self.errors, error);
    }

    pub(super) fn fail(&mut self, node: &Node, message: impl Into<String>) {
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

    pub(super) fn variable(&mut self, name: &str) -> String {
        match self.scope.get(name) {
            Ok(value) => text_of(&value),
            Err(error) => {
                self.note(error);
                String::new()
            }
        }
    }

    pub(super) fn text(&mut self, node: &Node) -> String {
        self.some_text(node).unwrap_or_default()
    }

    /// Nothing where it failed, so that nobody complains of an empty text after that.
    fn some_text(&mut self, node: &Node) -> Option<String> {
        self.kept(node, self.scope.eval_text(self.document, node))
    }

    pub(super) fn flag(&mut self, node: Option<&Node>, absent: bool) -> bool {
        match node {
            None => absent,
            Some(node) => self.kept(node, self.scope.eval_flag(self.document, node)).unwrap_or(false),
        }
    }

    pub(super) fn number(&mut self, node: &Node) -> i64 {
        self.kept(node, self.scope.eval_number(self.document, node)).unwrap_or_default()
    }

    pub(super) fn value(&mut self, node: &Node) -> Value {
        self.kept(node, self.scope.eval(self.document, node)).unwrap_or_default()
    }

    /// Words: a list, or text split at white space.
    pub(super) fn words(&mut self, node: &Node) -> Vec<String> {
        match self.kept(node, self.scope.eval(self.document, node)) {
            None => Vec::new(),
            Some(value) if value.kind() == ValueKind::Seq => {
                value.try_iter().map(|items| items.map(|item| text_of(&item)).collect()).unwrap_or_default()
            }
            Some(value) => text_of(&value).split_whitespace().map(str::to_owned).collect(),
        }
    }

    /// A mapping of texts.
    pub(super) fn map(&mut self, node: &Node) -> IndexMap<String, String> {
        let Some(value) = self.kept(node, self.scope.eval(self.document, node)) else { return IndexMap::new() };
        let Ok(keys) = value.try_iter() else {
            self.fail(node, "expected a mapping");
            return IndexMap::new();
        };
        keys.map(|key| (text_of(&key), text_of(&value.get_item(&key).unwrap_or_default()))).collect()
    }

    pub(super) fn list(&mut self, node: &Node) -> Vec<String> {
        self.kept(node, self.scope.eval_list(self.document, node)).unwrap_or_default()
    }

    pub(super) fn port(&mut self, node: &Node) -> u16 {
        let Some(number) = self.kept(node, self.scope.eval_number(self.document, node)) else { return 0 };
        u16::try_from(number).ok().filter(|port| *port > 0).unwrap_or_else(|| {
            self.fail(node, format!("`{number}` is no port: ports are 1 to 65535"));
            0
        })
    }

    pub(super) fn environment(&mut self, pairs: &[(String, Node)]) -> IndexMap<String, String> {
        pairs.iter().map(|(name, node)| (name.clone(), self.text(node))).collect()
    }

    /// Further variables; nothing where one failed, so that nobody complains of what is not in it.
    pub(super) fn variables(&mut self, pairs: &[(String, Node)]) -> Option<Vec<(String, Value)>> {
        let values: Vec<_> =
            pairs.iter().map(|(_, node)| self.kept(node, self.scope.eval(self.document, node))).collect();
        pairs.iter().zip(values).map(|((name, _), value)| Some((name.clone(), value?))).collect()
    }

    /// `30s`, `5m`, or a number of seconds.
    pub(super) fn seconds(&mut self, node: &Node) -> u64 {
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
            self.fail(node, format!("`{text}` is no length of time, as `30s` or `5m`"));
            0
        })
    }

    /// `512m`, `4g`, or a number of bytes.
    pub(super) fn bytes(&mut self, node: &Node) -> i64 {
        let Some(text) = self.some_text(node).map(|text| text.to_lowercase()) else { return 0 };
        let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
            Some(at) => text.split_at(at),
            None => (text.as_str(), ""),
        };
        let factor = match unit.trim_end_matches('b') {
            "" => Some(1),
            "k" => Some(1 << 10),
            "m" => Some(1 << 20),
            "g" => Some(1 << 30),
            _ => None,
        };
        let bytes = number.parse::<i64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
        bytes.unwrap_or_else(|| {
            self.fail(node, format!("`{text}` is no size, as `512m` or `4g`"));
            0
        })
    }

    /// A regular expression.
    pub(super) fn pattern(&mut self, node: &Node) -> Option<String> {
        let pattern = self.some_text(node)?;
        if let Err(error) = regex::Regex::new(&pattern) {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            self.fail(node, format!("`{pattern}` is no regular expression: {why}"));
        }
        Some(pattern)
    }

    /// A probe; running is enough where it is absent.
    pub(super) fn probe(&mut self, node: Option<&Node>) -> Probe {
        let Some(node) = node else { return Probe { within: WITHIN, ..Probe::default() } };
        let document = self.document;
        let mut fields = Fields::of(document, node);
        let (http, tcp, exec) = (fields.take("http"), fields.take("tcp"), fields.take("exec"));
        let healthy = fields.flag("healthy");
        let expect = fields.take("expect").and_then(|node| self.pattern(node));
        let within = fields.take("within").map_or(WITHIN, |node| self.seconds(node));
        if usize::from(http.is_some()) + usize::from(tcp.is_some()) + usize::from(exec.is_some()) + usize::from(healthy)
            != 1
        {
            fields.against(node, "a probe has exactly one of `http`, `tcp`, `exec`, `healthy`");
        }
        for error in fields.finish() {
            self.note(error);
        }
        let ask = if let Some(node) = http {
            self.http(node)
        } else if let Some(node) = tcp {
            let text = self.some_text(node);
            let (address, port) = text.map(|text| self.address(node, &text)).unwrap_or_default();
            Ask::Tcp { address, port }
        } else if let Some(node) = exec {
            Ask::Exec { argv: ReadOnly::declared(self.words(node)) }
        } else {
            Ask::Healthy
        };
        Probe { ask, expect, within }
    }

    fn http(&mut self, node: &Node) -> Ask {
        let Some(text) = self.some_text(node) else { return Ask::Running };
        let Some(rest) = text.strip_prefix("http://") else {
            self.fail(node, format!("`{text}` is no address that starts with `http://`"));
            return Ask::Running;
        };
        let (server, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (address, port) = self.address(node, server);
        Ask::Http { address, port, path: if path.is_empty() { "/".into() } else { path.to_owned() } }
    }

    fn address(&mut self, node: &Node, text: &str) -> (String, u16) {
        let parts = text.rsplit_once(':').and_then(|(address, port)| Some((address, port.parse::<u16>().ok()?)));
        let Some((address, port)) = parts else {
            self.fail(node, format!("`{text}` is no address with a port, as `10.0.0.1:80`"));
            return (String::new(), 0);
        };
        (address.trim_matches(['[', ']']).to_owned(), port)
    }
}

/// A value as a template prints it; nothing prints as nothing.
pub(super) fn text_of(value: &Value) -> String {
    if value.is_none() || value.is_undefined() { String::new() } else { value.to_string() }
}

/// A list's nodes, or the node itself.
pub(super) fn items(node: &Node) -> Vec<&Node> {
    match &node.data {
        Data::Seq(items) => items.iter().collect(),
        Data::Null => Vec::new(),
        _ => vec![node],
    }
}
