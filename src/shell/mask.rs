//! The one mask of a process: it knows the secrets of the site and of the hosts, and hides them in whatever leaves.
//!
//! A secret is known by its value, in every way in which files, URLs and messages write it. In a file some are known by
//! where they stand alone: under a name that says so, or as the password of a URL.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::Regex;

use super::{quote, syntax, url_path, url_segment};

/// What stands in the place of a secret.
const STARS: &str = "***";
/// Shorter values are parts of ordinary words: they are hidden where they stand alone.
const LONG: usize = 4;
/// What a name ends with whose value is a secret.
const NAMES: &str =
    r"\w*secret\w*|\w*(?:password|passwd|pass|token|cookie|psk)|\w*(?:private|access|auth|api|encryption|crypto)_?key";

/// A value in quotes, or to the end of its line.
const VALUE: &str = r#"(?:"((?:[^"\\\r\n]|\\.)+)"|'([^'\r\n]+)'|["']?([^"'\s][^\r\n]*))"#;

/// A variable, an option or a key that is called a secret, and its value.
static NAMED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(&format!(r#"(?i)\b(?:{NAMES})["']?[ \t]*[:=][ \t]*{VALUE}"#)).ok());
static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&format!("(?i)^(?:{NAMES})$")).ok());
/// `scheme://user:password@host`.
static URL: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@"']*:([^\s"']+)@"#).ok());

/// The name says that its value is a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    NAME.as_ref().is_some_and(|names| names.is_match(name))
}

/// The line gives what is called a secret a value that is no template.
pub(crate) fn sets_a_secret(line: &str) -> bool {
    !named_spans(line).is_empty()
}

/// A key and its value, in a line of an INI or a YAML file.
static OPTION: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"^(?:- )*["']?[\w./:-]+["']?[ \t]*(?:=|:(?:[ \t]|$))[ \t]*(.*)$"#).ok());

/// What a line says: the value of an option, or all of a line that is none. Nothing of a section's name.
fn content(line: &str) -> Option<&str> {
    let line = line.trim();
    if line.is_empty() || (line.starts_with('[') && line.ends_with(']') && !line.contains([',', '"'])) {
        return None;
    }
    let value = OPTION.as_ref()?.captures(line).and_then(|found| found.get(1)).map_or(line, |found| found.as_str());
    let value = value.strip_suffix(',').unwrap_or(value).trim();
    let bare = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    Some(bare.unwrap_or(value)).filter(|value| !value.is_empty())
}

/// A word that is nobody's secret, whatever it is called.
fn is_plain(value: &str) -> bool {
    matches!(value.to_lowercase().as_str(), "" | "true" | "false" | "none" | "null" | "yes" | "no" | "on" | "off")
}

/// Values under names of secrets, and passwords in URLs; no templates.
fn named_spans(text: &str) -> Vec<Range<usize>> {
    let named = NAMED.iter().flat_map(|pattern| pattern.captures_iter(text));
    let urls = URL.iter().flat_map(|pattern| pattern.captures_iter(text));
    let value = |found: regex::Captures<'_>| {
        let found = found.iter().skip(1).flatten().next()?;
        let value = found.as_str().trim_end().trim_end_matches([',', '}', ']']).trim_end_matches(['"', '\'']);
        let plain = is_plain(value) || value.starts_with("{{");
        (!plain).then(|| found.start()..found.start() + value.len())
    };
    named.chain(urls).filter_map(value).collect()
}

/// What a text gives to names of secrets, or as passwords in URLs; no templates.
pub(crate) fn secrets_in(text: &str) -> impl Iterator<Item = String> {
    let values = named_spans(text).into_iter().map(|span| text[span].to_owned());
    values.filter(|value| value.len() >= LONG && !value.contains("{{"))
}

