//! Files with values in quotes.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::{Piece, Syntax, unmarked};

/// Where the text before a value leaves off.
#[derive(Default)]
struct Position {
    quote: Option<char>,
    comment: bool,
    escaped: bool,
    last: Option<char>,
}

impl Position {
    fn pass(&mut self, syntax: Syntax, text: &str) {
        for c in unmarked(text).chars() {
            let (before, escaped) = (self.last.replace(c), std::mem::take(&mut self.escaped));
            if c == '\n' && (self.comment || syntax == Syntax::Haproxy) {
                (self.comment, self.quote) = (false, None);
            }
            if self.comment || escaped {
                continue;
            }
            match self.quote {
                Some(quote) if c == quote => self.quote = None,
                Some('\'') => self.escaped = c == '\\' && syntax == Syntax::Python,
                Some(_) => self.escaped = c == '\\',
                None => match c {
                    '#' if syntax == Syntax::Shell => self.comment = before.is_none_or(char::is_whitespace),
                    '#' => self.comment = syntax != Syntax::Json,
                    '\\' => self.escaped = matches!(syntax, Syntax::Haproxy | Syntax::Shell),
                    '\'' if syntax == Syntax::Json => {}
                    '"' | '\'' => self.quote = Some(c),
                    _ => {}
                },
            }
        }
    }
}

/// The file that the pieces make.
pub(super) fn write(syntax: Syntax, pieces: &[Piece]) -> String {
    let (mut out, mut position) = (String::new(), Position::default());
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                out.push_str(text);
                position.pass(syntax, text);
            }
            Piece::Value(text, data) => {
                match position.quote {
                    _ if position.comment => out.push_str(text),
                    Some(quote) => out.push_str(&inside(syntax, quote, text)),
                    None if syntax.has_json() => {
                        literal(syntax, data.as_ref().unwrap_or(&Json::from(text.as_str())), &mut out);
                    }
                    None => out.push_str(&word(syntax, text)),
                }
                position.last = Some('x');
            }
        }
    }
    out
}

/// A value as it is inside of quotes.
fn inside(syntax: Syntax, quote: char, value: &str) -> String {
    match (syntax, quote) {
        (Syntax::Haproxy, '"') => backslashed(value, &['\\', '"', '$']),
        (Syntax::Shell, '"') => backslashed(value, &['\\', '"', '$', '`']),
        (Syntax::Haproxy | Syntax::Shell, _) => value.replace('\'', r"'\''"),
        (Syntax::Python, '\'') => string(value).replace('\'', "\\'"),
        _ => string(value),
    }
}

/// A value as it is inside of quotes, in each way.
pub(super) fn forms(value: &str) -> impl Iterator<Item = String> {
    let kinds = [
        (Syntax::Haproxy, '"'),
        (Syntax::Shell, '"'),
        (Syntax::Shell, '\''),
        (Syntax::Python, '\''),
        (Syntax::Json, '"'),
    ];
    kinds.map(|(syntax, quote)| inside(syntax, quote, value)).into_iter()
}

fn backslashed(value: &str, signs: &[char]) -> String {
    value.chars().fold(String::new(), |mut out, c| {
        out.extend(signs.contains(&c).then_some('\\'));
        out.push(c);
        out
    })
}

/// A value outside of quotes, as a word or a part of one.
fn word(syntax: Syntax, value: &str) -> String {
    let plain = |c: char| {
        c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c) || syntax == Syntax::Haproxy && "[]".contains(c)
    };
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", inside(syntax, '\'', value))
}

/// As a text of JSON and of Python has it between double quotes.
fn string(value: &str) -> String {
    value.chars().fold(String::new(), |mut out, c| {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
        out
    })
}

/// A value by itself.
fn literal(syntax: Syntax, value: &Json, out: &mut String) {
    let python = syntax == Syntax::Python;
    let list = |out: &mut String, index: usize| out.push_str(if index > 0 { ", " } else { "" });
    match value {
        Json::Null if python => out.push_str("None"),
        Json::Bool(true) if python => out.push_str("True"),
        Json::Bool(false) if python => out.push_str("False"),
        Json::String(text) => out.extend(["\"", &string(text), "\""]),
        Json::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                list(out, index);
                literal(syntax, item, out);
            }
            out.push(']');
        }
        Json::Object(map) => {
            out.push('{');
            for (index, (key, item)) in map.iter().enumerate() {
                list(out, index);
                out.extend(["\"", &string(key), "\": "]);
                literal(syntax, item, out);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}
