//! The pages of documentation that are in the program itself.

use include_dir::{Dir, include_dir};

use crate::error::{InputError, Kind, Result, nearest};

static DOCS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/docs");

/// Their names.
pub(super) fn topics() -> Vec<&'static str> {
    let mut topics: Vec<&str> =
        DOCS.files().filter_map(|file| file.path().file_stem()).filter_map(|stem| stem.to_str()).collect();
    topics.sort_unstable();
    topics
}

/// One of them.
///
/// # Errors
/// A name that none has.
pub(super) fn text(topic: &str) -> Result<&'static str> {
    let named = |file: &&include_dir::File<'_>| file.path().file_stem().is_some_and(|stem| stem == topic);
    DOCS.files().find(named).and_then(include_dir::File::contents_utf8).ok_or_else(|| {
        let hint = match nearest(topic, topics()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("topics: {}", topics().join(", ")),
        };
        InputError::new(format!("no documentation of `{topic}`")).of(Kind::UnknownName).hint(hint).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn topics_are_found_by_name() {
        assert!(text("events").unwrap().contains("took_ms"));
        assert!(text("role").unwrap().contains("services:"));
        let Error::Input(errors) = text("evetns").unwrap_err() else { panic!() };
        assert_eq!(errors[0].hint.as_deref(), Some("did you mean `events`?"));
    }
}
