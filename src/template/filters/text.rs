//! Filters over text.

use std::collections::HashMap;
use std::sync::{LazyLock, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::{Rest, ValueOrKwargs};
use minijinja::{Environment, Error, Value};
use regex::{Regex, RegexBuilder};
use sha2::Digest as _;

use super::{defined, split, wrong};
use crate::shell;

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("b64encode", |text: &str| STANDARD.encode(text));
    environment.add_filter("b64decode", |text: &str| {
        let bytes = STANDARD.decode(text.trim()).map_err(|error| wrong(format!("text is not base64: {error}")))?;
        String::from_utf8(bytes).map_err(|_| wrong("the decoded bytes are not text"))
    });
    environment.add_filter("hash", hash);
    environment.add_filter("quote", |text: String| shell::quote(&text));
    environment.add_filter("basename", |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned());
    environment.add_filter("dirname", dirname);
    environment.add_filter("path_join", path_join);
    environment.add_filter("regex_replace", regex_replace);
    environment.add_filter("regex_search", regex_search);
    environment.add_filter("regex_findall", regex_findall);
    environment.add_filter("regex_escape", |text: &str| regex::escape(text));
    environment.add_test("match", |text: &str, pattern: &str, rest: Rest<ValueOrKwargs>| {
        Ok(compile(pattern, rest)?.find(text).is_some_and(|found| found.start() == 0))
    });
    for name in ["search", "regex"] {
        environment.add_test(name, |text: &str, pattern: &str, rest: Rest<ValueOrKwargs>| {
            Ok(compile(pattern, rest)?.is_match(text))
        });
    }
}

fn hash(text: &str, algorithm: Option<&str>) -> Result<String, Error> {
    match algorithm.unwrap_or("sha1") {
        "sha1" => Ok(hex::encode(sha1::Sha1::digest(text))),
        "sha224" => Ok(hex::encode(sha2::Sha224::digest(text))),
        "sha256" => Ok(hex::encode(sha2::Sha256::digest(text))),
        "sha384" => Ok(hex::encode(sha2::Sha384::digest(text))),
        "sha512" => Ok(hex::encode(sha2::Sha512::digest(text))),
        other => Err(wrong(format!("unknown hash `{other}`: use `sha1` or `sha256`"))),
    }
}

fn dirname(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, _)) if !folder.is_empty() => folder.trim_end_matches('/').to_owned(),
        Some(_) => "/".to_owned(),
        None => String::new(),
    }
}

fn path_join(parts: &Value) -> Result<String, Error> {
    let mut path = std::path::PathBuf::new();
    for part in parts.try_iter()?.checked() {
        path.push(part?.to_string());
    }
    Ok(path.display().to_string())
}

/// The text a value prints as.
fn printed(value: &Value) -> Result<String, Error> {
    defined(value).map(|()| value.to_string())
}

/// A pattern of Python's `re`, whose flags come as arguments.
fn compile(pattern: &str, rest: Rest<ValueOrKwargs>) -> Result<Regex, Error> {
    let (_, named) = split(rest)?;
    let ignore_case = named.get::<Option<bool>>("ignorecase")?.unwrap_or(false);
    let multiline = named.get::<Option<bool>>("multiline")?.unwrap_or(false);
    named.assert_all_used()?;
    regex_of(pattern, ignore_case, multiline)
}

/// By pattern, case ignored, lines apart.
type Patterns = HashMap<(String, bool, bool), Regex>;

fn regex_of(pattern: &str, ignore_case: bool, multiline: bool) -> Result<Regex, Error> {
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
    if let Ok(mut patterns) = PATTERNS.write() {
        patterns.insert(key, regex.clone());
    }
    Ok(regex)
}

fn regex_replace(text: &Value, pattern: &str, rest: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let text = printed(text)?;
    let (args, named) = split(rest)?;
    let replacement = match args.first() {
        Some(value) => value.to_string(),
        None => named.get::<Option<String>>("replacement")?.unwrap_or_default(),
    };
    let ignore_case = named.get::<Option<bool>>("ignorecase")?.unwrap_or(false);
    let multiline = named.get::<Option<bool>>("multiline")?.unwrap_or(false);
    let count = named.get::<Option<usize>>("count")?.unwrap_or(0);
    named.assert_all_used()?;
    let regex = regex_of(pattern, ignore_case, multiline)?;
    Ok(regex.replacen(&text, count, python_replacement(&replacement)).into_owned())
}

/// `\1` and `\g<name>` of Python as `${1}` and `${name}`.
fn python_replacement(text: &str) -> String {
    static GROUP: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\\(?:(\d+)|g<(\w+)>)").ok());
    let text = text.replace('$', "$$");
    match &*GROUP {
        Some(group) => group.replace_all(&text, "$${$1$2}").into_owned(),
        None => text,
    }
}

/// The first match, or its groups where some are asked for; none is null.
fn regex_search(text: &Value, pattern: &str, rest: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let text = printed(text)?;
    let (args, named) = split(rest)?;
    let ignore_case = named.get::<Option<bool>>("ignorecase")?.unwrap_or(false);
    let multiline = named.get::<Option<bool>>("multiline")?.unwrap_or(false);
    named.assert_all_used()?;
    let Some(found) = regex_of(pattern, ignore_case, multiline)?.captures(&text).map(|found| {
        let group = |reference: &Value| {
            let reference = reference.to_string();
            let name = reference.trim_start_matches('\\');
            let name = name.strip_prefix("g<").and_then(|name| name.strip_suffix('>')).unwrap_or(name);
            let group = name.parse().ok().map_or_else(|| found.name(name), |index| found.get(index));
            group.map_or_else(|| Value::from(()), |group| Value::from(group.as_str()))
        };
        if args.is_empty() { Value::from(&found[0]) } else { args.iter().map(group).collect::<Vec<_>>().into() }
    }) else {
        return Ok(Value::from(()));
    };
    Ok(found)
}

fn regex_findall(text: &Value, pattern: &str, rest: Rest<ValueOrKwargs>) -> Result<Vec<String>, Error> {
    let text = printed(text)?;
    let regex = compile(pattern, rest)?;
    let found = regex.captures_iter(&text);
    Ok(found.map(|found| found.get(1).or_else(|| found.get(0)).map_or("", |found| found.as_str()).to_owned()).collect())
}
