//! Host names of an inventory: ranges, ports, and what counts as an address.

use std::net::Ipv6Addr;
use std::sync::LazyLock;

use regex::Regex;

use super::inventory::MOST_HOSTS;

/// Bytes of the longest name with a range: that of a host name.
const LONGEST: usize = 255;

/// The letters of ranges, in their order.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// A host word without its port, and the port. A word that is no address with a port is a name as it stands.
pub(super) fn port(word: &str) -> (&str, Option<i64>) {
    address(word).unwrap_or((word, None))
}

/// The host and port of an address, whose host may have ranges: a name, an IPv4 or an IPv6 address. `None` for what is
/// no address.
pub(super) fn address(word: &str) -> Option<(&str, Option<i64>)> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (mut host, mut port) = (word, None);
    if let Some((inner, number)) = word.strip_prefix('[').and_then(|rest| rest.rsplit_once("]:"))
        && digits(number)
        && !inner.is_empty()
    {
        (host, port) = (inner, Some(number));
    }
    if let Some((name, number)) = host.rsplit_once(':')
        && digits(number)
        && without_colons(name)
    {
        (host, port) = (name, Some(number));
    }
    if !is_name(host) && !is_ipv6(host) {
        return None;
    }
    Some((host, port.and_then(|number| number.parse().ok())))
}

/// Colons and brackets stand only as complete ranges.
fn without_colons(text: &str) -> bool {
    let mut inside = false;
    for c in text.chars() {
        match c {
            ']' if inside => inside = false,
            _ if inside => {}
            '[' => inside = true,
            ':' | ']' => return false,
            _ => {}
        }
    }
    !inside
}

/// A host name or IPv4 address, ranges and underscores allowed. No label ends with a dash or an underscore.
fn is_name(text: &str) -> bool {
    static RANGE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?i)\[(?:[a-z]:[a-z]|[0-9]+:[0-9]+)(?::[0-9]+)?\]").ok());
    let Some(range) = RANGE.as_ref() else { return false };
    range.replace_all(text, "0").split('.').all(|label| {
        label.starts_with(|c: char| c.is_alphanumeric() || c == '_')
            && label.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
            && !label.ends_with(['-', '_'])
    })
}

fn is_ipv6(text: &str) -> bool {
    static RANGE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?i)\[[0-9a-f]+:[0-9a-f]+(?::[0-9]+)?\]").ok());
    RANGE.as_ref().is_some_and(|range| range.replace_all(text, "0").parse::<Ipv6Addr>().is_ok())
}

/// All names that a pattern with ranges stands for, as `compute[01:20]` or `rack[a:c]-[1:9:2]`.
pub(super) fn expand(pattern: &str) -> Result<Vec<String>, String> {
    if pattern.contains('[') && pattern.len() > LONGEST {
        return Err(format!("a name with a range has more than {LONGEST} characters"));
    }
    let Some((head, rest)) = pattern.split_once('[') else {
        if pattern.contains([']', ',', '=']) || pattern.ends_with(':') || pattern == "---" {
            return Err(format!("`{pattern}` is no host name"));
        }
        return Ok(vec![pattern.to_owned()]);
    };
    let Some((range, tail)) = rest.split_once(']') else {
        return Err(format!("range of `{pattern}` lacks its `]`"));
    };
    let tails = expand(tail)?;
    let items = items(range)?;
    if items.len().saturating_mul(tails.len()) > MOST_HOSTS {
        return Err(format!("`{pattern}` stands for more than {MOST_HOSTS} hosts"));
    }
    Ok(items.iter().flat_map(|item| tails.iter().map(move |tail| format!("{head}{item}{tail}"))).collect())
}

