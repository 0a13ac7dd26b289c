//! Which plain scalars of YAML are no text: by YAML 1.1 as PyYAML has it, which Ansible reads files with.

use std::sync::LazyLock;

use regex::Regex;

use super::{Data, Node};

static FLOAT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
    )
    .ok()
});

static INT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^[-+]?(?:0b[0-1_]+|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|[1-9][0-9_]*(?::[0-5]?[0-9])+)$").ok()
});

static DATE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^[0-9]{4}-[0-9][0-9]?-[0-9][0-9]?(?:(?:[Tt]|[ \t]+)[0-9][0-9]?:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9][0-9]?(?::[0-9]{2})?))?)?$",
    )
    .ok()
});

fn matches(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

/// What a plain scalar is.
pub(super) fn resolve(text: &str) -> Data {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Data::Null,
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => return Data::Bool(true),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => return Data::Bool(false),
        _ => {}
    }
    if text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        if matches(&INT, text)
            && let Some(number) = int(&text.replace('_', ""))
        {
            return Data::Int(number);
        }
        if matches(&FLOAT, text)
            && let Some(number) = float(&text.replace('_', "").to_lowercase())
        {
            return Data::Float(number);
        }
    }
    Data::Str(text.to_owned())
}

/// The plain scalar without blanks that a text begins with.
pub(super) fn word(text: &str) -> &str {
    text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ']' | '}')).next().unwrap_or_default()
}

/// A text that as a plain scalar would be read as something else.
pub(super) fn is_special(text: &str) -> bool {
    !matches!(resolve(text), Data::Str(_)) || matches!(text, "=" | "<<") || matches(&DATE, text)
}

/// Numbers to the base of 60, as `12:30`, the last part first.
fn sixties<T: std::str::FromStr>(text: &str) -> Option<Vec<T>> {
    text.rsplit(':').map(|part| part.parse().ok()).collect()
}

fn int(text: &str) -> Option<i64> {
    let (sign, digits) = sign(text);
    let number = match digits.get(..2) {
        Some("0b") => i64::from_str_radix(&digits[2..], 2).ok()?,
        Some("0x") => i64::from_str_radix(&digits[2..], 16).ok()?,
        Some(two) if two.starts_with('0') => i64::from_str_radix(digits, 8).ok()?,
        _ => sixties::<i64>(digits)?
            .into_iter()
            .rev()
            .try_fold(0_i64, |sum, part| sum.checked_mul(60)?.checked_add(part))?,
    };
    Some(if sign { -number } else { number })
}

fn float(text: &str) -> Option<f64> {
    let (sign, digits) = sign(text);
    let number = match digits {
        ".inf" => f64::INFINITY,
        ".nan" => f64::NAN,
        _ => sixties::<f64>(digits)?.into_iter().rev().fold(0.0, |sum, part| sum * 60.0 + part),
    };
    Some(if sign { -number } else { number })
}

fn sign(text: &str) -> (bool, &str) {
    (text.starts_with('-'), text.trim_start_matches(['-', '+']))
}

/// Gives the scalars below a node the types they have by these rules: the parser's own are a little different.
///
/// What kind of scalar it was shows in the source, which is looked into by its place.
pub(super) fn retype(node: &mut Node, text: &str) {
    Source { lines: text.lines().collect(), line: 0, column: 0, byte: 0 }.retype(node);
}

/// The text of a file, and the place in it that was asked for last: the next one mostly comes after it, in the same line.
struct Source<'a> {
    lines: Vec<&'a str>,
    line: usize,
    column: usize,
    byte: usize,
}

impl<'a> Source<'a> {
    fn retype(&mut self, node: &mut Node) {
        match &mut node.data {
            Data::Seq(items) => items.iter_mut().for_each(|item| self.retype(item)),
            Data::Map(entries) => entries.values_mut().for_each(|entry| self.retype(&mut entry.value)),
            Data::Str(text) => {
                let text = text.as_str();
                // Others cannot be anything but text.
                let short = !text.is_empty() && text.len() < 64 && !text.contains(char::is_whitespace);
                if short && self.at(node.line, node.column).is_some_and(|source| source.starts_with(text)) {
                    node.data = resolve(text);
                }
            }
            Data::Null | Data::Bool(_) | Data::Int(_) | Data::Float(_) => {
                let source = self.at(node.line, node.column).unwrap_or_default();
                let word = word(source);
                // Nothing, or something with a tag, an anchor or in quotes.
                if !word.is_empty() && !word.starts_with(['!', '&', '*', '"', '\'', '|', '>', '-', '#', ':', '?'])
                    || word.starts_with('-') && word.len() > 1
                {
                    match (&node.data, resolve(word)) {
                        // The place of nothing is that of what comes next.
                        (Data::Null, Data::Str(_)) if !word.eq_ignore_ascii_case("null") => {}
                        (Data::Null, Data::Bool(_) | Data::Int(_) | Data::Float(_)) => {}
                        (_, data) => node.data = data,
                    }
                }
            }
        }
    }

    /// The source from a place on, to the end of its line.
    ///
    /// None where a tag before it says its type.
    fn at(&mut self, line: usize, column: usize) -> Option<&'a str> {
        let text = *self.lines.get(line.checked_sub(1)?)?;
        if line != self.line || column < self.column {
            (self.line, self.column, self.byte) = (line, 1, 0);
        }
        let start = self.byte + text.get(self.byte..)?.char_indices().nth(column.checked_sub(self.column)?)?.0;
        (self.column, self.byte) = (column, start);
        let (before, after) = text.split_at_checked(start)?;
        // A tag and its value have a space between them.
        let spaced = before.ends_with(char::is_whitespace);
        let tagged = spaced && before.split_whitespace().next_back().is_some_and(|word| word.starts_with('!'));
        (!tagged).then_some(after)
    }
}
