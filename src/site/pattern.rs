//! Host patterns as Ansible's `--limit` reads them: names, groups, `*`, unions, `!`, `&`, `~regex`, `group[0:2]`,
//! `@file`.

use std::path::Path;

use indexmap::IndexSet;
use regex::Regex;

use super::groups::Groups;
use super::inventory::ALL;
use super::{files, hosts};
use crate::error::{InputError, Kind, nearest};

/// What helps who does not know the names.
const LIST: &str = "list the hosts with `kolla inventory`";

/// The hosts that a limit selects, in the order of `all`; all of them where there is none.
pub(super) fn select(groups: &Groups, limit: &[String]) -> Result<IndexSet<String>, Vec<InputError>> {
    let chosen = matching(groups, limit)?;
    let all = groups.members(ALL).unwrap_or_default();
    let selected: IndexSet<String> = all.into_iter().filter(|host| chosen.contains(*host)).map(str::to_owned).collect();
    if selected.is_empty() && !limit.is_empty() {
        return Err(vec![
            InputError::new(format!("`{}` leaves no host", limit.join(","))).of(Kind::UnknownName).hint(LIST),
        ]);
    }
    Ok(selected)
}

/// The hosts that patterns match, in the order of the patterns: first all that add, then those that must hold, then
/// those that take away.
pub(super) fn matching(groups: &Groups, limit: &[String]) -> Result<IndexSet<String>, Vec<InputError>> {
    let mut errors = Vec::new();
    let mut patterns: Vec<String> = Vec::new();
    for part in limit.iter().flat_map(|limit| split(limit)) {
        match part.strip_prefix('@') {
            None => patterns.push(part.to_owned()),
            Some(file) => match files::read(Path::new(file)) {
                Ok(text) => patterns.extend(text.lines().map(|line| line.trim().to_owned())),
                Err(error) => errors.push(error.hint("`--limit @FILE` reads a pattern a line: correct its path")),
            },
        }
    }
    patterns.retain(|pattern| !pattern.is_empty());
    let of = |sign: char| patterns.iter().filter_map(move |pattern| pattern.strip_prefix(sign));
    let mut adding: Vec<&str> =
        patterns.iter().map(String::as_str).filter(|pattern| !pattern.starts_with(['!', '&'])).collect();
    if adding.is_empty() {
        adding.push(ALL);
    }
    let mut all = |name: &str| match one(groups, name) {
        Ok(hosts) => hosts.into_iter().collect::<IndexSet<&str>>(),
        Err(error) => {
            errors.push(error);
            IndexSet::new()
        }
    };
    let mut chosen: IndexSet<&str> = adding.into_iter().flat_map(&mut all).collect();
    for name in of('&') {
        let required = all(name);
        chosen.retain(|host| required.contains(host));
    }
    for name in of('!') {
        let excluded = all(name);
        chosen.retain(|host| !excluded.contains(host));
    }
    let chosen = chosen.into_iter().map(str::to_owned).collect();
    if errors.is_empty() { Ok(chosen) } else { Err(errors) }
}

/// The parts of a limit: at commas; where there is none, at colons that are neither in brackets nor in an address.
fn split(limit: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = Vec::new();
    if limit.contains(',') {
        parts.extend(limit.split(','));
    } else if hosts::address(limit).is_some() {
        parts.push(limit);
    } else {
        let (mut start, mut inside) = (0, false);
        for (at, c) in limit.char_indices() {
            match c {
                '[' => inside = true,
                ']' => inside = false,
                c if !inside && (c == ':' || c.is_whitespace()) => {
                    parts.push(&limit[start..at]);
                    start = at + c.len_utf8();
                }
                _ => {}
            }
        }
        parts.push(&limit[start..]);
    }
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// The hosts of one pattern; some stand there several times, and a subscript counts each.
fn one<'a>(groups: &'a Groups, pattern: &str) -> Result<Vec<&'a str>, InputError> {
    if let Some(host) = groups.hosts().get(pattern) {
        return Ok(vec![host.as_str()]);
    }
    let (name, subscript) = subscript(pattern);
    let found = named(groups, pattern, name)?;
    let picked = match subscript {
        None => Some(found.clone()),
        Some(Subscript::One(index)) => {
            let index = if index < 0 { found.len().checked_add_signed(index) } else { usize::try_from(index).ok() };
            index.and_then(|index| found.get(index)).map(|host| vec![*host])
        }
        Some(Subscript::Range(first, last)) => {
            let end = last.map_or(found.len(), |last| last.saturating_add(1).min(found.len()));
            Some(found.get(first..end).unwrap_or_default().to_vec())
        }
    };
    picked.ok_or_else(|| {
        InputError::new(format!("`{pattern}` selects nothing: `{name}` has {} hosts", found.len()))
            .of(Kind::UnknownName)
            .hint("write `group[0]` for its first host, `group[0:2]` for its first three")
    })
}

