//! Host patterns as Ansible's `--limit` reads them: names, groups, `*`, unions, `!`, `&`, `~regex`, `group[0:2]`.

use indexmap::IndexSet;
use regex::Regex;

use super::groups::Groups;
use crate::error::{InputError, nearest};

/// The hosts that patterns select, in inventory order; all of them where there is no pattern.
pub(super) fn select(groups: &Groups, limit: &[String]) -> Result<IndexSet<String>, Vec<InputError>> {
    let all: IndexSet<&str> = groups.members("all").unwrap_or_default().into_iter().collect();
    let mut errors = Vec::new();
    let (mut chosen, mut required, mut excluded) = (IndexSet::new(), Vec::new(), IndexSet::new());
    let mut additive = false;
    for pattern in limit.iter().flat_map(|limit| split(limit)) {
        let (kind, name) = match pattern.split_at_checked(1) {
            Some((kind @ ("!" | "&"), name)) => (kind, name),
            _ => ("", pattern),
        };
        match one(groups, &all, name) {
            Ok(hosts) => match kind {
                "!" => excluded.extend(hosts),
                "&" => required.push(hosts),
                _ => {
                    additive = true;
                    chosen.extend(hosts);
                }
            },
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let selected: IndexSet<String> = all
        .iter()
        .filter(|host| !additive || chosen.contains(*host))
        .filter(|host| required.iter().all(|hosts| hosts.contains(*host)) && !excluded.contains(*host))
        .map(|host| (*host).to_owned())
        .collect();
    if selected.is_empty() && !limit.is_empty() {
        let error = InputError::new(format!("`{}` leaves no host", limit.join(",")));
        return Err(vec![error.hint("list the hosts with `kolla inventory`")]);
    }
    Ok(selected)
}

/// The parts of a limit: at commas and colons, not inside brackets, nor where colons are an IPv6 address.
fn split(limit: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in limit.split(',').map(str::trim) {
        if part.trim_start_matches(['!', '&']).parse::<std::net::Ipv6Addr>().is_ok() || part.starts_with('~') {
            parts.push(part);
            continue;
        }
        let (mut start, mut depth) = (0, 0_usize);
        for (at, c) in part.char_indices() {
            match c {
                '[' => depth += 1,
                ']' => depth = depth.saturating_sub(1),
                ':' if depth == 0 => {
                    parts.push(&part[start..at]);
                    start = at + 1;
                }
                _ => {}
            }
        }
        parts.push(&part[start..]);
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn one<'a>(groups: &'a Groups, all: &IndexSet<&'a str>, name: &str) -> Result<IndexSet<&'a str>, InputError> {
    if name == "all" || name == "*" {
        return Ok(all.clone());
    }
    if let Some(pattern) = name.strip_prefix('~') {
        let regex = Regex::new(&format!("^(?:{pattern})"))
            .map_err(|_| InputError::new(format!("`{pattern}` is no regular expression")))?;
        return matching(groups, all, name, |candidate| regex.is_match(candidate));
    }
    if let Some((group, range)) = name.strip_suffix(']').and_then(|rest| rest.split_once('['))
        && let Some(hosts) = groups.members(group)
    {
        return slice(&hosts, range).ok_or_else(|| {
            InputError::new(format!("`{name}` selects nothing: `{group}` has {} hosts", hosts.len()))
                .hint("write `group[0]` for its first host, `group[0:2]` for its first three")
        });
    }
    if let Some(host) = all.get(name) {
        return Ok(IndexSet::from([*host]));
    }
    if let Some(hosts) = groups.members(name) {
        return Ok(hosts.into_iter().collect());
    }
    if name.contains(['*', '?', '['])
        && let Some(regex) = glob(name)
    {
        return matching(groups, all, name, |candidate| regex.is_match(candidate));
    }
    let error = InputError::new(format!("`{name}` is no host and no group"));
    Err(match nearest(name, all.iter().copied().chain(groups.names())) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("list the hosts with `kolla inventory`"),
    })
}

fn matching<'a>(
    groups: &'a Groups,
    all: &IndexSet<&'a str>,
    name: &str,
    matches: impl Fn(&str) -> bool,
) -> Result<IndexSet<&'a str>, InputError> {
    let mut found: IndexSet<&str> = all.iter().copied().filter(|host| matches(host)).collect();
    for group in groups.names().filter(|group| matches(group)) {
        found.extend(groups.members(group).unwrap_or_default());
    }
    if found.is_empty() {
        return Err(InputError::new(format!("`{name}` matches no host and no group"))
            .hint("list the hosts with `kolla inventory`"));
    }
    Ok(found)
}

/// A shell pattern as a regular expression.
fn glob(pattern: &str) -> Option<Regex> {
    let mut regex = "^".to_owned();
    for c in pattern.chars() {
        match c {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '[' | ']' | '-' => regex.push(c),
            c => regex.push_str(&regex::escape(&c.to_string())),
        }
    }
    Regex::new(&format!("{}$", regex.replace("[!", "[^"))).ok()
}

/// `0`, `-1`, `0:2` (both ends count), `2:`.
fn slice<'a>(hosts: &[&'a str], range: &str) -> Option<IndexSet<&'a str>> {
    let index = |text: &str, default: usize| -> Option<usize> {
        if text.is_empty() {
            return Some(default);
        }
        let number: isize = text.parse().ok()?;
        if number < 0 { hosts.len().checked_add_signed(number) } else { usize::try_from(number).ok() }
    };
    let (first, last) = match range.split_once([':', '-']).filter(|_| !range.starts_with('-')) {
        Some((first, last)) => (index(first, 0)?, index(last, hosts.len().checked_sub(1)?)?),
        None => (index(range, 0)?, index(range, 0)?),
    };
    let last = last.min(hosts.len().checked_sub(1)?);
    hosts.get(first..=last).map(|hosts| hosts.iter().copied().collect()).filter(|hosts: &IndexSet<_>| !hosts.is_empty())
}
