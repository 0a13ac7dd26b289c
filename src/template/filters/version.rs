//! The test `version`: which of two versions is the newer one.

use std::cmp::Ordering;

use minijinja::value::{Rest, ValueOrKwargs};
use minijinja::{Environment, Error, Value};

use super::super::arguments::{printed, split, wrong};

pub(super) fn add(environment: &mut Environment<'static>) {
    for name in ["version", "version_compare"] {
        environment.add_test(name, version);
    }
}

/// A part of a version: numbers come before words.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Word(String),
}

fn version(value: &Value, other: &Value, rest: Rest<ValueOrKwargs>) -> Result<bool, Error> {
    let (args, named) = split(rest)?;
    let operator = match args.first() {
        Some(operator) => operator.to_string(),
        None => named.get::<Option<String>>("operator")?.unwrap_or_else(|| "eq".to_owned()),
    };
    let strict = match args.get(1) {
        Some(strict) => strict.is_true(),
        None => named.get::<Option<bool>>("strict")?.unwrap_or(false),
    };
    let kind = named.get::<Option<String>>("version_type")?;
    named.assert_all_used()?;
    let kind = kind.unwrap_or_else(|| if strict { "strict" } else { "loose" }.to_owned());
    let (value, other) = (printed(value)?, printed(other)?);
    let order = match kind.as_str() {
        "loose" => loose(&value).cmp(&loose(&other)),
        "strict" | "semver" | "semantic" | "pep440" => numbered(&value)?.cmp(&numbered(&other)?),
        other => return Err(wrong(format!("unknown `version_type` `{other}`: use `loose`, `strict` or `semver`"))),
    };
    Ok(match operator.as_str() {
        "==" | "=" | "eq" => order == Ordering::Equal,
        "!=" | "<>" | "ne" => order != Ordering::Equal,
        "<" | "lt" => order == Ordering::Less,
        "<=" | "le" => order != Ordering::Greater,
        ">" | "gt" => order == Ordering::Greater,
        ">=" | "ge" => order != Ordering::Less,
        other => return Err(wrong(format!("unknown comparison `{other}`: use `<`, `<=`, `==`, `!=`, `>=` or `>`"))),
    })
}

/// Runs of digits and of letters; what is between only separates.
fn loose(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let kind: fn(char) -> bool = if first.is_ascii_digit() {
            |c| c.is_ascii_digit()
        } else if first.is_ascii_lowercase() {
            |c| c.is_ascii_lowercase()
        } else {
            |c| !c.is_ascii_digit() && !c.is_ascii_lowercase()
        };
        let end = rest.find(|c| !kind(c)).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        match part.parse() {
            Ok(number) => parts.push(Part::Number(number)),
            Err(_) => parts.extend(part.split('.').filter(|part| !part.is_empty()).map(|part| Part::Word(part.into()))),
        }
        rest = after;
    }
    parts
}

/// Three numbers, and what comes before the release itself: nothing is later than anything.
fn numbered(text: &str) -> Result<(Vec<u64>, bool, Vec<Part>), Error> {
    let bad = || wrong(format!("`{text}` is no version of this type"));
    let text = text.split('+').next().unwrap_or_default();
    let (numbers, before) = text.split_once('-').map_or((text, None), |(numbers, before)| (numbers, Some(before)));
    let mut found = numbers.split('.').map(str::parse).collect::<Result<Vec<u64>, _>>().map_err(|_| bad())?;
    if found.len() > 3 {
        return Err(bad());
    }
    found.resize(3, 0);
    let parts = before.map(|before| {
        let part = |part: &str| part.parse().map_or_else(|_| Part::Word(part.to_owned()), Part::Number);
        before.split('.').map(part).collect()
    });
    Ok((found, parts.is_none(), parts.unwrap_or_default()))
}
