//! Merging of configuration files: INI as oslo.config reads it, YAML in depth.

use std::path::Path;

use indexmap::IndexMap;

use crate::error::InputError;
use crate::source::{Data, Document, Node};

/// The values of a key, each of one line or more; `None` for a key without `=`.
type Values<'a> = Vec<Option<Vec<&'a str>>>;

/// Keys of a section, in order.
type Section<'a> = IndexMap<&'a str, Values<'a>>;

/// Sections by name, in order; keys before any section have none.
type Sections<'a> = IndexMap<Option<&'a str>, Section<'a>>;

/// Merges INI texts, later ones over earlier ones, by the rules of Kolla's `merge_configs`.
///
/// A key repeated inside one text has several values; a later text replaces them all. Sections stand in the order
/// they were first seen, keys before any section come first, lines that start with white space go on with the
/// value above, comments are dropped. A line without `=` or `:` is kept as it is (`skip-name-resolve` of MariaDB).
pub fn merge_ini(sources: &[&str]) -> String {
    let mut merged = Sections::from([(None, Section::new())]);
    for source in sources {
        for (name, section) in parse_ini(source) {
            merged.entry(name).or_default().extend(section);
        }
    }
    let mut out = String::new();
    for (name, section) in &merged {
        if let Some(name) = name {
            if !out.is_empty() {
                out.push('\n');
            }
            out.extend(["[", name, "]\n"]);
        }
        for (key, values) in section {
            for value in values {
                write_value(key, value.as_deref(), &mut out);
            }
        }
    }
    out
}

fn write_value(key: &str, value: Option<&[&str]>, out: &mut String) {
    out.push_str(key);
    let Some(lines) = value else {
        out.push('\n');
        return;
    };
    for (index, line) in lines.iter().enumerate() {
        match (index, *line) {
            (0, "") => out.push_str(" ="),
            (0, line) => out.extend([" = ", line]),
            (_, line) => {
                out.push('\n');
                // Under the first line of the value.
                out.extend(std::iter::repeat_n(' ', key.chars().count() + 3));
                out.push_str(line);
            }
        }
    }
    out.push('\n');
}

fn parse_ini(text: &str) -> Sections<'_> {
    let mut sections = Sections::new();
    let mut current = None;
    // The key whose value may go on, unless a blank line or a comment ended it.
    let mut open = None;
    for line in text.lines().map(str::trim_end) {
        let trimmed = line.trim_start();
        if trimmed.is_empty() {
            open = None;
            continue;
        }
        if trimmed.len() < line.len() {
            let section = sections.entry(current).or_default();
            let value = open.and_then(|key| section.get_mut(key)).and_then(|values| values.last_mut());
            if let Some(Some(lines)) = value {
                lines.push(trimmed);
                continue;
            }
        }
        open = None;
        if trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name) {
            current = Some(name);
            sections.entry(current).or_default();
            continue;
        }
        let section = sections.entry(current).or_default();
        if let Some(at) = trimmed.find(['=', ':']) {
            let key = trimmed[..at].trim_end();
            section.entry(key).or_default().push(Some(vec![trimmed[at + 1..].trim()]));
            open = Some(key);
        } else {
            let values = section.entry(trimmed).or_default();
            if values.is_empty() {
                values.push(None);
            }
        }
    }
    sections
}

/// Merges YAML texts, later ones over earlier ones: mappings in depth, everything else replaced.
///
/// # Errors
/// Texts that are no YAML, and tops that are neither mappings nor empty where there are several.
pub fn merge_yaml(sources: &[(&Path, &str)]) -> Result<String, InputError> {
    let mut merged = Node::bare(Data::Null);
    for (file, text) in sources {
        let document = Document::parse(file, text)?;
        if sources.len() > 1 {
            // Says where, if it is something else than a mapping.
            document.entries()?;
        }
        merged = merge_nodes(merged, document.root);
    }
    let options = serde_yaml::ser_options! { indent_step: 2, min_fold_chars: usize::MAX };
    serde_yaml::to_string_with_options(&merged.to_json(), options)
        .map_err(|error| InputError::new(format!("cannot write YAML: {error}")))
}

fn merge_nodes(low: Node, high: Node) -> Node {
    match (low.data, high.data) {
        (low, Data::Null) => Node { data: low, ..high },
        (Data::Map(mut low), Data::Map(entries)) => {
            for (key, mut entry) in entries {
                // A key set to nothing is set, unlike a file with nothing in it.
                if let Some(old) = low.get(&key).filter(|_| entry.value.data != Data::Null) {
                    entry.value = merge_nodes(old.value.clone(), entry.value);
                }
                low.insert(key, entry);
            }
            Node { line: high.line, column: high.column, data: Data::Map(low) }
        }
        (_, data) => Node { line: high.line, column: high.column, data },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ini_follows_oslo() {
        for (what, sources, expected) in [
            ("a later file replaces a key", &["[a]\nk = 1\nl = 2\n", "[a]\nk=3\n"][..], "[a]\nk = 3\nl = 2\n"),
            (
                "repeated keys accumulate in one file and are replaced together",
                &["[a]\nk = 1\nk = 2\nm = 1\nm = 2\n", "[a]\nk = 3\n"],
                "[a]\nk = 3\nm = 1\nm = 2\n",
            ),
            (
                "sections stand as first seen",
                &["[b]\nx = 1\n[a]\ny = 1\n", "[c]\nz = 1\n[b]\nx2 = 2\n"],
                "[b]\nx = 1\nx2 = 2\n\n[a]\ny = 1\n\n[c]\nz = 1\n",
            ),
            ("keys before any section come first", &["[a]\nk = 1\n", "o = 1\n"], "o = 1\n\n[a]\nk = 1\n"),
            ("comments go, also between lines", &["# c\n[a] # d\n; e\nk = v # kept\n"], "[a]\nk = v # kept\n"),
            (
                "values go on",
                &["[a]\nkey = one\n  two\n\tthree\nl = 1\n"],
                "[a]\nkey = one\n      two\n      three\nl = 1\n",
            ),
            ("a blank line ends a value", &["[a]\nk = 1\n\n  m = 2\n"], "[a]\nk = 1\nm = 2\n"),
            ("the first sign counts", &["[a]\nk: v=1\nl = a:b\n"], "[a]\nk = v=1\nl = a:b\n"),
            ("empty values stay", &["[a]\nk =\n"], "[a]\nk =\n"),
            ("quotes stay", &["[a]\nk = \"x y\"\n"], "[a]\nk = \"x y\"\n"),
            (
                "bare keys stay",
                &["[mysqld]\nskip-name-resolve\n", "[mysqld]\nskip-name-resolve\n"],
                "[mysqld]\nskip-name-resolve\n",
            ),
            ("nothing is nothing", &["", "\n"], ""),
        ] {
            assert_eq!(merge_ini(sources), expected, "{what}");
            assert_eq!(merge_ini(&[expected]), expected, "{what}, again");
        }
    }

    #[test]
    fn yaml_merges_mappings_and_replaces_lists() {
        let low = (Path::new("low.yml"), "a: {b: 1, c: [1, 2]}\nd: x\n");
        let high = (Path::new("high.yml"), "a: {c: [3], e: 'yes'}\nd:\n");
        assert_eq!(merge_yaml(&[low, high]).unwrap(), "a:\n  b: 1\n  c:\n  - 3\n  e: \"yes\"\nd: null\n");
        let error = merge_yaml(&[low, (Path::new("list.yml"), "- 1\n")]).unwrap_err();
        assert_eq!(error.message, "expected a mapping, found a list");
    }
}
