//! Words for a POSIX shell, and values that must not be seen.

use std::fmt::{self, Write as _};
use std::sync::{Arc, PoisonError, RwLock};

/// One word for `/bin/sh`: quoted unless it is plain.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A command line of quoted words.
pub fn join<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> String {
    words.into_iter().map(|word| quote(word.as_ref())).collect::<Vec<_>>().join(" ")
}

/// A value that prints as `***`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl AsRef<str>) -> Self {
        Self(value.as_ref().into())
    }

    /// The value itself, for the wire and for files of mode 0600.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A text as a URL has it; beside letters, digits and `-._~`, what is in `kept` stays as it is.
pub(crate) fn url_encoded(text: &str, kept: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-._~".contains(c) || kept.contains(c) {
            out.push(c);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// As a text of JSON has it, without the quotes.
fn json_text(text: &str) -> String {
    let text = serde_json::Value::from(text).to_string();
    text[1..text.len() - 1].to_owned()
}

/// The secrets of a site, for hiding them in whatever is printed or logged. Clones learn of each other's new ones.
#[derive(Clone, Debug, Default)]
pub struct Mask(Arc<RwLock<Vec<Secret>>>);

impl Mask {
    /// Hides each value of four characters or more; shorter ones would hide ordinary text.
    pub fn new(values: impl IntoIterator<Item = String>) -> Self {
        let mask = Self::default();
        mask.add(values);
        mask
    }

    /// Hides a further value.
    pub fn learn(&self, value: &str) {
        let known = |secret: &Secret| secret.reveal() == value;
        if !self.0.read().unwrap_or_else(PoisonError::into_inner).iter().any(known) {
            self.add([value.to_owned()]);
        }
    }

    fn add(&self, values: impl IntoIterator<Item = String>) {
        // A key of many lines may be shown line by line, and a secret may be part of a URL or of a text of JSON.
        let mut values: Vec<String> = values
            .into_iter()
            .flat_map(|value| {
                let written = [url_encoded(&value, "/"), url_encoded(&value, ""), json_text(&value)];
                value.lines().map(str::to_owned).chain(written).chain([value.clone()]).collect::<Vec<_>>()
            })
            .filter(|value| value.len() >= 4)
            .collect();
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        values.extend(known.iter().map(|secret| secret.reveal().to_owned()));
        // Longest first: a secret that contains another one is hidden whole.
        values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        values.dedup();
        *known = values.into_iter().map(Secret::new).collect();
    }

    /// The text with every secret replaced by `***`.
    pub fn hide(&self, text: &str) -> String {
        self.0.read().unwrap_or_else(PoisonError::into_inner).iter().fold(text.to_owned(), |text, secret| {
            if text.contains(secret.reveal()) { text.replace(secret.reveal(), "***") } else { text }
        })
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
    use super::*;

    #[test]
    fn quoting_survives_a_shell() {
        assert_eq!(join(["echo", "it's", "", "a b"]), r"echo 'it'\''s' '' 'a b'");
    }

    #[test]
    fn the_longest_secret_is_hidden_whole() {
        let mask = Mask::new(["pass".into(), "password1".into(), "abc".into()]);
        assert_eq!(mask.hide("password1 pass abc"), "*** *** abc");
        let mask = Mask::new(["p@ss/w\"rd".into()]);
        assert_eq!(mask.hide(r#"p@ss/w"rd p%40ss/w%22rd p%40ss%2Fw%22rd "p@ss/w\"rd""#), r#"*** *** *** "***""#);
        assert_eq!(format!("{:?}", Secret::new("x")), "***");
    }
}