enum Subscript {
    /// Counted from 0; negative, from the end.
    One(isize),
    /// The first and the last one; without that, all from the first one.
    Range(usize, Option<usize>),
}

/// A pattern without its subscript, and that: `[0]`, `[-1]`, `[0:2]`, `[2:]`.
fn subscript(pattern: &str) -> (&str, Option<Subscript>) {
    let whole = (pattern, None);
    if pattern.starts_with('~') {
        return whole;
    }
    let Some((name, range)) = pattern.strip_suffix(']').and_then(|rest| rest.rsplit_once('[')) else { return whole };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let subscript = if digits(range.strip_prefix('-').unwrap_or(range)) {
        range.parse().ok().map(Subscript::One)
    } else {
        match range.split_once([':', '-']) {
            Some((first, "")) if digits(first) => first.parse().ok().map(|first| Subscript::Range(first, None)),
            // A last item 0 is none, to Ansible.
            Some((first, last)) if digits(first) && digits(last) => match (first.parse(), last.parse()) {
                (Ok(first), Ok(0)) => Some(Subscript::One(first)),
                (Ok(first), Ok(last)) => usize::try_from(first).ok().map(|first| Subscript::Range(first, Some(last))),
                _ => None,
            },
            _ => None,
        }
    };
    match subscript {
        Some(subscript) if !name.is_empty() => (name, Some(subscript)),
        _ => whole,
    }
}

/// The hosts of all groups of a name, or of all groups and hosts that match. A service that the inventory leaves out
/// has the hosts of the groups that Kolla would put it on.
fn named<'a>(groups: &'a Groups, pattern: &str, name: &str) -> Result<Vec<&'a str>, InputError> {
    let mut found = Vec::new();
    let matcher = Matcher::new(name)?;
    let mut known = false;
    for group in groups.names().filter(|group| matcher.matches(group)) {
        known = true;
        found.extend(groups.members(group).unwrap_or_default());
    }
    if !known || name.starts_with('~') || name.contains(['.', '?', '*', '[']) {
        let hosts = groups.hosts().iter().map(String::as_str).filter(|host| matcher.matches(host));
        found.extend(hosts);
    }
    if known || !found.is_empty() {
        return Ok(found);
    }
    if let Some(hosts) = groups.members(name) {
        return Ok(hosts);
    }
    Err(unknown(groups, pattern, name))
}

fn unknown(groups: &Groups, pattern: &str, name: &str) -> InputError {
    if name.starts_with('~') || name.contains(['*', '?', '[']) {
        let error = InputError::new(format!("`{name}` matches no host and no group")).of(Kind::UnknownName);
        let reversed = name.strip_suffix("-1]").is_some_and(|rest| rest.contains('['));
        return error.hint(if reversed { "write `[0:]` for all, `[-1]` for the last one" } else { LIST });
    }
    let hosts = groups.hosts().iter().map(String::as_str).filter(|_| pattern == name);
    let hint = match nearest(name, hosts.chain(groups.names())) {
        Some(near) => format!("did you mean `{near}`?"),
        None if pattern != name => {
            format!("`[...]` at the end counts hosts; write `{pattern}*` for one of several letters")
        }
        None if name.contains(':') => "separate patterns either by commas or by colons".to_owned(),
        None => LIST.to_owned(),
    };
    InputError::new(format!("`{name}` is no host and no group")).of(Kind::UnknownName).hint(hint)
}

