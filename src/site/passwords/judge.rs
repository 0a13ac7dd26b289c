//! What is to be said of a password, without its being shown.

use super::stays_empty;
use crate::error::Place;
use crate::source::{Data, Node};
use crate::template::Sourced;

/// Shorter ones are weak whatever they are made of.
const SHORTEST: usize = 8;
/// Shorter ones are weak if they are made of one kind of characters.
const SHORTEST_OF_ONE_KIND: usize = 20;
/// Fewer different characters are weak.
const FEWEST_DIFFERENT: usize = 5;

/// What everybody tries first; with digits or marks after it, too.
const TRIED_FIRST: &[&str] = &[
    "adminadmin",
    "administrator",
    "changeme",
    "default",
    "openstack",
    "passw0rd",
    "password",
    "qwertyuiop",
    "secret",
    "supersecret",
    "test",
];

/// A secret of the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Password {
    /// Its name.
    pub name: String,
    /// Where its value stands.
    pub place: Place,
    /// It has no value, and is not one that may stay so.
    pub empty: bool,
    /// Why it is weak.
    pub weak: Option<&'static str>,
}

impl Password {
    /// Judges the value of a name.
    ///
    /// Weak is what is shorter than 8 characters, or shorter than 20 and of one kind of them (lower case, upper case,
    /// digits, others); what has fewer than 5 different ones; its own name; and a word that is tried first. Key pairs
    /// and what a template gives are not judged.
    pub(in crate::site) fn judge(name: &str, sourced: &Sourced) -> Self {
        let node = &sourced.node;
        let empty = is_empty(node) && !stays_empty(name);
        let weak = match &node.data {
            Data::Str(text) if !text.contains("{{") => weakness(name, text),
            Data::Int(number) => weakness(name, &number.to_string()),
            _ => None,
        };
        let place = Place { column: 0, excerpt: None, ..sourced.document.place(node) };
        Self { name: name.to_owned(), place, empty, weak }
    }
}

fn is_empty(node: &Node) -> bool {
    match &node.data {
        Data::Null => true,
        Data::Str(text) => text.is_empty(),
        Data::Map(map) => map.values().any(|entry| is_empty(&entry.value)),
        _ => false,
    }
}

fn weakness(name: &str, text: &str) -> Option<&'static str> {
    let kind = |c: char| match c {
        _ if c.is_lowercase() => 0,
        _ if c.is_uppercase() => 1,
        _ if c.is_numeric() => 2,
        _ => 3,
    };
    let mut characters: Vec<char> = text.chars().collect();
    let length = characters.len();
    let one_kind = characters.windows(2).all(|two| kind(two[0]) == kind(two[1]));
    characters.sort_unstable();
    characters.dedup();
    let lower = text.to_lowercase();
    let word = lower.trim_end_matches(|c: char| !c.is_alphabetic());
    if length == 0 {
        None
    } else if length < SHORTEST {
        Some("shorter than 8 characters")
    } else if characters.len() < FEWEST_DIFFERENT {
        Some("fewer than 5 different characters")
    } else if lower == name || TRIED_FIRST.contains(&word) {
        Some("a word that is tried first")
    } else if one_kind && length < SHORTEST_OF_ONE_KIND {
        Some("shorter than 20 characters, all of one kind")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_is_what_is_short_plain_or_guessed() {
        for (text, expected) in [
            ("", None),
            ("aB3$xyz", Some("shorter than 8 characters")),
            ("aB3$xyzw", None),
            ("abcdefghijklmnopqrs", Some("shorter than 20 characters, all of one kind")),
            ("abcdefghijklmnopqrst", None),
            ("1234567890", Some("shorter than 20 characters, all of one kind")),
            ("aaaa1111aaaa1111", Some("fewer than 5 different characters")),
            ("Password123!", Some("a word that is tried first")),
            ("rabbitmq_password", Some("a word that is tried first")),
            ("correct horse", None),
            ("0b8f6f53-1d7c-4b50-8ed4-4b6a2f0d2a55", None),
        ] {
            assert_eq!(weakness("rabbitmq_password", text), expected, "{text}");
        }
    }
}
