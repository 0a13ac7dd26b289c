//! YAML as PyYAML writes it, so that files made by `to_nice_yaml` or merged come out the same.

use std::fmt::Write;

use serde_json::Value as Json;

use super::scalar;

/// How YAML is written.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Spaces a level.
    pub indent: usize,
    /// Columns after which lines are broken, where there is a space.
    pub width: usize,
    /// Lists and mappings in brackets: all, none, or those that hold only scalars.
    pub flow: Option<bool>,
    /// Keys are sorted.
    pub sort: bool,
    /// Characters outside of ASCII stay as they are.
    pub unicode: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self { indent: 2, width: 80, flow: Some(false), sort: true, unicode: false }
    }
}

/// The value as YAML.
pub fn dump(value: &Json, style: Style) -> String {
    let mut writer =
        Writer { style, out: String::new(), column: 0, indent: None, flow: 0, white: true, indention: true };
    writer.node(value, Place::Root);
    writer.write_indent();
    writer.out
}

/// A number as Python prints it.
pub fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..16).contains(&exponent) {
        let text = number.to_string();
        return if text.contains('.') { text } else { text + ".0" };
    }
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// Where a node stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Item,
    Key,
    Value,
}

/// What a text may be written as.
#[allow(clippy::struct_excessive_bools)]
#[derive(Default)]
struct Analysis {
    several_lines: bool,
    flow_plain: bool,
    block_plain: bool,
    single: bool,
}

struct Writer {
    style: Style,
    out: String,
    column: usize,
    indent: Option<usize>,
    /// Depth of brackets.
    flow: usize,
    /// The last character was white space.
    white: bool,
    /// The line holds nothing but indentation so far.
    indention: bool,
}

impl Writer {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn indicator(&mut self, text: &str, spaced: bool, white: bool, indention: bool) {
        if spaced && !self.white {
            self.put(" ");
        }
        self.put(text);
        self.white = white;
        self.indention &= indention;
    }

