//! JSON as Python's `json` module writes it, so that files made by Kolla's templates come out the same.

use std::fmt::Write;

use minijinja::{Error, Value};
use serde_json::Value as Json;

use super::super::arguments::{room, wrong};
use crate::source::float;

/// The value as JSON.
pub(in crate::template) fn of(value: &Value) -> Result<Json, Error> {
    serde_json::to_value(value).map_err(|error| wrong(format!("cannot write JSON: {error}")))
}

/// How JSON is written.
#[derive(Clone, Copy, Default)]
pub(super) struct Style {
    /// Spaces a level; none is all on one line.
    pub(super) indent: Option<usize>,
    /// Keys are sorted.
    pub(super) sort: bool,
    /// Characters outside of ASCII stay as they are.
    pub(super) unicode: bool,
}

/// As text, with a space after colons and, on one line, commas.
pub(super) fn text(value: &Value, style: Style) -> Result<String, Error> {
    let mut out = String::new();
    write(&of(value)?, style, 0, &mut out)?;
    Ok(out)
}

fn write(value: &Json, style: Style, depth: usize, out: &mut String) -> Result<(), Error> {
    room(style.indent.unwrap_or_default().saturating_mul(depth + 1).saturating_add(out.len()))?;
    match value {
        Json::String(text) => string(text, style.unicode, out),
        Json::Array(items) if !items.is_empty() => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                separate(index, style.indent, depth + 1, out);
                write(item, style, depth + 1, out)?;
            }
            close(style.indent, depth, out);
            out.push(']');
        }
        Json::Object(map) if !map.is_empty() => {
            out.push('{');
            let mut entries: Vec<_> = map.iter().collect();
            if style.sort {
                entries.sort_by_key(|(key, _)| key.as_str());
            }
            for (index, (key, item)) in entries.into_iter().enumerate() {
                separate(index, style.indent, depth + 1, out);
                string(key, style.unicode, out);
                out.push_str(": ");
                write(item, style, depth + 1, out)?;
            }
            close(style.indent, depth, out);
            out.push('}');
        }
        Json::Number(number) if number.is_f64() => out.push_str(&float(number.as_f64().unwrap_or_default())),
        other => out.push_str(&other.to_string()),
    }
    Ok(())
}

fn separate(index: usize, indent: Option<usize>, depth: usize, out: &mut String) {
    match indent {
        Some(width) => {
            out.push_str(if index == 0 { "\n" } else { ",\n" });
            out.extend(std::iter::repeat_n(' ', width * depth));
        }
        None if index > 0 => out.push_str(", "),
        None => {}
    }
}

fn close(indent: Option<usize>, depth: usize, out: &mut String) {
    if let Some(width) = indent {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', width * depth));
    }
}

/// Python writes ASCII only, unless it is told otherwise.
fn string(text: &str, unicode: bool, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            c if unicode && c >= ' ' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}
