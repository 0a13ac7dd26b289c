//! Merging of configuration files: INI as oslo.config reads it, YAML in depth.

use std::path::Path;

use indexmap::IndexMap;

use crate::error::{InputError, Kind, Place};
use crate::source::{Data, Document, Entry, Node, Style, dump};

/// Where a line of a merged text is from: the position of its source, and the line there, from 1. A line that only
/// separates is from nowhere.
pub type Origin = Option<(usize, usize)>;

/// A value of one line or more, and its first line in the source; no text for a key without `=`.
type Value = (Option<Vec<String>>, Origin);

/// A section's first line in the source, and its keys with their values, in order.
#[derive(Default)]
struct Section {
    from: Origin,
    keys: IndexMap<String, Vec<Value>>,
}

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
pub fn merge_ini(sources: &[(&Path, &str)], written: usize) -> Result<String, InputError> {
    Ok(merge_ini_lines(sources, written)?.0)
}

/// As [`merge_ini`], with where each line is from.
///
/// # Errors
/// As [`merge_ini`].
pub fn merge_ini_lines(sources: &[(&Path, &str)], written: usize) -> Result<(String, Vec<Origin>), InputError> {
    let mut merged = Sections::from([(None, Section::default())]);
    for (number, (file, text)) in sources.iter().enumerate() {
        let parsed = parse_ini(number, text, number < written).map_err(|fault| fault.of(file, text))?;
        for (name, section) in parsed {
            let known = merged.entry(name).or_insert_with(|| Section { from: section.from, ..Section::default() });
            known.keys.extend(section.keys);
        }
    }
    let (mut out, mut origins) = (String::new(), Vec::new());
    for (name, section) in &merged {
        match name {
            Some(name) => {
                out.extend(["[", name, "]\n"]);
                origins.push(section.from);
            }
            None if section.keys.is_empty() => continue,
            None => {}
        }
        for (key, values) in &section.keys {
            for (value, from) in values {
                write_value(key, value.as_deref(), &mut out);
                // The lines of a value follow each other in its source, too.
                let lines = value.as_ref().map_or(1, Vec::len);
                origins.extend((0..lines).map(|line| from.map(|(source, first)| (source, first + line))));
            }
        }
        out.push('\n');
        origins.push(None);
    }
    Ok((out, origins))
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

/// A line that is wrong and its number, what is wrong with it, and what to do.
struct Fault<'a>(usize, &'a str, &'static str, &'static str);

impl Fault<'_> {
    fn of(&self, file: &Path, text: &str) -> InputError {
        let Self(number, line, message, hint) = self;
        let message = format!("{message}: `{}`", line.trim());
        InputError::new(message).of(Kind::Syntax).at(Place::within(file, text, *number, 1)).hint(*hint)
    }
}

/// What a service cannot read in an INI text that is none of the role's, and the line of it: oslo.config knows no key alone,
/// and no program a key before any section.
pub fn unreadable(text: &str, oslo: bool) -> Option<(usize, String, &'static str)> {
    let sections = parse_ini(0, text, false).ok()?;
    let outside = sections.get(&None).and_then(|section| section.keys.first());
    let bare = || {
        let keys = sections.values().flat_map(|section| &section.keys);
        keys.filter(|(_, values)| values.iter().any(|(value, _)| value.is_none())).find(|_| oslo)
    };
    let line = |values: &[Value]| values.first().and_then(|(_, from)| *from).map_or(0, |(_, line)| line);
    let outside = outside.map(|(key, values)| {
        (
            line(values),
            format!("`{key}` stands before any section"),
            "write the name of its section above it, as `[DEFAULT]`",
        )
    });
    outside.or_else(|| {
        bare().map(|(key, values)| (line(values), format!("`{key}` has no value"), "write it as `key = value`"))
    })
}