/// A text with `***` in the place of each span. Spans may overlap and come in any order; one that goes over lines leaves
/// the ends of the lines.
pub(crate) fn hide_spans(text: &str, mut spans: Vec<Range<usize>>) -> String {
    spans.sort_by_key(|span| (span.start, span.end));
    let mut hidden = String::with_capacity(text.len());
    let mut at = 0;
    let mut spans = spans.into_iter().peekable();
    while let Some(mut span) = spans.next() {
        while let Some(next) = spans.next_if(|next| next.start < span.end) {
            span.end = span.end.max(next.end);
        }
        hidden.push_str(&text[at..span.start]);
        let lines: Vec<&str> = text[span.clone()].split('\n').collect();
        let stars: Vec<&str> = lines.iter().map(|line| if line.is_empty() { "" } else { STARS }).collect();
        hidden.push_str(&stars.join("\n"));
        at = span.end;
    }
    hidden.push_str(&text[at..]);
    hidden
}

/// As a text of JSON has it, without the quotes.
fn json_text(text: &str) -> String {
    let text = serde_json::Value::from(text).to_string();
    text[1..text.len() - 1].to_owned()
}

/// What base64 makes of a value wherever that stands in the text that is encoded, as the password of `user:password`:
/// the characters that do not depend on what is before and after it.
fn base64_forms(value: &str) -> impl Iterator<Item = String> {
    [STANDARD_NO_PAD, URL_SAFE_NO_PAD].into_iter().flat_map(move |engine| {
        (0..3).filter_map(move |before| {
            let bytes: Vec<u8> = std::iter::repeat_n(0, before).chain(value.bytes()).collect();
            let text = engine.encode(&bytes);
            let (first, last) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
            text.get(first..last).filter(|text| text.len() >= 2 * LONG).map(str::to_owned)
        })
    })
}

/// All the ways in which a secret may be written.
fn forms(value: &str) -> BTreeSet<String> {
    let lines = value.lines().filter(|line| line.len() >= LONG && !line.starts_with("-----")).map(str::to_owned);
    let written = [
        value.trim_end_matches('\n').to_owned(),
        url_path(value),
        url_segment(value),
        json_text(value),
        value.replace('\'', "''"),
        quote(value),
        hex::encode(value),
    ];
    lines
        .chain(written)
        .chain(syntax::forms(value))
        .chain(base64_forms(value))
        .filter(|form| !form.is_empty())
        .collect()
}

/// Hides secrets. Clones are one mask: they learn of each other's new ones.
#[derive(Clone, Default)]
pub struct Mask(Arc<RwLock<Known>>);

#[derive(Default)]
struct Known {
    forms: BTreeSet<String>,
    /// Finds all of them at once; absent while there are none.
    finder: Option<Arc<AhoCorasick>>,
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mask(***)")
    }
}

impl Mask {
    /// Hides these values.
    pub fn new(values: impl IntoIterator<Item = String>) -> Self {
        let mask = Self::default();
        mask.learn_all(values);
        mask
    }

