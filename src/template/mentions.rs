//! Which variables a text names, without evaluating it.

use std::collections::HashSet;
use std::path::Path;

use super::engine::{self, Manner, Text};
use super::shared::words_of;

/// Functions and mappings that are given names of variables as text.
const BY_NAME: [&str; 5] = ["hostvars", "lookup", "q", "query", "vars"];

/// The shortest part of a name that tells something of the whole.
const PART: usize = 3;

/// What a text names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mentions {
    /// Names, sorted; `*_port` and `enable_*` are all with that end or start, where the text puts names together.
    pub names: Vec<String>,
    /// It looks variables up by names that may be the values of others.
    pub by_name: bool,
}

impl Mentions {
    /// Those of a value's text.
    pub fn of_text(text: &str) -> Self {
        match engine::text(text).as_deref() {
            Ok(Text::Plain) => Self::default(),
            Ok(Text::Expression(expression, _)) => Self::found(text, expression.undeclared_variables(false)),
            Ok(Text::Template(template)) => Self::found(text, template.undeclared_variables(false)),
            // What is wrong with it is told elsewhere.
            Err(_) => Self::words(text),
        }
    }

    /// These names.
    pub fn names(names: impl IntoIterator<Item = String>) -> Self {
        Self { names: names.into_iter().collect(), by_name: false }
    }

    /// Those of a template file's text.
    pub fn of_file(path: &Path, source: &str, merged: bool) -> Self {
        if !source.contains('{') {
            return Self::default();
        }
        match engine::file(path, source, Manner { merged, syntax: None }) {
            Ok(file) => Self::found(source, file.template.undeclared_variables(false)),
            Err(_) => Self::words(source),
        }
    }

    fn words(text: &str) -> Self {
        Self::found(text, words_of(text).map(str::to_owned).collect())
    }

    fn found(text: &str, mut names: HashSet<String>) -> Self {
        let by_name = BY_NAME.iter().any(|function| names.contains(*function));
        if by_name {
            names.extend(words_of(text).filter_map(pattern));
        }
        for (at, filter) in text.match_indices("kolla_address") {
            address(text[..at].trim_end(), &text[at + filter.len()..], &mut names);
        }
        let mut names: Vec<String> = names.into_iter().collect();
        names.sort_unstable();
        Self { names, by_name }
    }
}

/// A word that may be a variable's name, or a part of one.
fn pattern(word: &str) -> Option<String> {
    match (word.starts_with('_'), word.ends_with('_')) {
        (false, false) => Some(word.to_owned()),
        _ if word.len() < PART => None,
        (true, false) => Some(format!("*{word}")),
        (false, true) => Some(format!("{word}*")),
        (true, true) => None,
    }
}

/// What `network | kolla_address(host, own)` reads.
fn address(before: &str, after: &str, names: &mut HashSet<String>) {
    let network = before.strip_suffix('|').map(str::trim_end).and_then(|text| {
        let text = text.strip_suffix(['\'', '"'])?;
        text.rsplit(['\'', '"']).next()
    });
    let network = network.unwrap_or("*");
    names.extend([format!("{network}_interface"), format!("{network}_address_family")]);
    if after.starts_with('(') {
        let arguments = &after[..after.find(')').unwrap_or(after.len())];
        names.extend(words_of(arguments).map(str::to_owned));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_text_names_is_found_without_evaluating_it() {
        for (text, names, by_name) in [
            ("plain_text", "", false),
            ("{{ a_port }}", "a_port", false),
            ("{{ a | default(b) }} {% for x in c %}{{ x.d + e.f }}{% endfor %}", "a b c e", false),
            ("{% set g = h %}{{ g }}", "h", false),
            ("{{ 'k' in l }}", "l", false),
            ("{{ 'api' | kolla_address }}", "api_address_family api_interface", false),
            ("{{ net | kolla_address(name, 'own_one') }}", "*_address_family *_interface name net own_one", false),
            ("{{ lookup('vars', name ~ '_port') }}", "*_port lookup name vars", true),
            ("{{ hostvars[m]['n_address'] }}", "hostvars m n_address", true),
            ("{{ vars['enable_' + o] }}", "enable_* o vars", true),
            ("{{ broken_one", "broken_one", false),
        ] {
            let found = Mentions::of_text(text);
            assert_eq!((found.names.join(" ").as_str(), found.by_name), (names, by_name), "{text}");
        }
        let file = Mentions::of_file(
            Path::new("x.conf.j2"),
            "[a]\nb = {{ c }}\n{% if d_e | bool %}f = 1\n{% endif %}\n",
            true,
        );
        assert_eq!(file.names, ["c", "d_e"]);
    }
}