fn items(range: &str) -> Result<Vec<String>, String> {
    let wrong = |why: &str| Err(format!("range `[{range}]` {why}"));
    let bounds: Vec<&str> = range.split(':').collect();
    let (first, last, step) = match bounds[..] {
        [first, last] => (first, last, "1"),
        [first, last, step] => (first, last, step),
        _ => return wrong("needs a first and a last item"),
    };
    let first = if first.is_empty() { "0" } else { first };
    let Some(step) = step.parse().ok().filter(|step| *step > 0) else {
        return wrong("has a step that is no positive number");
    };
    if first.len() == 1
        && last.len() == 1
        && let (Some(from), Some(to)) = (LETTERS.find(first), LETTERS.find(last))
    {
        if from > to {
            return wrong("ends before it begins");
        }
        return Ok(LETTERS[from..=to].chars().step_by(step).map(String::from).collect());
    }
    let (Ok(from), Ok(to)) = (first.parse::<usize>(), last.parse::<usize>()) else {
        return wrong("is neither of numbers nor of letters");
    };
    let width = if first.len() > 1 && first.starts_with('0') { first.len() } else { 0 };
    if width > 0 && width != last.len() {
        return wrong("has bounds of different length");
    }
    if from > to {
        return wrong("ends before it begins");
    }
    if (to - from) / step >= MOST_HOSTS {
        return wrong("is too long");
    }
    Ok((from..=to).step_by(step).map(|number| format!("{number:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_count_pad_and_spell() {
        for (pattern, names) in [
            ("a", "a"),
            ("c[01:03]", "c01 c02 c03"),
            ("c[9:11]", "c9 c10 c11"),
            ("c[1:9:4].x", "c1.x c5.x c9.x"),
            ("r[a:c]", "ra rb rc"),
            ("r[a:b]-[1:2]", "ra-1 ra-2 rb-1 rb-2"),
            ("c[:2]", "c0 c1 c2"),
            ("c[y:B]", "cy cz cA cB"),
        ] {
            assert_eq!(expand(pattern).unwrap().join(" "), names, "{pattern}");
        }
        for (pattern, message) in [
            ("c[3:1]", "range `[3:1]` ends before it begins"),
            ("c[01:100]", "range `[01:100]` has bounds of different length"),
            ("c[a:9]", "range `[a:9]` is neither of numbers nor of letters"),
            ("c[1]", "range `[1]` needs a first and a last item"),
            ("c[1:2", "range of `c[1:2` lacks its `]`"),
            ("c[1:9:0]", "range `[1:9:0]` has a step that is no positive number"),
            ("c1,c2", "`c1,c2` is no host name"),
            ("c1:", "`c1:` is no host name"),
        ] {
            assert_eq!(expand(pattern).unwrap_err(), message, "{pattern}");
        }
        for (pattern, message) in [
            ("c[1:1000]-[1:1000]", "`c[1:1000]-[1:1000]` stands for more than 20000 hosts"),
            ("c[0:18446744073709551615]", "range `[0:18446744073709551615]` is too long"),
            (&format!("c[{0}:{0}]", "0".repeat(70_000)), "a name with a range has more than 255 characters"),
            (&"[1:2]".repeat(100_000), "a name with a range has more than 255 characters"),
        ] {
            assert_eq!(expand(pattern).unwrap_err(), message);
        }
    }

    #[test]
    fn ports_are_told_from_addresses() {
        assert_eq!(port("h:2222"), ("h", Some(2222)));
        assert_eq!(port("h[1:3]:22"), ("h[1:3]", Some(22)));
        assert_eq!(port("h[1:3]"), ("h[1:3]", None));
        assert_eq!(port("fd00::1"), ("fd00::1", None));
        assert_eq!(port("[fd00::1]:22"), ("fd00::1", Some(22)));
        assert_eq!(port("[h]:22"), ("h", Some(22)));
        assert_eq!(port("fd00::[1:3]"), ("fd00::[1:3]", None));
        assert_eq!(port("10.0.0.[1:3]:22"), ("10.0.0.[1:3]", Some(22)));
        assert_eq!(port("a-:22"), ("a-:22", None), "no name ends with a dash, so this is not one with a port");
        assert_eq!(address("a:b"), None);
        assert_eq!(address("~a"), None);
    }
}
