//! JSON as Python's `json` module writes it, so that files made by Kolla's templates come out the same.

use std::fmt::Write;

use minijinja::{Error, Value};
use serde_json::Value as Json;

use super::wrong;

/// The value as JSON.
pub(super) fn of(value: &Value) -> Result<Json, Error> {
    serde_json::to_value(value).map_err(|error| wrong(format!("cannot write JSON: {error}")))
}

/// On one line, with a space after commas and colons.
pub(super) fn compact(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    write(&of(value)?, None, 0, &mut out);
    Ok(out)
}

/// Four spaces a level, keys sorted.
pub(super) fn pretty(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    write(&of(value)?, Some(4), 0, &mut out);
    Ok(out)
}

fn write(value: &Json, indent: Option<usize>, depth: usize, out: &mut String) {
    match value {
        Json::String(text) => string(text, out),
        Json::Array(items) if !items.is_empty() => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                separate(index, indent, depth + 1, out);
                write(item, indent, depth + 1, out);
            }
            close(indent, depth, out);
            out.push(']');
        }
        Json::Object(map) if !map.is_empty() => {
            out.push('{');
            let mut entries: Vec<_> = map.iter().collect();
            if indent.is_some() {
                entries.sort_by_key(|(key, _)| key.as_str());
            }
            for (index, (key, item)) in entries.into_iter().enumerate() {
                separate(index, indent, depth + 1, out);
                string(key, out);
                out.push_str(": ");
                write(item, indent, depth + 1, out);
            }
            close(indent, depth, out);
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
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

/// Python writes ASCII only.
fn string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(c),
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
