//! Filters and tests with patterns of Python's `re`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, RwLock};

use fancy_regex::{Captures, Regex, RegexBuilder};
use minijinja::value::{Kwargs, Rest, ValueOrKwargs};
use minijinja::{Environment, Error, Value};

use super::super::arguments::{printed, room, split, wrong};

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("regex_replace", replace);
    environment.add_filter("regex_search", search);
    environment.add_filter("regex_findall", find_all);
    environment.add_filter("regex_escape", |text: &Value| printed(text).map(|text| escape(&text)));
    environment.add_test("match", |text: &Value, pattern: &str, rest: Rest<ValueOrKwargs>| {
        Ok(compile(pattern, rest)?
            .find(&printed(text)?)
            .map_err(|error| failed(&error))?
            .is_some_and(|found| found.start() == 0))
    });
    environment.add_test("search", |text: &Value, pattern: &str, rest: Rest<ValueOrKwargs>| {
        compile(pattern, rest)?.is_match(&printed(text)?).map_err(|error| failed(&error))
    });
    environment.add_test("regex", |text: &Value, pattern: &str, rest: Rest<ValueOrKwargs>| {
        let (args, named) = split(rest)?;
        let kind = named.get::<Option<String>>("match_type")?.unwrap_or_else(|| "search".to_owned());
        let regex = flagged(pattern, &args, &named)?;
        let text = printed(text)?;
        let found = regex.find(&text).map_err(|error| failed(&error))?;
        Ok(found.is_some_and(|found| match kind.as_str() {
            "match" => found.start() == 0,
            "fullmatch" => found.start() == 0 && found.end() == text.len(),
            _ => true,
        }))
    });
}

fn failed(error: &fancy_regex::Error) -> Error {
    wrong(format!("the pattern cannot be matched: {error}"))
}

/// A pattern whose flags come as arguments.
fn compile(pattern: &str, rest: Rest<ValueOrKwargs>) -> Result<Arc<Regex>, Error> {
    let (args, named) = split(rest)?;
    flagged(pattern, &args, &named)
}

/// A pattern with `ignorecase` and `multiline`, by name or in this order.
fn flagged(pattern: &str, args: &[Value], named: &Kwargs) -> Result<Arc<Regex>, Error> {
    let flag = |index: usize, name: &str| -> Result<bool, Error> {
        Ok(match args.get(index) {
            Some(value) => value.is_true(),
            None => named.get::<Option<Value>>(name)?.is_some_and(|value| value.is_true()),
        })
    };
    let (ignore_case, multiline) = (flag(0, "ignorecase")?, flag(1, "multiline")?);
    named.assert_all_used()?;
    regex_of(pattern, ignore_case, multiline)
}

/// By pattern, case ignored, lines apart.
type Patterns = HashMap<(String, bool, bool), Arc<Regex>>;

fn regex_of(pattern: &str, ignore_case: bool, multiline: bool) -> Result<Arc<Regex>, Error> {
    static PATTERNS: LazyLock<RwLock<Patterns>> = LazyLock::new(RwLock::default);
    let key = (pattern.to_owned(), ignore_case, multiline);
    if let Some(known) = PATTERNS.read().ok().and_then(|patterns| patterns.get(&key).cloned()) {
        return Ok(known);
    }
    // Python writes the end of text as `\Z`.
    let regex = RegexBuilder::new(&pattern.replace("\\Z", "\\z"))
        .case_insensitive(ignore_case)
        .multi_line(multiline)
        .build()
        .map_err(|error| {
            let reason = error.to_string();
            wrong(format!(
                "bad pattern `{pattern}`: {}",
                reason.lines().last().unwrap_or_default().trim_start_matches("error: ")
            ))
        })?;
    let regex = Arc::new(regex);
    if let Ok(mut patterns) = PATTERNS.write() {
        patterns.insert(key, regex.clone());
    }
    Ok(regex)
}