/// The sections of the source with this number; its values keep their quotes if it is `written`.
fn parse_ini(source: usize, text: &str, written: bool) -> Result<Sections, Fault<'_>> {
    let mut sections = Sections::from([(None, Section::default())]);
    let mut current = 0;
    // The key whose value may go on, unless a blank line or a comment ended it.
    let mut open: Option<usize> = None;
    for (number, line) in (1..).zip(text.lines().map(str::trim_end)) {
        let (trimmed, from) = (line.trim_start(), Some((source, number)));
        let Some((_, section)) = sections.get_index_mut(current) else { continue };
        if line.starts_with([' ', '\t']) {
            let value = open.and_then(|key| section.keys.get_index_mut(key)).and_then(|(_, values)| values.last_mut());
            match value {
                Some((Some(lines), _)) => lines.push(trimmed.to_owned()),
                _ if trimmed.starts_with(['#', ';']) => {}
                _ => return Err(Fault(number, line, "an indented line goes on with no value", "do not indent keys")),
            }
            continue;
        }
        open = None;
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let Some(name) = rest.strip_suffix(']').filter(|name| !name.is_empty()) else {
                return Err(Fault(
                    number,
                    line,
                    "not the name of a section",
                    "write it as `[name]`, with nothing behind it",
                ));
            };
            let entry = sections.entry(Some(name.to_owned()));
            current = entry.index();
            entry.or_insert_with(|| Section { from, ..Section::default() });
            continue;
        }
        if let Some(at) = line.find(['=', ':']) {
            let key = line[..at].trim();
            if key.is_empty() {
                return Err(Fault(number, line, "a value without a key", "write it as `key = value`"));
            }
            if key.starts_with(['[', '#', ';']) {
                // What the program that reads the merged file takes for something else.
                return Err(Fault(
                    number,
                    line,
                    "a key begins like a section or a comment",
                    "take the white space before it away",
                ));
            }
            if key.len() > LONGEST_KEY {
                return Err(Fault(
                    number,
                    &key[..key.floor_char_boundary(LONGEST_KEY)],
                    "a key is too long",
                    "write it as `key = value`",
                ));
            }
            let value = line[at + 1..].trim();
            let value = vec![if written { value } else { unquoted(value) }.to_owned()];
            let entry = section.keys.entry(key.to_owned());
            open = Some(entry.index());
            entry.or_default().push((Some(value), from));
        } else {
            let values = section.keys.entry(line.to_owned()).or_default();
            if values.is_empty() {
                values.push((None, from));
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
    let roots = yaml_roots(sources)?;
    let merged = roots.into_iter().fold(Node::bare(Data::Null), merge_nodes);
    let merged = if merged.data == Data::Null { Node::bare(Data::Map(IndexMap::new())) } else { merged };
    Ok(dump(&merged.to_json(), Style::default()))
}

fn yaml_roots(sources: &[(&Path, &str)]) -> Result<Vec<Node>, InputError> {
    let parsed = sources.iter().map(|(file, text)| {
        let document = Document::parse(file, text)?;
        if sources.len() > 1 {
            // Says where, if it is something else than a mapping.
            document.entries()?;
        }
        Ok(document.root)
    });
    parsed.collect()
}

/// As [`merge_yaml`], with where each line is from: a value is of the last source that has it, a mapping begins in the
/// first one.
///
/// # Errors
/// As [`merge_yaml`].
pub fn merge_yaml_lines(sources: &[(&Path, &str)]) -> Result<(String, Vec<Origin>), InputError> {
    let text = merge_yaml(sources)?;
    let roots = yaml_roots(sources)?;
    let mut origins = vec![None; text.lines().count()];
    let merged = Document::parse("merged", &text)?.root;
    let sources: Vec<(usize, &Node)> = roots.iter().enumerate().collect();
    trace_yaml(&merged, &sources, &mut origins);
    // What no value begins on goes on with the one above.
    let mut last = None;
    for origin in &mut origins {
        last = origin.or(last);
        *origin = last;
    }
    Ok((text, origins))
}

/// Notes where the lines of a merged value begin. `sources` are those that have it, lowest first.
fn trace_yaml(merged: &Node, sources: &[(usize, &Node)], origins: &mut [Origin]) {
    match &merged.data {
        Data::Map(map) => {
            for (key, entry) in map {
                let having: Vec<(usize, &Entry)> = sources
                    .iter()
                    .filter_map(|(number, node)| match &node.data {
                        Data::Map(map) => Some((*number, map.get(key)?)),
                        _ => None,
                    })
                    .collect();
                let inner = matches!(&entry.value.data, Data::Map(map) if !map.is_empty());
                let from = if inner { having.first() } else { having.last() };
                note(origins, entry.line, from.map(|(number, entry)| (*number, entry.line)));
                let below: Vec<_> = having.iter().map(|(number, entry)| (*number, &entry.value)).collect();
                trace_yaml(&entry.value, &below, origins);
            }
        }
        Data::Seq(items) => {
            let Some((number, Node { data: Data::Seq(theirs), .. })) = sources.last() else { return };
            for (item, their) in items.iter().zip(theirs) {
                note(origins, item.line, Some((*number, their.line)));
                trace_yaml(item, &[(*number, their)], origins);
            }
        }
        _ => {}
    }
}

fn merge_nodes(low: Node, mut high: Node) -> Node {
    let data = std::mem::replace(&mut high.data, Data::Null);
    match (low.data, data) {
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
            Node { data: Data::Map(low), ..high }
        }
        (_, data) => Node { data, ..high },
    }
}

