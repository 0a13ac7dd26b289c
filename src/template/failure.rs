//! From the template engine's errors to input errors: what failed, where it stands, and how it was reached.

use std::fmt;
use std::sync::LazyLock;

use minijinja::{Error, ErrorKind};
use regex::Regex;

use super::optional_paths;
use super::vocabulary::{FILTERS, FUNCTIONS, TESTS};
use crate::error::{InputError, Kind, Place, nearest};
use crate::shell::Secret;
use crate::shell::syntax::Syntax;

/// An input error on its way through the engine, and the variable whose use met it; empty where there is none.
#[derive(Debug, Clone)]
pub(super) struct Failed(InputError, String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Failed {}

/// Wraps an input error for the engine.
pub(super) fn wrap(error: InputError, variable: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, error.message.clone()).with_source(Failed(error, variable.to_owned()))
}

/// A value that the syntax of its file cannot hold.
#[derive(Debug, Clone)]
pub(super) struct Unwritable {
    /// The value, which may be secret.
    pub(super) value: Secret,
    what: &'static str,
    syntax: Syntax,
}

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "holds {}, which a file in the syntax `{}` cannot", self.what, self.syntax.name())
    }
}

impl std::error::Error for Unwritable {}

/// Says no to a value in a file.
pub(super) fn unwritable(value: String, what: &'static str, syntax: Syntax) -> Error {
    let unwritable = Unwritable { value: Secret::new(value), what, syntax };
    Error::new(ErrorKind::InvalidOperation, unwritable.to_string()).with_source(unwritable)
}

/// What the engine says of an error.
pub(super) enum Said {
    /// A value that cannot be written.
    Unwritable(Unwritable),
    /// Another input error, which stands elsewhere, and the variable that led there.
    Failed(InputError, String),
    /// An undefined value, as it was written (`x`, `a.b`, `groups['c']`); empty where that is not known.
    Undefined(String),
    /// Anything else.
    Wrong(InputError),
}

/// The engine tells which expression was undefined only in its text; a test pins the wording.
static UNDEFINED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("`([^`]+)` is undefined").ok());

/// Reads an engine's error.
pub(super) fn read(error: &Error) -> Said {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(Failed(failed, variable)) = inner.downcast_ref::<Failed>() {
            return Said::Failed(failed.clone(), variable.clone());
        }
        if let Some(unwritable) = inner.downcast_ref::<Unwritable>() {
            return Said::Unwritable(unwritable.clone());
        }
        source = inner.source();
    }
    let detail = error.detail().unwrap_or_default();
    if let Some(found) = UNDEFINED.as_ref().and_then(|pattern| pattern.captures(detail)) {
        return Said::Undefined(found[1].to_owned());
    }
    if error.kind() == ErrorKind::UndefinedError {
        return Said::Undefined(String::new());
    }
    Said::Wrong(match error.kind() {
        ErrorKind::SyntaxError => InputError::new(format!("template syntax: {detail}")).of(Kind::Template),
        ErrorKind::UnknownFilter => unknown("filter", detail, FILTERS),
        ErrorKind::UnknownTest => unknown("test", detail, TESTS),
        ErrorKind::UnknownFunction => unknown("function", detail, FUNCTIONS),
        ErrorKind::TemplateNotFound => InputError::new("a template cannot include other files")
            .of(Kind::Template)
            .hint("write the included text into this template, or use a macro"),
        ErrorKind::InvalidOperation if !detail.is_empty() => InputError::new(detail).of(Kind::Template),
        kind if detail.is_empty() => InputError::new(kind.to_string()).of(Kind::Template),
        kind => InputError::new(format!("{kind}: {detail}")).of(Kind::Template),
    })
}

fn unknown(what: &str, detail: &str, names: &[&'static str]) -> InputError {
    let words: Vec<&str> = detail.split(' ').collect();
    let name = words.iter().rev().nth(2).copied().unwrap_or_default();
    let error = InputError::new(format!("unknown {what} `{name}`")).of(Kind::Template);
    match nearest(name, names.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error,
    }
}

/// Line and column, both from 1, of an engine's error in `text`, of which it ran what is after `offset`: the word
/// the error is about where that is found, the start of the failing expression otherwise. The column is 0 where
/// only the line is known.
pub(super) fn position(error: &Error, text: &str, offset: usize, word: &str) -> (usize, usize) {
    let range = error.range().map(|range| range.start + offset..range.end + offset);
    let Some(range) = range.filter(|range| range.end <= text.len() && text.is_char_boundary(range.start)) else {
        return (error.line().unwrap_or(1), 0);
    };
    let start = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[range.start..].find('\n').map_or(text.len(), |at| range.start + at);
    // A filter's error stands at the filter; what it is about stands before it.
    let found = find_word(&text[range.start..end], word).map(|at| range.start + at);
    let offset = found.or_else(|| Some(start + find_word(&text[start..end], word)?)).unwrap_or(range.start);
    (text[..start].matches('\n').count() + 1, optional_paths::plain(&text[start..offset]).chars().count() + 1)
}

/// The expression between `{{` and `}}` of `text` that failed, as it is written.
pub(super) fn expression(error: &Error, text: &str) -> String {
    let range = error.range().unwrap_or_default();
    let (Some(before), Some(after)) = (text.get(..range.start), text.get(range.start..)) else { return String::new() };
    let begin = before.rfind("{{").map_or(range.start, |at| at + 2);
    let end = after.find("}}").map_or(text.len(), |at| range.start + at);
    optional_paths::plain(text[begin..end].trim_matches(['-', '+', ' '])).into_owned()
}

/// The first place where `word` stands by itself.
fn find_word(text: &str, word: &str) -> Option<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    if word.is_empty() {
        return None;
    }
    text.match_indices(word)
        .map(|(at, _)| at)
        .find(|at| !text[..*at].ends_with(part) && !text[at + word.len()..].starts_with(part))
}

/// The place of a line and column inside a YAML scalar that starts at `scalar`.
///
/// The parser tells where a scalar's text starts, not where each of its lines stands: it is looked for in the
/// source, and where it is not found as it was written (folded or escaped text) the start is the answer.
pub(super) fn inside(
    scalar: Place,
    text: &str,
    line: usize,
    column: usize,
    at: impl Fn(usize, usize) -> Place,
) -> Place {
    if scalar.line == 0 || column == 0 {
        return scalar;
    }
    let wanted = text.lines().nth(line - 1).unwrap_or_default();
    let source_line = scalar.line + line - 1;
    let excerpt = at(source_line, 1).excerpt.unwrap_or_default();
    let from = if line == 1 { byte_of(&excerpt, scalar.column) } else { 0 };
    match excerpt.get(from..).and_then(|rest| rest.find(wanted)) {
        Some(found) if !wanted.is_empty() => {
            let start = excerpt[..from + found].chars().count();
            at(source_line, start + column)
        }
        _ => scalar,
    }
}

fn byte_of(text: &str, column: usize) -> usize {
    text.char_indices().nth(column.saturating_sub(1)).map_or(text.len(), |(at, _)| at)
}
