//! Python's methods of text, lists and mappings.

use minijinja::value::{ValueKind, from_args};
use minijinja::{Error, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::arguments::{room, wrong};

/// Calls one.
pub(super) fn call(state: &mut State<'_, '_>, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let own = match value.kind() {
        ValueKind::String => of_text(value.as_str().unwrap_or_default(), method, args)?,
        ValueKind::Seq | ValueKind::Iterable => of_list(value, method, args)?,
        ValueKind::Map => of_mapping(value, method, args)?,
        _ => None,
    };
    match own {
        Some(found) => Ok(found),
        None => unknown_method_callback(state, value, method, args),
    }
}

/// Values do not change: what Python's methods change is made anew.
fn changes(method: &str, hint: &str) -> Error {
    wrong(format!("`{method}` would change a value: {hint}"))
}

fn of_text(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    Ok(Some(match method {
        "title" => {
            let () = from_args(args)?;
            Value::from(title(text))
        }
        "casefold" => {
            let () = from_args(args)?;
            Value::from(text.to_lowercase())
        }
        "swapcase" => {
            let () = from_args(args)?;
            let swap =
                |c: char| if c.is_uppercase() { c.to_lowercase().to_string() } else { c.to_uppercase().to_string() };
            text.chars().map(swap).collect::<String>().into()
        }
        "rsplit" => {
            let (separator, most): (Option<&str>, Option<i64>) = from_args(args)?;
            let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX - 1);
            let mut parts: Vec<&str> = match separator {
                Some(separator) => text.rsplitn(most + 1, separator).collect(),
                None => split_white_from_end(text, most),
            };
            parts.reverse();
            parts.into_iter().map(Value::from).collect()
        }
        "partition" => {
            let (separator,): (&str,) = from_args(args)?;
            match text.split_once(separator) {
                Some((before, after)) => [before, separator, after].map(Value::from).into_iter().collect(),
                None => [text, "", ""].map(Value::from).into_iter().collect(),
            }
        }
        "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            match text.rsplit_once(separator) {
                Some((before, after)) => [before, separator, after].map(Value::from).into_iter().collect(),
                None => ["", "", text].map(Value::from).into_iter().collect(),
            }
        }
        "index" | "rindex" => {
            let (what,): (&str,) = from_args(args)?;
            let found = if method == "index" { text.find(what) } else { text.rfind(what) };
            let at = found.ok_or_else(|| wrong(format!("`{what}` is not in `{text}`")))?;
            Value::from(text[..at].chars().count())
        }
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+'])));
            let missing = room(width)?.saturating_sub(text.chars().count());
            Value::from(format!("{sign}{}{digits}", "0".repeat(missing)))
        }
        "ljust" | "rjust" | "center" => {
            let (width, fill): (usize, Option<&str>) = from_args(args)?;
            Value::from(padded(text, width, fill.unwrap_or(" "), method)?)
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Value::from(text.strip_prefix(prefix).unwrap_or(text))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Value::from(text.strip_suffix(suffix).unwrap_or(text))
        }
        "expandtabs" => {
            let (width,): (Option<usize>,) = from_args(args)?;
            let width = width.unwrap_or(8);
            room(text.len().saturating_add(text.matches('\t').count().saturating_mul(width)))?;
            Value::from(expanded(text, width))
        }
        "join" => {
            let (values,): (&Value,) = from_args(args)?;
            let parts = values.try_iter()?.checked().map(|part| {
                let part = part?;
                part.as_str().map(str::to_owned).ok_or_else(|| wrong(format!("`join` takes texts, found `{part}`")))
            });
            let parts = parts.collect::<Result<Vec<_>, _>>()?;
            room(parts.iter().fold(0, |sum, part| sum.saturating_add(part.len()).saturating_add(text.len())))?;
            Value::from(parts.join(text))
        }
        _ => return Ok(None),
    }))
}

/// Each run of letters starts with a capital one.
fn title(text: &str) -> String {
    let mut inside = false;
    let mut out = String::new();
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphabetic();
    }
    out
}

fn split_white_from_end(text: &str, most: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let cut = if parts.len() < most { rest.rfind(char::is_whitespace) } else { None };
        if let Some(at) = cut {
            parts.push(rest[at..].trim_start());
            rest = rest[..at].trim_end();
        } else {
            parts.push(rest);
            rest = "";
        }
    }
    parts
}

/// Filled to a width on the side that the method leaves free; `center` has the odd one before, as Python.
pub(super) fn padded(text: &str, width: usize, fill: &str, method: &str) -> Result<String, Error> {
    room(width.saturating_mul(fill.len()))?;
    let missing = width.saturating_sub(text.chars().count());
    let before = match method {
        "ljust" => 0,
        "rjust" => missing,
        _ => missing / 2 + (missing & width & 1),
    };
    Ok(format!("{}{text}{}", fill.repeat(before), fill.repeat(missing - before)))
}

fn expanded(text: &str, width: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    for c in text.chars() {
        match c {
            '\t' if width > 0 => {
                let missing = width - column % width;
                out.extend(std::iter::repeat_n(' ', missing));
                column += missing;
            }
            '\t' => {}
            '\n' | '\r' => {
                out.push(c);
                column = 0;
            }
            c => {
                out.push(c);
                column += 1;
            }
        }
    }
    out
}

fn of_list(value: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    Ok(Some(match method {
        "index" => {
            let (what,): (&Value,) = from_args(args)?;
            for (index, item) in value.try_iter()?.checked().enumerate() {
                if item? == *what {
                    return Ok(Some(Value::from(index)));
                }
            }
            return Err(wrong(format!("`{what}` is not in the list")));
        }
        "copy" => value.clone(),
        "append" | "extend" | "insert" | "pop" | "remove" | "clear" => {
            return Err(changes(method, "keep a list in a `namespace`, and set it to `old + [item]`"));
        }
        _ => return Ok(None),
    }))
}

fn of_mapping(value: &Value, method: &str, _: &[Value]) -> Result<Option<Value>, Error> {
    match method {
        "copy" => Ok(Some(value.clone())),
        "update" | "pop" | "clear" | "setdefault" | "popitem" => {
            Err(changes(method, "keep a mapping in a `namespace`, and set it to `old | combine(new)`"))
        }
        _ => Ok(None),
    }
}
