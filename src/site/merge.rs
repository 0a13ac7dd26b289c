//! Merging of configuration files: INI as oslo.config reads it, YAML in depth.

use std::path::Path;

use indexmap::IndexMap;

use crate::error::{InputError, Place};
use crate::source::{Data, Document, Node, Style, dump};

/// The values of a key, each of one line or more; `None` for a key without `=`.
type Values = Vec<Option<Vec<String>>>;

/// Keys of a section, in order.
type Section = IndexMap<String, Values>;

/// Sections by name, in order; keys before any section have none.
type Sections = IndexMap<Option<String>, Section>;

/// Bytes of the longest key: lines that go on with its value are indented by as many.
const LONGEST_KEY: usize = 500;

/// Merges INI texts, later ones over earlier ones, by the rules of Kolla's `merge_configs`.
///
/// A key repeated inside one text has several values; a later text replaces them all. Sections stand in the order
/// they were first seen, keys before any section come first, lines that start with white space go on with the
/// value above, comments are dropped, quotes around a value too. Unlike there, a line without `=` or `:` is kept as it
/// is (`skip-name-resolve` of MariaDB), and a comment may be indented.
///
/// # Errors
/// Lines that are none of these, with the file they are from.
pub fn merge_ini(sources: &[(&Path, &str)]) -> Result<String, InputError> {
    let mut merged = Sections::from([(None, Section::new())]);
    for (file, text) in sources {
        let parsed = parse_ini(text).map_err(|(line, message, hint)| {
            InputError::new(format!("{message}: `{}`", line.trim())).at(Place::file(file)).hint(hint)
        })?;
        for (name, section) in parsed {
            merged.entry(name).or_default().extend(section);
        }
    }
    let mut out = String::new();
    for (name, section) in &merged {
        match name {
            Some(name) => out.extend(["[", name, "]\n"]),
            None if section.is_empty() => continue,
            None => {}
        }
        for (key, values) in section {
            for value in values {
                write_value(key, value.as_deref(), &mut out);
            }
        }
        out.push('\n');
    }
    Ok(out)
}

fn write_value(key: &str, value: Option<&[String]>, out: &mut String) {
    out.push_str(key);
    match value {
        None => {}
        Some([line]) if line.is_empty() => out.push_str(" ="),
        Some(lines) => {
            out.push_str(" = ");
            for (index, line) in lines.iter().enumerate() {
                if index > 0 {
                    out.push('\n');
                    // Under the first line of the value.
                    out.extend(std::iter::repeat_n(' ', key.chars().count() + 3));
                }
                out.push_str(line);
            }
        }
    }
    out.push('\n');
}

/// A line that is wrong, what is wrong with it, and what to do.
type Fault<'a> = (&'a str, &'static str, &'static str);

fn parse_ini(text: &str) -> Result<Sections, Fault<'_>> {
    let mut sections = Sections::from([(None, Section::new())]);
    let mut current = 0;
    // The key whose value may go on, unless a blank line or a comment ended it.
    let mut open: Option<usize> = None;
    for line in text.lines().map(str::trim_end) {
        let trimmed = line.trim_start();
        let Some((_, section)) = sections.get_index_mut(current) else { continue };
        if line.starts_with([' ', '\t']) {
            let value = open.and_then(|key| section.get_index_mut(key)).and_then(|(_, values)| values.last_mut());
            match value {
                Some(Some(lines)) => lines.push(trimmed.to_owned()),
                _ if trimmed.starts_with(['#', ';']) => {}
                _ => return Err((line, "an indented line goes on with no value", "do not indent keys")),
            }
            continue;
        }
        open = None;
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let Some(name) = rest.strip_suffix(']').filter(|name| !name.is_empty()) else {
                return Err((line, "not the name of a section", "write it as `[name]`, with nothing behind it"));
            };
            let entry = sections.entry(Some(name.to_owned()));
            current = entry.index();
            entry.or_default();
            continue;
        }
        if let Some(at) = line.find(['=', ':']) {
            let key = line[..at].trim();
            if key.is_empty() {
                return Err((line, "a value without a key", "write it as `key = value`"));
            }
            if key.starts_with(['[', '#', ';']) {
                // What the program that reads the merged file takes for something else.
                return Err((line, "a key begins like a section or a comment", "take the white space before it away"));
            }
            if key.len() > LONGEST_KEY {
                return Err((
                    &key[..key.floor_char_boundary(LONGEST_KEY)],
                    "a key is too long",
                    "write it as `key = value`",
                ));
            }
            let entry = section.entry(key.to_owned());
            open = Some(entry.index());
            entry.or_default().push(Some(vec![unquoted(line[at + 1..].trim()).to_owned()]));
        } else {
            let values = section.entry(line.to_owned()).or_default();
            if values.is_empty() {
                values.push(None);
            }
        }
    }
    Ok(sections)
}

fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if value.starts_with(quote) && value.ends_with(quote) {
            return value.get(1..value.len() - 1).unwrap_or_default();
        }
    }
    value
}

/// Merges YAML texts, later ones over earlier ones, as Kolla's `merge_yaml`: mappings in depth, everything else replaced.
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
    let merged = if merged.data == Data::Null { Node::bare(Data::Map(IndexMap::new())) } else { merged };
    Ok(dump(&merged.to_json(), Style::default()))
}

fn merge_nodes(low: Node, high: Node) -> Node {
    match (low.data, high.data) {
        (low, Data::Null) => Node { data: low, ..high },
        (Data::Map(mut low), Data::Map(entries)) => {
            for (key, mut entry) in entries {
                // A key set to nothing is set, unlike a file with nothing in it.
                if let Some(old) = low.get_mut(&key).filter(|_| entry.value.data != Data::Null) {
                    let old = std::mem::replace(&mut old.value, Node::bare(Data::Null));
                    entry.value = merge_nodes(old, entry.value);
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
    fn ini_is_more_lenient_than_oslo_in_few_things() {
        for (what, sources, expected) in [
            ("bare keys stay", &["[a]\nskip\nk = 1\n", "[a]\nskip\n"][..], "[a]\nskip\nk = 1\n\n"),
            ("keys before any section come first", &["[a]\nk = 1\n", "o = 1\n"], "o = 1\n\n[a]\nk = 1\n\n"),
            ("an indented comment goes", &["[a]\n  # c\nk = 1\n"], "[a]\nk = 1\n\n"),
        ] {
            let sources: Vec<_> = sources.iter().map(|text| (Path::new("x.conf"), *text)).collect();
            assert_eq!(merge_ini(&sources).unwrap(), expected, "{what}");
            assert_eq!(merge_ini(&[(Path::new("x.conf"), expected)]).unwrap(), expected, "{what}, again");
        }
        for (text, message) in [
            ("[a", "not the name of a section: `[a`"),
            ("[a]\n= 1\n", "a value without a key: `= 1`"),
            ("\u{c}[a =] 1\n", "a key begins like a section or a comment: `[a =] 1`"),
            ("[a]\n\n  k = 1\n", "an indented line goes on with no value: `k = 1`"),
            (&format!("{} = 1\n", "k".repeat(501)), &format!("a key is too long: `{}`", "k".repeat(500))),
        ] {
            assert_eq!(merge_ini(&[(Path::new("x.conf"), text)]).unwrap_err().message, message);
        }
    }

    #[test]
    fn yaml_merges_mappings_and_replaces_lists() {
        let low = (Path::new("low.yml"), "a: {b: 1, c: [1, 2]}\nd: x\n");
        let high = (Path::new("high.yml"), "a: {c: [3], e: 'yes'}\nd:\n");
        assert_eq!(merge_yaml(&[low, high]).unwrap(), "a:\n  b: 1\n  c:\n  - 3\n  e: 'yes'\nd: null\n");
        let error = merge_yaml(&[low, (Path::new("list.yml"), "- 1\n")]).unwrap_err();
        assert_eq!(error.message, "expected a mapping, found a list");
    }
}
