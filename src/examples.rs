//! The files in etc/ that an operator starts from, and the names that they offer.

/// The example globals.yml.
pub const GLOBALS: &str = include_str!("../etc/globals.yml");

/// The example passwords.yml: all names, no values.
pub const PASSWORDS: &str = include_str!("../etc/passwords.yml");

/// Variables of the example globals.yml, set or commented, and their lines.
pub fn variables() -> impl Iterator<Item = (usize, &'static str)> {
    let name = |line: &'static str| {
        let (name, _) = line.strip_prefix('#').unwrap_or(line).split_once(':')?;
        let plain = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        plain.then_some(name)
    };
    (1..).zip(GLOBALS.lines()).filter_map(move |(number, line)| Some((number, name(line)?)))
}

/// Secrets that Kolla's services have, as far as roles for them are built in.
pub fn secrets() -> impl Iterator<Item = &'static str> {
    let names = PASSWORDS.lines().filter_map(|line| Some(line.split_once(':')?.0));
    names.filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
}