fn note(origins: &mut [Origin], line: usize, from: Origin) {
    if let Some(origin) = line.checked_sub(1).and_then(|index| origins.get_mut(index)) {
        *origin = origin.or(from);
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
            assert_eq!(merge_ini(&sources, 0).unwrap(), expected, "{what}");
            assert_eq!(merge_ini(&[(Path::new("x.conf"), expected)], 0).unwrap(), expected, "{what}, again");
        }
        for (text, message) in [
            ("[a", "not the name of a section: `[a`"),
            ("[a]\n= 1\n", "a value without a key: `= 1`"),
            ("\u{c}[a =] 1\n", "a key begins like a section or a comment: `[a =] 1`"),
            ("[a]\n\n  k = 1\n", "an indented line goes on with no value: `k = 1`"),
            (&format!("{} = 1\n", "k".repeat(501)), &format!("a key is too long: `{}`", "k".repeat(500))),
        ] {
            assert_eq!(merge_ini(&[(Path::new("x.conf"), text)], 0).unwrap_err().message, message);
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
    #[test]
    fn lines_of_what_is_merged_tell_where_they_are_from() {
        let low = (Path::new("low"), "[a]\n# c\nk = 1\nl = 2\n    3\n[b]\nx = 1\n");
        let high = (Path::new("high"), "n\n[b]\nx = 5\nx = 6\n[a]\nk = 7\n");
        let (text, lines) = merge_ini_lines(&[low, high], 0).unwrap();
        assert_eq!(text, "n\n\n[a]\nk = 7\nl = 2\n    3\n\n[b]\nx = 5\nx = 6\n\n");
        let (first, second) = (|line| Some((0, line)), |line| Some((1, line)));
        let expected =
            [second(1), None, first(1), second(6), first(4), first(5), None, first(6), second(3), second(4), None];
        assert_eq!(lines, expected);

        let low = (Path::new("low"), "a:\n  b: 1\n  c: [1, 2]\nd: x\n");
        let high = (Path::new("high"), "e: 1\na:\n  c:\n  - {f: 1,\n     g: 2}\n  b: |\n    t\n    u\n");
        let (text, lines) = merge_yaml_lines(&[low, high]).unwrap();
        assert_eq!(text, "a:\n  b: 't\n\n    u\n\n    '\n  c:\n  - f: 1\n    g: 2\nd: x\ne: 1\n");
        let expected = [
            first(1),
            second(6),
            second(6),
            second(6),
            second(6),
            second(6),
            second(3),
            second(4),
            second(5),
            first(4),
            second(1),
        ];
        assert_eq!(lines, expected);
    }
}