    fn line_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
        self.white = true;
        self.indention = true;
    }

    fn write_indent(&mut self) {
        let indent = self.indent.unwrap_or(0);
        if !self.indention || self.column > indent || (self.column == indent && !self.white) {
            self.line_break();
        }
        if self.column < indent {
            self.white = true;
            let missing = indent - self.column;
            self.put(&" ".repeat(missing));
        }
    }

    /// Goes a level deeper; gives what was before.
    fn deeper(&mut self, flow: bool, same: bool) -> Option<usize> {
        let before = self.indent;
        self.indent = Some(match before {
            None if flow => self.style.indent,
            None => 0,
            Some(indent) if same => indent,
            Some(indent) => indent + self.style.indent,
        });
        before
    }

    fn node(&mut self, value: &Json, place: Place) {
        let scalar = |value: &Json| !matches!(value, Json::Array(_) | Json::Object(_));
        match value {
            Json::Array(items) => {
                let flow = self.style.flow.unwrap_or_else(|| items.iter().all(scalar));
                if self.flow > 0 || flow || items.is_empty() {
                    self.flow_items(items);
                } else {
                    let before = self.deeper(false, place == Place::Value && !self.indention);
                    for item in items {
                        self.write_indent();
                        self.indicator("-", true, false, true);
                        self.node(item, Place::Item);
                    }
                    self.indent = before;
                }
            }
            Json::Object(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                if self.style.sort {
                    entries.sort_by_key(|(key, _)| key.as_str());
                }
                let flow = self.style.flow.unwrap_or_else(|| map.values().all(scalar));
                if self.flow > 0 || flow || map.is_empty() {
                    self.flow_entries(&entries);
                } else {
                    let before = self.deeper(false, false);
                    for (key, value) in entries {
                        self.write_indent();
                        if is_simple(key) {
                            self.text(key, Place::Key);
                            self.indicator(":", false, false, false);
                        } else {
                            self.indicator("?", true, false, true);
                            self.text(key, Place::Value);
                            self.write_indent();
                            self.indicator(":", true, false, true);
                        }
                        self.node(value, Place::Value);
                    }
                    self.indent = before;
                }
            }
            Json::String(text) => self.text(text, place),
            Json::Null => self.plain("null", place),
            Json::Bool(value) => self.plain(if *value { "true" } else { "false" }, place),
            Json::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
                None => self.plain(&number.to_string(), place),
                Some(number) => {
                    let text = float(number);
                    let text = if text.contains('.') { text } else { text.replacen('e', ".0e", 1) };
                    self.plain(&text, place);
                }
            },
        }
    }

    fn flow_items(&mut self, items: &[Json]) {
        self.indicator("[", true, true, false);
        self.flow += 1;
        let before = self.deeper(true, false);
        for (index, item) in items.iter().enumerate() {
            self.between(index);
            self.node(item, Place::Item);
        }
        self.indent = before;
        self.flow -= 1;
        self.indicator("]", false, false, false);
    }

    fn flow_entries(&mut self, entries: &[(&String, &Json)]) {
        self.indicator("{", true, true, false);
        self.flow += 1;
        let before = self.deeper(true, false);
        for (index, (key, value)) in entries.iter().enumerate() {
            self.between(index);
            if is_simple(key) {
                self.text(key, Place::Key);
                self.indicator(":", false, false, false);
            } else {
                self.indicator("?", true, false, false);
                self.text(key, Place::Value);
                if self.column > self.style.width {
                    self.write_indent();
                }
                self.indicator(":", true, false, false);
            }
            self.node(value, Place::Value);
        }
        self.indent = before;
        self.flow -= 1;
        self.indicator("}", false, false, false);
    }

    fn between(&mut self, index: usize) {
        if index > 0 {
            self.indicator(",", false, false, false);
        }
        if self.column > self.style.width {
            self.write_indent();
        }
    }

    fn text(&mut self, text: &str, place: Place) {
        let before = self.deeper(true, false);
        let analysis = analyze(text, self.style.unicode);
        let key = place == Place::Key;
        let allowed = if self.flow > 0 { analysis.flow_plain } else { analysis.block_plain };
        if allowed && !scalar::is_special(text) && !(key && (text.is_empty() || analysis.several_lines)) {
            self.plain(text, place);
        } else if analysis.single && !(key && analysis.several_lines) {
            self.single_quoted(text, !key);
        } else {
            self.double_quoted(text, !key);
        }
        self.indent = before;
    }

    fn plain(&mut self, text: &str, place: Place) {
        if !self.white {
            self.put(" ");
        }
        self.white = false;
        self.indention = false;
        for (index, (spaces, word)) in words(text).enumerate() {
            if index > 0 || !spaces.is_empty() {
                if spaces.len() == 1 && self.column > self.style.width && place != Place::Key {
                    self.write_indent();
                    self.white = false;
                    self.indention = false;
                } else {
                    self.put(spaces);
                }
            }
            self.put(word);
        }
    }

    fn single_quoted(&mut self, text: &str, split: bool) {
        self.indicator("'", true, false, false);
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let same = |kind: fn(char) -> bool| rest.find(|c| !kind(c)).unwrap_or(rest.len());
            let end;
            if first == ' ' {
                end = same(|c| c == ' ');
                let inside = rest.len() < text.len() && end < rest.len();
                if end == 1 && self.column > self.style.width && split && inside {
                    self.write_indent();
                } else {
                    self.put(&rest[..end]);
                }
            } else if first == '\n' {
                end = same(|c| c == '\n');
                for _ in 0..=end {
                    self.line_break();
                }
                self.write_indent();
            } else {
                end = rest.find([' ', '\n']).unwrap_or(rest.len());
                self.put(&rest[..end].replace('\'', "''"));
            }
            rest = &rest[end..];
        }
        self.indicator("'", false, false, false);
    }

    fn double_quoted(&mut self, text: &str, split: bool) {
        self.indicator("\"", true, false, false);
        let chars: Vec<char> = text.chars().collect();
        let (mut start, mut end) = (0, 0);
        let piece = |start: usize, end: usize| chars[start..end].iter().collect::<String>();
        while end <= chars.len() {
            let c = chars.get(end).copied();
            let readable = c.is_some_and(|c| {
                !matches!(c, '"' | '\\' | '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
                    && (matches!(c, ' '..='~')
                        || self.style.unicode && matches!(c, '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}'))
            });
            if !readable {
                if start < end {
                    self.put(&piece(start, end));
                    start = end;
                }
                if let Some(c) = c {
                    self.put(&escaped(c));
                    start = end + 1;
                }
            }
            let inside = end > 0 && end + 1 < chars.len();
            let wide = self.column + end.saturating_sub(start) > self.style.width;
            if split && inside && wide && (c == Some(' ') || start >= end) {
                if start < end {
                    self.put(&piece(start, end));
                    start = end;
                }
                self.put("\\");
                self.write_indent();
                self.white = false;
                self.indention = false;
                if chars[start] == ' ' {
                    self.put("\\");
                }
            }
            end += 1;
        }
        self.indicator("\"", false, false, false);
    }
}