enum Matcher {
    Regex(Regex),
    Shell(Vec<Glob>),
}

/// A part of a shell's pattern.
enum Glob {
    Many,
    Any,
    One(char),
    /// One of these ranges; or none of them.
    Class(bool, Vec<(char, char)>),
}

impl Matcher {
    fn new(name: &str) -> Result<Self, InputError> {
        match name.strip_prefix('~') {
            Some(pattern) => Regex::new(&format!("^(?:{pattern})"))
                .map(Self::Regex)
                .map_err(|_| InputError::new(format!("`{pattern}` is no regular expression")).of(Kind::Usage)),
            None => Ok(Self::Shell(parts(&name.chars().collect::<Vec<_>>()))),
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Regex(regex) => regex.is_match(text),
            Self::Shell(parts) => shell(parts, &text.chars().collect::<Vec<_>>()),
        }
    }
}

fn parts(pattern: &[char]) -> Vec<Glob> {
    let (mut parts, mut rest) = (Vec::new(), pattern);
    while let Some((c, after)) = rest.split_first() {
        rest = after;
        parts.push(match c {
            '*' => Glob::Many,
            '?' => Glob::Any,
            '[' => {
                let negated = rest.first() == Some(&'!');
                let start = usize::from(negated);
                // A bracket right at the beginning is one of the characters.
                let end = rest.iter().skip(start + 1).position(|c| *c == ']').map(|at| at + start + 1);
                match end {
                    None => Glob::One('['),
                    Some(end) => {
                        let class = ranges(&rest[start..end]);
                        rest = &rest[end + 1..];
                        Glob::Class(negated, class)
                    }
                }
            }
            c => Glob::One(*c),
        });
    }
    parts
}

fn ranges(mut class: &[char]) -> Vec<(char, char)> {
    let mut ranges = Vec::new();
    loop {
        class = match class {
            [] => return ranges,
            [from, '-', to, rest @ ..] => {
                ranges.push((*from, *to));
                rest
            }
            [one, rest @ ..] => {
                ranges.push((*one, *one));
                rest
            }
        };
    }
}

/// The pattern matches the whole text. Where it does not after a `*`, that takes one more character in; those before it
/// need not be tried again.
fn shell(parts: &[Glob], text: &[char]) -> bool {
    let (mut part, mut at) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let fits = match (parts.get(part), text.get(at)) {
            (None, None) => return true,
            (Some(Glob::Many), _) => {
                star = Some((part + 1, at));
                part += 1;
                continue;
            }
            (Some(Glob::Any), Some(_)) => true,
            (Some(Glob::One(one)), Some(c)) => one == c,
            (Some(Glob::Class(negated, ranges)), Some(c)) => {
                ranges.iter().any(|(from, to)| from <= c && c <= to) != *negated
            }
            (None, Some(_)) | (Some(_), None) => false,
        };
        if fits {
            (part, at) = (part + 1, at + 1);
            continue;
        }
        let Some((after, taken)) = star.filter(|(_, taken)| *taken < text.len()) else { return false };
        star = Some((after, taken + 1));
        (part, at) = (after, taken + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_take_as_much_as_fits() {
        for (pattern, text, matches) in [
            ("*", "", true),
            ("a*", "a", true),
            ("*a", "ba", true),
            ("a*b*c", "aXbXbc", true),
            ("a*b*c", "aXbXb", false),
            ("a?*[0-9]", "ab10", true),
            ("*[!0-9]", "ab1", false),
            ("", "a", false),
            ("a", "", false),
        ] {
            assert_eq!(Matcher::new(pattern).unwrap().matches(text), matches, "{pattern} {text}");
        }
        // In a time that does not double with each star.
        assert!(!Matcher::new(&"*a".repeat(500)).unwrap().matches(&"a".repeat(499)));
        assert_eq!(split("a\u{a0}b\u{3000}c"), ["a", "b", "c"]);
    }
}