    /// Hides a further value.
    pub fn learn(&self, value: &str) {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).forms.contains(value);
        if !known {
            self.learn_all([value.to_owned()]);
        }
    }

    /// Hides what a file gives to names of secrets, or as passwords in URLs.
    pub fn learn_file(&self, text: &str) {
        self.learn_all(secrets_in(text));
    }

    /// Hides what a file holds that is secret as a whole: the values of its options and keys, and lines that are none.
    pub fn learn_whole_file(&self, text: &str) {
        self.learn_all(text.lines().filter_map(content).map(str::to_owned));
    }

    /// Hides further values.
    pub fn learn_all(&self, values: impl IntoIterator<Item = String>) {
        let found: BTreeSet<String> =
            values.into_iter().filter(|value| !is_plain(value.trim())).flat_map(|value| forms(&value)).collect();
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = known.forms.len();
        known.forms.extend(found);
        if known.forms.len() > before {
            // Of plain words: it cannot fail.
            known.finder = AhoCorasick::new(&known.forms).ok().map(Arc::new);
        }
    }

    /// Where secrets stand in a text.
    fn spans(&self, text: &str) -> Vec<Range<usize>> {
        let finder = self.0.read().unwrap_or_else(PoisonError::into_inner).finder.clone();
        let Some(finder) = finder else { return Vec::new() };
        let found = finder.find_overlapping_iter(text).map(|found| found.range());
        let inside = |c: char| c.is_alphanumeric() || c == '_';
        let alone = |span: &Range<usize>| {
            span.len() >= LONG || !(text[..span.start].ends_with(inside) || text[span.end..].starts_with(inside))
        };
        found.filter(alone).collect()
    }

    /// Where secrets stand in a file: also those that nobody told of, by their names and in URLs.
    pub fn spans_of_file(&self, text: &str) -> Vec<Range<usize>> {
        let mut spans = self.spans(text);
        spans.extend(named_spans(text));
        spans
    }

    /// The text has something to hide.
    pub fn hides(&self, text: &str) -> bool {
        !self.spans(text).is_empty()
    }

    /// The text with every secret replaced by `***`.
    pub fn hide(&self, text: &str) -> String {
        hide_spans(text, self.spans(text))
    }

    /// The value with every secret in its texts replaced; names of keys stay.
    pub fn hide_json(&self, value: serde_json::Value) -> serde_json::Value {
        use serde_json::Value;
        match value {
            Value::String(text) => self.hide(&text).into(),
            Value::Array(items) => items.into_iter().map(|item| self.hide_json(item)).collect(),
            Value::Object(map) => map.into_iter().map(|(key, value)| (key, self.hide_json(value))).collect(),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn a_secret_is_hidden_however_it_is_written() {
        let mask = Mask::new(["pass".into(), "password1".into(), "word1more".into()]);
        assert_eq!(mask.hide("password1 pass password1more"), "*** *** ***");
        let mask = Mask::new(["p@ss/w\"rd".into(), "it's".into()]);
        assert_eq!(mask.hide(r#"p@ss/w"rd p%40ss/w%22rd p%40ss%2Fw%22rd "p@ss/w\"rd""#), r#"*** *** *** "***""#);
        assert_eq!(mask.hide(r"'it''s' 'it'\''s'"), "'***' ***");
        let mask = Mask::new(["p$s\"w#".into()]);
        assert_eq!(mask.hide(r#"p\$s"w# "p$s\"w#" "p\$s\"w#""#), r#"*** "***" "***""#);
        for user in ["a", "ab", "abc"] {
            let login = STANDARD.encode(format!("{user}:correct horse battery:x"));
            let shown = Mask::new(["correct horse battery".into()]).hide(&login);
            assert!(shown.contains(STARS) && shown.len() < 14, "{shown}");
        }
        assert_eq!(format!("{mask:?}"), "Mask(***)");
    }

    #[test]
    fn a_short_secret_is_hidden_where_it_stands_alone() {
        let mask = Mask::new(["abc".into(), "7".into(), String::new(), "true".into()]);
        assert_eq!(mask.hide("abc abcd x:abc@y 7 17 true"), "*** abcd x:***@y *** 17 true");
    }

    #[test]
    fn a_key_of_several_lines_is_hidden_line_by_line() {
        let mask = Mask::new(["-----BEGIN KEY-----\nabcdefgh\nij\n-----END KEY-----\n".into()]);
        assert_eq!(mask.hide("x abcdefgh\n"), "x ***\n");
        assert_eq!(mask.hide("-----BEGIN KEY-----\nabcdefgh\nij\n-----END KEY-----\n"), "***\n***\n***\n***\n");
        assert_eq!(mask.hide(r"-----BEGIN KEY-----\nabcdefgh\nij\n-----END KEY-----\n"), STARS);
    }

    #[test]
    fn secrets_of_a_file_are_known_by_name_and_by_place() {
        let shown = |text: &str| hide_spans(text, Mask::default().spans_of_file(text));
        assert_eq!(shown("password = a b\nauth_type = password\n"), "password = ***\nauth_type = password\n");
        assert_eq!(shown("{\"secret\": \"x y\", \"n\": 1}\n"), "{\"secret\": \"***\", \"n\": 1}\n");
        assert_eq!(shown("connection = mysql://u:p@ss@h/db\n"), "connection = mysql://u:***@h/db\n");
        assert_eq!(
            shown("send_token = true\ntoken_expiration = 3600\n"),
            "send_token = true\ntoken_expiration = 3600\n"
        );
        assert!(sets_a_secret("x_password: hunter2") && !sets_a_secret("x_password: \"{{ y }}\""));
        assert!(is_secret_name("my_db_password") && !is_secret_name("password_length"));
    }
}
