//! Words for a POSIX shell, and values that must not be seen.

mod mask;
pub mod syntax;

use std::fmt;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

pub use mask::Mask;
pub(crate) use mask::{hide_spans, is_secret_name, secrets_in, sets_a_secret};

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
#[derive(Clone, Default, PartialEq, Eq, Hash)]
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

/// All that a URL does not have as it is: what is left are letters, digits and `-._~`.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const RESERVED_IN_PATHS: &AsciiSet = &RESERVED.remove(b'/');

/// A segment of a URL's path, or a value of its query.
pub(crate) fn url_segment(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A URL's path, whose slashes stay.
pub(crate) fn url_path(text: &str) -> String {
    utf8_percent_encode(text, RESERVED_IN_PATHS).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_survives_a_shell() {
        assert_eq!(join(["echo", "it's", "", "a b"]), r"echo 'it'\''s' '' 'a b'");
    }

    #[test]
    fn urls_have_few_signs_as_they_are() {
        assert_eq!(url_segment("/a-b._~ %é"), "%2Fa-b._~%20%25%C3%A9");
        assert_eq!(url_path("/a b"), "/a%20b");
    }

    #[test]
    fn a_secret_prints_as_stars() {
        assert_eq!(format!("{:?} {}", Secret::new("x"), Secret::new("x")), "*** ***");
    }
}
