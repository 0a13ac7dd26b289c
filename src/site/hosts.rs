//! Host names of an inventory line: ranges, ports.

/// More hosts than this in one line are a mistake.
const MOST: usize = 100_000;

/// A host word without its port, and the port.
pub(super) fn port(word: &str) -> (&str, Option<u16>) {
    if let Some((address, rest)) = word.strip_prefix('[').and_then(|rest| rest.split_once(']'))
        && address.parse::<std::net::Ipv6Addr>().is_ok()
    {
        return (address, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    if word.parse::<std::net::Ipv6Addr>().is_ok() {
        return (word, None);
    }
    match word.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && !port.is_empty() && port.chars().all(|c| c.is_ascii_digit()) => {
            match port.parse() {
                Ok(port) => (name, Some(port)),
                Err(_) => (word, None),
            }
        }
        _ => (word, None),
    }
}

/// All names that a pattern with ranges stands for, as `compute[01:20]` or `rack[a:c]-[1:9:2]`.
pub(super) fn expand(pattern: &str) -> Result<Vec<String>, String> {
    let Some((head, rest)) = pattern.split_once('[') else {
        if pattern.contains([']', ',', '=']) {
            return Err(format!("`{pattern}` is no host name"));
        }
        return Ok(vec![pattern.to_owned()]);
    };
    let Some((range, tail)) = rest.split_once(']') else {
        return Err(format!("range of `{pattern}` lacks its `]`"));
    };
    let tails = expand(tail)?;
    let items = items(range)?;
    if items.len().saturating_mul(tails.len()) > MOST {
        return Err(format!("`{pattern}` stands for more than {MOST} hosts"));
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
    if let ([first], [last]) = (first.as_bytes(), last.as_bytes())
        && first.is_ascii_alphabetic()
        && last.is_ascii_alphabetic()
    {
        if first > last {
            return wrong("ends before it begins");
        }
        return Ok((*first..=*last).step_by(step).map(|letter| char::from(letter).to_string()).collect());
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
    if (to - from) / step >= MOST {
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
        ] {
            assert_eq!(expand(pattern).unwrap_err(), message, "{pattern}");
        }
        assert!(expand("c[1:1000]-[1:1000]").is_err());
    }

    #[test]
    fn ports_are_told_from_addresses() {
        assert_eq!(port("h:2222"), ("h", Some(2222)));
        assert_eq!(port("h[1:3]:22"), ("h[1:3]", Some(22)));
        assert_eq!(port("h[1:3]"), ("h[1:3]", None));
        assert_eq!(port("fd00::1"), ("fd00::1", None));
        assert_eq!(port("[fd00::1]:22"), ("fd00::1", Some(22)));
    }
}