/// Words with the spaces before each.
fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let start = rest.find(|c| c != ' ').unwrap_or(rest.len());
        let end = rest[start..].find(' ').map_or(rest.len(), |at| start + at);
        let found = (&rest[..start], &rest[start..end]);
        rest = &rest[end..];
        Some(found)
    })
}

/// The key fits on its line.
fn is_simple(key: &str) -> bool {
    key.chars().count() < 128 && !key.contains(is_break)
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn analyze(text: &str, unicode: bool) -> Analysis {
    if text.is_empty() {
        return Analysis { block_plain: true, single: true, ..Analysis::default() };
    }
    let white = |c: char| matches!(c, '\0' | ' ' | '\t' | '\r') || is_break(c);
    let mark = text.starts_with("---") || text.starts_with("...");
    let (mut flow_indicators, mut block_indicators) = (mark, mark);
    let (mut breaks, mut special, mut break_space, mut space_break) = (false, false, false, false);
    let mut before: Option<char> = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let followed = chars.peek().is_none_or(|next| white(*next));
        match (c, before) {
            ('#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`', None) => {
                (flow_indicators, block_indicators) = (true, true);
            }
            ('?' | ':', None) | (':', Some(_)) => {
                flow_indicators = true;
                block_indicators |= followed;
            }
            ('-', None) if followed => (flow_indicators, block_indicators) = (true, true),
            (',' | '?' | '[' | ']' | '{' | '}', Some(_)) => flow_indicators = true,
            ('#', Some(before)) if white(before) => (flow_indicators, block_indicators) = (true, true),
            _ => {}
        }
        breaks |= is_break(c);
        special |= match c {
            '\n' | ' '..='~' => false,
            '\u{feff}' => true,
            '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => !unicode,
            _ => true,
        };
        break_space |= c == ' ' && before.is_some_and(is_break);
        space_break |= is_break(c) && before == Some(' ');
        before = Some(c);
    }
    let edge = |c: Option<char>| c.is_some_and(|c| c == ' ' || is_break(c));
    let loose = edge(text.chars().next()) || edge(before);
    let plain = !(loose || break_space || space_break || special || breaks);
    Analysis {
        several_lines: breaks,
        flow_plain: plain && !flow_indicators,
        block_plain: plain && !block_indicators,
        single: !(break_space || space_break || special),
    }
}

fn escaped(c: char) -> String {
    let short = match c {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ => {
            let mut out = String::new();
            let code = u32::from(c);
            // Writing to a String cannot fail.
            let _ = match code {
                0..=0xff => write!(out, "\\x{code:02X}"),
                0x100..=0xffff => write!(out, "\\u{code:04X}"),
                _ => write!(out, "\\U{code:08X}"),
            };
            return out;
        }
    };
    format!("\\{short}")
}