fn replace(text: &Value, pattern: Option<&str>, rest: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let text = printed(text)?;
    let (args, named) = split(rest)?;
    let pattern = match pattern {
        Some(pattern) => pattern.to_owned(),
        None => named.get::<Option<String>>("pattern")?.unwrap_or_default(),
    };
    let replacement = match args.first() {
        Some(value) => value.to_string(),
        None => named.get::<Option<String>>("replacement")?.unwrap_or_default(),
    };
    let count = named.get::<Option<usize>>("count")?.filter(|count| *count > 0).unwrap_or(usize::MAX);
    let regex = flagged(&pattern, args.get(1..).unwrap_or_default(), &named)?;
    let mut out = String::new();
    let mut end = 0;
    for found in regex.captures_iter(text.as_str()).take(count) {
        let found = found.map_err(|error| failed(&error))?;
        let Some(whole) = found.get(0) else { continue };
        out.push_str(&text[end..whole.start()]);
        expand(&replacement, &found, &mut out);
        room(out.len())?;
        end = whole.end();
    }
    out.push_str(&text[end..]);
    Ok(out)
}

/// Writes Python's replacement: `\1` and `\g<name>` are groups.
fn expand(replacement: &str, found: &Captures<'_, str>, out: &mut String) {
    let mut rest = replacement;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let digits = rest.chars().take_while(char::is_ascii_digit).take(2).count();
        let named = rest.strip_prefix("g<").and_then(|rest| rest.split_once('>'));
        if digits > 0 {
            out.push_str(group(&rest[..digits], found).unwrap_or_default());
            rest = &rest[digits..];
        } else if let Some((name, after)) = named {
            out.push_str(group(name, found).unwrap_or_default());
            rest = after;
        } else {
            let mut chars = rest.chars();
            match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some('\\') | None => out.push('\\'),
                Some(other) => out.extend(['\\', other]),
            }
            rest = chars.as_str();
        }
    }
    out.push_str(rest);
}

/// A group by its number or name.
fn group<'a>(name: &str, found: &Captures<'a, str>) -> Option<&'a str> {
    let group = name.parse().ok().map_or_else(|| found.name(name), |index| found.get(index));
    group.map(|group| group.as_str())
}

/// The first match, or its groups where some are asked for; none is null.
fn search(text: &Value, pattern: &str, rest: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let text = printed(text)?;
    let (args, named) = split(rest)?;
    let regex = flagged(pattern, &[], &named)?;
    let Some(found) = regex.captures(text.as_str()).map_err(|error| failed(&error))? else {
        return Ok(Value::from(()));
    };
    let asked = |reference: &Value| {
        let reference = reference.to_string();
        let name = reference.trim_start_matches('\\');
        let name = name.strip_prefix("g<").and_then(|name| name.strip_suffix('>')).unwrap_or(name);
        group(name, &found).map_or_else(|| Value::from(()), Value::from)
    };
    Ok(if args.is_empty() {
        group("0", &found).map_or_else(|| Value::from(()), Value::from)
    } else {
        args.iter().map(asked).collect::<Vec<_>>().into()
    })
}

/// All matches: where the pattern has groups, those instead.
fn find_all(text: &Value, pattern: &str, rest: Rest<ValueOrKwargs>) -> Result<Vec<Value>, Error> {
    let text = printed(text)?;
    let (args, named) = split(rest)?;
    let (multiline, ignore_case) = (args.first().cloned(), args.get(1).cloned());
    let flags: Vec<Value> = match (ignore_case, multiline) {
        (None, None) => Vec::new(),
        (ignore_case, multiline) => vec![ignore_case.unwrap_or_default(), multiline.unwrap_or_default()],
    };
    let regex = flagged(pattern, &flags, &named)?;
    let mut all = Vec::new();
    for found in regex.captures_iter(text.as_str()) {
        let found = found.map_err(|error| failed(&error))?;
        let text = |index: usize| found.get(index).map_or("", |group| group.as_str()).to_owned();
        all.push(match found.len() {
            1 => Value::from(text(0)),
            2 => Value::from(text(1)),
            count => Value::from((1..count).map(text).collect::<Vec<_>>()),
        });
    }
    Ok(all)
}

/// Python's `re.escape`.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if "()[]{}?*+-|^$\\.&~# \t\n\r\u{b}\u{c}".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
